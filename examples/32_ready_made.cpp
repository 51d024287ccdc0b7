// SPDX-License-Identifier: Apache-2.0
// Ready-made process functions: duplicates, rates, samples, runs of records. What they take out
// goes to a side output.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <boost/describe.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct message {
  std::string device;
  int id = 0;
  millrace::timestamp at{};
};
BOOST_DESCRIBE_STRUCT(message, (), (device, id, at))

int main() {
  // A device that sends a message every 100 ms, each of them twice, and pauses after 50.
  std::vector<message> messages;
  for (int i = 0; i < 200; ++i) {
    const auto at = millrace::timestamp{i / 2 * 100ms + i / 100 * 60s};
    messages.push_back({"pump", i / 2, at});
  }
  using sink = millrace::memory::sink<message>;
  sink once, again, limited, excess, tenth, some, last;
  millrace::side_output<message> duplicates("duplicates"), too_many("too many");

  millrace::pipeline p("messages");
  auto by_device = p.source("messages", millrace::memory::source(messages))
                       .event_time(&message::at, millrace::bounded_lag{1s})
                       .key_by(&message::device);
  auto unique = by_device.deduplicate("unique", &message::id, {.within = 10min}, duplicates);
  unique.to("once", once);
  unique.side(duplicates).to("again", again);

  auto slow = unique.rate_limit("slow", {.records = 2, .per = 1s, .burst = 5}, too_many);
  slow.to("limited", limited);
  slow.side(too_many).to("excess", excess);

  unique.sample("tenth", millrace::every_nth{10}).to("every tenth", tenth);
  unique.sample("some", millrace::random_share{.share = 0.25, .seed = 7}).to("a quarter", some);
  unique.debounce("last", 30s).to("last of a run", last);
  p.run();

  std::printf("%zu once, %zu again\n", once.size(), again.size());
  std::printf("%zu within the rate, %zu beyond\n", limited.size(), excess.size());
  std::printf("%zu every tenth, %zu about a quarter\n", tenth.size(), some.size());
  for (const auto& m : last.values()) std::printf("last of a run: %d\n", m.id);
  return once.size() == 100 && again.size() == 100 && limited.size() + excess.size() == 100 &&
                 tenth.size() == 10 && last.size() == 2
             ? 0
             : 1;
}
