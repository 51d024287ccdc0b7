// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/mqtt/deferred_acknowledgements.hpp>
#include <millrace/connectors/mqtt/receive_blocks.hpp>
#include <millrace/connectors/mqtt/source.hpp>
#include <millrace/net/mqtt/text.hpp>

#include <algorithm>
#include <span>
#include <string_view>

namespace millrace::mqtt {

namespace detail {

/// References to the current block, taken in one go; what was not handed out is given back.
class reference_credit {
 public:
  reference_credit(const shared_buffer& block, std::size_t n) : block_(block), left_(n) {
    block_.add_references(n);
  }
  reference_credit(const reference_credit&) = delete;
  reference_credit& operator=(const reference_credit&) = delete;
  ~reference_credit() {
    if (left_ != 0) block_.drop_references(left_);
  }
  shared_buffer adopt() noexcept {
    --left_;
    return block_.adopt();
  }

 private:
  const shared_buffer& block_;
  std::size_t left_;
};

/// The connection of a source. Lives until its last transfer is over.
class source_link final : public connection {
 public:
  source_link(source_context& context, const source_options& options, link_options link)
      : connection(context.env(), context.metrics(), context.name(), std::move(link)),
        context_(&context),
        options_(options),
        filters_(filters_of(options)),
        blocks_(options.receive_buffer),
        deferred_(session()),
        received_(context.metrics().counter("received")),
        bytes_(context.metrics().counter("bytes")),
        redelivered_(context.metrics().counter("redelivered")),
        skipped_(context.metrics().counter("retained_skipped")),
        copied_(context.metrics().counter("copied")),
        recognised_(context.metrics().counter("recognised")),
        unacknowledged_(context.metrics().gauge("unacknowledged")) {}

  void begin() {
    if (options_.qos > 0 && mode_of(options_) == acknowledge_mode::manual) {
      std::weak_ptr<connection> weak = weak_from_this();
      box_ = std::make_shared<acknowledgement_box>(env(), [weak] {
        const auto self = weak.lock();
        if (self) static_cast<source_link&>(*self).send_acknowledgements();
      });
    }
    start();
  }

  poll_status poll(source_output<message>& out);

  void checkpoint(std::uint64_t id) { deferred_.checkpoint(id); }
  void checkpoint_complete(std::uint64_t id) {
    deferred_.checkpoint_complete(id, env().monotonic());
    unacknowledged_.set(static_cast<std::int64_t>(session().unacknowledged()));
    if (!abandoned()) flush();
  }
  deferred_acknowledgements& deferred() noexcept { return deferred_; }

  void stop() {
    stopping_ = true;
    if (!defers()) close(farewell());
  }

  void detach() noexcept {
    if (box_) {
      send_acknowledgements();
      box_->close();
    }
    abandon(farewell());
    context_ = nullptr;
  }

 private:
  std::span<char> receive_space() override {
    return stopping_ ? std::span<char>{} : blocks_.space(needed_);
  }
  bool behind() const noexcept override { return stopping_ || message_ready_; }
  void on_received(std::size_t n) override;
  void on_up() override;
  void on_down() override {
    deferred_.expect_again();
    blocks_.forget_unread();
    needed_ = 0;
    message_ready_ = false;
  }
  void on_closed() override {
    closed_ = true;
    if (context_ != nullptr) context_->wake();
  }
  void on_failed(error reason) override {
    if (context_ != nullptr) context_->fail(std::move(reason));
  }

  session::goodbye farewell() const noexcept {
    return session().options().session_expiry.count() > 0 ? session::goodbye::keep_session
                                                          : session::goodbye::end_session;
  }

  void send_acknowledgements() {
    if (abandoned()) return;
    box_->take(acknowledged_);
    for (const delivery_id id : acknowledged_) session().acknowledge(id);
    unacknowledged_.set(static_cast<std::int64_t>(session().unacknowledged()));
    flush();
  }

  bool defers() const noexcept { return mode_of(options_) != acknowledge_mode::on_receive; }
  bool remembers() const noexcept {
    return defers() && mode_of(options_) != acknowledge_mode::manual;
  }
  void take_released() {
    for (const auto id : session().released()) deferred_.release(id);
    session().released().clear();
  }

  bool wanted(const publish_packet& p) const noexcept {
    return options_.retained == retained_policy::take ||
           p.retain == (options_.retained == retained_policy::only);
  }

  /// Converts to the message where it is to stand, so that it is not moved.
  struct message_maker {
    source_link& link;
    const publish_packet& packet;
    delivery_id id;
    reference_credit& credit;
    operator message() const { return link.make_message(packet, id, credit); }
  };

  MILLRACE_ALWAYS_INLINE message make_message(const publish_packet& p, delivery_id id,
                                              reference_credit& credit) {
    const bool copy = MILLRACE_UNLIKELY(blocks_.exhausted() || p.topic_alias != 0);
    if (copy) return copy_message(p, id);
    return {{credit.adopt(), p.topic, p.payload, received_at_},
            p.properties,
            id,
            id == 0 ? nullptr : box_,
            p.packet_id,
            p.qos,
            p.retain,
            p.duplicate};
  }

  message copy_message(const publish_packet& p, delivery_id id);
  void note_window();

  source_context* context_;
  source_options options_;
  std::vector<std::string> filters_;
  receive_blocks blocks_;
  std::size_t needed_ = 0;
  timestamp received_at_{};
  bool message_ready_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  bool subscribed_ = false;
  bool warned_ = false;
  bool window_warned_ = false;
  std::shared_ptr<acknowledgement_box> box_;
  std::vector<delivery_id> acknowledged_;
  deferred_acknowledgements deferred_;
  counter& received_;
  counter& bytes_;
  counter& redelivered_;
  counter& skipped_;
  counter& copied_;
  counter& recognised_;
  gauge& unacknowledged_;
};

/// For messages whose topic lies elsewhere, and when records hold on to too many blocks.
MILLRACE_DECL message source_link::copy_message(const publish_packet& p, delivery_id id) {
  const std::string_view properties = p.properties.bytes();
  message m;
  m.owner = shared_buffer::allocate(p.topic.size() + properties.size() + p.payload.size());
  char* at = m.owner.data();
  const auto append = [&at](std::string_view text) {
    text.copy(at, text.size());
    at += text.size();
    return std::string_view{at - text.size(), text.size()};
  };
  m.topic = append(p.topic);
  m.properties = property_view{append(properties)};
  m.payload = append(p.payload);
  m.received = received_at_;
  m.delivery = id;
  if (id != 0) m.box = box_;
  m.packet_id = p.packet_id;
  m.qos = p.qos;
  m.retain = p.retain;
  m.duplicate = p.duplicate;
  copied_.add();
  return m;
}

MILLRACE_DECL poll_status source_link::poll(source_output<message>& out) {
  if (stopping_ && (closed_ || defers())) {
    return poll_status::end;
  }
  if (!up() || stopping_) return poll_status::wait;
  deferred_.confirm(env().monotonic());
  take_released();
  std::size_t room = out.room();
  if (room == 0) return poll_status::more;
  const std::size_t before = room;
  std::uint64_t again = 0;
  receive_result result;
  const bool remembers = this->remembers();
  {
    reference_credit credit(blocks_.block(), room);
    result = session().receive(blocks_.unread(), [&](const publish_packet& p, delivery_id id) {
      if (MILLRACE_UNLIKELY(!wanted(p))) {
        if (id != 0) session().acknowledge(id);
        skipped_.add();
        return true;
      }
      again += p.duplicate ? 1 : 0;
      if (remembers && id != 0 && !deferred_.note(p, id)) {
        recognised_.add();
        return true;
      }
      out.emit(message_maker{*this, p, id, credit}, received_at_);
      return --room > 0;
    });
  }
  received_.add(before - room);
  bytes_.add(result.consumed);
  redelivered_.add(again);
  note_window();
  blocks_.consume(result.consumed);
  if (!handled(result)) return poll_status::wait;
  flush();
  if (result.stopped || !session().released().empty()) return poll_status::more;
  needed_ = result.needed;
  message_ready_ = false;
  constexpr std::size_t unsent_bound = 1u << 20;  // a server that takes no acknowledgements
  if (session().output().size() < unsent_bound) read();
  return poll_status::wait;
}

MILLRACE_DECL void source_link::note_window() {
  const auto open = session().unacknowledged();
  unacknowledged_.set(static_cast<std::int64_t>(open));
  const bool full = open >= options_.receive_maximum && session().limits().version == version::v5;
  if (MILLRACE_LIKELY(!full || !remembers()) || std::exchange(window_warned_, true)) return;
  env().log().warning(context_->name(), window_warning(options_));
}

/// Handles what comes before the first message at once, so that CONNACK and PINGRESP do not wait
/// for a pipeline that is busy.
MILLRACE_DECL void source_link::on_received(std::size_t n) {
  blocks_.received(n);
  received_at_ = env().now();
  while (true) {
    frame f;
    const std::string_view unread = blocks_.unread();
    const auto status = read_frame(unread, session().options().maximum_packet_size, f);
    if (status == frame_status::incomplete) {
      needed_ = f.size;
      flush();
      if (MILLRACE_UNLIKELY(!session().released().empty())) context_->wake();
      return read();
    }
    if (status == frame_status::complete && f.type() == packet_type::publish && up()) break;
    const auto result = session().receive(unread.substr(0, f.size),
                                          [](const publish_packet&, delivery_id) { return true; });
    blocks_.consume(result.consumed);
    if (!handled(result)) return;
  }
  flush();
  message_ready_ = true;
  context_->wake();
}

MILLRACE_DECL void source_link::on_up() {
  const auto& limits = session().limits();
  if (!session().session_present()) deferred_.session_lost();
  if (!std::exchange(warned_, true)) {
    for (const auto& text : warnings_of(options_, limits)) {
      env().log().warning(context_->name(), text);
    }
  }
  std::vector<subscription> wanted;
  for (const auto& filter : filters_) {
    if (!limits.wildcards_available && filter.find_first_of("+#") != std::string::npos) {
      return fail(
          {errc::not_supported, address() + " does not support wildcards: '" + filter + "'"});
    }
    if (!limits.shared_available && !split_shared(filter).group.empty()) {
      return fail({errc::not_supported,
                   address() + " does not support shared subscriptions: '" + filter + "'"});
    }
    auto& s = wanted.emplace_back();
    s.filter = filter;
    s.qos = options_.qos;
    s.retained = options_.retained == retained_policy::drop ? retain_handling::do_not_send
                 : session().session_present()              ? retain_handling::send_if_new
                                                            : retain_handling::send;
  }
  if (!session().session_present() || !subscribed_) session().subscribe(wanted, env().monotonic());
  subscribed_ = true;
}

}  // namespace detail

MILLRACE_DECL void source::validate(const std::string& part) const {
  static_cast<void>(detail::source_link_options(options_, part));
  const auto mode = detail::mode_of(options_);
  if (mode == acknowledge_mode::on_journal && !under_journal_) {
    detail::wrong_option(part,
                         "acknowledge on_journal needs a journal: journaled(mqtt::source{...}, "
                         "{.directory = ...})");
  }
  if (under_journal_ &&
      (mode == acknowledge_mode::manual || mode == acknowledge_mode::on_checkpoint)) {
    detail::wrong_option(part,
                         "with a journal acknowledge is on_journal (leave it unset) or on_receive");
  }
}

MILLRACE_DECL delivery source::delivered() const {
  const std::string more =
      "qos 1 or 2, connection.session_expiry above 0, and a journal: journaled(mqtt::source{...}, "
      "{.directory = ...})";
  if (options_.qos == 0) return {guarantee::at_most_once, "QoS 0 is not acknowledged", more};
  switch (detail::mode_of(options_)) {
    case acknowledge_mode::on_receive:
      return {guarantee::at_most_once, "acknowledges before a message is processed",
              more + "; or acknowledge = on_checkpoint"};
    case acknowledge_mode::manual:
      return {guarantee::at_least_once, "the application acknowledges", more};
    case acknowledge_mode::on_checkpoint:
      return {guarantee::exactly_once, "acknowledges what a checkpoint holds", {}};
    case acknowledge_mode::on_journal: break;
  }
  return {guarantee::exactly_once, "acknowledges what the journal holds", {}};
}

MILLRACE_DECL message_reader::message_reader(source_context& context,
                                             const source_options& options) {
  auto link = detail::source_link_options(options, context.name());
  const auto lifetime =
      link.session.clean_start ? detail::id_lifetime::process : detail::id_lifetime::installation;
  detail::set_client_id(link, lifetime, context.pipeline_name(), context.name(), context.env());
  link_ = std::make_shared<detail::source_link>(context, options, std::move(link));
  link_->begin();
}

MILLRACE_DECL message_reader::~message_reader() { link_->detach(); }

MILLRACE_DECL poll_status message_reader::poll(source_output<message>& out) {
  return link_->poll(out);
}

MILLRACE_DECL void message_reader::stop() { link_->stop(); }

MILLRACE_DECL void message_reader::checkpoint(std::uint64_t id) { link_->checkpoint(id); }
MILLRACE_DECL void message_reader::checkpoint_complete(std::uint64_t id) {
  link_->checkpoint_complete(id);
}
MILLRACE_DECL void message_reader::save(snapshot_writer& to) const { link_->deferred().save(to); }
MILLRACE_DECL void message_reader::restore(snapshot_reader& from) {
  link_->deferred().restore(from);
}
MILLRACE_DECL std::uint64_t message_reader::memory_begin() const {
  return link_->deferred().memory_begin();
}
MILLRACE_DECL bool message_reader::note(snapshot_writer& to) { return link_->deferred().note(to); }
MILLRACE_DECL void message_reader::recall(std::uint64_t offset, const message& m) {
  link_->deferred().recall(offset, m);
}
MILLRACE_DECL void message_reader::recall_note(std::uint64_t offset, std::string_view bytes) {
  link_->deferred().recall_note(offset, bytes);
}

}  // namespace millrace::mqtt
