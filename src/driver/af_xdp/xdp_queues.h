// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "driver/af_xdp/xdp_socket.h"
#include "driver/frame_returns.h"
#include "driver/live/live_queue.h"

namespace netrx {

/// Frames without a copy: packets have the memory lent to them, and what comes home from any CPU goes to the kernel
/// again at the next poll. Whoever polls is the only one who touches the fill ring.
///
/// The socket may go and another one come. Frames that are with packets then stay with them, and come home to the
/// memory that both sockets share with the kernel.
class XdpRxQueue final : public LiveRxQueue {
 public:
  /// `metadata`: a program puts XdpMetadata in front of frames.
  XdpRxQueue(const XdpMemory& memory, XdpSocket& socket, bool metadata, LiveLife& life);

  /// Unlike the other live devices nobody announces that the interface is gone, or that frames came home to a queue
  /// that the kernel has none of: it is looked at from time to time.
  Nanos next_attention(Nanos now) override;

  /// A lost queue lets go of its socket, which may then be closed.
  void suspend();
  void resume_with(XdpSocket& socket, bool metadata);

 protected:
  std::size_t receive(PollContext& context, PacketBatch& batch, std::size_t wanted) override;
  bool something_waits(Nanos now) const override;

 private:
  bool frames_wait() const;
  bool hungry() const;
  void refill();
  void wake_kernel();
  void give_out(Packet& packet, const xdp_desc& descriptor);
  bool gone(Nanos now) const;
  void look_for_trouble(Nanos now);

  const XdpMemory& memory_;
  const std::uint32_t frames_;
  XdpSocket* socket_;  ///< null: suspended
  bool metadata_;
  FrameReturns home_;
  std::vector<std::uint32_t> free_;            ///< frames that are neither the kernel's nor a packet's
  std::vector<std::uint8_t> kernels_;          ///< by frame: in the fill ring or filled
  std::atomic<std::uint32_t> with_kernel_{0};  ///< how many of these; few: it is hungry
  Nanos counted_{0};                           ///< when drops were last asked for
  std::uint64_t drops_ = 0;
  mutable Nanos looked_{0};  ///< when it was last asked whether the interface is gone
  mutable bool gone_ = false;
};

/// Copies packets into the socket's frames: the device gathers nothing and completes nothing.
class XdpTxQueue final : public LiveTxQueue {
 public:
  XdpTxQueue(const XdpMemory& memory, XdpSocket& socket);

  void xmit_kick() override;

  /// Lets go of its socket, which may then be closed. What was not sent counts as refused; until there is another one
  /// the queue takes nothing.
  void suspend();
  void resume_with(XdpSocket& socket);

 protected:
  std::size_t send(std::span<Packet* const> packets) override;
  bool file_is_attached() const override { return socket_ != nullptr && socket_->bound(); }

 private:
  void collect_sent();
  bool write(const Packet& packet, std::uint32_t id, std::uint32_t& size);
  void free_all();

  const XdpMemory& memory_;
  const std::uint32_t first_, frames_;
  XdpSocket* socket_;  ///< null: suspended
  std::vector<std::uint32_t> free_;
  bool announced_ = true;
};

}  // namespace netrx
