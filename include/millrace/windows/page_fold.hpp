// SPDX-License-Identifier: Apache-2.0
/// \file
/// Folding pages of several planes, slot by slot: the inner loops of firing. Not thread safe.
#pragma once

#include <millrace/windows/plane.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace millrace {

/// Accumulators for the 64 slots of one page; 64 states of scratch memory.
template <class Aggregate>
class page_fold {
 public:
  using state = typename Aggregate::state;
  using page = typename plane<state>::page;

  explicit page_fold(const Aggregate& aggregate) : aggregate_(&aggregate) {}
  page_fold(const page_fold&) = delete;
  page_fold& operator=(const page_fold&) = delete;
  ~page_fold() { clear(); }

  /// Slots that have a state, and the states by slot.
  std::uint64_t mask() const noexcept { return mask_; }
  const state* states() const noexcept { return at(0); }

  void clear() noexcept {
    if constexpr (!std::is_trivially_destructible_v<state>) {
      for (std::uint64_t bits = mask_; bits != 0; bits &= bits - 1) {
        std::destroy_at(at(static_cast<unsigned>(std::countr_zero(bits))));
      }
    }
    mask_ = 0;
  }

  /// accumulator = accumulator + page: the page is later.
  void append(const page& p) {
    const std::uint64_t present = p.present();
    state* sums = at(0);
    if ((present & ~mask_) == 0) {
      p.for_each([&](unsigned b, const state& s) { aggregate_->merge(sums[b], s); });
    } else if (mask_ == 0) {
      p.for_each([&](unsigned b, const state& s) { std::construct_at(sums + b, s); });
      mask_ = present;
    } else {
      p.for_each([&](unsigned b, const state& s) {
        if ((mask_ >> b & 1) != 0) {
          aggregate_->merge(sums[b], s);
        } else {
          put(b, s);
        }
      });
    }
  }

  /// accumulator = page + accumulator: the page is earlier.
  void prepend(const page& p) {
    p.for_each([this](unsigned b, const state& s) { prepend_one(b, s); });
  }

  /// The same for the slots in `only`.
  void append(const page& p, std::uint64_t only) {
    for (std::uint64_t bits = p.present() & only; bits != 0; bits &= bits - 1) {
      const auto b = static_cast<unsigned>(std::countr_zero(bits));
      if ((mask_ >> b & 1) != 0) {
        aggregate_->merge(*at(b), p.at(b));
      } else {
        put(b, p.at(b));
      }
    }
  }
  void prepend(const page& p, std::uint64_t only) {
    for (std::uint64_t bits = p.present() & only; bits != 0; bits &= bits - 1) {
      const auto b = static_cast<unsigned>(std::countr_zero(bits));
      prepend_one(b, p.at(b));
    }
  }

  /// Sets page `i` of a plane to the accumulators, where there are any.
  void write(plane<state>& into, std::size_t i, plane_pool<state>& pool) const {
    for (std::uint64_t bits = mask_; bits != 0; bits &= bits - 1) {
      const auto b = static_cast<unsigned>(std::countr_zero(bits));
      into.set(static_cast<slot_index>(i * page_slots + b), pool, *at(b));
    }
  }

 private:
  state* at(unsigned b) noexcept { return reinterpret_cast<state*>(bytes_) + b; }
  const state* at(unsigned b) const noexcept { return reinterpret_cast<const state*>(bytes_) + b; }
  void prepend_one(unsigned b, const state& s) {
    if ((mask_ >> b & 1) != 0) {
      state earlier = s;
      aggregate_->merge(earlier, *at(b));
      *at(b) = std::move(earlier);
    } else {
      put(b, s);
    }
  }
  void put(unsigned b, const state& s) {
    std::construct_at(at(b), s);
    mask_ |= std::uint64_t{1} << b;
  }

  const Aggregate* aggregate_;
  std::uint64_t mask_ = 0;
  alignas(64) alignas(state) std::byte bytes_[page_slots * sizeof(state)];
};

/// `into` = `into` + `later` for page `i`. In place if no slot is new.
template <class Aggregate>
void merge_page(const Aggregate& aggregate, plane<typename Aggregate::state>& into,
                const plane<typename Aggregate::state>& later, std::size_t i,
                plane_pool<typename Aggregate::state>& pool, page_fold<Aggregate>& scratch) {
  using state = typename Aggregate::state;
  const auto from = later.page_at(i);
  if (from.present() == 0) return;
  const auto to = into.page_at(i);
  if ((from.present() & ~to.present()) == 0) {
    from.for_each([&](unsigned b, const state& s) { aggregate.merge(to.at(b), s); });
    return;
  }
  scratch.clear();
  scratch.append(to);
  scratch.append(from);
  into.assign_page(i, pool, scratch.mask(), scratch.states());
  scratch.clear();
}

}  // namespace millrace
