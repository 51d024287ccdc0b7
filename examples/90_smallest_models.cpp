// SPDX-License-Identifier: Apache-2.0
// The smallest models of the library's concepts, as docs/concepts shows them, in two pipelines.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>

struct countdown {
  using value_type = int;
  int from;

  struct reader {
    int next;
    millrace::poll_status poll(millrace::source_output<int>& out) {
      while (next > 0 && out.room() > 0) out.emit(next--, millrace::timestamp{});
      return next > 0 ? millrace::poll_status::more : millrace::poll_status::end;
    }
  };
  reader open(millrace::source_context&) const { return {from}; }
};

struct total {
  long* into;

  struct writer {
    long* into;
    void write(int value, millrace::timestamp) { *into += value; }
  };
  writer open(millrace::sink_context&) const { return {into}; }
};

struct smooth {
  using output_type = double;
  double average = 0;

  void process(double value, millrace::operator_context<double>& out) {
    average = 0.9 * average + 0.1 * value;
    out.emit(average);
  }
  void save(millrace::snapshot_writer& to) const { serialize(to, average); }
  void restore(millrace::snapshot_reader& from) { deserialize(from, average); }
};

struct longest {
  using state = std::string;
  void add(state& s, const std::string& text) const {
    if (text.size() > s.size()) s = text;
  }
  void merge(state& s, const state& later) const { add(s, later); }
  std::string result(const state& s) const { return s; }
};

auto longest_length = millrace::make_aggregate(
    std::size_t{0}, [](std::size_t& s, const std::string& text) { s = std::max(s, text.size()); },
    [](std::size_t& s, const std::size_t& later) { s = std::max(s, later); });

int main() {
  using namespace std::chrono_literals;
  long sum = 0;
  millrace::memory::sink<double> smoothed;
  millrace::pipeline numbers("numbers");
  auto in = numbers.source("countdown", countdown{100});
  in.to("total", total{&sum});
  in.map([](int i) { return 1.0 * i; }).apply("smooth", smooth{}).to("smoothed", smoothed);
  numbers.run();

  using result = millrace::window_result<std::size_t, std::string>;
  using length = millrace::window_result<std::size_t, std::size_t>;
  millrace::memory::sink<result> longest_texts;
  millrace::memory::sink<length> lengths;
  millrace::pipeline texts("texts");
  auto windows = texts.source("words", countdown{100})
                     .map([](int i) { return std::to_string(i * i); })
                     .event_time([](const std::string&) { return millrace::timestamp{1s}; },
                                 millrace::monotone_times)
                     .key_by([](const std::string& s) { return s.size(); })
                     .window(millrace::tumbling{1min});
  windows.aggregate("longest", longest{}).to("texts", longest_texts);
  windows.aggregate("length", longest_length).to("lengths", lengths);
  texts.run();

  std::printf("sum %ld, %zu smoothed values, %zu lengths\n", sum, smoothed.size(), lengths.size());
  const bool right =
      sum == 5050 && smoothed.size() == 100 && longest_texts.size() == 5 && lengths.size() == 5;
  return right ? 0 : 1;
}
