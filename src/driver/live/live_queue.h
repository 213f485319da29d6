// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>

#include "driver/live/done_packets.h"
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

/// What the live queues of one device have in common.
struct LiveLife {
  FrameLimit limit;
  const bool reconnect;  ///< an interface that went is waited for; else its queues end
};

/// What receive queues share whose frames come from the kernel by a file descriptor.
///
/// The interrupt is a level: irq_take() looks whether something is there now, so what arrived before an unmasking is
/// seen by the next look and irq_missed() has nothing to add. While the queue is masked its descriptor is not watched
/// (it would stay readable and keep the sleeper awake); a CPU bound to it looks again after a while instead, because
/// another CPU may unmask it without a word.
///
/// An interface may go, and another of its name come. Then the queue is lost: it gives nothing and wants nothing until
/// LiveDevice puts a new file behind it. `rx_seq` and the counters go on.
///
/// Thread safety: as RxQueue has it; resume() by whoever opened the new file. One mutex, taken once a poll and never
/// contended but while a file is changed: whoever polls or looks at the file holds it, so nobody is inside one that
/// goes. A sleeper may still watch a descriptor that was closed; it sleeps no longer than kLookAgain where that can be.
class LiveRxQueue : public RxQueue {
 public:
  LiveRxQueue(int fd, LiveLife& life) : fd_(fd), life_(life) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) final {
    const std::lock_guard lock(mutex_);
    if (lost() || exhausted()) return 0;
    const std::size_t wanted = std::min({budget, batch.room(), static_cast<std::size_t>(life_.limit.left())});
    return wanted != 0 ? receive(context, batch, wanted) : 0;
  }
  void irq_mask() override { irq_.mask(); }
  IrqCookie irq_unmask() override {
    irq_.unmask();
    return 0;
  }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos now) override {
    if (!irq_.armed() || exhausted() || irq_.due() > now) return false;
    const std::lock_guard lock(mutex_);
    return !lost() && something_waits(now) && irq_.fire();
  }
  Nanos next_attention(Nanos now) override {
    if (exhausted()) return kNever;
    const Nanos resume = irq_.due();
    if (resume > now) return resume;
    if (!irq_.armed()) return now + SoftIrq::kMaskedRecheck;
    return life_.reconnect ? now + kLookAgain : kNever;
  }
  int irq_fd() const override {
    return irq_.armed() && !exhausted() && !lost() ? fd_.load(std::memory_order_relaxed) : -1;
  }
  bool exhausted() const override { return ended_.load(std::memory_order_acquire) || life_.limit.reached(); }

  /// All that came from the interface before it went was polled, and the queue waits for another.
  bool lost() const { return lost_.load(std::memory_order_acquire); }
  /// Why the queue ended or was lost, or what it last suffered, as errno; 0: nothing.
  int trouble() const { return trouble_.load(std::memory_order_relaxed); }

 protected:
  static constexpr Nanos kLookAgain = std::chrono::milliseconds(100);

  /// Takes up to `wanted` packets, at least one, for which the batch has room; the rest as RxQueue::poll().
  virtual std::size_t receive(PollContext& context, PacketBatch& batch, std::size_t wanted) = 0;
  /// Whether receive() would find something: a frame, or trouble.
  virtual bool something_waits(Nanos now) const = 0;

  /// Counts what a poll took. `dry`: it wanted packets that the pool or the queue's own buffers did not have; then the
  /// queue keeps still for a while, so that nobody spins on it.
  void polled(Nanos now, std::size_t frames, std::uint64_t bytes, bool dry) {
    constexpr Nanos kDryPause = std::chrono::microseconds(100);
    RxQueueStats::add(stats_.rx_packets, frames);
    RxQueueStats::add(stats_.rx_bytes, bytes);
    if (dry) RxQueueStats::add(stats_.rx_alloc_fail);
    if (dry || irq_.due() != Nanos{0}) keep_still(dry ? now + kDryPause : Nanos{0});
    life_.limit.take(frames);
  }
  /// The queue wants no attention before.
  void keep_still(Nanos until) { irq_.set_due(until); }

  /// Nothing will come from this file again, and all that came was polled.
  void end(int code) {
    note_trouble(code);
    (life_.reconnect ? lost_ : ended_).store(true, std::memory_order_release);
  }
  void note_trouble(int code) { trouble_.store(code, std::memory_order_relaxed); }

  /// A lost queue goes on with this file, which is changed under the mutex.
  void resume(int fd) {
    fd_.store(fd, std::memory_order_relaxed);
    note_trouble(0);
    lost_.store(false, std::memory_order_release);
  }
  int fd() const { return fd_.load(std::memory_order_relaxed); }

  std::mutex mutex_;
  std::uint64_t rx_seq_ = 0;

 private:
  std::atomic<int> fd_;
  LiveLife& life_;
  SoftIrq irq_;  // due: until when the queue keeps still; 0: it does not
  std::atomic<bool> ended_{false}, lost_{false};
  std::atomic<int> trouble_{0};
};

/// What transmit queues share that lead into an interface and copy what they are given: packets are done at once.
///
/// Thread safety: as TxQueue has it; who changes the file behind the queue, or asks for it, holds the mutex.
class LiveTxQueue : public TxQueue {
 public:
  std::size_t xmit(std::span<Packet* const> packets) final {
    const std::lock_guard lock(mutex_);
    const std::size_t taken = send(packets.first(std::min(packets.size(), done_.room())));
    count_taken(stats_, packets.first(taken), packets.size());
    done_.add(packets.first(taken));
    return taken;
  }
  void xmit_kick() override {}
  std::size_t xmit_done(PacketBatch& done) final { return done_.give(done); }

  /// False once the interface is gone.
  bool attached() const {
    const std::lock_guard lock(mutex_);
    return file_is_attached();
  }
  /// Why the kernel last refused a packet, as errno; 0: it did not, or takes them again.
  int trouble() const { return trouble_.load(std::memory_order_relaxed); }

 protected:
  /// Takes packets from the front, as TxQueue::xmit() has it, and returns how many.
  virtual std::size_t send(std::span<Packet* const> packets) = 0;
  virtual bool file_is_attached() const = 0;
  void note_trouble(int code) {
    if (code != trouble()) trouble_.store(code, std::memory_order_relaxed);
  }

  mutable std::mutex mutex_;

 private:
  DonePackets done_;
  std::atomic<int> trouble_{0};
};

}  // namespace netrx
