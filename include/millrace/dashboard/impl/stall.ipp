// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/detail/findings.hpp>

namespace millrace {

namespace detail {

/// Follows what a part waits for, up to the source.
class stall_finder {
 public:
  stall_finder(const status_interval& time, std::span<const diagnostician::standstill> still,
               const diagnosis_options& options)
      : time_(time), still_(still), options_(options) {}

  void find(diagnosis& out) const {
    if (find_waiting(out) || find_standing(out)) return;
    find_silence(out);
  }

 private:
  const operator_status& at(std::size_t i) const { return time_.now.operators[i]; }
  const plan_node& node_of(std::size_t i) const { return time_.plan.nodes[at(i).node]; }
  std::chrono::nanoseconds records_still(std::size_t i) const {
    return time_.now.age - still_[i].records_since;
  }
  std::chrono::nanoseconds watermark_still(std::size_t i) const {
    return time_.now.age - still_[i].watermark_since;
  }

  std::string name(std::size_t i) const {
    const auto& all = time_.nodes[at(i).node].instances;
    return all.size() == 1 ? at(i).name : at(i).name + "/" + std::to_string(at(i).worker);
  }

  /// The instances whose watermarks decide on that of instance `i`.
  std::vector<std::size_t> decisive(std::size_t i) const {
    std::vector<std::size_t> all;
    for (const auto& input : node_of(i).inputs) {
      if (input.auxiliary || input.from >= time_.nodes.size()) continue;
      const auto& from = time_.nodes[input.from].instances;
      for (const std::size_t f : from) {
        const bool same = input.route == plan_route::same_thread && from.size() > 1;
        if (same && at(f).worker != at(i).worker) continue;
        all.push_back(f);
      }
    }
    return all;
  }

  std::optional<std::size_t> slowest(const std::vector<std::size_t>& all) const {
    std::optional<std::size_t> found;
    for (const std::size_t i : all) {
      if (at(i).finished) continue;
      if (!found || at(i).watermark < at(*found).watermark) found = i;
    }
    return found;
  }

  /// One of several inputs is behind the others.
  bool find_waiting(diagnosis& out) const {
    for (std::size_t n = 0; n < time_.nodes.size(); ++n) {
      for (const std::size_t i : time_.nodes[n].instances) {
        if (at(i).finished || watermark_still(i) < options_.still) continue;
        const auto inputs = decisive(i);
        const auto behind = slowest(inputs);
        if (!behind || at(*behind).watermark > at(i).watermark) continue;
        const bool ahead = std::any_of(inputs.begin(), inputs.end(), [&](std::size_t other) {
          return at(other).watermark > at(i).watermark &&
                 at(other).watermark > at(*behind).watermark;
        });
        if (!ahead) continue;
        explain(i, *behind, out);
        return true;
      }
    }
    return false;
  }

  void explain(std::size_t waiting, std::size_t behind, diagnosis& out) const {
    std::size_t root = behind;
    while (const auto next = slowest(decisive(root))) root = *next;
    const bool silent = records_still(root) >= options_.still;
    out.stall_operator = at(waiting).name;
    out.stall_cause = at(silent ? root : behind).name;
    out.stall = name(waiting) + " waits for the watermark of " + name(silent ? root : behind);
    if (silent) {
      out.stall += ", silent for " + duration_text(records_still(root));
    } else if (at(behind).watermark == min_timestamp) {
      out.stall += ", which has none yet";
    } else {
      out.stall += ", which has not moved for " + duration_text(watermark_still(behind)) +
                   " although records come";
    }
  }

  /// Records come, time does not move: mostly because it has been pushed ahead.
  bool find_standing(diagnosis& out) const {
    for (std::size_t n = 0; n < time_.nodes.size(); ++n) {
      for (const std::size_t i : time_.nodes[n].instances) {
        const auto& s = at(i);
        const auto came = s.records_in - still_[i].records_at_watermark;
        if (s.finished || s.watermark == min_timestamp || s.watermark == max_timestamp) continue;
        if (watermark_still(i) < options_.still || came == 0) continue;
        const auto ahead = s.watermark - time_.now.at;
        out.stall_operator = out.stall_cause = s.name;
        out.stall = "the watermark of " + name(i) + " has not moved for " +
                    duration_text(watermark_still(i)) + ", while " + count_text(came) +
                    (came == 1 ? " record" : " records") + " came";
        if (ahead > std::chrono::seconds{1}) {
          out.stall += ": it is " + duration_text(ahead) + " ahead of the clock";
        }
        return true;
      }
    }
    return false;
  }

  /// Nothing comes from any source that time depends on.
  void find_silence(diagnosis& out) const {
    std::optional<std::size_t> last;
    bool event_time = false;
    for (const auto& s : time_.now.operators) {
      event_time = event_time || (s.watermark != min_timestamp && s.watermark != max_timestamp);
    }
    if (!event_time) return;
    for (std::size_t n = 0; n < time_.nodes.size(); ++n) {
      if (!time_.plan.nodes[n].inputs.empty() || only_auxiliary(n)) continue;
      for (const std::size_t i : time_.nodes[n].instances) {
        if (at(i).finished) continue;
        if (!last || records_still(i) < records_still(*last)) last = i;
      }
    }
    if (!last || records_still(*last) < options_.still) return;
    out.stall_operator = out.stall_cause = at(*last).name;
    out.stall = "nothing comes: " + name(*last) + " has been silent for " +
                duration_text(records_still(*last));
  }

  /// Whether a source has no say in time, such as a list that is polled; or nobody listens to it.
  bool only_auxiliary(std::size_t source) const {
    std::vector<bool> matters(time_.nodes.size(), false);
    for (std::size_t n = time_.nodes.size(); n-- > 0;) {
      bool used = false;
      bool needed = false;
      for (std::size_t m = n + 1; m < time_.nodes.size(); ++m) {
        for (const auto& input : time_.plan.nodes[m].inputs) {
          if (input.from != n) continue;
          used = true;
          needed = needed || (!input.auxiliary && matters[m]);
        }
      }
      matters[n] = !used || needed;
      if (n == source) return !matters[n] || time_.plan.nodes[n].name == "dead_letters";
    }
    return false;
  }

  const status_interval& time_;
  std::span<const diagnostician::standstill> still_;
  const diagnosis_options& options_;
};

MILLRACE_DECL void find_stall(const status_interval& time,
                              std::span<const diagnostician::standstill> still,
                              const diagnosis_options& options, diagnosis& out) {
  stall_finder(time, still, options).find(out);
}

}  // namespace detail

}  // namespace millrace
