// SPDX-License-Identifier: Apache-2.0
/// \file
/// A PostgreSQL of the system with a cluster of its own in a temporary directory, on a free port,
/// for tests with a real server. `available()` says whether there is one. Not thread safe.
#pragma once

#include "support/free_port.hpp"
#include "support/temporary_directory.hpp"

#include <libpq-fe.h>

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace millrace::testing {

class postgresql_server {
 public:
  /// The folder of its programs, of the newest version; empty if it is not installed, or nobody is
  /// there who may run it (root may not).
  static std::string find() {
    std::vector<std::string> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
      const auto programs = entry.path() / "bin";
      if (std::filesystem::exists(programs / "initdb", none)) found.push_back(programs.string());
    }
    std::sort(found.begin(), found.end());
    if (found.empty() || (::geteuid() == 0 && ::getpwnam("postgres") == nullptr)) return {};
    return found.back();
  }
  static bool available() { return !find().empty(); }
  static constexpr const char* how_to_get = "no PostgreSQL server: apt install postgresql";

  postgresql_server() : port_(free_port()) {
    std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
    const auto data = directory_.file("data");
    std::filesystem::create_directory(data);
    std::filesystem::permissions(data, std::filesystem::perms(0700));
    if (const auto* user = somebody_else(); user != nullptr) {
      if (::chown(data.c_str(), user->pw_uid, user->pw_gid) != 0) {
        throw std::runtime_error("cannot give away " + data);
      }
    }
    const auto made = run({find() + "/initdb", "-D", data, "-A", "trust", "-U", "postgres",
                           "--no-sync", "-E", "UTF8", "--locale=C"});
    int status = 0;
    ::waitpid(made, &status, 0);
    if (status != 0) throw std::runtime_error("initdb fails: " + directory_.read("log"));
    start();
  }
  postgresql_server(const postgresql_server&) = delete;
  postgresql_server& operator=(const postgresql_server&) = delete;
  ~postgresql_server() { stop(SIGQUIT); }

  std::string url() const {
    return "host=127.0.0.1 port=" + std::to_string(port_) + " user=postgres dbname=postgres";
  }

  /// Starts it and waits until it answers.
  void start() {
    process_ =
        run({find() + "/postgres", "-D", directory_.file("data"), "-p", std::to_string(port_), "-c",
             "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
             "-c", "shared_buffers=16MB", "-c", "deadlock_timeout=50ms"});
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (PQping(url().c_str()) != PQPING_OK) {
      int status = 0;
      if (::waitpid(process_, &status, WNOHANG) == process_ ||
          std::chrono::steady_clock::now() > until) {
        throw std::runtime_error("postgres does not start: " + directory_.read("log"));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
  }

  /// SIGQUIT is an immediate shutdown: the next start recovers. SIGINT a fast one.
  void stop(int signal) {
    if (process_ <= 0) return;
    ::kill(process_, signal);
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = -1;
  }

  /// The rows of a statement, each with its values joined by '|'; NULL is empty.
  /// \throws std::runtime_error with the server's message
  std::vector<std::string> rows(const std::string& statement) const {
    PGconn* connection = PQconnectdb(url().c_str());
    PQsetNoticeProcessor(
        connection, [](void*, const char*) {}, nullptr);
    PGresult* result = PQexec(connection, statement.c_str());
    const auto status = PQresultStatus(result);
    std::vector<std::string> all;
    for (int i = 0; i < PQntuples(result); ++i) {
      std::string row;
      for (int j = 0; j < PQnfields(result); ++j) {
        row += (j == 0 ? "" : "|") + std::string(PQgetvalue(result, i, j));
      }
      all.push_back(row);
    }
    const std::string problem = PQerrorMessage(connection);
    PQclear(result);
    PQfinish(connection);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) throw std::runtime_error(problem);
    return all;
  }
  void run_statement(const std::string& statement) const { rows(statement); }
  std::string value(const std::string& statement) const {
    const auto all = rows(statement);
    return all.empty() ? std::string{} : all[0];
  }

 private:
  /// Whom it runs as when the test is root's.
  static const passwd* somebody_else() {
    return ::geteuid() == 0 ? ::getpwnam("postgres") : nullptr;
  }

  pid_t run(const std::vector<std::string>& arguments) const {
    std::vector<char*> words;
    for (const auto& a : arguments) words.push_back(const_cast<char*>(a.c_str()));
    words.push_back(nullptr);
    const passwd* user = somebody_else();
    const int log =
        ::open(directory_.file("log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(log, 1);
      ::dup2(log, 2);
      if (user != nullptr && (::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)) {
        ::_exit(126);
      }
      if (::chdir("/") == 0) ::execv(words[0], words.data());
      ::_exit(127);
    }
    ::close(log);
    return child;
  }

  temporary_directory directory_;
  std::uint16_t port_;
  pid_t process_ = -1;
};

}  // namespace millrace::testing
