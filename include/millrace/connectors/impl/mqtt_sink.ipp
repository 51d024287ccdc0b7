// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/trace_context.hpp>
#include <millrace/connectors/mqtt/sink.hpp>
#include <millrace/net/mqtt/text.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <span>
#include <vector>

namespace millrace::mqtt {

namespace detail {

inline link_options sink_link_options(const sink_options& options, const std::string& part) {
  link_options link = make_link_options(options.connection, options.url, part);
  // With an id that nobody else has there is nothing to clean, and mosquitto does not write
  // sessions to disk that began with a clean start.
  const bool own_id = !options.connection.client_id.empty();
  link.session.clean_start = options.connection.clean_start.value_or(
      own_id || options.connection.session_expiry.count() == 0);
  link.session.in_flight = options.in_flight;
  link.session.send_topic_aliases = options.topic_aliases;
  if (!options.topic.empty() && !is_valid_topic_name(options.topic)) {
    wrong_option(part, "'" + options.topic +
                           "' is no topic name: it must not contain + or # and be valid UTF-8");
  }
  if (options.qos > 2) wrong_option(part, "qos must be 0, 1 or 2");
  if (options.in_flight == 0 || options.in_flight > outbound_messages::highest_packet_id) {
    wrong_option(part, "in_flight must be 1 to 60,000");
  }
  std::string encoded;
  append_properties(options.properties, encoded);
  if (const auto bad = validate_properties(property_view{encoded}, property_place::publish)) {
    wrong_option(part, std::string("properties: ") + bad.words);
  }
  if (options.properties.topic_alias || !options.properties.subscription_identifiers.empty()) {
    wrong_option(part, "properties: topic_alias and subscription_identifiers are not yours to set");
  }
  return link;
}

/// The connection of a sink. Lives until its last transfer is over.
class sink_link final : public connection {
 public:
  sink_link(sink_context& context, const sink_options& options, link_options link)
      : connection(context.env(), context.metrics(), context.name(), std::move(link)),
        context_(&context),
        options_(options),
        published_(context.metrics().counter("published")),
        bytes_(context.metrics().counter("bytes")),
        acknowledged_(context.metrics().counter("acknowledged")),
        rejected_(context.metrics().counter("rejected")),
        in_flight_(context.metrics().gauge("in_flight")),
        waiting_(context.metrics().gauge("waiting")) {
    context.metrics().gauge("in_flight_limit").set(options.in_flight);
    append_properties(options_.properties, properties_);
  }

  void publish(std::string_view topic, std::string_view payload, timestamp time);
  void trace(const trace_context* context);
  void batch_end() {
    flush();
    update();
  }
  void checkpoint() {
    checkpointing_ = true;
    flush();
    update();
  }
  void end();
  void detach() noexcept {
    env().cancel_timer(std::exchange(end_timer_, 0));
    context_ = nullptr;
    abandon(session::goodbye::end_session);
  }

 private:
  std::span<char> receive_space() override {
    if (input_end_ == input_.size()) input_.resize(input_.size() * 2);
    return {input_.data() + input_end_, input_.size() - input_end_};
  }
  void on_received(std::size_t n) override;
  void on_up() override;
  void on_down() override { input_end_ = 0; }
  void on_written() override { update(); }
  void on_closed() override { report_done(); }
  void on_failed(error reason) override {
    if (context_ != nullptr) context_->fail(std::move(reason));
  }

  void take_outcomes();
  void update();
  void report_done();

  /// Bytes that may wait for the server to read; whole batches come on top.
  static constexpr std::size_t unsent_bound = 256 * 1024;

  sink_context* context_;
  sink_options options_;
  std::string properties_;
  std::vector<char> input_ = std::vector<char>(16 * 1024);
  std::size_t input_end_ = 0;
  bool checkpointing_ = false;  // nothing new until all is acknowledged
  bool ending_ = false;
  bool done_ = false;
  timer_id end_timer_ = 0;
  counter& published_;
  counter& bytes_;
  counter& acknowledged_;
  counter& rejected_;
  gauge& in_flight_;
  gauge& waiting_;
};

MILLRACE_DECL void sink_link::publish(std::string_view topic, std::string_view payload,
                                      timestamp time) {
  if (topic.empty()) topic = options_.topic;
  if (!is_plain_topic(topic.data(), topic.size(), topic.size()) && !is_valid_topic_name(topic)) {
    rejected_.add();
    return context_->dead_letter("'" + std::string(topic) + "' is no topic name", payload, time);
  }
  session().publish({.topic = topic,
                     .payload = payload,
                     .properties = property_view{properties_},
                     .qos = options_.qos,
                     .retain = options_.retain,
                     .token = static_cast<std::uint64_t>(time.time_since_epoch().count())});
  published_.add();
  bytes_.add(payload.size());
  take_outcomes();
  if (session().output().size() >= 64 * 1024) flush();
  update();
}

MILLRACE_DECL void sink_link::trace(const trace_context* context) {
  properties_.clear();
  append_properties(options_.properties, properties_);
  const auto& own = options_.properties.user;
  const bool has_one = std::any_of(own.begin(), own.end(),
                                   [](const auto& p) { return p.first == traceparent_name; });
  if (context == nullptr || has_one) return;
  const auto add = [this](std::string_view name, std::string_view value) {
    append_property({property_id::user_property, 0, value, name}, properties_);
  };
  add(traceparent_name, to_traceparent(*context));
  if (!context->state.empty()) add(tracestate_name, context->state);
}

/// Outcomes of QoS 0 come with the write, those of QoS 1 and 2 with the acknowledgement.
MILLRACE_DECL void sink_link::take_outcomes() {
  auto& outcomes = session().publish_outcomes();
  if (outcomes.empty()) return;
  for (const auto& outcome : outcomes) {
    if (!is_failure(outcome.code)) {
      acknowledged_.add();
      continue;
    }
    rejected_.add();
    if (context_ == nullptr) continue;
    std::string reason =
        address() + " refused the message: " + std::string(to_string(outcome.code));
    if (!outcome.words.empty()) reason += " (" + outcome.words + ")";
    const timestamp time{duration{static_cast<std::int64_t>(outcome.token)}};
    context_->dead_letter(reason, outcome.payload, time);
  }
  outcomes.clear();
}

/// Blocks and unblocks, with hysteresis, and finishes when everything has been delivered.
MILLRACE_DECL void sink_link::update() {
  if (context_ == nullptr) return;
  const std::size_t unfinished = session().unfinished();
  const std::size_t waiting = session().waiting();
  const std::size_t unsent = session().output().size();
  in_flight_.set(static_cast<std::int64_t>(unfinished - waiting));
  waiting_.set(static_cast<std::int64_t>(waiting));
  if (checkpointing_ && unfinished == 0 && (options_.qos > 0 || unsent == 0)) {
    checkpointing_ = false;
    context_->checkpointed();
  }
  if (checkpointing_ || unfinished >= options_.in_flight || waiting > 0 || unsent >= unsent_bound) {
    context_->block();
  } else if (unfinished <= options_.in_flight / 2u && unsent <= unsent_bound / 2) {
    context_->unblock();
  }
  if (ending_ && unfinished == 0 && (up() || unsent == 0)) close(session::goodbye::end_session);
}

MILLRACE_DECL void sink_link::on_received(std::size_t n) {
  input_end_ += n;
  const auto result = session().receive({input_.data(), input_end_},
                                        [](const publish_packet&, delivery_id) { return true; });
  take_outcomes();
  const std::size_t rest = input_end_ - result.consumed;
  std::memmove(input_.data(), input_.data() + result.consumed, rest);
  input_end_ = rest;
  if (!handled(result)) return;
  flush();
  update();
  read();
}

MILLRACE_DECL void sink_link::on_up() {
  const auto& limits = session().limits();
  if (options_.qos > limits.maximum_qos) {
    return fail({errc::not_supported, address() + " takes QoS up to " +
                                          std::to_string(limits.maximum_qos) + ", not " +
                                          std::to_string(options_.qos)});
  }
  if (options_.retain && !limits.retain_available) {
    return fail({errc::not_supported, address() + " does not keep retained messages"});
  }
}

MILLRACE_DECL void sink_link::end() {
  ending_ = true;
  end_timer_ = env().call_after(options_.end_timeout, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    auto& link = static_cast<sink_link&>(*self);
    link.end_timer_ = 0;
    if (link.context_ == nullptr || link.done_) return;
    link.context_->fail({errc::timeout, link.address() + ": " +
                                            std::to_string(link.session().unfinished()) +
                                            " messages without acknowledgement at the end"});
  });
  flush();
  update();
}

MILLRACE_DECL void sink_link::report_done() {
  if (context_ == nullptr || done_ || !ending_) return;
  done_ = true;
  env().cancel_timer(std::exchange(end_timer_, 0));
  context_->done();
}

}  // namespace detail

MILLRACE_DECL publisher::publisher(sink_context& context, const sink_options& options) {
  auto link = detail::sink_link_options(options, context.name());
  detail::set_client_id(link, detail::id_lifetime::process, context.pipeline_name(), context.name(),
                        context.env());
  link_ = std::make_shared<detail::sink_link>(context, options, std::move(link));
  link_->start();
}

MILLRACE_DECL publisher::~publisher() { link_->detach(); }

MILLRACE_DECL void publisher::publish(std::string_view topic, std::string_view payload,
                                      timestamp time) {
  link_->publish(topic, payload, time);
}

MILLRACE_DECL void publisher::trace(const trace_context* context) { link_->trace(context); }
MILLRACE_DECL void publisher::batch_end() { link_->batch_end(); }

MILLRACE_DECL void publisher::checkpoint() { link_->checkpoint(); }
MILLRACE_DECL void publisher::end() { link_->end(); }

}  // namespace millrace::mqtt
