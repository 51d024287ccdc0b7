// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the smallest operators have; everything else is optional, see operators/operator.hpp.
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
