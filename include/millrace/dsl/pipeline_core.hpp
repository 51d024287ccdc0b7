// SPDX-License-Identifier: Apache-2.0
/// \file
/// What streams of one pipeline share while it is assembled.
#pragma once

#include <millrace/runtime/dead_letters.hpp>
#include <millrace/runtime/graph.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// Where a stream comes from.
struct stream_origin {
  node_id node = 0;
  std::size_t port = 0;
};

/// The graph under construction.
class pipeline_core {
 public:
  graph& nodes() noexcept { return graph_; }
  const graph& nodes() const noexcept { return graph_; }

  /// Adds a node with a factory; edges are added with `connect`.
  template <class Make>
  node_id add(std::string kind, std::string name, bool parallel, Make make) {
    auto node =
        std::make_unique<made_node<Make>>(std::move(kind), std::move(name), std::move(make));
    node->parallel = parallel;
    return graph_.add(std::move(node));
  }

  template <class T>
  void connect(stream_origin from, node_id to, routing route = routing::direct) {
    MILLRACE_ASSERT(from.node < to);
    graph_.node(to).inputs.push_back(
        {from.node, from.port, route, &edge_type_of<T>(), route == routing::broadcast});
  }

  bool parallel(stream_origin from) { return graph_.node(from.node).parallel; }
  domain_id domain(stream_origin from) { return graph_.node(from.node).domain; }
  void set_domain(node_id node, domain_id domain) {
    graph_.node(node).domain = domain;
    graph_.node(node).keyed_state = true;
  }

  /// What a source or sink keeps.
  void set_delivery(node_id node, delivery keeps) { graph_.node(node).delivers = std::move(keeps); }

  /// What the plan says of a node: ("window", "10s by 1s"), ("ordered", "").
  void note(node_id node, std::string name, std::string value) {
    graph_.node(node).properties.emplace_back(std::move(name), std::move(value));
  }

 private:
  graph graph_;
};

/// A factory that makes one instance per worker from a prototype: copies it where it can be copied,
/// moves it into the only instance where not.
template <class Prototype, class F>
struct prototype_factory {
  static constexpr bool reusable = std::is_copy_constructible_v<Prototype>;

  auto operator()(build_context& context) {
    if constexpr (reusable) {
      return make(Prototype(prototype), context);
    } else {
      return make(std::move(prototype), context);
    }
  }

  Prototype prototype;
  F make;
};
template <class Prototype, class F>
auto from_prototype(Prototype prototype, F make) {
  return prototype_factory<Prototype, F>{std::move(prototype), std::move(make)};
}

}  // namespace millrace
