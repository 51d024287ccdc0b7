// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/runtime/plan.hpp>

#include <algorithm>
#include <string_view>

namespace millrace {

namespace detail {

MILLRACE_DECL std::string_view plan_route_text(plan_route route) noexcept {
  switch (route) {
    case plan_route::same_thread: return "";
    case plan_route::hand_over: return "handed over";
    case plan_route::by_key: return "by key";
    case plan_route::broadcast: return "to every worker";
  }
  return "";
}

/// What an edge is labelled with, such as "late, by key"; empty for a plain call.
MILLRACE_DECL std::string plan_edge_text(const plan_input& input) {
  std::string text = input.output;
  const auto add = [&text](std::string_view word) {
    if (word.empty()) return;
    if (!text.empty()) text += ", ";
    text += word;
  };
  add(plan_route_text(input.route));
  if (input.auxiliary) add("no say in time");
  return text;
}

/// What is known of a node beside its name and kind: "2 instances", "keyed state", properties.
MILLRACE_DECL std::vector<std::string> plan_facts(const plan_node& node) {
  std::vector<std::string> facts;
  if (node.instances != 1) facts.push_back(std::to_string(node.instances) + " instances");
  if (node.keyed_state) facts.emplace_back("keyed state");
  for (const auto& [name, value] : node.properties) {
    facts.push_back(value.empty() ? name : name + " " + value);
  }
  return facts;
}

/// Mermaid has HTML-like entities without '&'; DOT has backslashes.
MILLRACE_DECL std::string plan_escape_mermaid(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '"': out += "#quot;"; break;
      case '#': out += "#35;"; break;
      case '&': out += "#amp;"; break;
      case '<': out += "#lt;"; break;
      case '>': out += "#gt;"; break;
      case '`': out += "#96;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

MILLRACE_DECL std::string plan_escape_dot(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

MILLRACE_DECL std::string plan_one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out;
}

/// The longest way from a source to each node.
MILLRACE_DECL std::vector<std::size_t> plan_depths(const pipeline_plan& plan) {
  std::vector<std::size_t> depths(plan.nodes.size(), 0);
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    for (const auto& input : plan.nodes[i].inputs) {
      if (input.from < i) depths[i] = std::max(depths[i], depths[input.from] + 1);
    }
  }
  return depths;
}

MILLRACE_DECL std::string plan_line(const pipeline_plan& plan, const plan_node& node) {
  std::string line = plan_one_line(node.name) + "  [" + plan_one_line(node.kind) + "]";
  for (const auto& fact : plan_facts(node)) line += ", " + plan_one_line(fact);
  const char* between = "  <- ";
  for (const auto& input : node.inputs) {
    if (input.from >= plan.nodes.size()) continue;
    line += between + plan_one_line(plan.nodes[input.from].name);
    const auto text = plan_edge_text(input);
    if (!text.empty()) line += " (" + plan_one_line(text) + ")";
    between = ", ";
  }
  return line;
}

}  // namespace detail

MILLRACE_DECL std::string to_text(const pipeline_plan& plan) {
  std::string out = "pipeline " + detail::plan_one_line(plan.pipeline) + ", " +
                    std::to_string(plan.workers) + (plan.workers == 1 ? " worker" : " workers") +
                    "\n";
  const auto depths = detail::plan_depths(plan);
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    out.append(2 * (depths[i] + 1), ' ').append(detail::plan_line(plan, plan.nodes[i])) += '\n';
  }
  return out;
}

MILLRACE_DECL std::string to_mermaid(const pipeline_plan& plan) {
  std::string out = "flowchart LR\n";
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const auto& node = plan.nodes[i];
    std::string label =
        detail::plan_escape_mermaid(node.name) + "<br/>" + detail::plan_escape_mermaid(node.kind);
    for (const auto& fact : detail::plan_facts(node)) {
      label += "<br/>" + detail::plan_escape_mermaid(fact);
    }
    const bool source = node.inputs.empty();
    const char* open = node.keyed_state ? "[(\"" : source ? "([\"" : "[\"";
    const char* close = node.keyed_state ? "\")]" : source ? "\"])" : "\"]";
    out += "  n" + std::to_string(i) + open + label + close + "\n";
  }
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    for (const auto& input : plan.nodes[i].inputs) {
      const auto text = detail::plan_escape_mermaid(detail::plan_edge_text(input));
      const bool crosses = input.route != plan_route::same_thread;
      out += "  n" + std::to_string(input.from) + (crosses ? " ==>" : " -->");
      if (!text.empty()) out += "|\"" + text + "\"|";
      out += " n" + std::to_string(i) + "\n";
    }
  }
  return out;
}

MILLRACE_DECL std::string to_dot(const pipeline_plan& plan) {
  std::string out = "digraph \"" + detail::plan_escape_dot(plan.pipeline) + "\" {\n" +
                    "  rankdir=LR;\n  node [shape=box, style=rounded];\n";
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const auto& node = plan.nodes[i];
    std::string label =
        detail::plan_escape_dot(node.name) + "\\n" + detail::plan_escape_dot(node.kind);
    for (const auto& fact : detail::plan_facts(node)) {
      label += "\\n" + detail::plan_escape_dot(fact);
    }
    out += "  n" + std::to_string(i) + " [label=\"" + label + "\"";
    if (node.keyed_state) out += ", shape=cylinder, style=solid";
    out += "];\n";
  }
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    for (const auto& input : plan.nodes[i].inputs) {
      out += "  n" + std::to_string(input.from) + " -> n" + std::to_string(i) + " [label=\"" +
             detail::plan_escape_dot(detail::plan_edge_text(input)) + "\"";
      if (input.route != plan_route::same_thread) out += ", penwidth=2";
      if (input.auxiliary) out += ", style=dashed";
      out += "];\n";
    }
  }
  return out += "}\n";
}

}  // namespace millrace
