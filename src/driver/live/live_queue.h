// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "driver/soft_irq.h"
#include "netrx/device.h"

namespace netrx {

/// When a live device shall end by itself, over all its queues: after so many frames, or never.
///
/// Thread safety: by anyone. Queues polled at the same moment may together take a few frames more.
class FrameLimit {
 public:
  static constexpr std::uint64_t kForever = ~std::uint64_t{0};

  explicit FrameLimit(std::uint64_t frames) : frames_(frames) {}

  bool reached() const { return left() == 0; }
  std::uint64_t left() const {
    if (frames_ == kForever) return kForever;
    return frames_ - std::min(frames_, taken_.load(std::memory_order_acquire));
  }
  void take(std::uint64_t n) {
    if (frames_ != kForever) taken_.fetch_add(n, std::memory_order_acq_rel);
  }

 private:
  const std::uint64_t frames_;
  std::atomic<std::uint64_t> taken_{0};
};

/// What receive queues share whose frames come from the kernel by a file descriptor.
///
/// The interrupt is a level: irq_take() looks whether something is there now, so what arrived before an unmasking is
/// seen by the next look and irq_missed() has nothing to add. While the queue is masked its descriptor is not watched
/// (it would stay readable and keep the sleeper awake); a CPU bound to it looks again after a while instead, because
/// another CPU may unmask it without a word.
///
/// Thread safety: pause() and end() by whoever polls; the rest as RxQueue says.
class LiveRxQueue : public RxQueue {
 public:
  LiveRxQueue(int fd, FrameLimit& limit) : fd_(fd), limit_(limit) {}

  void irq_mask() override { irq_.mask(); }
  IrqCookie irq_unmask() override {
    irq_.unmask();
    return 0;
  }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos now) override {
    return irq_.armed() && !exhausted() && irq_.due() <= now && something_waits(now) && irq_.fire();
  }
  Nanos next_attention(Nanos now) override {
    if (exhausted()) return kNever;
    const Nanos resume = irq_.due();
    if (resume > now) return resume;
    return irq_.armed() ? kNever : now + SoftIrq::kMaskedRecheck;
  }
  int irq_fd() const override { return irq_.armed() && !exhausted() ? fd_ : -1; }
  bool exhausted() const override { return ended_.load(std::memory_order_acquire) || limit_.reached(); }

  /// Why the queue ended or what it last suffered, as errno; 0: nothing.
  int trouble() const { return trouble_.load(std::memory_order_relaxed); }

 protected:
  /// Whether a poll would find something: a frame, or trouble. By anyone, also while another CPU polls.
  virtual bool something_waits(Nanos now) const = 0;

  /// How many packets this poll may take.
  std::size_t allowance(const PacketBatch& batch, std::size_t budget) const {
    return exhausted() ? 0 : std::min({budget, batch.room(), static_cast<std::size_t>(limit_.left())});
  }

  /// Counts what a poll took. `dry`: it wanted packets that the pool or the queue's own buffers did not have; then the
  /// queue keeps still for a while, so that nobody spins on it.
  void polled(Nanos now, std::size_t frames, std::uint64_t bytes, bool dry) {
    constexpr Nanos kDryPause = std::chrono::microseconds(100);
    RxQueueStats::add(stats_.rx_packets, frames);
    RxQueueStats::add(stats_.rx_bytes, bytes);
    if (dry) RxQueueStats::add(stats_.rx_alloc_fail);
    if (dry || irq_.due() != Nanos{0}) irq_.set_due(dry ? now + kDryPause : Nanos{0});
    limit_.take(frames);
  }

  /// Nothing will ever come again.
  void end(int code) {
    trouble_.store(code, std::memory_order_relaxed);
    ended_.store(true, std::memory_order_release);
  }
  void note_trouble(int code) { trouble_.store(code, std::memory_order_relaxed); }

  const int fd_;
  std::uint64_t rx_seq_ = 0;

 private:
  FrameLimit& limit_;
  SoftIrq irq_;  // due: until when the queue keeps still; 0: it does not
  std::atomic<bool> ended_{false};
  std::atomic<int> trouble_{0};
};

}  // namespace netrx
