// SPDX-License-Identifier: Apache-2.0
// bench_command PROGRAM [ARGUMENT...]: runs it, and prints processor seconds (user and system) and
// the greatest resident memory of it or one of its children in MiB. Its own output is dropped,
// unless it fails.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const pid_t id = ::fork();
  if (id == 0) {
    const int nothing = ::open("/dev/null", O_WRONLY);
    ::dup2(nothing, 1);
    ::execvp(argv[1], argv + 1);
    std::fprintf(stderr, "cannot run %s\n", argv[1]);
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  if (id < 0 || ::wait4(id, &status, 0, &used) != id) return 2;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return 1;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  std::printf("%.2f %.1f\n", seconds(used.ru_utime) + seconds(used.ru_stime),
              static_cast<double>(used.ru_maxrss) / 1024);
  return 0;
}
