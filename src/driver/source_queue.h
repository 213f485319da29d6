// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "driver/big_frames.h"
#include "driver/bounded_fifo.h"
#include "driver/pace.h"
#include "driver/soft_irq.h"
#include "netrx/device.h"

namespace netrx {

/// What every queue made of software shares: the interrupt, and knowing its end.
class SoftRxQueue : public RxQueue {
 public:
  void irq_mask() override { irq_.mask(); }
  IrqCookie irq_unmask() override {
    irq_.unmask();
    return 0;
  }
  bool irq_missed(IrqCookie) override { return irq_.missed(polled_at_); }
  bool irq_take(Nanos now) override { return irq_.take(now); }
  Nanos next_attention(Nanos now) override { return irq_.next_attention(now); }
  bool exhausted() const override { return exhausted_.load(std::memory_order_acquire); }

 protected:
  /// How long a queue keeps still that found the pool or its own big buffers empty: long enough that nobody spins on
  /// it, short against the time a full pool lasts.
  static constexpr Nanos kDryPause = std::chrono::microseconds(100);

  /// Nothing will ever be due again.
  void end() {
    irq_.set_due(kNever);
    exhausted_.store(true, std::memory_order_release);
  }

  SoftIrq irq_;
  Nanos polled_at_{0};

 private:
  std::atomic<bool> exhausted_{false};
};

/// A receive queue over a source of frames that is made of software: a capture, a generator.
///
/// A paced source's frames arrive when they are due, whether anybody polls or not: up to `ring` of them wait, and those
/// that find the ring full are lost and counted in rx_missed_errors. An unpaced source has its next frame ready always.
/// Frames are written into the pool's buffers, or into the queue's own where these are too small.
///
/// Source:
///   Ticket                            names one frame; small and copyable
///   bool paced() const
///   bool empty() const                true: no frame will ever come
///   void begin(Nanos now)             the first poll; called once, before all below
///   Nanos next_due(Nanos now)         when the next frame arrives; kNever: no frame will. Unpaced: 0
///   Ticket take()                     the next frame, which arrives now
///   std::uint32_t size(Ticket) const  its bytes; kNotReceivable: it has none that can be received
///   void write(Ticket, Packet&)       fills in data (`size` bytes at packet.data) and what the device knows
template <class Source>
class SourceQueue final : public SoftRxQueue {
 public:
  using Ticket = typename Source::Ticket;
  static constexpr std::uint32_t kNotReceivable = ~0u;

  struct Limits {
    std::uint32_t ring = 4096;           ///< frames that may wait, of a paced source
    std::uint32_t largest_frame = 1514;  ///< bytes
  };

  SourceQueue(Source source, const Limits& limits)
      : source_(std::move(source)),
        ring_(source_.paced() ? limits.ring : PacketBatch::kCapacity),
        big_frames_(limits.largest_frame) {
    if (source_.empty()) end();
  }

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    if (exhausted()) return 0;
    if (!begun_) source_.begin(context.now);
    begun_ = true;
    polled_at_ = context.now;
    if (budget > batch.room()) budget = batch.room();
    arrive(context.now, budget);
    const std::size_t wanted = budget < ring_.size() ? budget : ring_.size();
    const std::size_t got = receive(context.pool, batch, wanted);
    if (got < wanted) RxQueueStats::add(stats_.rx_alloc_fail);
    set_next(context.now, got < wanted);
    return got;
  }

  const BigFrames& big_frames() const { return big_frames_; }

 private:
  /// Moves what is due by `now` into the ring; an unpaced source gives as much as this poll asks for.
  void arrive(Nanos now, std::size_t budget) {
    constexpr std::uint64_t kBadAtOnce = 4096;  // an unpaced source of nothing else shall not hold the poll for ever
    const bool paced = source_.paced();
    const std::size_t room = paced ? ring_.capacity() : budget;
    std::uint64_t missed = 0, bad = 0;
    while ((paced || (ring_.size() < room && bad < kBadAtOnce)) && source_.next_due(now) <= now) {
      const Ticket ticket = source_.take();
      if (source_.size(ticket) == kNotReceivable)
        ++bad;
      else if (ring_.size() < room)
        ring_.push(ticket);
      else
        ++missed;
    }
    if (missed != 0) RxQueueStats::add(stats_.rx_missed_errors, missed);
    if (bad != 0) RxQueueStats::add(stats_.rx_length_errors, bad);
  }

  std::size_t receive(PacketPool& pool, PacketBatch& batch, std::size_t wanted) {
    std::array<Packet*, PacketBatch::kCapacity> packets;
    const std::size_t allocated = pool.alloc({packets.data(), wanted});
    std::size_t n = 0;
    std::uint64_t bytes = 0;
    while (n < allocated) {
      Packet* packet = packets[n];
      const std::uint32_t size = source_.size(ring_.front());
      if (size > packet->tailroom() && !big_frames_.lend(*packet)) break;
      packet->len = size;
      packet->rx_seq = rx_seq_++;
      source_.write(ring_.front(), *packet);
      ring_.pop();
      batch.push_back(packet);
      bytes += size;
      ++n;
    }
    pool.put({packets.data() + n, allocated - n});
    RxQueueStats::add(stats_.rx_packets, n);
    RxQueueStats::add(stats_.rx_bytes, bytes);
    return n;
  }

  void set_next(Nanos now, bool dry) {
    if (dry) {
      irq_.set_due(now + kDryPause);
    } else if (!ring_.empty()) {
      irq_.set_due(now);
    } else if (const Nanos next = source_.next_due(now); next != kNever) {
      irq_.set_due(next);
    } else {
      end();
    }
  }

  Source source_;
  BoundedFifo<Ticket> ring_;
  BigFrames big_frames_;
  std::uint64_t rx_seq_ = 0;
  bool begun_ = false;
};

}  // namespace netrx
