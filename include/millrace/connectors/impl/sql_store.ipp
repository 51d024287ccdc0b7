// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/sql/store.hpp>

#include <charconv>
#include <utility>

namespace millrace::sql {

namespace detail {

inline std::uint64_t to_number(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace detail

MILLRACE_DECL store::store(std::unique_ptr<database> connection, position_claim claim)
    : connection_(std::move(connection)), claim_(std::move(claim)) {}

MILLRACE_DECL status store::run(const char* statement, std::vector<std::string> values,
                                answer* into) {
  return connection_->execute(statement, values, into);
}

/// Everything `work` does is committed, or nothing of it.
template <class Work>
status store::transaction(Work&& work) {
  auto result = connection_->begin();
  if (!result.ok()) return result;
  result = work();
  if (result.ok()) {
    result = run("COMMIT");
    if (result.outcome == outcome::unfit) {
      return {outcome::refused, "a constraint that is only checked at the commit: " +
                                    result.message + "; make it immediate"};
    }
    if (result.ok()) return result;
  }
  if (connection_->connected()) run("ROLLBACK");
  return result;
}

MILLRACE_DECL status store::make_tables() {
  constexpr const char* statements[][2] = {
      {"SELECT 1 FROM millrace_checkpoint WHERE 1 = 0",
       "CREATE TABLE IF NOT EXISTS millrace_checkpoint (pipeline TEXT NOT NULL, "
       "sink TEXT NOT NULL, id BIGINT NOT NULL, lineage TEXT NOT NULL, owner TEXT NOT NULL, "
       "PRIMARY KEY (pipeline, sink))"},
      {"SELECT 1 FROM millrace_rejected WHERE 1 = 0",
       "CREATE TABLE IF NOT EXISTS millrace_rejected (pipeline TEXT NOT NULL, "
       "sink TEXT NOT NULL, id BIGINT NOT NULL, number BIGINT NOT NULL, reason TEXT NOT NULL, "
       "payload TEXT NOT NULL, time BIGINT NOT NULL, PRIMARY KEY (pipeline, sink, id, number))"},
  };
  for (const auto& [look, create] : statements) {
    auto result = run(look);
    if (result.outcome == outcome::missing) {
      result = run(create);
      // Somebody else makes it at the same moment.
      if (result.outcome == outcome::unfit) result.outcome = outcome::again;
    }
    if (!result.ok()) return result;
  }
  return {};
}

MILLRACE_DECL status store::claim_fresh(write_report& report) {
  answer found;
  auto result = run("SELECT id FROM millrace_checkpoint WHERE pipeline = $1 AND sink = $2",
                    {claim_.pipeline, claim_.sink}, &found);
  if (!result.ok()) return result;
  result =
      run("INSERT INTO millrace_checkpoint (pipeline, sink, id, lineage, owner) "
          "VALUES ($1, $2, 0, $3, $4) ON CONFLICT (pipeline, sink) "
          "DO UPDATE SET id = 0, lineage = excluded.lineage, owner = excluded.owner",
          {claim_.pipeline, claim_.sink, claim_.lineage, claim_.owner});
  if (result.ok()) {
    result = run("DELETE FROM millrace_rejected WHERE pipeline = $1 AND sink = $2",
                 {claim_.pipeline, claim_.sink});
  }
  position_ = 0;
  if (!found.rows.empty() && found.rows[0][0] != "0") {
    report.note = "starts from nothing, though the database holds rows up to checkpoint " +
                  found.rows[0][0] + " of an earlier run: they stay";
  }
  return result;
}

MILLRACE_DECL status store::settle_conflict(const answer& found, write_report& report) {
  std::string what = "there is none of this pipeline and sink";
  if (!found.rows.empty()) {
    what = found.rows[0][1] == claim_.lineage ? "it stands at checkpoint " + found.rows[0][0]
                                              : "it is that of another run of the pipeline";
  }
  const auto wanted = "the position in the database is not that of checkpoint " +
                      std::to_string(claim_.id) + ": " + what;
  if (claim_.conflict == position_conflict::fail) {
    return {outcome::refused, wanted +
                                  ". Restore the checkpoint and the database that belong "
                                  "together, or set delivery.conflict = take_over"};
  }
  report.note = wanted + ": taken over, rows may be there twice";
  // With the same lineage, what the checkpoint holds is in the database already.
  const bool same = !found.rows.empty() && found.rows[0][1] == claim_.lineage;
  position_ = same ? claim_.id : 0;
  return run(
      "INSERT INTO millrace_checkpoint (pipeline, sink, id, lineage, owner) "
      "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pipeline, sink) "
      "DO UPDATE SET id = excluded.id, lineage = excluded.lineage, owner = excluded.owner",
      {claim_.pipeline, claim_.sink, std::to_string(position_), claim_.lineage, claim_.owner});
}

MILLRACE_DECL status store::claim_restored(write_report& report) {
  answer found;
  // The update comes first: from here on, whoever wrote before cannot any more.
  auto result =
      run("UPDATE millrace_checkpoint SET owner = $1 WHERE pipeline = $2 AND sink = $3 AND "
          "lineage = $4",
          {claim_.owner, claim_.pipeline, claim_.sink, claim_.lineage});
  if (!result.ok()) return result;
  result = run("SELECT id, lineage FROM millrace_checkpoint WHERE pipeline = $1 AND sink = $2",
               {claim_.pipeline, claim_.sink}, &found);
  if (!result.ok()) return result;
  if (found.rows.empty() || found.rows[0][1] != claim_.lineage ||
      detail::to_number(found.rows[0][0]) > claim_.id) {
    return settle_conflict(found, report);
  }
  position_ = detail::to_number(found.rows[0][0]);
  result = read_dead(claim_.emitted, report.dead);
  has_dead_ = true;  // there may be older ones
  return result;
}

MILLRACE_DECL write_report store::open(const std::shared_ptr<const table_shape>& shape) {
  write_report report;
  if (!connection_->connected()) {
    used_ = nullptr;
    report.status = connection_->connect();
  }
  if (report.status.ok() && has_position()) report.status = make_tables();
  if (report.status.ok() && used_ != shape) {
    report.status = connection_->use(*shape);
    if (report.status.ok()) used_ = shape;
  }
  if (report.status.ok() && has_position()) {
    report.dead.clear();
    report.status =
        transaction([&] { return claim_.restored ? claim_restored(report) : claim_fresh(report); });
    claimed_ = report.status.ok();
  }
  report.position = position_;
  return report;
}

/// A connection that is ready for rows of this shape, and knows where the position stands.
MILLRACE_DECL status store::ready(const std::shared_ptr<const table_shape>& shape) {
  status result;
  if (!connection_->connected()) {
    used_ = nullptr;
    result = connection_->connect();
    if (result.ok() && claimed_) {
      answer found;
      result = run("SELECT id, owner FROM millrace_checkpoint WHERE pipeline = $1 AND sink = $2",
                   {claim_.pipeline, claim_.sink}, &found);
      if (!result.ok()) return result;
      if (found.rows.empty() || found.rows[0][1] != claim_.owner) {
        return {outcome::refused, "another instance of this pipeline has taken over the table"};
      }
      position_ = detail::to_number(found.rows[0][0]);
    }
  }
  if (result.ok() && used_ != shape) {
    used_ = nullptr;
    result = connection_->use(*shape);
    if (result.ok()) used_ = shape;
  }
  return result;
}

MILLRACE_DECL write_report store::write(std::span<const std::shared_ptr<const row_group>> groups,
                                        std::uint64_t target, std::uint64_t safe) {
  write_report report;
  report.status = ready(groups.front()->shape);
  if (report.status.ok() && target != 0 && position_ >= target) {
    // The connection was lost in the middle of the commit, which had succeeded.
    report.status = read_dead(target - 1, report.dead);
    for (const auto& g : groups) report.rows += g->rows;
    report.rows -= report.dead.size();
  } else if (report.status.ok()) {
    report.status = transaction([&] { return write_rows(groups, target, safe, report); });
    if (report.status.ok()) position_ = target;
  }
  if (!report.status.ok() && connection_->connected() && target != 0 &&
      report.status.outcome == outcome::again) {
    // A commit that failed half way says nothing about what is in the database.
    answer found;
    const auto looked = run("SELECT id FROM millrace_checkpoint WHERE pipeline = $1 AND sink = $2",
                            {claim_.pipeline, claim_.sink}, &found);
    if (looked.ok() && !found.rows.empty()) position_ = detail::to_number(found.rows[0][0]);
  }
  report.position = position_;
  return report;
}

MILLRACE_DECL status store::write_rows(std::span<const std::shared_ptr<const row_group>> groups,
                                       std::uint64_t target, std::uint64_t safe,
                                       write_report& report) {
  status result;
  if (target != 0) {
    answer changed;
    result = run(
        "UPDATE millrace_checkpoint SET id = $1 WHERE pipeline = $2 AND sink = $3 AND owner = $4",
        {std::to_string(target), claim_.pipeline, claim_.sink, claim_.owner}, &changed);
    if (!result.ok()) return result;
    if (changed.changed != 1) {
      return {outcome::refused, "another instance of this pipeline has taken over the table"};
    }
    if (has_dead_) {
      result = run("DELETE FROM millrace_rejected WHERE pipeline = $1 AND sink = $2 AND id <= $3",
                   {claim_.pipeline, claim_.sink, std::to_string(safe)});
      if (!result.ok()) return result;
    }
  }
  std::vector<row> rows;
  std::vector<refused_row> refused;
  for (const auto& g : groups) {
    rows.clear();
    if (!split_rows(g->bytes, g->shape->columns.size(), rows)) {
      return {outcome::refused, "the rows of the checkpoint are damaged"};
    }
    refused.clear();
    result = connection_->insert(rows, refused);
    if (!result.ok()) return result;
    report.rows += rows.size() - refused.size();
    for (auto& r : refused) {
      report.dead.push_back(
          {std::move(r.reason), to_json(g->shape->columns, r.what.cells), r.what.time});
    }
  }
  return target != 0 ? keep_dead(target, report.dead) : status{};
}

/// A dead letter is emitted after the commit, and may be lost in a crash right then: it stays in
/// the database until a checkpoint holds it.
MILLRACE_DECL status store::keep_dead(std::uint64_t target, const std::vector<dead_row>& dead) {
  for (std::size_t i = 0; i < dead.size(); ++i) {
    auto result = run(
        "INSERT INTO millrace_rejected (pipeline, sink, id, number, reason, payload, time) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        {claim_.pipeline, claim_.sink, std::to_string(target), std::to_string(i), dead[i].reason,
         dead[i].payload, std::to_string(dead[i].time.time_since_epoch().count())});
    if (!result.ok()) return result;
    has_dead_ = true;
  }
  return {};
}

MILLRACE_DECL status store::read_dead(std::uint64_t above, std::vector<dead_row>& into) {
  answer found;
  auto result = run(
      "SELECT reason, payload, time FROM millrace_rejected WHERE pipeline = $1 AND sink = $2 AND "
      "id > $3 ORDER BY id, number",
      {claim_.pipeline, claim_.sink, std::to_string(above)}, &found);
  for (auto& r : found.rows) {
    std::int64_t time = 0;
    std::from_chars(r[2].data(), r[2].data() + r[2].size(), time);
    into.push_back({std::move(r[0]), std::move(r[1]), timestamp{duration{time}}});
  }
  return result;
}

}  // namespace millrace::sql
