// SPDX-License-Identifier: Apache-2.0
/// \file
/// What keyed streams can do with ready-made process functions: deduplicate, limit rates, sample,
/// debounce, sort by event time, rank the results of windows. All state is saved and restored by
/// key, and freed when keys go quiet. Streams must not outlive their pipeline.
#pragma once

#include <millrace/dsl/concepts.hpp>
#include <millrace/operators/debounce.hpp>
#include <millrace/operators/deduplicate.hpp>
#include <millrace/operators/process.hpp>
#include <millrace/operators/rate_limit.hpp>
#include <millrace/operators/sample.hpp>
#include <millrace/operators/signature.hpp>
#include <millrace/operators/sort.hpp>
#include <millrace/operators/top_of_window.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// Base of `keyed_stream`. Records that are taken out go to the side output given, which
/// `result.side(tag)` makes a stream.
template <class Derived, class K, class T>
class keyed_utilities {
 public:
  /// Lets the first record of an id pass; those that follow within `options.within` are duplicates,
  /// counted as filtered. `id_of(const T&)` returns a type that can be a key. \throws
  /// topology_error
  template <class IdOf>
  auto deduplicate(std::string name, IdOf id_of, deduplicate_options options,
                   side_output<T> duplicates = side_output<T>("duplicates")) const {
    if constexpr (std::is_invocable_v<const IdOf&, const T&>) {
      options.validate(name);
      return with_function(
          "deduplicate", std::move(name),
          deduplicate_function<T, IdOf>{std::move(id_of), options, std::move(duplicates)});
    } else {
      static_assert(wrong<IdOf>,
                    "deduplicate(name, id_of, options): id_of must be callable as id_of(const T&)");
      return self();
    }
  }

  /// The same where the key is the id.
  auto deduplicate(std::string name, deduplicate_options options,
                   side_output<T> duplicates = side_output<T>("duplicates")) const {
    return deduplicate(std::move(name), key_is_id{}, options, std::move(duplicates));
  }

  /// A token bucket per key; records for which there is no token are counted as filtered. In event
  /// time (the default) a replay passes the same records if they come in the same order.
  /// \throws topology_error
  auto rate_limit(std::string name, rate_limit_options options,
                  side_output<T> excess = side_output<T>("excess")) const {
    options.validate(name);
    return with_function("rate_limit", std::move(name),
                         rate_limit_function<T>{options, std::move(excess)});
  }

  /// `every_nth{10}` or `random_share{0.1, seed}` of the records of each key.
  /// \throws topology_error
  template <class Rule>
  auto sample(std::string name, Rule rule, sample_options options = {}) const {
    rule.validate(name);
    return with_function("sample", std::move(name), sample_function<T, Rule>{rule, options});
  }

  /// The last record of each run of records of a key that are at most `quiet` of event time apart,
  /// when that time is over; see `debounce_function`.
  auto debounce(std::string name, duration quiet,
                side_output<T> late = side_output<T>("late")) const {
    using function = debounce_function<T>;
    using timer = debounce_timer<T>;
    using op = process_operator<K, debounce_runs<T>, T, function, no_timer, timer>;
    const function f{quiet, std::move(late)};
    return self().template keyed_node<T, T>("debounce", std::move(name),
                                            [f](std::shared_ptr<key_table<K>> keys) {
                                              return op(f, {}, timer{f.quiet}, std::move(keys));
                                            });
  }

  /// Records in order of event time, released by the watermark; see `sort_operator`.
  auto sort_by_time(std::string name, sort_options options = {},
                    side_output<T> late = side_output<T>("late")) const {
    using op = sort_operator<T, held_keys<K>>;
    return self().template keyed_node<T, T>(
        "sort", std::move(name),
        [options, late = std::move(late)](std::shared_ptr<key_table<K>> keys) {
          return op(options, late, held_keys<K>(std::move(keys)));
        });
  }

  /// For a stream of `window_result`s: the results of each window with the greatest
  /// `score(const T&)`, over all keys, as `ranked<T>`; see `top_of_window_operator`. Runs once.
  template <class Score>
  auto top_of_windows(std::string name, Score score, top_options options = {},
                      side_output<T> late = side_output<T>("late")) const {
    using op = top_of_window_operator<T, Score>;
    return self().unkeyed().apply(std::move(name), op(options, std::move(score), std::move(late)));
  }

 private:
  const Derived& self() const noexcept { return static_cast<const Derived&>(*this); }

  template <class F>
  auto with_function(std::string kind, std::string name, F f) const {
    using op =
        process_operator<K, process_state_t<F, process_context<K, T>>, T, F, no_timer, no_timer>;
    return self().template keyed_node<T, T>(std::move(kind), std::move(name),
                                            [f = std::move(f)](std::shared_ptr<key_table<K>> keys) {
                                              return op(f, {}, {}, std::move(keys));
                                            });
  }
};

}  // namespace millrace
