// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

#include "driver/af_packet/packet_socket.h"
#include "driver/big_frames.h"
#include "driver/live/frame_pieces.h"
#include "driver/live/live_queue.h"

struct tpacket3_hdr;
struct tpacket_block_desc;

namespace netrx {

/// Reads a TPACKET_V3 ring: the kernel fills blocks of frames and hands each over whole, and gets it back when its last
/// frame has been copied out. Copying keeps a slow consumer's few packets from holding on to blocks of hundreds.
class PacketRxQueue final : public LiveRxQueue {
 public:
  PacketRxQueue(PacketRing ring, const PacketRequest& request, bool ethernet, LiveLife& life);

  /// The kernel tells once that the interface went down, and not again when it then goes away: that is looked for.
  Nanos next_attention(Nanos now) override;

  /// Goes on with this ring when it was lost; the other one is returned, to be closed.
  PacketRing resume_with(PacketRing ring);

 protected:
  std::size_t receive(PollContext& context, PacketBatch& batch, std::size_t wanted) override;
  bool something_waits(Nanos now) const override;

 private:
  static constexpr std::uint32_t kLongest = 65536 + 64;
  static constexpr std::uint32_t kLongFrames = 512;

  enum class Step { frame, skipped, none, dry };
  Step take_one(PacketPool& pool, PacketBatch& batch);
  bool fill(const tpacket3_hdr& frame, Packet& packet) const;
  tpacket_block_desc& block(std::uint32_t index) const;
  bool enter_block();  ///< false: the kernel has the next one still
  void leave_frame();  ///< the current frame is done with, and perhaps its block
  void look_for_trouble(Nanos now);
  void count_drops();

  PacketRing ring_;
  const bool ethernet_;
  const bool rxhash_;
  const Nanos block_timeout_;
  BigFrames big_frames_;
  std::atomic<std::uint32_t> at_{0};     ///< the block to read next; also looked at by whoever asks something_waits()
  const std::uint8_t* frame_ = nullptr;  ///< in it; null: it was not entered yet
  std::uint32_t frames_left_ = 0;
  Nanos counted_{0};  ///< when drops were last asked for
  Nanos gone_{0};     ///< when the interface was first seen to be gone; 0: it was not
  mutable std::atomic<Nanos> asked_{-std::chrono::seconds(1)};  ///< when something_waits() last asked for trouble
};

/// Sends packets many a system call; they are the kernel's when xmit() returns. Kernel: sendmmsg, packet_snd.
class PacketTxQueue final : public LiveTxQueue {
 public:
  PacketTxQueue(OwnedFd fd, bool ethernet) : fd_(std::move(fd)), format_{.ethernet = ethernet, .vnet_hdr = true} {}

  /// Sends by this socket from now on; the other one is returned, to be closed.
  OwnedFd resume_with(OwnedFd fd);

 protected:
  std::size_t send(std::span<Packet* const> packets) override;
  bool file_is_attached() const override { return packet_socket_is_bound(fd_.get()); }

 private:
  static constexpr std::size_t kAtOnce = PacketBatch::kCapacity;

  std::size_t gather(std::span<Packet* const> packets);         ///< how many messages there are now; at least 1
  std::size_t send_gathered(std::size_t messages, bool& full);  ///< how many are the kernel's, or were refused

  OwnedFd fd_;
  const FrameFormat format_;
  std::array<FrameExtras, kAtOnce> extras_;
  std::array<mmsghdr, kAtOnce> messages_{};
  std::array<iovec, kMostFramePieces + 4 * kAtOnce> pieces_;
};

}  // namespace netrx
