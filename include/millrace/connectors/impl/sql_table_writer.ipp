// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/sql/table_writer.hpp>

#include <algorithm>
#include <utility>

namespace millrace::sql {

namespace detail {

/// A row of more than this is given up: no database takes it.
inline constexpr std::size_t longest_row = std::size_t{1} << 30;

inline std::string random_name(environment& env) {
  constexpr char digits[] = "0123456789abcdef";
  std::string name;
  for (int word = 0; word < 2; ++word) {
    for (auto bits = env.random(), i = std::uint64_t{0}; i < 16; ++i, bits >>= 4) {
      name.push_back(digits[bits & 15]);
    }
  }
  return name;
}

}  // namespace detail

MILLRACE_DECL table_writer::table_writer(sink_context& context, std::string kind,
                                         table_options table, const delivery_options& delivery,
                                         std::vector<column> columns,
                                         std::unique_ptr<database> connection)
    : context_(context),
      kind_(std::move(kind)),
      delivery_(delivery),
      backoff_(delivery.backoff),
      records_(context.metrics().counter("records")),
      delivered_(context.metrics().counter("delivered")),
      transactions_(context.metrics().counter("transactions")),
      rejected_(context.metrics().counter("rejected")),
      retries_(context.metrics().counter("retries")),
      pending_bytes_(context.metrics().gauge("pending_bytes")),
      failing_(context.metrics().gauge("failing")),
      alive_(std::make_shared<char>()),
      jobs_(delivery.place) {
  if (const auto valid = validate(table, delivery, columns); !valid) {
    throw topology_error(context.name() + ": " + kind_ + ": " + valid.error().message);
  }
  if (!table.time_column.empty()) columns.push_back({table.time_column, column_type::time, false});
  shape_ = std::make_shared<const table_shape>(table_shape{std::move(columns), std::move(table)});
  claim_.pipeline = context.pipeline_name();
  claim_.sink = context.name();
  claim_.conflict = delivery.conflict;
  claim_.owner = detail::random_name(context.env());
  if (delivery.mode == delivery::exactly_once && context.takes_checkpoints()) {
    claim_.lineage = detail::random_name(context.env());
  }
  store_ = std::make_unique<store>(std::move(connection), claim_);
  if (!context.restoring()) pump();
}

MILLRACE_DECL table_writer::~table_writer() {
  for (const auto timer : {batch_timer_, retry_timer_, look_timer_}) {
    context_.env().cancel_timer(timer);
  }
  alive_.reset();
  store_->interrupt();
}

MILLRACE_DECL snapshot_writer& table_writer::begin(timestamp time) {
  row_ = open_.size();
  open_.number(std::uint32_t{0});
  open_.number(time.time_since_epoch().count());
  return open_;
}

MILLRACE_DECL void table_writer::commit(timestamp time) {
  if (!shape_->table.time_column.empty()) {
    cell_writer(open_).time(time == min_timestamp ? context_.env().now() : time);
  }
  records_.add();
  ++open_rows_;
  constexpr std::size_t head = sizeof(std::uint32_t) + sizeof(std::int64_t);
  const auto length = open_.size() - row_ - head;
  MILLRACE_ASSERT(length <= detail::longest_row);
  open_.patch(row_, static_cast<std::uint32_t>(length));
  if (exactly_once()) {
    if (MILLRACE_UNLIKELY(size() >= delivery_.max_bytes / 2)) regulate();
    return;
  }
  if (open_rows_ >= delivery_.batch_rows || open_.size() >= delivery_.batch_bytes) {
    seal(0);
    pump();
  } else if (batch_timer_ == 0) {
    batch_timer_ = context_.env().call_after(delivery_.batch_age, [this] {
      batch_timer_ = 0;
      seal(0);
      pump();
    });
  }
}

/// The rows so far become a group.
MILLRACE_DECL void table_writer::seal(std::uint64_t id) {
  context_.env().cancel_timer(std::exchange(batch_timer_, 0));
  if (open_rows_ == 0) return;
  sealed_bytes_ += open_.size();
  sealed_.push_back(std::make_shared<const row_group>(
      row_group{id, shape_, std::exchange(open_rows_, 0), open_.take()}));
}

MILLRACE_DECL void table_writer::checkpoint(std::uint64_t id) {
  seal(exactly_once() ? id : 0);
  barrier_ = id;
  emitted_at_barrier_ = emitted_;
  ++unfinished_;
  asked_ = false;
  reporting_ = true;
  pump();
}

MILLRACE_DECL void table_writer::checkpoint_complete(std::uint64_t id) {
  complete_ = std::max(complete_, id);
  unfinished_ = 0;
  if (id == barrier_) safe_ = emitted_at_barrier_;
  pump();
}

MILLRACE_DECL void table_writer::end() {
  ending_ = true;
  seal(barrier_);
  pump();
}

/// Gives the other thread something to do, if it has nothing and there is something.
MILLRACE_DECL void table_writer::pump() {
  if (broken_) return;
  if (!busy_ && retry_timer_ == 0) {
    if (!opened_) {
      submit([s = store_.get(), shape = shape_] { return s->open(shape); }, true);
    } else if (!sealed_.empty()) {
      std::vector<group_ptr> groups;
      for (const auto& g : sealed_) {
        // Without a position a transaction is a batch; with one, all that is durable.
        const bool fits = exactly_once() ? g->id <= complete_ : groups.empty();
        if (!fits || (!groups.empty() && groups.front()->shape != g->shape)) break;
        groups.push_back(g);
      }
      under_way_ = groups.size();
      if (!groups.empty()) {
        const auto target = exactly_once() ? groups.back()->id : 0;
        submit([s = store_.get(), groups = std::move(groups), target,
                safe = safe_] { return s->write(groups, target, safe); },
               false);
      }
    }
  }
  settle();
  regulate();
}

MILLRACE_DECL void table_writer::submit(std::function<write_report()> work, bool opens) {
  busy_ = true;
  jobs_.submit([this, work = std::move(work), opens, &env = context_.env(),
                alive = std::weak_ptr<char>(alive_)] {
    auto report = std::make_shared<write_report>(work());
    env.post([this, report, opens, alive] {
      if (!alive.expired()) finished(std::move(*report), opens);
    });
  });
}

MILLRACE_DECL void table_writer::finished(write_report report, bool opens) {
  busy_ = false;
  if (broken_) return;
  if (!report.note.empty()) context_.env().log().warning(context_.name(), report.note);
  switch (report.status.outcome) {
    case outcome::ok: break;
    case outcome::again:
    case outcome::lost: retry(report.status); return settle();
    default: return fail(report.status.message);
  }
  if (std::exchange(troubled_, false)) {
    context_.env().log().info(context_.name(), kind_ + ": the database takes rows again");
  }
  failing_.set(0);
  backoff_.reset();
  if (opens) {
    took_position(report);
  } else {
    wrote(report);
  }
  pump();
}

/// What the database holds already must not be written again.
MILLRACE_DECL void table_writer::took_position(write_report& report) {
  opened_ = true;
  while (exactly_once() && !sealed_.empty() && sealed_.front()->id != 0 &&
         sealed_.front()->id <= report.position) {
    sealed_bytes_ -= sealed_.front()->bytes.size();
    sealed_.pop_front();
  }
  for (const auto& d : report.dead) context_.dead_letter(d.reason, d.payload, d.time);
  if (!report.dead.empty()) emitted_ = std::max(emitted_, report.position);
}

MILLRACE_DECL void table_writer::wrote(const write_report& report) {
  delivered_.add(report.rows);
  transactions_.add();
  for (; under_way_ > 0; --under_way_) {
    sealed_bytes_ -= sealed_.front()->bytes.size();
    sealed_.pop_front();
  }
  rejected_.add(report.dead.size());
  for (const auto& d : report.dead) context_.dead_letter(d.reason, d.payload, d.time);
  emitted_ = report.position;
}

MILLRACE_DECL void table_writer::retry(const status& why) {
  retries_.add();
  failing_.set(1);
  troubled_ = true;
  const auto delay = backoff_.next(context_.env().random());
  if (log_limit_.allow(context_.env().monotonic())) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
    context_.env().log().warning(context_.name(), kind_ + ": " + why.message + "; next try in " +
                                                      std::to_string(ms) + " ms");
  }
  retry_timer_ = context_.env().call_after(delay, [this] {
    retry_timer_ = 0;
    pump();
  });
}

MILLRACE_DECL void table_writer::fail(const std::string& why) {
  broken_ = true;
  context_.fail({errc::rejected, kind_ + ": " + why});
}

/// Reports what is reached.
MILLRACE_DECL void table_writer::settle() {
  // A checkpoint that knows of a position must not be durable before the position is.
  if (reporting_ && opened_ && (exactly_once() || (sealed_.empty() && !busy_))) {
    reporting_ = false;
    context_.checkpointed();
  }
  if (ending_ && !done_ && opened_ && sealed_.empty() && !busy_) {
    done_ = true;
    context_.done();
  }
}

MILLRACE_DECL bool table_writer::database_is_behind() const noexcept {
  return !sealed_.empty() && (!exactly_once() || sealed_.front()->id <= complete_);
}

/// Back-pressure. Rows that wait for a checkpoint go away only when its barrier has come, so while
/// one is on its way records have to be let through.
MILLRACE_DECL void table_writer::regulate() {
  pending_bytes_.set(static_cast<std::int64_t>(size()));
  const auto bytes = size();
  if (broken_) return;
  const bool many = open_.size() >= delivery_.max_bytes / 2;
  const bool stuck = bytes >= delivery_.max_bytes && open_rows_ > 0 && !database_is_behind();
  if (exactly_once() && (many || stuck) && !asked_) {
    asked_ = true;
    context_.request_checkpoint();
  }
  if (bytes < delivery_.max_bytes) return context_.unblock();
  if (!exactly_once()) return context_.block();
  const bool barrier_comes = context_.current_checkpoint() > barrier_;
  const bool full = bytes / 2 >= delivery_.max_bytes;
  if (full && !database_is_behind() && unfinished_ > 2) {
    return fail("the rows since the last complete checkpoint are more than 2 x max_bytes, and " +
                std::to_string(unfinished_ - 1) + " checkpoints since could not be completed");
  }
  if (barrier_comes && !(full && database_is_behind())) {
    context_.unblock();
  } else {
    context_.block();
  }
  if (look_timer_ != 0) return;
  look_timer_ = context_.env().call_after(std::chrono::milliseconds{5}, [this] {
    look_timer_ = 0;
    regulate();
  });
}

// Version 1: lineage, id of the checkpoint, last transaction whose dead letters were emitted,
// groups: id, columns (name, type, nullable), rows, bytes.
MILLRACE_DECL void table_writer::save(snapshot_writer& to) const {
  to.number(std::uint8_t{1});
  to.text(claim_.lineage);
  to.number(barrier_);
  to.number(emitted_at_barrier_);
  to.varint(exactly_once() ? sealed_.size() : 0);
  if (!exactly_once()) return;
  for (const auto& g : sealed_) {
    to.number(g->id);
    to.varint(g->shape->columns.size());
    for (const auto& c : g->shape->columns) {
      to.text(c.name);
      to.number(static_cast<std::uint8_t>(c.type));
      to.number(c.nullable);
    }
    to.varint(g->rows);
    to.text(g->bytes);
  }
}

MILLRACE_DECL std::shared_ptr<const table_shape> table_writer::restored_shape(
    snapshot_reader& from) {
  std::vector<column> columns;
  for (auto n = from.count(); n > 0; --n) {
    column c{std::string(from.text()), {}, false};
    const auto type = from.number<std::uint8_t>();
    if (type > static_cast<std::uint8_t>(column_type::json)) from.fail("an unknown type of column");
    c.type = static_cast<column_type>(type);
    c.nullable = from.number<bool>();
    columns.push_back(std::move(c));
  }
  if (columns == shape_->columns) return shape_;
  if (!sealed_.empty() && sealed_.back()->shape->columns == columns) return sealed_.back()->shape;
  return std::make_shared<const table_shape>(table_shape{std::move(columns), shape_->table});
}

MILLRACE_DECL void table_writer::restore(snapshot_reader& from) {
  if (from.number<std::uint8_t>() != 1) from.fail("an unknown version", errc::incompatible);
  const std::string lineage(from.text());
  barrier_ = complete_ = from.number<std::uint64_t>();
  emitted_ = emitted_at_barrier_ = safe_ = from.number<std::uint64_t>();
  for (auto n = from.count(); n > 0 && !from.failed(); --n) {
    row_group g;
    g.id = from.number<std::uint64_t>();
    g.shape = restored_shape(from);
    g.rows = static_cast<std::size_t>(from.varint());
    g.bytes = std::string(from.text());
    sealed_bytes_ += g.bytes.size();
    sealed_.push_back(std::make_shared<const row_group>(std::move(g)));
  }
  from.expect_end();
  if (from.failed()) return;
  if (exactly_once() && !lineage.empty()) {
    claim_.lineage = lineage;
    claim_.restored = true;
    claim_.id = barrier_;
    claim_.emitted = emitted_;
  }
  store_ = std::make_unique<store>(store_->take_connection(), claim_);
  pump();
}

}  // namespace millrace::sql
