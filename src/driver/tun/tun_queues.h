// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "driver/big_frames.h"
#include "driver/live/done_packets.h"
#include "driver/live/frame_pieces.h"
#include "driver/live/live_queue.h"
#include "netrx/virtio_net_hdr.h"

namespace netrx {

/// Reads frames, one system call each: into a packet's own buffer, and what is longer than that into a large one behind
/// it, as a frag.
class TunRxQueue final : public LiveRxQueue {
 public:
  TunRxQueue(int fd, const FrameFormat& format, FrameLimit& limit)
      : LiveRxQueue(fd, limit), format_(format), big_frames_(kLongest, kLongFrames) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override;

 protected:
  bool something_waits(Nanos now) const override;

 private:
  static constexpr std::uint32_t kLongest = 65536 + 64;
  static constexpr std::uint32_t kLongFrames = 512;  ///< that may be on their way at once; memory only as they are used

  /// What became of one read.
  enum class Got { frame, bad_frame, nothing, gone };
  /// A packet to read into, and one for the rest of a long frame.
  struct Target {
    Packet* packet;
    Packet* rest;
    bool rest_used;
  };
  /// Reads up to `wanted` frames; fewer: `more` says whether another call may bring some.
  std::size_t read_some(PollContext& context, PacketBatch& batch, std::size_t wanted, bool& more, bool& dry);
  Got read_one(Target& target);
  bool make_packet(Packet& packet, const VirtioNetHdr& header) const;
  void discard(PacketPool& pool, Target& target);

  const FrameFormat format_;
  BigFrames big_frames_;
};

/// Writes packets, one system call each; they have left when xmit() returns.
class TunTxQueue final : public TxQueue {
 public:
  TunTxQueue(int fd, const FrameFormat& format) : fd_(fd), format_(format) {}

  std::size_t xmit(std::span<Packet* const> packets) override;
  void xmit_kick() override {}
  std::size_t xmit_done(PacketBatch& done) override { return done_.give(done); }

  /// Why the kernel last refused a packet, as errno; 0: it did not, or takes them again.
  int trouble() const { return trouble_.load(std::memory_order_relaxed); }

 private:
  bool write(const Packet& packet);  ///< false: the kernel can't take it now

  const int fd_;
  const FrameFormat format_;
  DonePackets done_;
  std::atomic<int> trouble_{0};
};

}  // namespace netrx
