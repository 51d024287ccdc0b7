// SPDX-License-Identifier: Apache-2.0
// oneTBB's flow graph with the work of `fused_chain`: one message per
// event, as its API invites, and one message per batch of 512. The graph may use two threads
// (global_control), its nodes are serial; the first pass warms up. Against ours in turns, by
// processor time and by the wall clock. Prints rows.
#include "floors/fused_chain.hpp"

#include "harness/process.hpp"
#include "harness/replay_source.hpp"
#include "harness/spread.hpp"
#include "replayer/replayer.hpp"

#include <millrace/dsl/pipeline.hpp>

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <span>

namespace bench {
namespace {

namespace flow = oneapi::tbb::flow;
using floors::event;
using batch = std::shared_ptr<const std::vector<double>>;

double chain_of_ours(const floors::event_block& block, std::size_t passes) {
  double sum = 0;
  millrace::pipeline p{"chain"};
  p.source("events", replay_source(block, passes))
      .map([](const event& e) { return floors::scaled(e); })
      .filter([](double v) { return floors::wanted(v); })
      .map([](double v) { return floors::shifted(v); })
      .to("sum", noting_sink([&sum](double v) { sum += v; }));
  p.run();
  return sum;
}

/// map -> filter -> map -> sum, a node each; the graph is waited for every 8,192 events, so that
/// its queues stay bounded.
double chain_of_nodes(const floors::event_block& block, std::size_t passes) {
  double sum = 0;
  flow::graph graph;
  flow::function_node<event, double> scale(graph, flow::serial,
                                           [](const event& e) { return floors::scaled(e); });
  using filter_node = flow::multifunction_node<double, std::tuple<double>>;
  filter_node filter(graph, flow::serial, [](double v, filter_node::output_ports_type& out) {
    if (floors::wanted(v)) std::get<0>(out).try_put(v);
  });
  flow::function_node<double, double> shift(graph, flow::serial,
                                            [](double v) { return floors::shifted(v); });
  flow::function_node<double> add(graph, flow::serial, [&sum](double v) {
    sum += v;
    return flow::continue_msg{};
  });
  flow::make_edge(scale, filter);
  flow::make_edge(flow::output_port<0>(filter), shift);
  flow::make_edge(shift, add);
  for (std::size_t p = 0; p < passes; ++p) {
    for (std::size_t i = 0; i < block.events.size(); ++i) {
      scale.try_put(block.events[i]);
      if (i % 8'192 == 8'191) graph.wait_for_all();
    }
  }
  return sum;
}

/// The same with a vector of 512 values per message.
double chain_of_batches(const floors::event_block& block, std::size_t passes) {
  double sum = 0;
  flow::graph graph;
  flow::limiter_node<std::span<const event>> limit(graph, 16);
  flow::function_node<std::span<const event>, batch> scale(
      graph, flow::serial, [](std::span<const event> events) {
        auto out = std::make_shared<std::vector<double>>();
        out->reserve(events.size());
        for (const event& e : events) out->push_back(floors::scaled(e));
        return batch(std::move(out));
      });
  flow::function_node<batch, batch> filter(graph, flow::serial, [](const batch& in) {
    auto out = std::make_shared<std::vector<double>>();
    out->reserve(in->size());
    for (const double v : *in) {
      if (floors::wanted(v)) out->push_back(v);
    }
    return batch(std::move(out));
  });
  flow::function_node<batch, batch> shift(graph, flow::serial, [](const batch& in) {
    auto out = std::make_shared<std::vector<double>>(*in);
    for (double& v : *out) v = floors::shifted(v);
    return batch(std::move(out));
  });
  flow::function_node<batch, flow::continue_msg> add(graph, flow::serial, [&sum](const batch& in) {
    for (const double v : *in) sum += v;
    return flow::continue_msg{};
  });
  flow::make_edge(limit, scale);
  flow::make_edge(scale, filter);
  flow::make_edge(filter, shift);
  flow::make_edge(shift, add);
  flow::make_edge(add, limit.decrementer());
  for (std::size_t p = 0; p < passes; ++p) {
    for (std::size_t i = 0; i < block.events.size(); i += floors::run_length) {
      const std::span<const event> part(&block.events[i], floors::run_length);
      while (!limit.try_put(part)) std::this_thread::yield();
    }
  }
  graph.wait_for_all();
  return sum;
}

using program = double (*)(const floors::event_block&, std::size_t);

void against(const std::string& name, program ours, const std::string& peer, program its,
             std::size_t passes) {
  const auto block = floors::make_events({});
  std::vector<double> cpu[2];
  std::vector<double> wall[2];
  for (int r = 0; r < 6; ++r) {
    double results[2] = {0, 0};
    for (std::size_t i = 0; i < 2; ++i) {
      const std::uint64_t before = processor_time();
      const std::uint64_t start = replayer::now();
      results[i] = (i == 0 ? ours : its)(block, passes);
      if (r == 0) continue;
      const auto events = static_cast<double>(block.events.size() * passes);
      wall[i].push_back(static_cast<double>(replayer::now() - start) / events);
      cpu[i].push_back(static_cast<double>(processor_time() - before) / events);
    }
    if (results[0] != results[1]) throw std::runtime_error(peer + ": another result than ours");
  }
  print_row(compared(name, "CPU ns/event", cpu[0], peer, cpu[1]));
  print_row(compared(name, "wall ns/event", wall[0], peer, wall[1]));
}

}  // namespace
}  // namespace bench

int main() {
  try {
    const oneapi::tbb::global_control two(oneapi::tbb::global_control::max_allowed_parallelism, 2);
    bench::against("peer_chain", bench::chain_of_ours, "TBB, batches of 512",
                   bench::chain_of_batches, 50);
    bench::against("peer_chain", bench::chain_of_ours, "TBB, event by event", bench::chain_of_nodes,
                   2);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
