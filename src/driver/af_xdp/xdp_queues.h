// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "driver/af_xdp/xdp_socket.h"
#include "driver/frame_returns.h"
#include "driver/live/done_packets.h"
#include "driver/live/live_queue.h"

namespace netrx {

/// Frames without a copy: packets have the socket's memory lent to them, and what comes home from any CPU goes to the
/// kernel again at the next poll. Whoever polls is the only one who touches the fill ring.
class XdpRxQueue final : public LiveRxQueue {
 public:
  XdpRxQueue(XdpSocket& socket, unsigned interface_index, FrameLimit& limit);

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override;
  /// Unlike the other live devices nobody announces that the interface is gone, or that frames came home to a queue
  /// that the kernel has none of: it is looked at from time to time.
  Nanos next_attention(Nanos now) override;

 protected:
  bool something_waits(Nanos now) const override;

 private:
  bool frames_wait() const;
  void refill();
  void give_out(Packet& packet, const xdp_desc& descriptor);
  void look_for_trouble(Nanos now);

  XdpSocket& socket_;
  const unsigned interface_index_;
  FrameReturns home_;
  std::vector<std::uint32_t> free_;            ///< frames that are neither the kernel's nor a packet's
  std::atomic<std::uint32_t> with_kernel_{0};  ///< frames in the fill ring or filled; few: it is hungry
  std::atomic<std::int64_t> looked_{0};        ///< when for trouble
  std::uint64_t drops_ = 0;
};

/// Copies packets into the socket's frames: the device gathers nothing and completes nothing.
class XdpTxQueue final : public TxQueue {
 public:
  explicit XdpTxQueue(XdpSocket& socket);

  std::size_t xmit(std::span<Packet* const> packets) override;
  void xmit_kick() override;
  std::size_t xmit_done(PacketBatch& done) override { return done_.give(done); }

 private:
  void collect_sent();
  bool write(const Packet& packet, std::uint32_t id, std::uint32_t& size);

  XdpSocket& socket_;
  std::vector<std::uint32_t> free_;
  DonePackets done_;
  bool announced_ = true;
};

}  // namespace netrx
