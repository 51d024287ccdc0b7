// SPDX-License-Identifier: Apache-2.0
/// \file
/// The logical graph that the DSL builds: nodes with names and typed edges. Built on one thread,
/// read-only once the pipeline runs.
#pragma once

#include <millrace/base/guarantee.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/runtime/channel.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace {

using node_id = std::uint32_t;
using domain_id = std::uint32_t;  ///< keyed streams that are joined share one key table per worker

inline constexpr domain_id no_domain = ~domain_id{0};

/// How records get from the instances of one node to those of the next.
enum class routing : std::uint8_t {
  direct,     ///< to the instance on the same worker; to the only instance when there is one
  by_key,     ///< to the worker that owns the key's group
  broadcast,  ///< to all instances
};

/// What a factory may use: where the instance will run, and the key tables there.
class build_context {
 public:
  build_context(std::uint32_t worker, const std::vector<domain_id>& domains)
      : worker_(worker), domains_(&domains) {}

  std::uint32_t worker() const noexcept { return worker_; }

  /// The table of type `Table` of a key domain on this worker, made on first use.
  template <class Table>
  std::shared_ptr<Table> table(domain_id domain) {
    auto& entry = tables_[(*domains_)[domain]];
    if (!entry.table) {
      auto made = std::make_shared<Table>();
      sweeps_.push_back([table = made.get()] { table->sweep(); });
      entry = {made};
    }
    return std::static_pointer_cast<Table>(entry.table);
  }

  /// One call per table: frees the keys without state.
  std::vector<std::function<void()>>& sweeps() noexcept { return sweeps_; }

 private:
  struct entry_type {
    std::shared_ptr<void> table;
  };

  std::uint32_t worker_;
  const std::vector<domain_id>* domains_;
  std::unordered_map<domain_id, entry_type> tables_;
  std::vector<std::function<void()>> sweeps_;
};

/// What the plan needs to know of a record type: one object per type, for its address.
struct edge_type {
  void (*connect)(void* output, void* receiver, activity* who);
  void (*add_side_output)(subtask& owner, const void* tag);
  std::shared_ptr<void> (*make_ring)(std::size_t batches);
  std::unique_ptr<subtask> (*make_sender)(std::vector<std::shared_ptr<void>> rings, bool broadcast);
  std::unique_ptr<subtask> (*make_receiver)(std::vector<std::shared_ptr<void>> rings);
  void (*set_wakes)(const std::shared_ptr<void>& ring, std::function<void()> producer,
                    std::function<void()> consumer);
};

/// The one `edge_type` of T.
template <class T>
const edge_type& edge_type_of() {
  static constexpr edge_type type{
      [](void* out, void* in, activity* who) {
        static_cast<output<T>*>(out)->connect(static_cast<receiver<T>*>(in), who);
      },
      [](subtask& owner, const void* tag) { owner.add_side_output<T>(tag); },
      [](std::size_t batches) -> std::shared_ptr<void> {
        return std::make_shared<batch_ring<T>>(batches);
      },
      [](std::vector<std::shared_ptr<void>> rings, bool broadcast) -> std::unique_ptr<subtask> {
        return std::make_unique<channel_sender<T, to_workers>>(rings_of<T>(rings),
                                                               to_workers{broadcast});
      },
      [](std::vector<std::shared_ptr<void>> rings) -> std::unique_ptr<subtask> {
        return std::make_unique<channel_receiver<T>>(rings_of<T>(rings));
      },
      [](const std::shared_ptr<void>& ring, std::function<void()> producer,
         std::function<void()> consumer) {
        auto& typed = *static_cast<batch_ring<T>*>(ring.get());
        typed.wake_producer = std::move(producer);
        typed.wake_consumer = std::move(consumer);
      }};
  return type;
}

/// From output `port` of `from` to one input of the node that holds the edge.
struct graph_edge {
  node_id from;
  std::size_t port;
  routing route;
  const edge_type* type;
  bool auxiliary = false;  ///< feeds an input that has no say in watermarks and the end
};

/// A node of the graph: what it is called, and how its instances are made.
class graph_node {
 public:
  graph_node(std::string what, std::string called)
      : kind(std::move(what)), name(std::move(called)) {}
  graph_node(const graph_node&) = delete;
  graph_node& operator=(const graph_node&) = delete;
  virtual ~graph_node() = default;

  virtual std::unique_ptr<subtask> make(build_context& context) = 0;

  /// Whether instances can be made again, for a restart: not when it has given away what cannot be
  /// copied.
  virtual bool reusable() const noexcept { return true; }

  /// The sending end of a `by_key` edge into this node.
  virtual std::unique_ptr<subtask> make_partitioner(std::vector<std::shared_ptr<void>>) {
    return nullptr;
  }

  std::string kind;       ///< "map", "window", ...
  std::string name;       ///< unique; the id under which state is restored
  bool parallel = false;  ///< one instance per worker instead of one
  bool collects_dead_letters = false;
  std::optional<delivery> delivers{};  ///< of sources and sinks
  domain_id domain = no_domain;
  bool keyed_state = false;  ///< keeps state per key
  std::vector<graph_edge> inputs;
  std::vector<std::pair<std::string, std::string>> properties;  ///< for the plan, in words
  struct side {
    const void* tag;
    const edge_type* type;
    std::string name;
  };
  std::vector<side> sides;  ///< side outputs somebody listens to: ports 1, 2, ...
};

/// A node whose factory is a callable `unique_ptr<subtask>(build_context&)`.
template <class Make>
class made_node final : public graph_node {
 public:
  made_node(std::string what, std::string called, Make make)
      : graph_node(std::move(what), std::move(called)), make_(std::move(make)) {}
  std::unique_ptr<subtask> make(build_context& context) override { return make_(context); }
  bool reusable() const noexcept override {
    if constexpr (requires { Make::reusable; }) return Make::reusable;
    return true;
  }

 private:
  Make make_;
};

/// Nodes in topological order (an edge always leads to a later node).
class graph {
 public:
  /// Adds a node; an empty name is replaced by kind and number.
  node_id add(std::unique_ptr<graph_node> node) {
    const auto id = static_cast<node_id>(nodes_.size());
    if (node->name.empty()) node->name = node->kind + "-" + std::to_string(id);
    nodes_.push_back(std::move(node));
    return id;
  }

  graph_node& node(node_id id) noexcept { return *nodes_[id]; }
  const graph_node& node(node_id id) const noexcept { return *nodes_[id]; }
  std::size_t size() const noexcept { return nodes_.size(); }

  /// The output port of a side output, added on first use.
  std::size_t side_port(node_id id, const void* tag, const edge_type& type, std::string name) {
    auto& sides = nodes_[id]->sides;
    for (std::size_t i = 0; i < sides.size(); ++i) {
      if (sides[i].tag == tag) return i + 1;
    }
    sides.push_back({tag, &type, std::move(name)});
    return sides.size();
  }

  domain_id new_domain() {
    const auto id = static_cast<domain_id>(domains_.size());
    domains_.push_back(id);
    return id;
  }

  /// From now on both domains use one key table. \pre their keys have the same type
  void unite(domain_id a, domain_id b) {
    const domain_id from = domains_[b];
    const domain_id to = domains_[a];
    for (auto& d : domains_) {
      if (d == from) d = to;
    }
  }

  const std::vector<domain_id>& domains() const noexcept { return domains_; }

 private:
  std::vector<std::unique_ptr<graph_node>> nodes_;
  std::vector<domain_id> domains_;
};

}  // namespace millrace
