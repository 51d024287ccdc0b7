// SPDX-License-Identifier: Apache-2.0
/// \file
/// Another program, started with pipes to its standard input and from its standard output. Its
/// destructor ends it. Not thread safe.
#pragma once

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace millrace::testing {

class child_process {
 public:
  /// Starts `arguments[0]`, looked up in PATH. Standard error goes to the file `log`, or to
  /// nowhere. \throws std::system_error when there is no pipe or no process to be had
  explicit child_process(const std::vector<std::string>& arguments, const std::string& log = {}) {
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe");
    if (::pipe2(out, O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::system_category(), "pipe");
    }
    std::vector<char*> words;
    for (const auto& a : arguments) words.push_back(const_cast<char*>(a.c_str()));
    words.push_back(nullptr);
    const char* errors = log.empty() ? "/dev/null" : log.c_str();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      const int file = ::open(errors, O_WRONLY | O_CREAT | O_APPEND, 0644);
      if (file >= 0) ::dup2(file, STDERR_FILENO);
      ::execvp(words[0], words.data());
      ::_exit(127);
    }
    const int problem = errno;
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
    if (pid_ < 0) throw std::system_error(problem, std::system_category(), "fork");
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() {
    close_input();
    if (pid_ > 0 && !wait(std::chrono::seconds{0})) {
      signal(SIGKILL);
      wait(std::chrono::seconds{10});
    }
    ::close(output_);
  }

  /// The end of its standard input.
  void close_input() {
    if (input_ >= 0) ::close(std::exchange(input_, -1));
  }

  /// Writes to its standard input, which must be able to take it; false if it has gone.
  bool write_line(const std::string& line) {
    std::signal(SIGPIPE, SIG_IGN);  // a program that ended early is for the test to report
    const auto bytes = line + "\n";
    std::size_t at = 0;
    while (input_ >= 0 && at < bytes.size()) {
      const auto n = ::write(input_, bytes.data() + at, bytes.size() - at);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return input_ >= 0;
  }

  /// The next line of its standard output, without line feed; nothing when it has ended or the
  /// time is over.
  std::optional<std::string> read_line(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (true) {
      if (const auto feed = buffer_.find('\n'); feed != std::string::npos) {
        auto line = buffer_.substr(0, feed);
        buffer_.erase(0, feed + 1);
        return line;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      pollfd waiting{output_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
        return std::nullopt;
      }
      char bytes[4096];
      const auto n = ::read(output_, bytes, sizeof bytes);
      if (n <= 0) return std::nullopt;
      buffer_.append(bytes, static_cast<std::size_t>(n));
    }
  }

  void signal(int number) {
    if (pid_ > 0) ::kill(pid_, number);
  }

  /// The status it ended with, -1 after a signal; nothing when it has not ended in that time.
  std::optional<int> wait(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (pid_ > 0) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        break;
      }
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int status_ = -1;
  std::string buffer_;
};

/// Runs a program to its end and returns its status; nothing when the time is over (it is killed).
inline std::optional<int> run_program(const std::vector<std::string>& arguments,
                                      std::chrono::seconds patience, const std::string& log = {}) {
  child_process child(arguments, log);
  child.close_input();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (child.read_line(std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now()))) {
  }
  return child.wait(std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now()));
}

}  // namespace millrace::testing
