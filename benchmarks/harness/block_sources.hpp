// SPDX-License-Identifier: Apache-2.0
/// \file
/// Sources of what lies in memory already: documents as messages, again and again; and the first
/// records of a vector. One reader per worker.
#pragma once

#include "floors/documents.hpp"

#include <millrace/operators/source.hpp>
#include <millrace/record/message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace bench {

/// Documents, pass after pass. `message::received` is what a pass is to add to the times inside.
class document_source {
 public:
  using value_type = millrace::message;

  document_source(const floors::document_block& block, std::size_t passes)
      : bytes_(millrace::shared_buffer::copy_of(block.bytes)), block_(&block), passes_(passes) {}

  class reader {
   public:
    explicit reader(const document_source& from) : from_(from), left_(from.passes_) {}

    millrace::poll_status poll(millrace::source_output<millrace::message>& out) {
      const auto& places = from_.block_->places;
      const std::size_t to = std::min(next_ + out.room(), places.size());
      from_.bytes_.add_references(to - next_);
      for (; next_ < to; ++next_) {
        const auto [at, size] = places[next_];
        out.emit(
            millrace::message{from_.bytes_.adopt(), {}, {from_.bytes_.data() + at, size}, later_},
            later_);
      }
      if (next_ == places.size()) {
        next_ = 0;
        later_ += millrace::duration{from_.block_->span};
        --left_;
      }
      return left_ == 0 ? millrace::poll_status::end : millrace::poll_status::more;
    }

   private:
    const document_source& from_;
    std::size_t left_;
    std::size_t next_ = 0;
    millrace::timestamp later_{};
  };

  reader open(millrace::source_context&) const { return reader(*this); }

 private:
  millrace::shared_buffer bytes_;
  const floors::document_block* block_;
  std::size_t passes_;
};

/// The first `many` records of a vector that outlives the pipeline. T has `std::int64_t time`.
template <class T>
class vector_source {
 public:
  using value_type = T;

  vector_source(const std::vector<T>& records, std::size_t many)
      : records_(&records), many_(std::min(many, records.size())) {}

  class reader {
   public:
    reader(const std::vector<T>& records, std::size_t many) : records_(&records), many_(many) {}

    millrace::poll_status poll(millrace::source_output<T>& out) {
      const std::size_t to = std::min(next_ + out.room(), many_);
      for (; next_ < to; ++next_) {
        const T& record = (*records_)[next_];
        out.emit(record, millrace::timestamp{millrace::duration{record.time}});
      }
      return next_ == many_ ? millrace::poll_status::end : millrace::poll_status::more;
    }

   private:
    const std::vector<T>* records_;
    std::size_t many_;
    std::size_t next_ = 0;
  };

  reader open(millrace::source_context&) const { return {*records_, many_}; }

 private:
  const std::vector<T>* records_;
  std::size_t many_;
};

}  // namespace bench
