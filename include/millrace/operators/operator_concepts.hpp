// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an operator has: a plain copyable object with `process`, and whatever it wants of the rest.
///
///     struct smooth {
///       using output_type = double;
///       void process(double value, operator_context<double>& out) {
///         average = 0.9 * average + 0.1 * value;
///         out.emit(average);
///       }
///       void save(snapshot_writer& to) const { serialize(to, average); }
///       void restore(snapshot_reader& from) { deserialize(from, average); }
///       double average = 0;
///     };
///
/// Optional members, with `C` = `operator_context<output_type>`:
/// - `void open(C&)`: before the first record.
/// - `progress|void on_watermark(timestamp, C&)`: before the watermark is handed on.
/// - `progress|void on_end(C&)`: no more records; suspended until outstanding work is done.
/// - `void queue_watermark(timestamp, C&)`: instead of `on_watermark`, for those that hold records
///   without holding back their input: they call `C::forward_watermark` when it is time.
/// - `void on_resume(C&)`: after `request_resume`, and when downstream takes records again.
/// - `bool ready() const`: asked before each record; false holds records back until `on_resume`.
/// - `void cancel()`: the pipeline stops without draining.
/// - `save`, `restore`: all state. With keyed state: in terms of keys, never of slots.
/// - `static constexpr bool rescalable = true`: `restore` may be called several times, with states
///   of instances of another parallelism. It takes what `from.scope()->owns(key hash)`, and, if
///   `from.scope()->heir`, what belongs to no key. Without it such a checkpoint is refused.
/// - `static std::string state_type()`: the types of what is saved (`describe_state<K, State>()`).
///   State of a type that does not fit is refused; described structs may get members.
/// - `std::size_t state_bytes() const`: memory its state takes, in O(1); asked now and then.
/// - `static constexpr bool keeps_records = true`: `process` takes `In&&` and keeps the value.
/// With two inputs: `process_left` and `process_right` instead of `process`, and
/// - `static constexpr bool right_is_auxiliary = true`: the right input has no say in watermarks,
/// the
///   operator ends with its left input; `void on_right_end(C&)` tells that nothing more comes.
#pragma once

#include <millrace/operators/context.hpp>

#include <concepts>
#include <utility>

namespace millrace {

/// An operator with one input.
template <class Op, class In>
concept operator_for = std::move_constructible<Op> && requires { typename Op::output_type; } &&
                       requires(Op& op, In& value, operator_context<typename Op::output_type>& c) {
                         op.process(std::move(value), c);
                       };

/// An operator with two inputs.
template <class Op, class Left, class Right>
concept two_input_operator_for = std::move_constructible<Op> && requires {
  typename Op::output_type;
} && requires(Op& op, Left& left, Right& right, operator_context<typename Op::output_type>& c) {
  op.process_left(std::move(left), c);
  op.process_right(std::move(right), c);
};

}  // namespace millrace
