// SPDX-License-Identifier: Apache-2.0
/// \file
/// The part of an SQL sink that lives on a worker: it collects rows, hands them to the thread that
/// talks to the database, and answers checkpoints. One worker's thread.
#pragma once

#include <millrace/base/background_jobs.hpp>
#include <millrace/base/log.hpp>
#include <millrace/connectors/sql/options.hpp>
#include <millrace/connectors/sql/record_columns.hpp>
#include <millrace/connectors/sql/store.hpp>
#include <millrace/net/backoff.hpp>
#include <millrace/operators/sink.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace::sql {

class table_writer {
 public:
  /// `kind` is the sink's name in messages: "sqlite::sink". \throws topology_error for options that
  /// cannot work
  MILLRACE_DECL table_writer(sink_context& context, std::string kind, table_options table,
                             const delivery_options& delivery, std::vector<column> columns,
                             std::unique_ptr<database> connection);
  table_writer(const table_writer&) = delete;
  table_writer& operator=(const table_writer&) = delete;

  /// Gives up what is under way; waits for the call that is.
  MILLRACE_DECL ~table_writer();

  /// Where to append the cells of the next row; then `commit`.
  MILLRACE_DECL snapshot_writer& begin(timestamp time);
  MILLRACE_DECL void commit(timestamp time);

  MILLRACE_DECL void checkpoint(std::uint64_t id);
  MILLRACE_DECL void checkpoint_complete(std::uint64_t id);
  MILLRACE_DECL void save(snapshot_writer& to) const;
  MILLRACE_DECL void restore(snapshot_reader& from);
  MILLRACE_DECL void end();

 private:
  using group_ptr = std::shared_ptr<const row_group>;

  bool exactly_once() const noexcept { return !claim_.lineage.empty(); }
  void pump();
  void submit(std::function<write_report()> work, bool opens);
  void finished(write_report report, bool opens);
  void took_position(write_report& report);
  void wrote(const write_report& report);
  void retry(const status& why);
  void fail(const std::string& why);
  void seal(std::uint64_t id);
  void settle();
  void regulate();
  bool database_is_behind() const noexcept;
  std::size_t size() const noexcept { return sealed_bytes_ + open_.size(); }
  std::shared_ptr<const table_shape> restored_shape(snapshot_reader& from);

  sink_context& context_;
  std::string kind_;
  delivery_options delivery_;
  std::shared_ptr<const table_shape> shape_;
  position_claim claim_;
  std::unique_ptr<store> store_;
  net::backoff backoff_;
  rate_limit log_limit_{3};
  snapshot_writer open_;  // rows since the last barrier, or the batch under way
  std::size_t open_rows_ = 0;
  std::size_t row_ = 0;           // where the last row begins
  std::deque<group_ptr> sealed_;  // not in the database yet, in order
  std::size_t sealed_bytes_ = 0;
  std::size_t under_way_ = 0;   // groups of the job that runs, the first ones
  std::uint64_t barrier_ = 0;   // the last one that came
  std::uint64_t complete_ = 0;  // the last checkpoint that is durable
  std::uint64_t emitted_ = 0;   // dead letters up to that transaction have been emitted
  std::uint64_t emitted_at_barrier_ = 0;
  std::uint64_t safe_ = 0;        // what a durable checkpoint knows to be emitted
  std::uint32_t unfinished_ = 0;  // barriers since a checkpoint was completed
  timer_id batch_timer_ = 0;
  timer_id retry_timer_ = 0;
  timer_id look_timer_ = 0;
  bool opened_ = false;     // the position is taken
  bool busy_ = false;       // a job runs
  bool asked_ = false;      // for a checkpoint
  bool reporting_ = false;  // a checkpoint is to be reported
  bool ending_ = false;
  bool done_ = false;
  bool broken_ = false;
  bool troubled_ = false;
  counter& records_;
  counter& delivered_;
  counter& transactions_;
  counter& rejected_;
  counter& retries_;
  gauge& pending_bytes_;
  gauge& failing_;
  std::shared_ptr<char> alive_;  // answers that come later are dropped
  background_jobs jobs_;         // last: its thread uses what stands above
};

/// The writer of a sink for records of type T.
template <table_record T>
class record_writer {
 public:
  record_writer(sink_context& context, std::string kind, const table_options& table,
                const delivery_options& delivery, std::unique_ptr<database> connection)
      : rows_(context, std::move(kind), table, delivery, columns_of<T>(), std::move(connection)) {}

  void write(const T& value, timestamp time) {
    append_cells(value, rows_.begin(time));
    rows_.commit(time);
  }
  void checkpoint(std::uint64_t id) { rows_.checkpoint(id); }
  void checkpoint_complete(std::uint64_t id) { rows_.checkpoint_complete(id); }
  void save(snapshot_writer& to) const { rows_.save(to); }
  void restore(snapshot_reader& from) { rows_.restore(from); }
  void end() { rows_.end(); }

 private:
  table_writer rows_;
};

}  // namespace millrace::sql

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/sql_table_writer.ipp>
#endif
