// SPDX-License-Identifier: Apache-2.0
/// \file
/// A connection of libpq that never waits longer than it was told, and can be interrupted: libpq's
/// asynchronous calls, and poll(2) around them.
#pragma once

#include <millrace/connectors/postgresql/sink.hpp>

#include <libpq-fe.h>
#include <poll.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::postgresql::detail {

struct result_deleter {
  void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using result_ptr = std::unique_ptr<PGresult, result_deleter>;

/// What an SQLSTATE means for a transaction (PostgreSQL documentation, appendix A).
inline sql::outcome outcome_of(std::string_view state) noexcept {
  const auto group = state.substr(0, 2);
  if (state.empty()) return sql::outcome::lost;
  if (group == "08" || group == "57" || group == "58" || group == "25") return sql::outcome::lost;
  // Two that make the same table at the same moment, in spite of IF NOT EXISTS.
  if (state == "42P07" || state == "42710") return sql::outcome::again;
  if (group == "53" || group == "40" || group == "55") return sql::outcome::again;
  if (group == "22" || group == "23" || group == "54" || group == "44" || group == "P0" ||
      state == "21000") {
    return sql::outcome::unfit;
  }
  return state == "42P01" ? sql::outcome::missing : sql::outcome::refused;
}

/// libpq's messages end with line feeds and continue with details.
inline std::string one_line(const char* text) {
  std::string line = text == nullptr ? "" : text;
  for (auto& c : line) c = c == '\n' ? ' ' : c;
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

class session {
 public:
  session() = default;
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session() { close(); }

  bool open() const noexcept { return handle_ != nullptr; }

  void close() noexcept {
    PQfinish(handle_);
    handle_ = nullptr;
  }

  /// Any thread: what waits gives up within a twentieth of a second.
  void interrupt() noexcept { stopped_ = true; }

  sql::status connect(const std::string& connection, std::chrono::nanoseconds timeout) {
    close();
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    handle_ = PQconnectStart(connection.c_str());
    if (handle_ == nullptr) return {sql::outcome::lost, "out of memory"};
    PQsetNoticeProcessor(
        handle_, [](void*, const char*) {}, nullptr);  // it would print them
    auto next = PGRES_POLLING_WRITING;
    if (PQstatus(handle_) == CONNECTION_BAD) {  // also when the string cannot be understood
      const bool unreadable = PQhost(handle_) == nullptr || PQsocket(handle_) < 0;
      auto result = problem(unreadable ? sql::outcome::refused : sql::outcome::lost);
      close();
      return result;
    }
    while (next != PGRES_POLLING_OK) {
      if (next == PGRES_POLLING_FAILED) {
        const bool password = PQconnectionNeedsPassword(handle_) != 0;
        auto result = problem(password ? sql::outcome::refused : sql::outcome::lost);
        close();
        return result;
      }
      if (!wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
        close();
        return {sql::outcome::lost, "no connection in time"};
      }
      next = PQconnectPoll(handle_);
    }
    PQsetnonblocking(handle_, 1);
    return {};
  }

  /// Runs one statement; null is a null value. The connection is closed when it was lost.
  sql::status run(const char* statement, const std::vector<const char*>& values, sql::answer* into,
                  std::chrono::nanoseconds timeout) {
    if (handle_ == nullptr) return {sql::outcome::lost, "not connected"};
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    result_ptr last;
    bool good = PQsendQueryParams(handle_, statement, static_cast<int>(values.size()), nullptr,
                                  values.data(), nullptr, nullptr, 0) == 1 &&
                flush(deadline);
    while (good) {
      while (good && PQisBusy(handle_) == 1) {
        good = wait(POLLIN, deadline) && PQconsumeInput(handle_) == 1;
      }
      if (!good) break;
      result_ptr next(PQgetResult(handle_));
      if (!next) break;
      last = std::move(next);
    }
    if (!good || !last) {
      auto result = problem(sql::outcome::lost);
      if (std::chrono::steady_clock::now() >= deadline) result.message = "no answer in time";
      close();
      return result;
    }
    auto result = judge(last.get(), into);
    if (result.outcome == sql::outcome::lost || PQstatus(handle_) == CONNECTION_BAD) {
      result.outcome = sql::outcome::lost;
      close();
    }
    return result;
  }

 private:
  using time_point = std::chrono::steady_clock::time_point;

  /// In libpq's words; a connection string's password is not among them.
  sql::status problem(sql::outcome what) const {
    return {what, handle_ == nullptr ? "not connected" : one_line(PQerrorMessage(handle_))};
  }

  sql::status judge(const PGresult* result, sql::answer* into) const {
    const auto status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
      sql::status bad{outcome_of(state == nullptr ? "" : state),
                      one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY))};
      if (bad.message.empty()) bad.message = one_line(PQresultErrorMessage(result));
      if (detail != nullptr) bad.message += " (" + one_line(detail) + ")";
      return bad;
    }
    if (into == nullptr) return {};
    for (int i = 0; i < PQntuples(result); ++i) {
      auto& row = into->rows.emplace_back();
      for (int j = 0; j < PQnfields(result); ++j) {
        row.emplace_back(PQgetvalue(result, i, j),
                         static_cast<std::size_t>(PQgetlength(result, i, j)));
      }
    }
    const std::string_view count = PQcmdTuples(const_cast<PGresult*>(result));
    std::from_chars(count.data(), count.data() + count.size(), into->changed);
    return {};
  }

  bool flush(time_point deadline) {
    while (true) {
      const int left = PQflush(handle_);
      if (left <= 0) return left == 0;
      // While the server sends, it may not read.
      if (!wait(POLLIN | POLLOUT, deadline) || PQconsumeInput(handle_) != 1) return false;
    }
  }

  bool wait(int events, time_point deadline) const {
    while (!stopped_) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd waiting{PQsocket(handle_), static_cast<short>(events), 0};
      const int slice = static_cast<int>(std::min<std::int64_t>(left.count(), 50));
      const int ready = ::poll(&waiting, 1, slice);
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
    return false;
  }

  PGconn* handle_ = nullptr;
  std::atomic<bool> stopped_{false};
};

}  // namespace millrace::postgresql::detail
