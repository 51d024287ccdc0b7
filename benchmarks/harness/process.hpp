// SPDX-License-Identifier: Apache-2.0
/// \file
/// Processor time, memory, and children. Nothing of the library. Failures throw
/// std::runtime_error. For a thread that is alone in its process.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Nanoseconds of the process so far, all its threads.
inline std::uint64_t processor_time() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

/// The same of another process, in steps of a clock tick (10 ms).
inline std::uint64_t processor_time_of(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(in, line);
  const auto behind_name = line.rfind(')');
  if (behind_name == std::string::npos) return 0;
  std::istringstream fields(line.substr(behind_name + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  fields >> user >> system;
  return (user + system) * (1'000'000'000U / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

/// Bytes of memory in use now (resident).
inline std::uint64_t resident_memory() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  in >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Another process: a function, or a program. Its destructor ends it.
class child {
 public:
  /// \pre no other threads
  template <class F>
  static child of(F&& f) {
    std::fflush(nullptr);
    const pid_t id = ::fork();
    if (id < 0) throw std::runtime_error("cannot fork");
    if (id != 0) return child(id);
    int status = 0;
    try {
      f();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "error in a child: %s\n", e.what());
      status = 2;
    }
    ::_exit(status);
  }

  static child of_program(const std::vector<std::string>& arguments) {
    return of([&] {
      const int nothing = ::open("/dev/null", O_RDWR);
      ::dup2(nothing, 1);
      ::dup2(nothing, 2);
      std::vector<char*> pointers;
      for (const auto& a : arguments) pointers.push_back(const_cast<char*>(a.c_str()));
      pointers.push_back(nullptr);
      ::execvp(pointers[0], pointers.data());
      ::_exit(127);
    });
  }

  child(child&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  child& operator=(child&&) = delete;
  ~child() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    wait();
  }

  pid_t id() const noexcept { return id_; }

  /// Whether it has ended, without waiting.
  bool ended() {
    if (id_ <= 0) return true;
    int status = 0;
    if (::waitpid(id_, &status, WNOHANG) != id_) return false;
    id_ = -1;
    return true;
  }

  /// Waits for its end; its exit status.
  int wait() {
    int status = 0;
    if (id_ > 0) ::waitpid(id_, &status, 0);
    id_ = -1;
    return status;
  }

 private:
  explicit child(pid_t id) : id_(id) {}
  pid_t id_;
};

}  // namespace bench
