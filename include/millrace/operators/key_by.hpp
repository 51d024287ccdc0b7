// SPDX-License-Identifier: Apache-2.0
/// \file
/// Turns keys into slots: one look-up per record for the whole keyed section. Not thread safe.
#pragma once

#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/state/key_table.hpp>

#include <array>
#include <functional>
#include <memory>
#include <utility>

namespace millrace {

/// Fills the slot column of each batch from the key table of its domain. Of a large table, hashes a
/// stretch of records first and prefetches their index lines, then looks them up.
template <class T, class K, class F>
class key_by_subtask final : public subtask, private receiver<T> {
 public:
  key_by_subtask(F key_of, std::shared_ptr<key_table<K>> table)
      : key_of_(std::move(key_of)), table_(std::move(table)), held_(0) {
    out_.count_in(&counters().records_out);
  }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }

 private:
  static constexpr std::size_t stretch = 32;

  void* main_output() override { return &out_; }

  void read(const batch<T>& records) override {
    if (held_.capacity() < records.size()) held_ = batch<T>(records.capacity());
    copy_batch(records, held_);
    take(held_);
    held_.clear();
  }

  void take(batch<T>& records) override {
    try {
      const std::size_t n = records.size();
      counters().batches_in.add();
      counters().records_in.add(n);
      slot_index* slots = records.slots();
      const T* values = records.values();
      if (!table_->worth_prefetching()) {
        key_table<K>& table = *table_;
        for (std::size_t i = 0; i < n; ++i) {
          decltype(auto) key = std::invoke(key_of_, values[i]);
          slots[i] = table.find_or_insert(key, table.hash(key));
        }
        return out_.forward(records);
      }
      std::array<std::uint64_t, stretch> hashes;
      for (std::size_t from = 0; from < n; from += stretch) {
        const std::size_t to = n - from < stretch ? n : from + stretch;
        for (std::size_t i = from; i < to; ++i) {
          decltype(auto) key = std::invoke(key_of_, values[i]);
          hashes[i - from] = table_->hash(key);
          table_->prefetch(hashes[i - from]);
        }
        for (std::size_t i = from; i < to; ++i) {
          decltype(auto) key = std::invoke(key_of_, values[i]);
          slots[i] = table_->find_or_insert(key, hashes[i - from]);
        }
      }
      out_.forward(records);
    } catch (...) {
      rethrow_named();
    }
  }

  void receive(const control& element) override {
    if (element.kind == control_kind::barrier) acknowledge_barrier(element.id);
    out_.send(element);
    if (element.kind == control_kind::watermark) {
      counters().watermark.set(element.time.time_since_epoch().count());
    }
    if (element.kind == control_kind::end) mark_finished();
  }

  F key_of_;
  std::shared_ptr<key_table<K>> table_;
  output<T> out_;
  batch<T> held_;
};

}  // namespace millrace
