// SPDX-License-Identifier: Apache-2.0
/// \file
/// The graph of a pipeline in words: what there is, what is fused, where batches change threads.
/// `to_text`, `to_mermaid` and `to_dot` draw it. Plain values.
#pragma once

#include <millrace/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

enum class plan_route : std::uint8_t {
  same_thread,  ///< a call per batch
  hand_over,    ///< through a ring to the one instance there is
  by_key,       ///< through rings to the owner of the key
  broadcast,    ///< through rings to every worker
};

struct plan_input {
  std::size_t from = 0;  ///< index in `pipeline_plan::nodes`
  std::string output;    ///< name of the side output; empty: the main one
  plan_route route = plan_route::same_thread;
  bool auxiliary = false;  ///< has no say in watermarks and the end
};

struct plan_node {
  std::string name;
  std::string kind;           ///< "source", "window", ...; fused steps with dots: "decode.filter"
  std::size_t instances = 1;  ///< workers it runs on
  bool keyed_state = false;   ///< keeps state per key
  std::vector<plan_input> inputs;
  std::vector<std::pair<std::string, std::string>> properties;  ///< "window" -> "10s by 1s", ...
};

struct pipeline_plan {
  std::string pipeline;
  std::size_t workers = 1;
  std::vector<plan_node> nodes;  ///< an input always comes from an earlier one
};

/// A line per node, indented where it is fed by one before. For logs and terminals.
std::string to_text(const pipeline_plan& plan);

/// A Mermaid flow chart, as Markdown viewers draw it.
std::string to_mermaid(const pipeline_plan& plan);

/// A digraph for Graphviz.
std::string to_dot(const pipeline_plan& plan);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/plan.ipp>
#endif
