// SPDX-License-Identifier: Apache-2.0
/// \file
/// The stateless steps, common to plain and keyed streams. Called on an rvalue a step is fused to
/// those before it; on an lvalue the stream becomes a node that several consumers share.
#pragma once

#include <millrace/dsl/concepts.hpp>
#include <millrace/dsl/pipeline_core.hpp>
#include <millrace/operators/decode.hpp>
#include <millrace/operators/steps.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// Longer chains are cut in two: each step nests one lambda, and compile time grows with depth.
inline constexpr int longest_chain = 16;

/// Base of `stream` and `keyed_stream`. `Derived::rebind<U, NewChain>` is the same kind of stream.
template <class Derived, class T, class Chain>
class steps_api {
 public:
  using value_type = T;

  /// `f(const T&) -> U`. Fused.
  template <class F>
  auto map(F f) && {
    if constexpr (mapper<F, T>) {
      return std::move(*this).extend(map_step<F>{std::move(f)}, "map");
    } else {
      static_assert(wrong<F>, "map(f): f must be callable as f(const T&) and return a value");
      return shared();
    }
  }
  template <class F>
  auto map(F f) const& {
    return shared().map(std::move(f));
  }

  /// Keeps the values for which `f(const T&)` is true. Fused; the others count as filtered.
  template <class F>
  auto filter(F f) && {
    if constexpr (filterer<F, T>) {
      return std::move(*this).extend(filter_step<F>{std::move(f)}, "filter");
    } else {
      static_assert(wrong<F>, "filter(f): f must be callable as f(const T&) and return a bool");
      return shared();
    }
  }
  template <class F>
  auto filter(F f) const& {
    return shared().filter(std::move(f));
  }

  /// `f(const T&)` returns a range whose elements are emitted. Fused.
  template <class F>
  auto flat_map(F f) && {
    if constexpr (flat_mapper<F, T>) {
      return std::move(*this).extend(flat_map_step<F>{std::move(f)}, "flat_map");
    } else {
      static_assert(wrong<F>,
                    "flat_map(f): f must be callable as f(const T&) and return a range; to emit "
                    "without a container, say flat_map<U>(f) with f(const T&, auto& emit)");
      return shared();
    }
  }
  template <class F>
  auto flat_map(F f) const& {
    return shared().flat_map(std::move(f));
  }

  /// `f(const T&, auto& emit)` calls `emit(U)` any number of times. Fused, no container.
  template <class U, class F>
  auto flat_map(F f) && {
    return std::move(*this).extend(emit_step<U, F>{std::move(f)}, "flat_map");
  }
  template <class U, class F>
  auto flat_map(F f) const& {
    return shared().template flat_map<U>(std::move(f));
  }

  /// Calls `f(const T&)` and hands the value on. Fused.
  template <class F>
  auto inspect(F f) && {
    if constexpr (inspector<F, T>) {
      return std::move(*this).extend(inspect_step<F>{std::move(f)}, "inspect");
    } else {
      static_assert(wrong<F>, "inspect(f): f must be callable as f(const T&)");
      return shared();
    }
  }
  template <class F>
  auto inspect(F f) const& {
    return shared().inspect(std::move(f));
  }

  /// Decodes payloads into `U` by a codec. What does not decode becomes a dead letter. Fused.
  template <class U, class Codec>
  auto decode(const Codec& codec) && {
    return std::move(*this).template decode<U>(codec, no_fill{});
  }
  template <class U, class Codec>
  auto decode(const Codec& codec) const& {
    return shared().template decode<U>(codec, no_fill{});
  }

  /// The same, then `fill(const T& message, U& value)` sets what the payload does not hold, such as
  /// parts of the topic; it may return `result<void>` to refuse the record. Values are recycled:
  /// members that neither the codec nor `fill` sets hold what an earlier record left there.
  template <class U, class Codec, class Fill>
  auto decode(const Codec& codec, Fill fill) && {
    return std::move(*this).template decode_part<U>(whole_value{}, codec, std::move(fill));
  }
  template <class U, class Codec, class Fill>
  auto decode(const Codec& codec, Fill fill) const& {
    return shared().template decode<U>(codec, std::move(fill));
  }

  /// The same into a member of `U` only: `decode_part<report>(&report::fields, json, fill)`, for
  /// values that hold a decoded document beside what comes from the topic.
  template <class U, class Part, class Codec, class Fill = no_fill>
  auto decode_part(Part part, const Codec& codec, Fill fill = {}) && {
    if constexpr (!payload_record<T>) {
      static_assert(wrong<U>,
                    "decode<U>(codec): the stream must carry messages (members payload and owner)");
      return shared();
    } else if constexpr (!decoder_for<Codec, decoded_part_t<U, Part>>) {
      static_assert(wrong<U>, "decode<U>(codec): this codec cannot decode U");
      return shared();
    } else {
      return std::move(*this).extend(
          decode_step<U, Codec, Fill, Part>{codec, std::move(fill), part}, "decode");
    }
  }
  template <class U, class Part, class Codec, class Fill = no_fill>
  auto decode_part(Part part, const Codec& codec, Fill fill = {}) const& {
    return shared().template decode_part<U>(part, codec, std::move(fill));
  }

  /// Where it comes from, with all steps so far in a node of their own. For operators.
  stream_origin origin() const {
    if constexpr (Chain::length == 0) {
      return from_;
    } else {
      if (!made_) made_ = stream_origin{make_node(Chain(chain_)), 0};
      return *made_;
    }
  }

  pipeline_core& core() const noexcept { return *core_; }

 protected:
  steps_api(pipeline_core& core, stream_origin from, Chain steps, std::string label)
      : core_(&core), from_(from), chain_(std::move(steps)), label_(std::move(label)) {}

  template <class D, class U, class C>
  friend class steps_api;

 private:
  const Derived& derived() const noexcept { return static_cast<const Derived&>(*this); }

  /// The stream as the start of a new chain.
  auto shared() const { return derived().template rebind<T, no_steps<T>>(origin(), {}, {}); }

  template <class Step>
  auto extend(Step step, const char* kind) && {
    using longer = chain<Chain, Step>;
    using out = typename longer::output_type;
    if constexpr (Chain::length >= longest_chain) {
      return shared().extend(std::move(step), kind);
    } else {
      std::string label = label_.empty() ? kind : label_ + "." + kind;
      return derived().template rebind<out, longer>(
          from_, longer{std::move(chain_), std::move(step)}, std::move(label));
    }
  }

  node_id make_node(Chain steps) const {
    auto& graph = core_->nodes();
    const bool parallel = core_->parallel(from_);
    const node_id id = core_->add(
        label_, {}, parallel, from_prototype(std::move(steps), [](Chain c, build_context&) {
          return std::unique_ptr<subtask>(std::make_unique<steps_subtask<Chain>>(std::move(c)));
        }));
    Chain::describe([&](std::string name, std::string value) {
      core_->note(id, std::move(name), std::move(value));
    });
    core_->template connect<typename Chain::input_type>(from_, id);
    graph.node(id).domain = graph.node(from_.node).domain;
    return id;
  }

  pipeline_core* core_;
  stream_origin from_;
  Chain chain_;
  std::string label_;
  mutable std::optional<stream_origin> made_;
};

}  // namespace millrace
