// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an operator cannot work on yet: because a hook of it is suspended, or because it lies
/// behind the barrier of a checkpoint that other inputs have not reached. Not thread safe.
#pragma once

#include <millrace/operators/tracer.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/record/watermark.hpp>

#include <cstddef>
#include <deque>
#include <tuple>
#include <utility>
#include <variant>

namespace millrace {

template <class Sequence, class... Ins>
class basic_operator_inbox;

/// `Ins` are the types of the operator's inputs. Bounded by what is on its way when the operator
/// blocks: at most the output of one batch per input.
template <std::size_t... I, class... Ins>
class basic_operator_inbox<std::index_sequence<I...>, Ins...> {
 public:
  template <std::size_t Input>
  struct held_batch {
    static constexpr std::size_t input = Input;
    batch<std::tuple_element_t<Input, std::tuple<Ins...>>> records;
    trace_handle trace;  // of a sampled record
  };
  struct held_control {
    std::size_t input;
    control element;
  };
  using item = std::variant<held_control, held_batch<I>...>;

  bool empty() const noexcept { return items_.empty(); }
  void push(item held) { items_.push_back(std::move(held)); }
  void push_front(item held) { items_.push_front(std::move(held)); }
  item pop() {
    item first = std::move(items_.front());
    items_.pop_front();
    return first;
  }

  /// Keeps what lies behind a barrier, until `release_barrier` puts it ahead of all else.
  void push_behind_barrier(item held) { behind_.push_back(std::move(held)); }
  void release_barrier() {
    for (; !behind_.empty(); behind_.pop_back()) items_.push_front(std::move(behind_.back()));
  }

 private:
  std::deque<item> items_;
  std::deque<item> behind_;
};

template <class... Ins>
using operator_inbox = basic_operator_inbox<std::index_sequence_for<Ins...>, Ins...>;

}  // namespace millrace
