// SPDX-License-Identifier: Apache-2.0
/// \file
/// The way of an asynchronous answer back to its operator. Answers may come from any thread, and
/// after the operator has gone; the rest belongs to the operator's worker.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/operators/async.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>

namespace millrace {

/// Carries replies to the operator's worker. Outlives the operator when handles do.
template <class R>
class reply_mailbox final : public reply_target<R> {
 public:
  using outcome = std::variant<R, error>;
  using deliver = std::function<void(std::uint64_t call, outcome)>;
  using hook = std::function<void(std::uint64_t call, std::function<void()>)>;

  reply_mailbox(environment& env, deliver to, hook on_hook)
      : env_(&env), deliver_(std::move(to)), hook_(std::move(on_hook)) {}

  void complete(std::uint64_t call, R value) override {
    arrive(call, outcome(std::in_place_index<0>, std::move(value)));
  }
  void fail(std::uint64_t call, error reason) override {
    arrive(call, outcome(std::in_place_index<1>, std::move(reason)));
  }
  void on_cancel(std::uint64_t call, std::function<void()> f) override {
    if (hook_) hook_(call, std::move(f));
  }
  environment& env() override { return *env_; }
  metric_group* metrics() override { return metrics_; }
  void set_metrics(metric_group& metrics) noexcept { metrics_ = &metrics; }

  /// For answers from other threads: keeps the mailbox until they have been delivered.
  void set_self(std::weak_ptr<reply_mailbox> self) { self_ = std::move(self); }

  /// The operator is gone; answers from now on are dropped.
  void close() {
    const std::lock_guard lock(mutex_);
    env_ = nullptr;
    deliver_ = nullptr;
    hook_ = nullptr;
  }

 private:
  void arrive(std::uint64_t call, outcome what) {
    std::unique_lock lock(mutex_);
    if (env_ == nullptr) return;
    if (env_->on_worker()) {
      lock.unlock();
      return deliver_(call, std::move(what));
    }
    auto shared = std::make_shared<outcome>(std::move(what));
    env_->post([self = self_.lock(), call, shared] {
      if (self && self->deliver_) self->deliver_(call, std::move(*shared));
    });
  }

  std::mutex mutex_;
  environment* env_;
  metric_group* metrics_ = nullptr;
  std::weak_ptr<reply_mailbox> self_;
  deliver deliver_;
  hook hook_;
};

}  // namespace millrace
