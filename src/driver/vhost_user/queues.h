// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>

#include "driver/live/done_packets.h"
#include "driver/vhost_user/eventfd.h"
#include "driver/vhost_user/front_end.h"
#include "netrx/device.h"

namespace netrx::vhost {

/// A receive queue of the driver, whether a device is there or not. The rings behind it come and go with connections;
/// the queue, its counters and its call eventfd stay.
///
/// Thread safety: as RxQueue has it; attach() and detach() by the thread that owns the connection. One mutex, taken
/// once a poll and never contended but while a connection comes or goes: whoever polls, unmasks or looks at the ring
/// holds it, so nobody is inside a ring that goes. `armed_` is outside: a masked queue is told from an armed one
/// without it.
class RxSide final : public RxQueue {
 public:
  RxSide() : call_(make_eventfd()) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override;
  void irq_mask() override;
  IrqCookie irq_unmask() override;
  bool irq_missed(IrqCookie cookie) override;
  bool irq_take(Nanos now) override;
  Nanos next_attention(Nanos now) override;
  int irq_fd() const override { return call_.get(); }
  bool exhausted() const override { return exhausted_.load(std::memory_order_acquire); }

  /// The rings of a new connection. Whoever sleeps is woken and looks: the device may have begun already.
  void attach(QueuePair& pair);
  void detach();
  /// Something is there that nobody has polled.
  bool has_work();
  /// The device won't come back: exhausted once all is polled.
  void end();

  QueueCounters& counters() { return counters_; }
  const QueueCounters& counters() const { return counters_; }
  RxQueueStats& rx_stats() { return stats_; }
  std::uint32_t average();
  int call() const { return call_.get(); }

 private:
  static constexpr Nanos kDryPause = std::chrono::microseconds(100);
  static constexpr Nanos kDrainEvery = std::chrono::microseconds(50);

  bool ready(Nanos now) const;

  const OwnedFd call_;
  QueueCounters counters_;
  std::mutex mutex_;
  QueuePair* pair_ = nullptr;  ///< null: nobody is connected
  bool resumed_ = false;       ///< attached since the last poll
  bool ended_ = false;
  Nanos dry_until_{0};
  std::uint64_t rx_seq_ = 0;
  std::atomic<bool> armed_{true};
  std::atomic<Nanos::rep> drained_at_{0};
  std::atomic<bool> exhausted_{false};
};

/// A transmit queue of the driver. While nobody is connected it takes nothing.
class TxSide final : public TxQueue {
 public:
  std::size_t xmit(std::span<Packet* const> packets) override;
  void xmit_kick() override;
  std::size_t xmit_done(PacketBatch& done) override;

  void attach(QueuePair& pair);
  void detach();

 private:
  std::mutex mutex_;
  QueuePair* pair_ = nullptr;
  DonePackets done_;
};

}  // namespace netrx::vhost
