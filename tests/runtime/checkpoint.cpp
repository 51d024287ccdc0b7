// SPDX-License-Identifier: Apache-2.0
// Checkpoints on real threads, and what happens when they cannot be stored or do not fit.

#include <millrace/codec/json.hpp>
#include <millrace/codec/text.hpp>
#include <millrace/connectors/file.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "support/temporary_directory.hpp"

#include <boost/describe.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

struct tally {
  std::int64_t sum = 0;
  std::int64_t n = 0;
};
BOOST_DESCRIBE_STRUCT(tally, (), (sum, n))

struct parsed {
  int value = 0;
};
BOOST_DESCRIBE_STRUCT(parsed, (), (value))

/// Numbers from 0, at most `per_poll` at a time; remembers its position.
struct number_source {
  using value_type = int;
  int count;

  struct reader {
    int count;
    int next = 0;
    poll_status poll(source_output<int>& out) {
      for (int i = 0; i < 64 && next < count; ++i) out.emit(next++, timestamp{});
      return next == count ? poll_status::end : poll_status::more;
    }
    void save(snapshot_writer& to) const { to.number(next); }
    void restore(snapshot_reader& from) { next = from.number<int>(); }
  };
  reader open(source_context&) const { return {count, 0}; }
};

/// Sums per key, as committed under a checkpoint or at the end.
struct committed {
  std::mutex mutex;
  std::map<int, tally> by_key;
};
struct sums_sink {
  std::shared_ptr<committed> to;
  using row = std::pair<int, tally>;

  struct writer {
    sink_context* context;
    std::shared_ptr<committed> to;
    std::map<int, tally> last;

    void write(const row& r, timestamp) { last[r.first] = r.second; }
    void checkpoint(std::uint64_t) { context->checkpointed(); }
    void checkpoint_complete(std::uint64_t) { publish(); }
    void save(snapshot_writer& out) const { serialize(out, last); }
    void restore(snapshot_reader& from) { deserialize(from, last); }
    void end() {
      publish();
      context->done();
    }
    void publish() {
      const std::lock_guard lock(to->mutex);
      for (const auto& [key, value] : last) to->by_key[key] = value;
    }
  };
  writer open(sink_context& context) const { return {&context, to, {}}; }
};

void assemble(pipeline& p, int count, const std::shared_ptr<committed>& out) {
  p.source("numbers", number_source{count})
      .key_by([](int i) { return i % 97; })
      .process<std::pair<int, tally>>("sums",
                                      [](const int& i, tally& t, auto& ctx) {
                                        t.sum += i;
                                        ++t.n;
                                        ctx.emit(std::pair{ctx.key(), t});
                                      })
      .to("out", sums_sink{out});
}

class failing_storage final : public checkpoint_storage {
 public:
  void store(const checkpoint&) override {
    ++attempts;
    throw std::runtime_error("no space left on the device");
  }
  std::optional<checkpoint> newest() override { return std::nullopt; }
  std::atomic<int> attempts{0};
};

}  // namespace

TEST_CASE("a pipeline on threads that is cancelled again and again ends with exact sums") {
  constexpr int count = 400'000;
  for (const std::size_t workers : {1U, 3U}) {
    auto storage = std::make_shared<memory_checkpoints>();
    const auto out = std::make_shared<committed>();
    std::uint64_t completed = 0;
    for (int life = 0; life < 6; ++life) {
      pipeline p("sums");
      p.parallelism(workers).checkpoint_to(storage, {.every = 1ms});
      assemble(p, count, out);
      p.start();
      if (life < 5) {
        std::this_thread::sleep_for(8ms);
        p.cancel();
      }
      p.wait();
      completed += p.status().checkpoints.completed;
    }
    CHECK(completed > 0);
    std::map<int, tally> expected;
    for (int i = 0; i < count; ++i) {
      expected[i % 97].sum += i;
      ++expected[i % 97].n;
    }
    REQUIRE(out->by_key.size() == expected.size());
    for (const auto& [key, t] : expected) {
      CHECK(out->by_key[key].sum == t.sum);
      CHECK(out->by_key[key].n == t.n);
    }
  }
}

TEST_CASE("dead letters into a sink that commits under checkpoints end with the pipeline") {
  for (const std::size_t workers : {1U, 2U}) {
    INFO(workers << " workers");
    const testing::temporary_directory directory;
    testing::simulation sim({.workers = workers, .seed = 5});
    pipeline p("letters");
    p.parallelism(workers).checkpoint_to(std::make_shared<memory_checkpoints>(), {.every = 1h});
    memory::sink<int> out;
    p.source("texts", file::source{{.path = directory.write("in.txt", "{\"value\":1}\nno JSON\n")}})
        .decode<parsed>(json)
        .key_by([](const parsed& v) { return v.value; })
        .process<int>("count", [](const parsed& v, tally&, auto& ctx) { ctx.emit(v.value); })
        .to("out", out);
    p.dead_letters()
        .map([](const dead_letter& d) { return d.payload; })
        .to("dead", file::sink{{.path = directory.file("dead.txt")}, plain_text});
    p.start(sim);
    sim.advance(10s);  // less than the interval: it asks for its last checkpoint
    REQUIRE(sim.ended());
    CHECK(out.values() == std::vector<int>{1});
    CHECK(directory.read("dead.txt") == "no JSON\n");
    CHECK(p.status().checkpoints.completed >= 1);
  }
}

TEST_CASE("a checkpoint that cannot be stored is said, and the pipeline goes on") {
  auto storage = std::make_shared<failing_storage>();
  const auto out = std::make_shared<committed>();
  pipeline p("failing");
  std::mutex mutex;
  std::string log;
  p.log_to([&](const log_record& r) {
    const std::lock_guard lock(mutex);
    log += std::string(r.message) + "\n";
  });
  p.checkpoint_to(storage, {.every = 1ms});
  memory::queue<int> in;
  memory::sink<int> numbers;
  p.source("in", in).to("out", numbers);
  p.start();
  in.push(1);
  while (storage->attempts < 3) std::this_thread::sleep_for(1ms);
  in.push(2);
  in.close();
  p.wait();
  CHECK(numbers.values() == std::vector<int>{1, 2});
  CHECK(p.status().checkpoints.completed == 0);
  CHECK(p.status().checkpoints.failed >= 3);
  CHECK_THAT(p.status().checkpoints.last_failure, Contains("no space left"));
  CHECK_THAT(log, Contains("the one before stays valid"));
}

TEST_CASE("a checkpoint that does not fit the pipeline is refused in words") {
  auto storage = std::make_shared<memory_checkpoints>();
  const auto out = std::make_shared<committed>();
  {
    pipeline p("first");
    p.checkpoint_to(storage, {.every = 1h});
    assemble(p, 1000, out);
    p.run();  // the sink's last checkpoint
  }
  REQUIRE(storage->newest());
  {
    pipeline p("other");
    p.checkpoint_to(storage);
    memory::sink<int> numbers;
    p.source("others", number_source{3}).to("out2", numbers);
    CHECK_THROWS_WITH(p.run(), Contains("which this pipeline does not have"));
  }
  {
    auto coarse = *storage->newest();
    coarse.max_parallelism = 64;
    auto other = std::make_shared<memory_checkpoints>();
    other->store(coarse);
    pipeline p("first");
    p.checkpoint_to(other);
    assemble(p, 1000, out);
    CHECK_THROWS_WITH(p.run(), Contains("into 64 groups") && Contains("into 128"));
  }
  {
    auto broken = *storage->newest();
    for (auto& s : broken.states) s.bytes = s.bytes.substr(0, s.bytes.size() / 2);
    storage->store(broken);
    pipeline p("first");
    p.checkpoint_to(storage);
    assemble(p, 1000, out);
    CHECK_THROWS_WITH(p.run(), Contains("cannot be restored"));
  }
}

namespace {

/// Keeps something per worker and does not say how to divide it.
struct smoothing {
  using output_type = int;
  int last = 0;
  void process(int value, operator_context<int>& c) { c.emit(last = (last + value) / 2); }
  void save(snapshot_writer& to) const { to.number(last); }
  void restore(snapshot_reader& from) { last = from.number<int>(); }
};

void assemble_smoothing(pipeline& p, const std::shared_ptr<memory::queue<int>>& in) {
  memory::sink<int> numbers;
  p.source("in", *in)
      .key_by([](int i) { return i; })
      .apply("smooth", smoothing{})
      .to("out", numbers);
}

}  // namespace

TEST_CASE("state that is not divided by key is refused at another parallelism") {
  auto storage = std::make_shared<memory_checkpoints>();
  auto in = std::make_shared<memory::queue<int>>();
  {
    pipeline p("smooth");
    p.parallelism(2).checkpoint_to(storage, {.every = 1ms});
    assemble_smoothing(p, in);
    p.start();
    in->push(1);
    while (p.status().checkpoints.completed == 0) std::this_thread::sleep_for(1ms);
    p.cancel();
    p.wait();
  }
  {
    pipeline p("smooth");
    p.parallelism(3).checkpoint_to(storage);
    assemble_smoothing(p, in);
    CHECK_THROWS_WITH(p.run(), Contains("parallelism 2") && Contains("has 3") &&
                                   Contains("\"smooth\"") && Contains("rescalable"));
  }
  {
    pipeline p("smooth");
    p.parallelism(2).checkpoint_to(storage);
    assemble_smoothing(p, in);
    p.start();
    p.stop();
    p.wait();
  }
}

namespace {

/// Takes its time for the first checkpoint, and notes how many records had flowed by then.
class slow_storage final : public checkpoint_storage {
 public:
  explicit slow_storage(const std::atomic<int>& flowed) : flowed_(flowed) {}
  void store(const checkpoint& what) override {
    if (what.id == 1) {
      std::this_thread::sleep_for(50ms);
      flowed_before_first = flowed_.load();
    }
    memory_.store(what);
  }
  std::optional<checkpoint> newest() override { return memory_.newest(); }

  int flowed_before_first = -1;

 private:
  const std::atomic<int>& flowed_;
  memory_checkpoints memory_;
};

}  // namespace

TEST_CASE("no record flows before there is a checkpoint to come back to") {
  for (const std::size_t workers : {1U, 2U}) {
    std::atomic<int> flowed{0};
    const auto storage = std::make_shared<slow_storage>(flowed);
    pipeline p("begins");
    p.parallelism(workers).checkpoint_to(storage, {.every = 1h});
    p.source("numbers", memory::source<int>(std::vector<int>(10, 7)))
        .map([&flowed](int n) {
          ++flowed;
          return n;
        })
        .to("out", memory::sink<int>());
    p.run();
    CHECK(flowed == 10);
    CHECK(storage->flowed_before_first == 0);
  }
}

TEST_CASE("what a sink has saved stays in the checkpoints when it has ended before others") {
  struct held_source {
    using value_type = int;
    std::shared_ptr<std::atomic<bool>> released;
    struct reader {
      std::shared_ptr<std::atomic<bool>> released;
      poll_status poll(source_output<int>&) {
        std::this_thread::yield();
        return *released ? poll_status::end : poll_status::more;
      }
    };
    reader open(source_context&) const { return {released}; }
  };
  testing::temporary_directory folder;
  auto storage = std::make_shared<memory_checkpoints>();
  const auto released = std::make_shared<std::atomic<bool>>(false);
  pipeline p("two ends");
  p.checkpoint_to(storage, {.every = 1ms});
  p.source("short", number_source{10})
      .map([](int i) { return std::to_string(i); })
      .to("short out", file::sink{{.path = folder.file("short.txt")}, plain_text});
  p.source("long", held_source{released})
      .map([](int i) { return std::to_string(i); })
      .to("long out", file::sink{{.path = folder.file("long.txt")}, plain_text});
  p.start();
  const auto ended = [&p] {
    for (const auto& o : p.status().operators) {
      if (o.name == "short out") return o.finished;
    }
    return false;
  };
  while (!ended()) std::this_thread::sleep_for(1ms);
  const auto id_then = storage->newest()->id;
  while (storage->newest()->id < id_then + 3) std::this_thread::sleep_for(1ms);
  const auto newest = *storage->newest();
  *released = true;
  p.wait();
  const auto saved = std::find_if(newest.states.begin(), newest.states.end(),
                                  [](const auto& s) { return s.name == "short out"; });
  REQUIRE(saved != newest.states.end());
  snapshot_reader from(saved->bytes);
  CHECK(from.varint() == 0);   // no file was rotated
  CHECK(from.varint() == 20);  // ten digits, ten line feeds
}
