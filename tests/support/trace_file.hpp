// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reads a trace file with a strict JSON parser, and checks it against the rules of "Trace Event
/// Format" (Google, 2016), written without the code that wrote the file. Single-threaded.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace millrace::testing {

struct trace_entry {
  std::string phase, category, name, id, trace, span, parent, outcome;
  std::uint64_t thread = 0;
  std::int64_t at = 0;      // nanoseconds
  std::int64_t length = 0;  // of X
  std::uint64_t records = 0;
  std::int64_t end() const { return at + length; }
};

class trace_file {
 public:
  /// \throws std::runtime_error when it is no JSON or breaks a rule
  explicit trace_file(const std::string& text) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(text).get(root) != simdjson::SUCCESS) throw broken("no JSON");
    simdjson::dom::array all;
    if (root["traceEvents"].get(all) != simdjson::SUCCESS) throw broken("no traceEvents");
    for (const auto event : all) read(event);
    check_nesting();
    check_spans();
    check_arrows();
  }

  const std::vector<trace_entry>& all() const { return entries_; }
  const std::map<std::uint64_t, std::string>& threads() const { return threads_; }
  const std::string& process() const { return process_; }

  std::vector<trace_entry> with(const std::string& phase, const std::string& category) const {
    std::vector<trace_entry> found;
    for (const auto& e : entries_) {
      if (e.phase == phase && e.category == category) found.push_back(e);
    }
    return found;
  }

  /// Ids of traces.
  std::vector<std::string> traces() const {
    std::vector<std::string> found;
    for (const auto& e : entries_) {
      if (!e.trace.empty() && std::find(found.begin(), found.end(), e.trace) == found.end()) {
        found.push_back(e.trace);
      }
    }
    return found;
  }

  /// Work on the sampled record of a trace, in the order of beginning; parents before children.
  std::vector<trace_entry> path(const std::string& trace) const {
    std::vector<trace_entry> found;
    for (const auto& e : entries_) {
      const bool span = e.phase == "X" || (e.phase == "b" && e.category == "call");
      if (span && e.trace == trace) found.push_back(e);
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
      return std::pair(a.at, -a.length) < std::pair(b.at, -b.length);
    });
    std::vector<trace_entry> sorted;  // equal times: by parents
    while (!found.empty()) {
      const auto next = std::find_if(found.begin(), found.end(), [&](const auto& e) {
        return std::none_of(found.begin(), found.end(),
                            [&](const auto& other) { return other.span == e.parent; });
      });
      if (next == found.end()) throw broken("spans are each other's parents");
      if (next->phase == "X") sorted.push_back(*next);
      found.erase(next);
    }
    return sorted;
  }

 private:
  static std::runtime_error broken(const std::string& why) {
    return std::runtime_error("trace file: " + why);
  }

  static std::string text(simdjson::dom::element from, const char* key) {
    std::string_view found;
    return from[key].get(found) == simdjson::SUCCESS ? std::string(found) : std::string();
  }

  static std::int64_t nanoseconds(simdjson::dom::element from, const char* key) {
    double us = 0;
    if (from[key].get(us) != simdjson::SUCCESS || us < 0) throw broken("no " + std::string(key));
    return static_cast<std::int64_t>(us * 1000 + 0.5);
  }

  void read(simdjson::dom::element event) {
    trace_entry e;
    e.phase = text(event, "ph");
    e.name = text(event, "name");
    std::uint64_t pid = 0;
    if (e.name.empty() || event["pid"].get(pid) != simdjson::SUCCESS || pid != 1) {
      throw broken("an event without name or process");
    }
    const bool of_process = e.phase == "M" && e.name == "process_name";
    if (!of_process && event["tid"].get(e.thread) != simdjson::SUCCESS) throw broken("no thread");
    if (e.phase == "M") return metadata(event, e);
    e.category = text(event, "cat");
    if (e.category.empty()) throw broken("no category");
    e.at = nanoseconds(event, "ts");
    e.id = text(event, "id");
    simdjson::dom::element args;
    if (event["args"].get(args) == simdjson::SUCCESS) read_args(args, e);
    if (e.phase == "X") {
      e.length = nanoseconds(event, "dur");
    } else if (e.phase != "b" && e.phase != "e" && e.phase != "s" && e.phase != "f") {
      throw broken("unknown phase " + e.phase);
    } else if (e.id.size() != 18 || e.id.compare(0, 2, "0x") != 0) {
      throw broken("an event without id");
    }
    if (e.phase == "f" && text(event, "bp") != "e") throw broken("an arrow to a later slice");
    entries_.push_back(e);
  }

  void metadata(simdjson::dom::element event, const trace_entry& e) {
    simdjson::dom::element args;
    if (event["args"].get(args) != simdjson::SUCCESS) throw broken("metadata without args");
    if (e.name == "process_name") process_ = text(args, "name");
    if (e.name == "thread_name") threads_[e.thread] = text(args, "name");
  }

  static void read_args(simdjson::dom::element args, trace_entry& e) {
    e.trace = text(args, "trace");
    e.span = text(args, "span");
    e.parent = text(args, "parent");
    e.outcome = text(args, "outcome");
    if (args["records"].get(e.records) != simdjson::SUCCESS) e.records = 0;
    if (!e.trace.empty() && (e.trace.size() != 32 || e.span.size() != 16)) throw broken("bad ids");
  }

  /// Slices of a thread lie within each other or beside each other.
  void check_nesting() const {
    std::map<std::uint64_t, std::vector<trace_entry>> slices;
    for (const auto& e : entries_) {
      if (e.phase == "X") slices[e.thread].push_back(e);
    }
    for (auto& [thread, all] : slices) {
      if (threads_.count(thread) == 0) throw broken("a thread without name");
      std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return std::pair(a.at, -a.length) < std::pair(b.at, -b.length);
      });
      std::vector<std::int64_t> open;
      for (const auto& e : all) {
        while (!open.empty() && open.back() <= e.at) open.pop_back();
        if (!open.empty() && e.end() > open.back()) throw broken(e.name + " overlaps another");
        open.push_back(e.end());
      }
    }
  }

  /// Every end has its beginning, with the same name, not after it.
  void check_spans() const {
    std::vector<trace_entry> all;
    for (const auto& e : entries_) {
      if (e.phase == "b" || e.phase == "e") all.push_back(e);
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
    std::map<std::pair<std::string, std::string>, std::vector<std::string>> open;
    for (const auto& e : all) {
      auto& names = open[{e.category, e.id}];
      if (e.phase == "b") {
        names.push_back(e.name);
      } else if (names.empty() || names.back() != e.name) {
        throw broken("the end of " + e.name + " without its beginning");
      } else {
        names.pop_back();
      }
    }
  }

  /// An arrow leaves one slice and arrives in one, not before.
  void check_arrows() const {
    std::map<std::string, trace_entry> from;
    for (const auto& e : entries_) {
      if (e.phase != "s") continue;
      if (!from.emplace(e.id, e).second) throw broken("two arrows of one name");
      check_slice_around(e);
    }
    for (const auto& e : entries_) {
      if (e.phase != "f") continue;
      const auto found = from.find(e.id);
      if (found == from.end() || found->second.at > e.at) throw broken("an arrow from nowhere");
      check_slice_around(e);
    }
  }

  void check_slice_around(const trace_entry& arrow) const {
    for (const auto& e : entries_) {
      if (e.phase == "X" && e.thread == arrow.thread && e.at <= arrow.at && arrow.at <= e.end()) {
        return;
      }
    }
    throw broken("an arrow outside of all slices");
  }

  std::vector<trace_entry> entries_;
  std::map<std::uint64_t, std::string> threads_;
  std::string process_;
};

}  // namespace millrace::testing
