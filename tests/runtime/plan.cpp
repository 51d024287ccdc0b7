// SPDX-License-Identifier: Apache-2.0
#include <millrace/runtime/plan.hpp>

#include "catch.hpp"

using namespace millrace;

namespace {

/// Two sources, a fused run, a window by key on two workers, and a side output to a sink.
pipeline_plan example() {
  pipeline_plan plan;
  plan.pipeline = "city";
  plan.workers = 2;
  plan.nodes.push_back({"stations", "source", 1, false, {}, {{"guarantee", "at least once"}}});
  plan.nodes.push_back({"models", "source", 1, false, {}, {}});
  plan.nodes.push_back({"decode", "decode.event_time", 1, false, {{0, "", {}, false}}, {}});
  plan.nodes.push_back({"statistics",
                        "window",
                        2,
                        true,
                        {{2, "", plan_route::by_key, false}},
                        {{"window", "10s by 1s"}, {"no lateness", ""}}});
  plan.nodes.push_back(
      {"score",
       "async_map",
       2,
       false,
       {{3, "", plan_route::same_thread, false}, {1, "", plan_route::broadcast, true}},
       {}});
  plan.nodes.push_back({"late", "sink", 1, false, {{3, "late", plan_route::hand_over, false}}, {}});
  return plan;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("plan: as text each node stands in a line, deeper than what feeds it") {
  CHECK(
      to_text(example()) ==
      "pipeline city, 2 workers\n"
      "  stations  [source], guarantee at least once\n"
      "  models  [source]\n"
      "    decode  [decode.event_time]  <- stations\n"
      "      statistics  [window], 2 instances, keyed state, window 10s by 1s, no lateness"
      "  <- decode (by key)\n"
      "        score  [async_map], 2 instances  <- statistics, models (to every worker, no say in "
      "time)\n"
      "        late  [sink]  <- statistics (late, handed over)\n");
}

TEST_CASE("plan: as a Mermaid chart it names all nodes and marks where threads change") {
  const auto text = to_mermaid(example());
  CHECK(text.starts_with("flowchart LR\n"));
  CHECK(text.find("  n0([\"stations<br/>source<br/>guarantee at least once\"])\n") !=
        std::string::npos);
  CHECK(text.find("  n3[(\"statistics<br/>window<br/>2 instances<br/>keyed state") !=
        std::string::npos);
  CHECK(text.find("  n0 --> n2\n") != std::string::npos);
  CHECK(text.find("  n2 ==>|\"by key\"| n3\n") != std::string::npos);
  CHECK(text.find("  n3 ==>|\"late, handed over\"| n5\n") != std::string::npos);
  CHECK(count(text, "==>") == 3);
}

TEST_CASE("plan: as a digraph it is one that Graphviz reads") {
  const auto text = to_dot(example());
  CHECK(text.starts_with("digraph \"city\" {\n"));
  CHECK(text.ends_with("}\n"));
  CHECK(count(text, "[label=") == 6 + 5);
  CHECK(
      text.find("n1 -> n4 [label=\"to every worker, no say in time\", penwidth=2, style=dashed]") !=
      std::string::npos);
}

TEST_CASE("plan: names with quotes, markup and line feeds break no format") {
  pipeline_plan plan;
  plan.pipeline = "a \"b\"\n\\";
  plan.nodes.push_back({"x\"]\n<script>#`", "source\\", 1, false, {}, {}});
  CHECK(count(to_text(plan), "\n") == 2);
  const auto mermaid = to_mermaid(plan);
  CHECK(count(mermaid, "\n") == 2);
  CHECK(mermaid.find("x#quot;] #lt;script#gt;#35;#96;") != std::string::npos);
  const auto dot = to_dot(plan);
  CHECK(dot.find("digraph \"a \\\"b\\\" \\\\\" {") == 0);
  CHECK(dot.find("source\\\\\"") != std::string::npos);
}

TEST_CASE("plan: an empty pipeline has a plan, too") {
  CHECK(to_text({}) == "pipeline , 1 worker\n");
  CHECK(to_mermaid({}) == "flowchart LR\n");
  CHECK(to_dot({}).ends_with("}\n"));
}
