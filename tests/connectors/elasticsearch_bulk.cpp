// SPDX-License-Identifier: Apache-2.0
// The bulk state machine against a model of a server that does everything wrong it may.
#include <millrace/connectors/elasticsearch/bulk.hpp>

#include "catch.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace millrace;
using namespace millrace::elasticsearch;
using namespace std::chrono_literals;

namespace {

using std::chrono::nanoseconds;

struct recorded_events : bulk_events {
  void rejected(std::string_view reason, std::string_view document, timestamp) override {
    reasons.emplace_back(reason);
    documents.emplace_back(document);
  }
  void refused(error reason) override { refusal = std::move(reason); }
  void will_retry(const error& reason, nanoseconds delay) override {
    retries.push_back(reason.to_string());
    delays.push_back(delay);
  }
  std::vector<std::string> reasons;
  std::vector<std::string> documents;
  std::optional<error> refusal;
  std::vector<std::string> retries;
  std::vector<nanoseconds> delays;
};

void add(bulk_machine& machine, std::string_view id, std::string_view document,
         nanoseconds now = {}) {
  std::string& body = machine.begin();
  body.append("{\"index\":{\"_id\":\"").append(id).append("\"}}\n");
  const auto at = body.size();
  body.append(document);
  machine.commit(at, id.empty() ? 0 : std::hash<std::string_view>{}(id) % 64 + 1, {}, now);
}

std::string item(unsigned status, std::string_view error = {}) {
  std::string text = "{\"index\":{\"status\":" + std::to_string(status);
  if (!error.empty()) text.append(",\"error\":").append(error);
  return text + "}}";
}

std::string answer(const std::vector<std::string>& items) {
  std::string text = "{\"errors\":true,\"items\":[";
  for (const auto& i : items) text += (text.back() == '[' ? "" : ",") + i;
  return text + "]}";
}

struct written {
  std::string id;
  std::string document;
};

std::vector<written> documents_of(std::string_view body) {
  std::vector<written> all;
  while (!body.empty()) {
    const auto action = body.substr(0, body.find('\n'));
    body.remove_prefix(action.size() + 1);
    const auto document = body.substr(0, body.find('\n'));
    body.remove_prefix(document.size() + 1);
    auto id = action.substr(action.find("_id\":\"") + 6);
    all.push_back({std::string(id.substr(0, id.find('"'))), std::string(document)});
  }
  return all;
}

const bulk_options quick{.age = 10ms,
                         .backoff = {.shortest = 1ms, .initial = 2ms, .longest = 50ms}};

}  // namespace

TEST_CASE("documents are sent when there are enough of them, when they are large, or when old") {
  recorded_events events;
  metric_group metrics;
  auto options = quick;
  options.items = 3;
  options.bytes = 200;
  bulk_machine machine(operation::index, options, events, metrics);
  CHECK_FALSE(machine.deadline());
  add(machine, "a", "1", 5ms);
  CHECK_FALSE(machine.next(6ms));
  CHECK(machine.deadline() == 15ms);
  add(machine, "b", "2", 7ms);
  CHECK_FALSE(machine.full());
  add(machine, "c", "3", 8ms);
  CHECK(machine.full());
  const auto first = machine.next(9ms);
  REQUIRE(first);
  CHECK(first->items == 3);
  CHECK(first->body ==
        "{\"index\":{\"_id\":\"a\"}}\n1\n{\"index\":{\"_id\":\"b\"}}\n2\n{\"index\":{\"_id\":\"c\"}"
        "}\n3\n");
  CHECK_FALSE(machine.full());
  add(machine, "d", std::string(300, 'x'), 9ms);
  CHECK(machine.next(9ms));
  add(machine, "e", "5", 9ms);
  CHECK_FALSE(machine.next(30ms));  // no slot is free
  CHECK_FALSE(machine.deadline());
  std::string body = answer({item(201), item(200), item(201)});
  machine.answered(first->slot, 200, body, {}, 30ms, 0);
  CHECK(machine.next(30ms)->items == 1);
  CHECK(machine.size() == 2);
  CHECK(metrics.counter("delivered").value() == 3);
}

TEST_CASE("only the items that the server could not take are sent again, in order") {
  recorded_events events;
  metric_group metrics;
  bulk_machine machine(operation::index, quick, events, metrics);
  for (const char* id : {"a", "b", "c", "d", "e"}) add(machine, id, id);
  machine.flush();
  const auto first = machine.next(0ms);
  std::string body =
      answer({item(429, R"({"type":"rejected_execution_exception","reason":"full"})"), item(201),
              item(400, R"({"type":"mapper_parsing_exception","reason":"no date",
                                           "caused_by":{"type":"x","reason":"deep"}})"),
              item(503), item(200)});
  machine.answered(first->slot, 200, body, {}, 0ms, ~0ULL);
  CHECK_FALSE(machine.next(0ms));
  const auto due = machine.deadline();
  REQUIRE(due);
  CHECK(*due <= 2ms);
  const auto second = machine.next(*due);
  REQUIRE(second);
  CHECK(second->body == "{\"index\":{\"_id\":\"a\"}}\na\n{\"index\":{\"_id\":\"d\"}}\nd\n");
  REQUIRE(events.reasons.size() == 1);
  CHECK(events.reasons[0] == "status 400, mapper_parsing_exception: no date, caused by x: deep");
  CHECK(events.documents[0] == "c");
  body = answer({item(200), item(200)});
  machine.answered(second->slot, 200, body, {}, *due, 0);
  CHECK(machine.empty());
  CHECK(metrics.counter("delivered").value() == 4);
  CHECK(metrics.counter("item_retries").value() == 2);
}

TEST_CASE("an error that may be the document's fault is retried a bounded number of times") {
  recorded_events events;
  metric_group metrics;
  auto options = quick;
  options.item_attempts = 3;
  bulk_machine machine(operation::index, options, events, metrics);
  add(machine, "a", "1");
  add(machine, "b", "2");
  machine.flush();
  nanoseconds now{};
  int sent = 0;
  while (const auto request = machine.next(now)) {
    ++sent;
    std::string body = request->items == 2 ? answer({item(500, "\"odd\""), item(429)})
                                           : answer({item(sent < 20 ? 429 : 201)});
    machine.answered(request->slot, 200, body, {}, now, 0);
    now = machine.deadline().value_or(now);
  }
  CHECK(sent == 20);
  CHECK(events.reasons == std::vector<std::string>{"status 500, : odd"});
  CHECK(machine.empty());
}

TEST_CASE("with create, a document that is there already has been delivered") {
  recorded_events events;
  metric_group metrics;
  bulk_machine machine(operation::create, quick, events, metrics);
  add(machine, "a", "1");
  machine.flush();
  const auto request = machine.next(0ms);
  std::string body =
      "{\"errors\":true,\"items\":[{\"create\":{\"status\":409,\"error\":{\"type\":"
      "\"version_conflict_engine_exception\",\"reason\":\"document already exists\"}}}]}";
  machine.answered(request->slot, 200, body, {}, 0ms, 0);
  CHECK(machine.empty());
  CHECK(events.reasons.empty());
  CHECK(metrics.counter("already_there").value() == 1);
}

TEST_CASE("requests that fail as a whole are sent again for ever, with growing waits") {
  recorded_events events;
  metric_group metrics;
  bulk_machine machine(operation::index, quick, events, metrics);
  add(machine, "a", "1");
  machine.flush();
  nanoseconds now{};
  for (int i = 0; i < 100; ++i) {
    const auto request = machine.next(now);
    REQUIRE(request);
    std::string body = i % 5 == 4 ? "{\"errors\":false,\"items\":[]}" : "<html>";
    switch (i % 5) {
      case 0: machine.failed(request->slot, {errc::timeout, {}}, now, ~0ULL); break;
      case 1: machine.answered(request->slot, 503, body, {}, now, ~0ULL); break;
      case 2: machine.answered(request->slot, 429, body, 7s, now, ~0ULL); break;
      default: machine.answered(request->slot, 200, body, {}, now, ~0ULL);
    }
    now = *machine.deadline();
  }
  CHECK(events.delays[0] <= 2ms);
  CHECK(events.delays[2] == 7s);  // what the server asked for
  CHECK(events.delays[98] > 40ms);
  CHECK(events.retries[1] ==
        "HTTP status 503: <html>: " + make_error_code(errc::unavailable).message());
  std::string body = answer({item(200)});
  machine.answered(machine.next(now)->slot, 200, body, {}, now, 0);
  CHECK(machine.empty());
  CHECK(events.reasons.empty());
}

TEST_CASE("wrong credentials and a wrong URL end it, with the server's words") {
  for (const auto& [status, code] :
       {std::pair{401U, errc::connection_refused}, std::pair{403U, errc::connection_refused},
        std::pair{404U, errc::rejected}, std::pair{302U, errc::rejected}}) {
    recorded_events events;
    metric_group metrics;
    bulk_machine machine(operation::index, quick, events, metrics);
    add(machine, "a", "1");
    machine.flush();
    const auto request = machine.next(0ms);
    std::string body = R"({"error":{"root_cause":[],"type":"security_exception",
        "reason":"missing credentials"},"status":401})";
    machine.answered(request->slot, status, body, {}, 0ms, 0);
    REQUIRE(events.refusal);
    CHECK(events.refusal->code == code);
    CHECK(events.refusal->message == "bulk request refused with HTTP status " +
                                         std::to_string(status) +
                                         ": security_exception: missing credentials");
    CHECK_FALSE(machine.next(1h));
    CHECK_FALSE(machine.deadline());
  }
}

TEST_CASE("the later of two documents with one id wins, whatever the server does to the earlier") {
  recorded_events events;
  metric_group metrics;
  auto options = quick;
  options.items = 2;
  bulk_machine machine(operation::index, options, events, metrics);
  add(machine, "a", "old");
  add(machine, "a", "new");
  const auto request = machine.next(0ms);
  SECTION("in one request: the earlier one is not sent again") {
    std::string body = answer({item(429), item(200)});
    machine.answered(request->slot, 200, body, {}, 0ms, 0);
    CHECK(machine.empty());
    CHECK(metrics.counter("superseded").value() == 1);
  }
  SECTION("in two requests: the second waits for the first") {
    add(machine, "b", "other");
    add(machine, "a", "newest");
    CHECK_FALSE(machine.next(0ms));
    CHECK(machine.full());
    machine.failed(request->slot, {errc::timeout, {}}, 0ms, 0);
    const auto again = machine.next(1h);
    REQUIRE(again);
    CHECK(documents_of(again->body)[1].document == "new");
    CHECK_FALSE(machine.next(1h));
    std::string body = answer({item(200), item(200)});
    machine.answered(again->slot, 200, body, {}, 1h, 0);
    CHECK(documents_of(machine.next(1h)->body)[1].document == "newest");
  }
}

TEST_CASE("what is not delivered can be taken over by another machine") {
  recorded_events events;
  metric_group metrics;
  auto options = quick;
  options.items = 2;
  bulk_machine machine(operation::index, options, events, metrics);
  for (const char* id : {"a", "b", "c", "d", "e", "f", "g"}) {
    add(machine, id, id);
    machine.next(0ms);
  }
  bulk_machine heir(operation::index, quick, events, metrics);
  machine.for_each(
      [&](std::string_view text, std::size_t document, std::uint64_t key, timestamp t) {
        std::string& body = heir.begin();
        const auto at = body.size();
        body.append(text);
        heir.commit(at + document, key, t, {});
      });
  heir.flush();
  std::string all;
  for (const auto& d : documents_of(heir.next(0ms)->body)) all += d.id + d.document;
  CHECK(all == "aabbccddeeffgg");
}

TEST_CASE("every document has exactly one outcome, and the last version stays, with any server") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto one_in = [&](unsigned n) { return random() % n == 0; };

  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    const auto op = one_in(3) ? operation::create : operation::index;
    bulk_options options = quick;
    options.items = 1 + random() % 20;
    options.bytes = 50 + random() % 2000;
    options.in_flight = 1 + random() % 4;
    const std::size_t server_limit = one_in(2) ? 60 + random() % 1000 : std::string::npos;
    const unsigned trouble = 2 + static_cast<unsigned>(random() % 10);
    recorded_events events;
    metric_group metrics;
    bulk_machine machine(op, options, events, metrics);

    std::map<std::string, std::string> store;  // the server
    const auto serve = [&](std::string_view body, std::string& out) -> unsigned {
      if (body.size() > server_limit) return 413;
      const auto documents = documents_of(body);
      for (const auto& d : documents) {
        if (d.document.find("unseen") != std::string::npos) return 400;
      }
      if (one_in(trouble)) return one_in(2) ? 429 : 503;
      std::vector<std::string> items;
      std::set<std::string> refused_now;  // a shard that is busy stays busy for the request,
      for (const auto& d : documents) {   // but a document may also fail alone
        if (d.document.find("poison") != std::string::npos) {
          items.push_back(item(400, R"({"type":"mapper_parsing_exception","reason":"bad"})"));
        } else if (one_in(trouble)) {
          items.push_back(item(one_in(2) ? 429 : 503, R"({"type":"busy","reason":"later"})"));
        } else if (op == operation::create && store.count(d.id) != 0) {
          items.push_back(item(409));
        } else {
          items.push_back(item(store.count(d.id) != 0 ? 200 : 201));
          store[d.id] = d.document;
        }
      }
      out = answer(items);
      return 200;
    };

    std::map<std::string, std::string> expected;
    std::multiset<std::string> expected_letters;
    std::map<std::size_t, std::string> flying;
    nanoseconds now{};
    const auto pump = [&] {
      while (const auto request = machine.next(now)) {
        for (const auto& d : documents_of(request->body)) {
          for (const auto& [slot, other] : flying) {
            for (const auto& o : documents_of(other)) REQUIRE(o.id != d.id);
          }
        }
        flying[request->slot] = request->body;
        REQUIRE(flying.size() <= options.in_flight);
      }
      REQUIRE(machine.size() <= options.items * (options.in_flight + 2) + 1);
    };
    const auto step = [&] {
      pump();
      if (flying.empty() || one_in(4)) {
        now = machine.deadline().value_or(now + 1ms);
        pump();
        if (flying.empty()) return;
      }
      auto chosen = std::next(flying.begin(), static_cast<long>(random() % flying.size()));
      const auto [slot, body] = *chosen;
      flying.erase(chosen);
      std::string out = "try later";
      const bool lost_before = one_in(trouble);
      const unsigned status = lost_before ? 0 : serve(body, out);
      if (lost_before || one_in(2 * trouble)) {
        machine.failed(slot, {errc::connection_closed, {}}, now, random());
      } else {
        machine.answered(slot, status, out, {}, now, random());
      }
      pump();
    };

    const int count = 300;
    for (int i = 0; i < count; ++i) {
      while (machine.full()) step();
      const auto id = "id" + std::to_string(random() % 60);
      std::string document = "doc " + std::to_string(i);
      if (one_in(15))
        document += " poison";
      else if (one_in(40))
        document += " unseen";
      if (document.find_first_of("pu") != std::string::npos) {
        expected_letters.insert(document);
      } else if (op == operation::index) {
        expected[id] = document;
      } else {
        expected.emplace(id, document);
      }
      add(machine, id, document, now);
      if (one_in(3)) step();
    }
    machine.flush();
    for (int steps = 0; !machine.empty(); ++steps) {
      REQUIRE(steps < 100000);
      step();
    }
    // A server limit below one document rejects it, rightly.
    const auto oversized = metrics.counter("rejected").value() - expected_letters.size();
    if (oversized == 0) {
      if (op == operation::index) REQUIRE(store == expected);
      REQUIRE(std::multiset<std::string>(events.documents.begin(), events.documents.end()) ==
              expected_letters);
    }
    if (server_limit == std::string::npos) REQUIRE(oversized == 0);
    REQUIRE(metrics.counter("delivered").value() + metrics.counter("already_there").value() +
                metrics.counter("superseded").value() + metrics.counter("rejected").value() ==
            static_cast<std::uint64_t>(count));
    if (op == operation::create && oversized == 0) {
      for (const auto& [id, document] : expected) REQUIRE(store.count(id) == 1);
      REQUIRE(store.size() == expected.size());
    }
    REQUIRE_FALSE(events.refusal);
  }
}

TEST_CASE("answers in odd shapes are read, or refused, but never trusted") {
  std::vector<bulk_item_result> items;
  std::string body = R"({"items":[{"create":{"error":{"reason":"x","type":"t"},"status":400}},
                          {"index":{"status":200,"_id":"\u00e9"}}],"errors":true,"took":3})";
  REQUIRE(parse_bulk_response(body, items));
  REQUIRE(items.size() == 2);
  CHECK(items[0].type == "t");
  CHECK(items[1].status == 200);
  const std::string whole = R"({"errors":false,"items":[{"index":{"status":200}}]})";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    std::string torn = whole.substr(0, cut);
    CHECK_FALSE(parse_bulk_response(torn, items));
    CHECK(items.empty());
  }
  for (const char* text : {"", "[]", "{}", "{\"items\":{}}", "{\"items\":[1]}", "{\"items\":[{}]}",
                           "{\"items\":[{\"index\":{\"status\":\"200\"}}]}",
                           "{\"items\":[{\"index\":{\"status\":-1}}]}",
                           "{\"items\":[{\"index\":{}}]}", "\xff\xfe{}"}) {
    std::string odd = text;
    CAPTURE(odd);
    CHECK_FALSE(parse_bulk_response(odd, items));
  }
  std::string deep = "{\"items\":[{\"index\":{\"status\":400,\"error\":";
  for (int i = 0; i < 100; ++i) deep += "{\"reason\":\"r\",\"caused_by\":";
  deep += "1" + std::string(100, '}') + "}}]}";
  CHECK(parse_bulk_response(deep, items));
  CHECK(error_reason("<html>\n" + std::string(10000, 'x')).size() < 600);
  CHECK(error_reason(R"({"error":"no handler found for uri","status":400})") ==
        "no handler found for uri");
  CHECK(is_acknowledged(R"({"acknowledged":true,"shards":1})"));
  CHECK_FALSE(is_acknowledged(R"({"acknowledged":false})"));
  CHECK_FALSE(is_acknowledged("ok"));
}
