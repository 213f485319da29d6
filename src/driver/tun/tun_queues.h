// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "driver/big_frames.h"
#include "driver/live/frame_pieces.h"
#include "driver/live/live_queue.h"
#include "driver/tun/tun_file.h"
#include "netrx/virtio_net_hdr.h"

namespace netrx {

/// Reads frames, one system call each: into a packet's own buffer, and what is longer than that into a large one behind
/// it, as a frag.
class TunRxQueue final : public LiveRxQueue {
 public:
  TunRxQueue(int fd, const FrameFormat& format, LiveLife& life)
      : LiveRxQueue(fd, life), format_(format), big_frames_(kLongest, kLongFrames) {}

  /// Goes on with this file when it was lost.
  void resume_with(int fd);

 protected:
  std::size_t receive(PollContext& context, PacketBatch& batch, std::size_t wanted) override;
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
class TunTxQueue final : public LiveTxQueue {
 public:
  TunTxQueue(int fd, const FrameFormat& format) : fd_(fd), format_(format) {}

  /// Sends by this file from now on.
  void resume_with(int fd);

 protected:
  std::size_t send(std::span<Packet* const> packets) override;
  bool file_is_attached() const override { return tun_is_attached(fd_); }

 private:
  bool write(const Packet& packet);  ///< false: the kernel can't take it now

  int fd_;
  const FrameFormat format_;
};

}  // namespace netrx
