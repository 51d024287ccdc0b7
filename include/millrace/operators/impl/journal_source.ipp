// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/journal_source.hpp>

#include <stdexcept>

namespace millrace {

MILLRACE_DECL journal_archive::journal_archive(source_context& context,
                                               const journal_source_options& options)
    : context_(context), lost_(context.metrics().counter("lost")) {
  if (options.directory.empty()) {
    throw topology_error(context.name() +
                         ": journal_source_options::directory is empty; name the directory of a "
                         "journal");
  }
  auto opened = journal_reader::open(options.directory, options.files, options.damage);
  if (!opened) throw std::runtime_error(opened.error().message);
  if (auto found = opened->seek(options.start); !found) {
    throw std::runtime_error(found.error().message);
  }
  reader_ = std::move(*opened);
}

MILLRACE_DECL const std::vector<journal_record>& journal_archive::read(std::size_t most) {
  records_.clear();
  if (failed_) return records_;
  const auto before = reader_->lost();
  const auto done = reader_->read(records_, most);
  if (!done) {
    records_.clear();
    fail(done.error());
  }
  lost_.add(reader_->lost() - before);
  return records_;
}

MILLRACE_DECL void journal_archive::fail(const error& why) {
  failed_ = true;
  context_.fail(why);
}

MILLRACE_DECL void journal_archive::seek(std::uint64_t position) {
  if (auto found = reader_->seek(journal_start::at(position)); !found) {
    throw std::runtime_error(found.error().message);
  }
}

}  // namespace millrace
