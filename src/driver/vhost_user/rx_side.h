// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>

#include "netrx/device.h"
#include "virtio/net_rx.h"

namespace netrx::vhost {

/// A receive queue of the driver, whether a device is there or not. The rings behind it come and go with connections;
/// the queue, its counters and its call event stay.
///
/// Host is what it stands on, so that the simulator runs this very code: a Mutex; an Event that wakes whoever waits for
/// it, with signal(event), drain(event) — true: it was signalled — and fd(event), which poll(2) takes, or -1.
///
/// Thread safety: as RxQueue has it; attach() and detach() by the thread that owns the connection. One mutex, taken
/// once a poll and never contended but while a connection comes or goes: whoever polls, unmasks or looks at the ring
/// holds it, so nobody is inside a ring that goes. `armed_` is outside: a masked queue is told from an armed one
/// without it.
template <class Host>
class BasicRxSide final : public RxQueue {
 public:
  using Event = typename Host::Event;

  BasicRxSide() : call_(Host::make_event()) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    const std::lock_guard lock(mutex_);
    resumed_ = false;
    if (rx_ == nullptr) return 0;
    const virtio::NetRx::Outcome outcome = rx_->poll(context, batch, budget, rx_seq_);
    if (outcome.kick) Host::signal(*kick_);
    dry_until_ = outcome.dry ? context.now + kDryPause : Nanos{0};
    if (ended_ && !rx_->has_work()) exhausted_.store(true, std::memory_order_release);
    return outcome.got;
  }

  void irq_mask() override {
    armed_.store(false, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (rx_ != nullptr) rx_->ring().disable_cb();
  }

  IrqCookie irq_unmask() override {
    const std::lock_guard lock(mutex_);
    armed_.store(true, std::memory_order_relaxed);
    return rx_ != nullptr ? rx_->ring().enable_cb_prepare() : 0;
  }

  bool irq_missed(IrqCookie cookie) override {
    const std::lock_guard lock(mutex_);
    if (rx_ == nullptr) return false;
    if (dry_until_ != Nanos{0}) return false;  // attention comes when the pool has had time
    return resumed_ || rx_->has_leftover() || rx_->ring().poll(cookie);
  }

  /// The ring says more than the event does, and without a system call: the event only wakes sleepers, and is emptied
  /// every so often, so that a stale call costs a sleeper some short rounds and no more. It is emptied before anything
  /// is looked at: a call that was taken away was preceded by what it announces.
  bool irq_take(Nanos now) override {
    bool called = false;
    if (now.count() - drained_at_.load(std::memory_order_relaxed) >= kDrainEvery.count()) {
      called = Host::drain(call_);
      drained_at_.store(now.count(), std::memory_order_relaxed);
    }
    if (!armed_.load(std::memory_order_relaxed) && !called) return false;
    const std::lock_guard lock(mutex_);
    if (!armed_.load(std::memory_order_relaxed) || !ready(now)) return false;
    if (called) rx_->ring().note_interrupt();
    armed_.store(false, std::memory_order_relaxed);
    return true;
  }

  Nanos next_attention(Nanos) override {
    const std::lock_guard lock(mutex_);
    if (rx_ == nullptr || exhausted()) return kNever;
    return dry_until_ != Nanos{0} ? dry_until_ : kNever;
  }

  int irq_fd() const override { return Host::fd(call_); }
  bool exhausted() const override { return exhausted_.load(std::memory_order_acquire); }

  /// The rings of a new connection, and how its device is told of buffers; both stay until detach(). Whoever sleeps is
  /// woken and looks: the device may have begun already.
  void attach(virtio::NetRx& rx, const Event& kick) {
    {
      const std::lock_guard lock(mutex_);
      rx_ = &rx;
      kick_ = &kick;
      resumed_ = true;
      dry_until_ = Nanos{0};
      if (armed_.load(std::memory_order_relaxed)) (void)rx_->ring().enable_cb_prepare();
    }
    Host::signal(call_);
  }

  void detach() {
    const std::lock_guard lock(mutex_);
    rx_ = nullptr;
  }

  /// Something is there that nobody has polled.
  bool has_work() {
    const std::lock_guard lock(mutex_);
    return rx_ != nullptr && rx_->has_work();
  }

  /// The device won't come back: exhausted once all is polled.
  void end() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      if (rx_ == nullptr || !rx_->has_work()) exhausted_.store(true, std::memory_order_release);
    }
    Host::signal(call_);
  }

  RxQueueStats& rx_stats() { return stats_; }
  const Event& call() const { return call_; }
  bool masked() const { return !armed_.load(std::memory_order_relaxed); }  ///< for checkers

 private:
  static constexpr Nanos kDryPause = std::chrono::microseconds(100);
  static constexpr Nanos kDrainEvery = std::chrono::microseconds(50);

  /// There is a reason to interrupt; under the mutex.
  bool ready(Nanos now) const {
    if (rx_ == nullptr) return false;
    if (dry_until_ != Nanos{0}) return now >= dry_until_;
    return resumed_ || rx_->has_work();
  }

  const Event call_;
  typename Host::Mutex mutex_;
  virtio::NetRx* rx_ = nullptr;  ///< null: nobody is connected
  const Event* kick_ = nullptr;
  bool resumed_ = false;  ///< attached since the last poll
  bool ended_ = false;
  Nanos dry_until_{0};
  std::uint64_t rx_seq_ = 0;
  std::atomic<bool> armed_{true};
  std::atomic<Nanos::rep> drained_at_{0};
  std::atomic<bool> exhausted_{false};
};

}  // namespace netrx::vhost
