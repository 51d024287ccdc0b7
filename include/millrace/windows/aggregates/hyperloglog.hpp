// SPDX-License-Identifier: Apache-2.0
/// \file
/// HyperLogLog: the number of different hashes seen, in bounded memory. Exact while there are few
/// of them. Not thread safe.
#pragma once

#include <millrace/state/snapshot.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// Starts as a set of hashes and becomes `2^precision` registers of one byte when the set is as
/// large as they are, at `2^precision / 16` different hashes. Registers: standard error
/// `1.04 / sqrt(2^precision)`. What it says depends on the set of hashes alone, not on their order,
/// their number, or how they were merged. (Flajolet et al. 2007; the estimate: Ertl, New
/// cardinality estimation algorithms for HyperLogLog sketches, arXiv:1702.01284, algorithm 6.)
class hyperloglog {
 public:
  static constexpr int least_precision = 4;
  static constexpr int most_precision = 18;

  /// Adds a well mixed hash. Amortized O(1).
  void add(std::uint64_t hash, int precision) {
    if (dense()) return raise(hash);
    if (hash == 0) hash = 1;  // 0 marks a free place
    if (words_.size() < 2 * (used_ + 1)) grow();
    if (!insert(hash)) return;
    if (used_ > most_sparse(precision)) become_dense(precision);
  }

  /// Adds what another one has seen. Of two precisions the lower one is kept. O(registers)
  void merge(const hyperloglog& o, int precision) {
    if (!o.dense()) {
      for (const std::uint64_t hash : o.words_) {
        if (hash != 0) add(hash, precision);
      }
      return;
    }
    if (!dense()) {
      const hyperloglog hashes = std::exchange(*this, o);
      for (const std::uint64_t hash : hashes.words_) {
        if (hash != 0) raise(hash);
      }
      return;
    }
    if (o.words_.size() < words_.size()) lower_precision(o.precision());
    hyperloglog lower;
    const hyperloglog* other = &o;
    if (words_.size() < o.words_.size()) {
      lower = o;
      lower.lower_precision(precision_of(words_.size()));
      other = &lower;
    }
    for (std::size_t i = 0; i < registers(); ++i) {
      const std::uint8_t rank = other->rank(i);
      if (rank > this->rank(i)) set_rank(i, rank);
    }
  }

  /// The number of different hashes: exact while sparse, else an estimate. O(registers)
  double estimate() const {
    if (!dense()) return static_cast<double>(used_);
    const int p = precision();
    const int q = 64 - p;
    std::array<double, 66> histogram{};
    for (std::size_t i = 0; i < registers(); ++i) histogram[rank(i)] += 1;
    const auto m = static_cast<double>(registers());
    double z = m * tau(1 - histogram[static_cast<std::size_t>(q + 1)] / m);
    for (int k = q; k >= 1; --k) z = 0.5 * (z + histogram[static_cast<std::size_t>(k)]);
    z += m * sigma(histogram[0] / m);
    return m * m / (2 * std::log(2.0) * z);
  }

  bool dense() const noexcept { return used_ == is_dense; }
  std::size_t memory_bytes() const noexcept { return words_.capacity() * sizeof(std::uint64_t); }

  void save(snapshot_writer& to) const {
    to.number(dense());
    if (dense()) {
      to.varint(registers());
      for (std::size_t i = 0; i < registers(); ++i) to.number(rank(i));
      return;
    }
    to.varint(used_);
    for (const std::uint64_t hash : words_) {
      if (hash != 0) to.number(hash);
    }
  }
  void restore(snapshot_reader& from) {
    *this = {};
    const bool registers_follow = from.number<bool>();
    const std::size_t n = from.count(registers_follow ? 1 : sizeof(std::uint64_t));
    if (from.failed()) return;
    if (!registers_follow) return restore_hashes(from, n);
    if (!std::has_single_bit(n) || n < (1U << least_precision) || n > (1U << most_precision)) {
      return from.fail("a number of registers that no HyperLogLog has");
    }
    words_.assign(n / 8, 0);
    used_ = is_dense;
    const int most_rank = 65 - precision();
    for (std::size_t i = 0; i < n; ++i) {
      const auto rank = from.number<std::uint8_t>();
      if (rank > most_rank) return from.fail("a register that no HyperLogLog has");
      set_rank(i, rank);
    }
  }
  static std::string snapshot_description() { return "hyperloglog/1"; }

 private:
  static constexpr std::uint32_t is_dense = ~std::uint32_t{0};

  static std::size_t most_sparse(int precision) noexcept {
    return (std::size_t{1} << precision) / 16;
  }
  static int precision_of(std::size_t words) noexcept {
    return std::countr_zero(words) + 3;  // 8 registers a word
  }
  int precision() const noexcept { return precision_of(words_.size()); }
  std::size_t registers() const noexcept { return words_.size() * 8; }

  std::uint8_t rank(std::size_t i) const noexcept {
    return static_cast<std::uint8_t>(words_[i / 8] >> (i % 8 * 8));
  }
  void set_rank(std::size_t i, std::uint8_t rank) noexcept {
    std::uint64_t& word = words_[i / 8];
    word = (word & ~(std::uint64_t{0xff} << (i % 8 * 8))) | std::uint64_t{rank} << (i % 8 * 8);
  }

  void raise(std::uint64_t hash) noexcept {
    const int p = precision();
    const std::size_t i = static_cast<std::size_t>(hash >> (64 - p));
    const std::uint64_t rest = hash << p | std::uint64_t{1} << (p - 1);
    const auto r = static_cast<std::uint8_t>(std::countl_zero(rest) + 1);
    if (r > rank(i)) set_rank(i, r);
  }

  bool insert(std::uint64_t hash) noexcept {
    const std::size_t mask = words_.size() - 1;
    std::size_t i = static_cast<std::size_t>(hash) & mask;
    while (words_[i] != 0) {
      if (words_[i] == hash) return false;
      i = (i + 1) & mask;
    }
    words_[i] = hash;
    ++used_;
    return true;
  }
  void grow() {
    std::vector<std::uint64_t> old(words_.empty() ? 4 : 2 * words_.size());
    old.swap(words_);
    used_ = 0;
    for (const std::uint64_t hash : old) {
      if (hash != 0) insert(hash);
    }
  }
  void become_dense(int precision) {
    std::vector<std::uint64_t> hashes((std::size_t{1} << precision) / 8);
    hashes.swap(words_);
    used_ = is_dense;
    for (const std::uint64_t hash : hashes) {
      if (hash != 0) raise(hash);
    }
  }
  void restore_hashes(snapshot_reader& from, std::size_t n) {
    if (n > most_sparse(most_precision)) return from.fail("more hashes than a HyperLogLog keeps");
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      add(from.number<std::uint64_t>(), most_precision);
    }
  }

  // Registers of a higher precision as those of a lower one: the bits that fall from the index
  // become the front of the rest.
  void lower_precision(int p) {
    const int dropped = precision() - p;
    hyperloglog lower;
    lower.words_.assign((std::size_t{1} << p) / 8, 0);
    lower.used_ = is_dense;
    for (std::size_t i = 0; i < registers(); ++i) {
      if (rank(i) == 0) continue;
      const std::uint64_t bits = i & ((std::size_t{1} << dropped) - 1);
      const int leading = dropped - static_cast<int>(std::bit_width(bits)) + 1;
      const int r = bits == 0 ? rank(i) + dropped : leading;
      const std::size_t to = i >> dropped;
      if (r > lower.rank(to)) lower.set_rank(to, static_cast<std::uint8_t>(r));
    }
    *this = std::move(lower);
  }

  static double sigma(double x) {
    if (x == 1) return std::numeric_limits<double>::infinity();
    double y = 1;
    double z = x;
    for (double before = -1; before != z;) {
      x *= x;
      before = z;
      z += x * y;
      y += y;
    }
    return z;
  }
  static double tau(double x) {
    if (x == 0 || x == 1) return 0;
    double y = 1;
    double z = 1 - x;
    for (double before = -1; before != z;) {
      x = std::sqrt(x);
      before = z;
      y *= 0.5;
      z -= (1 - x) * (1 - x) * y;
    }
    return z / 3;
  }

  std::vector<std::uint64_t> words_;  // a hash table, or registers, 8 a word
  std::uint32_t used_ = 0;            // hashes in the table
};

}  // namespace millrace
