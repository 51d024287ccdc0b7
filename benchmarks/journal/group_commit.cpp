// SPDX-License-Identifier: Apache-2.0
// The journal against the disk itself: the same bytes with the same fsync interval, written plainly
// and through the journal in turns; the time from an append to its being durable; and how long
// opening and reading a large journal takes.
//
//     bench_journal_group_commit FOLDER [MEBIBYTES [ROUNDS]]
#include <millrace/state/journal.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace millrace;
using clock_type = std::chrono::steady_clock;

/// Real time, one thread: `run_until` runs timers and what is posted.
class loop final : public environment {
 public:
  timestamp now() const override {
    return std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
  }
  std::chrono::nanoseconds monotonic() const override {
    return clock_type::now().time_since_epoch();
  }
  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> f) override {
    timers_.emplace(std::pair{monotonic() + delay, ++last_timer_}, std::move(f));
    return last_timer_;
  }
  void cancel_timer(timer_id id) noexcept override {
    std::erase_if(timers_, [id](const auto& t) { return t.first.second == id; });
  }
  void post(std::function<void()> f) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(f));
    arrived_.notify_one();
  }
  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { throw std::logic_error("no sockets"); }
  const logger& log() const override { return log_; }

  /// Runs what is there; waits for more until the next timer, if `wait`.
  void step(bool wait) {
    std::function<void()> next;
    {
      std::unique_lock lock(mutex_);
      if (posted_.empty() && wait) {
        const auto most = timers_.empty() ? monotonic() + std::chrono::milliseconds{100}
                                          : timers_.begin()->first.first;
        arrived_.wait_until(lock, clock_type::time_point{most},
                            [this] { return !posted_.empty(); });
      }
      if (!posted_.empty()) {
        next = std::move(posted_.front());
        posted_.pop_front();
      }
    }
    if (next) return next();
    if (timers_.empty() || timers_.begin()->first.first > monotonic()) return;
    const auto due = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    due();
  }

 private:
  std::mt19937_64 random_{1};
  logger log_;
  std::map<std::pair<std::chrono::nanoseconds, timer_id>, std::function<void()>> timers_;
  timer_id last_timer_ = 0;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::function<void()>> posted_;
};

double seconds_since(clock_type::time_point start) {
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

/// `count` records of `size` bytes, made durable every `interval` bytes, in files of 64 MiB with
/// room taken at once, as a careful program would.
double write_plainly(const std::string& folder, std::string_view record, std::size_t count,
                     std::size_t interval) {
  auto& files = posix_file_system();
  std::filesystem::create_directories(folder);
  std::string buffer;
  buffer.reserve(interval + record.size());
  std::unique_ptr<open_file> file;
  std::uint64_t position = 0;
  int number = 0;
  constexpr std::uint64_t most = std::uint64_t{64} << 20;
  const auto start = clock_type::now();
  for (std::size_t i = 0; i < count; ++i) {
    buffer += record;
    if (buffer.size() < interval && i + 1 < count) continue;
    if (!file || position >= most) {
      file = files.open(folder + "/" + std::to_string(number++), file_access::write).value();
      file->allocate(most).value();
      file->sync().value();
      files.sync_directory(folder).value();
      position = 0;
    }
    write_fully(*file, position, buffer).value();
    file->sync_data().value();
    position += buffer.size();
    buffer.clear();
  }
  return seconds_since(start);
}

double write_journal(const std::string& folder, std::string_view record, std::size_t count,
                     std::size_t interval, job_place place) {
  loop env;
  const journal_options options{.directory = folder,
                                .commit_bytes = interval,
                                .commit_records = SIZE_MAX,
                                .commit_after = std::chrono::seconds{1},
                                .most_pending_bytes = 4 * interval,
                                .keep_free_bytes = 0,
                                .place = place};
  auto log = journal::open(options, env).value();
  std::uint64_t durable = 0;
  log->on_durable([&durable](std::uint64_t end) { durable = end; });
  const auto start = clock_type::now();
  for (std::size_t i = 0; i < count;) {
    if (log->append(record)) {
      if (++i % 64 == 0) env.step(false);
    } else if (log->status() == journal_status::open) {
      env.step(true);
    } else {
      throw std::runtime_error(log->problem().to_string());
    }
  }
  log->commit();
  while (durable < count) env.step(true);
  const auto took = seconds_since(start);
  log->close().value();
  return took;
}

void compare(const std::string& folder, std::size_t bytes, int rounds, std::size_t record_size,
             std::size_t interval, job_place place) {
  const std::string record(record_size, 'r');
  const auto count = bytes / record_size;
  std::vector<double> ratios;
  std::vector<double> plain;
  std::clock_t plain_cpu = 0;
  std::clock_t journal_cpu = 0;
  double best_plain = 1e9;
  double best_journal = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const auto before = std::clock();
    const auto a = write_plainly(folder + "/plain", record, count, interval);
    plain_cpu += std::clock() - before;
    std::filesystem::remove_all(folder + "/plain");
    const auto between = std::clock();
    const auto b = write_journal(folder + "/journal", record, count, interval, place);
    journal_cpu += std::clock() - between;
    std::filesystem::remove_all(folder + "/journal");
    ratios.push_back(a / b);
    best_plain = std::min(best_plain, a);
    best_journal = std::min(best_journal, b);
    plain.push_back(static_cast<double>(count * record_size) / a / 1e6);
  }
  const auto per_byte = [&](std::clock_t cpu) {
    return static_cast<double>(cpu) / CLOCKS_PER_SEC * 1e9 /
           static_cast<double>(count * record_size * static_cast<std::size_t>(rounds));
  };
  std::sort(ratios.begin(), ratios.end());
  std::sort(plain.begin(), plain.end());
  std::printf(
      "%s thread, records of %zu bytes, fsync every %zu KiB: plain %.0f MB/s (best %.0f), journal "
      "/ plain "
      "%.2f "
      "(%.2f..%.2f), best / best %.2f; processor time %.2f and %.2f ns a byte\n",
      place == job_place::caller ? "same" : "own", record_size, interval >> 10,
      plain[plain.size() / 2], static_cast<double>(count * record_size) / best_plain / 1e6,
      ratios[ratios.size() / 2], ratios.front(), ratios.back(), best_plain / best_journal,
      per_byte(plain_cpu), per_byte(journal_cpu));
  std::fflush(stdout);
}

void latency(const std::string& folder) {
  std::filesystem::remove_all(folder + "/latency");
  loop env;
  auto log = journal::open(
                 {.directory = folder + "/latency", .commit_records = 1, .keep_free_bytes = 0}, env)
                 .value();
  std::uint64_t durable = 0;
  log->on_durable([&durable](std::uint64_t end) { durable = end; });
  std::vector<double> micros;
  for (std::uint64_t i = 0; i < 2'000; ++i) {
    const auto start = clock_type::now();
    log->append(std::string_view("a message of some forty bytes, more or less")).value();
    while (durable <= i) env.step(true);
    micros.push_back(seconds_since(start) * 1e6);
  }
  std::sort(micros.begin(), micros.end());
  std::printf("one record, append to durable: p50 %.0f us, p99 %.0f us\n", micros[1'000],
              micros[1'980]);
}

void recovery(const std::string& folder, std::uint64_t segment_bytes, const char* words) {
  const auto where = folder + "/recovery";
  std::filesystem::remove_all(where);
  loop env;
  const journal_options options{.directory = where,
                                .commit_bytes = std::size_t{8} << 20,
                                .commit_records = SIZE_MAX,
                                .segment_bytes = segment_bytes,
                                .keep_free_bytes = 0};
  const std::string record(200, 'r');
  constexpr std::uint64_t count = (std::uint64_t{1} << 30) / 200;
  {
    auto log = journal::open(options, env).value();
    for (std::uint64_t i = 0; i < count;) {
      if (log->append(record)) {
        ++i;
      } else {
        env.step(true);
      }
    }
    log->close().value();
  }
  // The end is torn, as by a crash.
  const auto names = posix_file_system().list(where).value();
  const auto last = where + "/" + *std::find_if(names.rbegin(), names.rend(), [](const auto& n) {
                      return first_offset_of_name(n).has_value();
                    });
  const auto first = first_offset_of_name(last.substr(last.rfind('/') + 1)).value();
  const auto end =
      scan_segment(posix_file_system(), last, first, std::nullopt).value().end_position;
  write_fully(*posix_file_system().open(last, file_access::write).value(), end, "a torn frame")
      .value();
  auto start = clock_type::now();
  auto log = journal::open(options, env).value();
  const auto opening = seconds_since(start);
  start = clock_type::now();
  auto reader = log->read_from(journal_start::earliest()).value();
  std::vector<journal_record> records;
  std::uint64_t read = 0;
  while (reader.read(records).value() > 0) {
    read += records.size();
    records.clear();
  }
  const auto reading = seconds_since(start);
  start = clock_type::now();
  log->read_from(journal_start::at(count / 2)).value().read(records, 1).value();
  const auto seeking = seconds_since(start);
  std::printf(
      "1 GiB, %s: opened in %.3f s, %llu records read in %.2f s (%.1f ns each), "
      "seek to the middle and one record %.2f ms\n",
      words, opening, static_cast<unsigned long long>(read), reading,
      reading * 1e9 / static_cast<double>(read), seeking * 1e3);
  log.reset();
  std::filesystem::remove_all(where);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [MEBIBYTES [ROUNDS]]\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1];
  const auto bytes = static_cast<std::size_t>(argc > 2 ? std::atoi(argv[2]) : 256) << 20;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  std::filesystem::create_directories(folder);
  for (const auto place : {job_place::caller, job_place::own_thread}) {
    for (const std::size_t interval :
         {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{8} << 20}) {
      const auto total = interval < (1U << 20) ? bytes / 8 : bytes;
      for (const std::size_t size : {std::size_t{200}, std::size_t{2'000}}) {
        compare(folder, total, rounds, size, interval, place);
      }
    }
  }
  latency(folder);
  recovery(folder, std::uint64_t{64} << 20, "segments of 64 MiB");
  recovery(folder, std::uint64_t{1'300} << 20, "one segment");
  return 0;
}
