// SPDX-License-Identifier: Apache-2.0
// What sources and sinks keep in a crash, and that docs/concepts/guarantees.md says the same.
#include <millrace/codec/json.hpp>
#include <millrace/connectors/console.hpp>
#include <millrace/connectors/elasticsearch.hpp>
#include <millrace/connectors/file.hpp>
#include <millrace/connectors/http.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/millrace.hpp>
#include <millrace/operators/journaled.hpp>

#include "catch.hpp"

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

mqtt::source subscribed(std::uint8_t qos, std::optional<mqtt::acknowledge_mode> mode = {}) {
  mqtt::source_options o{.topic = "a", .qos = qos, .acknowledge = mode};
  o.connection.session_expiry = 1h;
  return mqtt::source{o};
}

/// A description without any promise, or with one.
struct silent_source {
  using value_type = message;
  struct reader {
    poll_status poll(source_output<message>&) { return poll_status::end; }
  };
  reader open(source_context&) const { return {}; }
};
struct silent_sink {
  struct writer {
    template <class T>
    void write(const T&, timestamp) {}
  };
  writer open(sink_context&) const { return {}; }
};
struct committing_sink {
  struct writer {
    template <class T>
    void write(const T&, timestamp) {}
    void checkpoint_complete(std::uint64_t) {}
  };
  writer open(sink_context&) const { return {}; }
};

using rows = std::vector<std::pair<std::string, delivery>>;

rows sources() {
  using mode = mqtt::acknowledge_mode;
  rows all;
  const auto add = [&all](std::string name, const auto& s) {
    all.emplace_back(std::move(name), delivery_of_source(s));
  };
  const journal_options journal{.directory = "j"};
  add("`mqtt::source`, QoS 0, with or without a journal", journaled(subscribed(0), journal));
  add("`mqtt::source`, QoS 1 or 2, `on_receive`", subscribed(1));
  add("`mqtt::source`, QoS 1 or 2, `manual`", subscribed(1, mode::manual));
  add("`mqtt::source`, QoS 1 or 2, `on_checkpoint`", subscribed(1, mode::on_checkpoint));
  add("`journaled(mqtt::source)`, QoS 1 or 2", journaled(subscribed(1), journal));
  add("`journal_source`", journal_source{{.directory = "j"}});
  add("`http::poll`, with or without a journal", http::poll{{.url = "http://a"}});
  add("`file::source`", file::source{{.path = "a"}});
  add("`memory::source`", memory::source<int>(std::vector<int>{}));
  add("a reader without `save`", silent_source{});
  return all;
}

rows sinks() {
  rows all;
  const auto add = [&all](std::string name, const auto& s) {
    all.emplace_back(std::move(name), delivery_of_sink(s));
  };
  const auto document_id = [](const message& m) { return std::string(m.topic); };
  add("`file::sink`", file::sink{{.path = "a"}});
  add("`elasticsearch::sink` with `id`",
      elasticsearch::sink{{.url = "http://a", .index = "i", .id = document_id}});
  add("`elasticsearch::sink` without", elasticsearch::sink{{.url = "http://a", .index = "i"}});
  add("`http::sink`", http::sink{{.url = "http://a"}, json});
  add("`mqtt::sink`, QoS 1 or 2", mqtt::sink{{.topic = "a", .qos = 1}});
  add("`mqtt::sink`, QoS 0", mqtt::sink{{.topic = "a"}});
  add("`console::sink`", console::sink{});
  add("a writer with `checkpoint_complete`", committing_sink{});
  add("a writer without", silent_sink{});
  return all;
}

std::string table() {
  std::string out = "| source | keeps | because |\n| --- | --- | --- |\n";
  const auto row = [&out](const auto& each) {
    out += "| " + each.first + " | " + std::string(to_string(each.second.keeps)) + " | " +
           each.second.why + " |\n";
  };
  for (const auto& s : sources()) row(s);
  out += "\n| sink | keeps | because |\n| --- | --- | --- |\n";
  for (const auto& s : sinks()) row(s);
  out += "\n| from \\ to |";
  for (const auto& s : sinks()) out += " " + s.first + " |";
  out += "\n| --- |";
  for (std::size_t i = 0; i < sinks().size(); ++i) out += " --- |";
  for (const auto& from : sources()) {
    out += "\n| " + from.first + " |";
    for (const auto& to : sinks()) {
      out += " " + std::string(to_string(std::min(from.second.keeps, to.second.keeps))) + " |";
    }
  }
  return out + "\n";
}

std::string problem_of(const pipeline& p) {
  try {
    const_cast<pipeline&>(p).run();
  } catch (const topology_error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("guarantees: docs/concepts/guarantees.md is what sources and sinks say") {
  const char* root = std::getenv("MILLRACE_SOURCE_DIR");
  const auto path = std::string(root != nullptr ? root : ".") + "/docs/concepts/guarantees.md";
  const std::string begin = "<!-- written by tests/dsl/guarantees.cpp -->\n";
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  const auto at = text.str().find(begin);
  REQUIRE(at != std::string::npos);
  const auto wanted = text.str().substr(0, at) + begin + table();
  if (std::getenv("MILLRACE_WRITE_DOCS") != nullptr) std::ofstream(path) << wanted;
  INFO("MILLRACE_WRITE_DOCS=1 writes it");
  CHECK(text.str() == wanted);
}

TEST_CASE("guarantees: a pipeline that cannot keep what is required does not start, and says why") {
  const auto storage = std::make_shared<memory_checkpoints>();
  const auto required = [&storage](guarantee g, auto in, auto out) {
    pipeline p("p");
    p.require(g).checkpoint_to(storage);
    p.source("in", std::move(in)).to("out", std::move(out));
    return problem_of(p);
  };
  const auto numbers = [] { return memory::source<int>(std::vector<int>{1}); };
  CHECK(required(guarantee::exactly_once, numbers(), committing_sink{}).empty());
  CHECK(required(guarantee::at_least_once, numbers(), silent_sink{}).empty());
  CHECK(required(guarantee::at_most_once, silent_source{}, silent_sink{}).empty());
  CHECK_THAT(required(guarantee::exactly_once, numbers(), silent_sink{}),
             ContainsSubstring("require(exactly once): the sink \"out\" keeps at least once"));
  CHECK_THAT(required(guarantee::at_least_once, silent_source{}, silent_sink{}),
             ContainsSubstring("the source \"in\" keeps at most once") &&
                 ContainsSubstring("set a reader with save and restore, or journaled("));
  CHECK_THAT(required(guarantee::exactly_once, subscribed(1), committing_sink{}),
             ContainsSubstring("acknowledges before a message is processed") &&
                 ContainsSubstring("journaled(mqtt::source"));
  CHECK_THAT(required(guarantee::at_least_once, numbers(),
                      mqtt::sink{{.topic = "a"}, [](int n) { return std::to_string(n); }}),
             ContainsSubstring("set qos 1 or 2"));
  pipeline without("p");
  without.require(guarantee::at_least_once);
  without.source("in", numbers()).to("out", committing_sink{});
  CHECK_THAT(problem_of(without),
             ContainsSubstring("no checkpoints are taken; call checkpoint_to"));
}

TEST_CASE("guarantees: dead letters and sources that feed broadcasts are left out") {
  pipeline p("p");
  p.require(guarantee::exactly_once).checkpoint_to(std::make_shared<memory_checkpoints>());
  p.source("in", memory::source<int>(std::vector<int>{1})).to("out", committing_sink{});
  p.dead_letters().to("letters", silent_sink{});
  CHECK(problem_of(p).empty());
}

TEST_CASE("guarantees: the plan says what each source and sink keeps") {
  pipeline p("p");
  p.source("in", silent_source{}).to("out", committing_sink{});
  const auto text = p.explain();
  CHECK_THAT(text, ContainsSubstring("at most once") && ContainsSubstring("exactly once"));
}
