// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "driver/af_packet/packet_socket.h"
#include "driver/big_frames.h"
#include "driver/live/done_packets.h"
#include "driver/live/frame_pieces.h"
#include "driver/live/live_queue.h"

struct tpacket3_hdr;
struct tpacket_block_desc;

namespace netrx {

/// Reads a TPACKET_V3 ring: the kernel fills blocks of frames and hands each over whole, and gets it back when its last
/// frame has been copied out. Copying keeps a slow consumer's few packets from holding on to blocks of hundreds.
class PacketRxQueue final : public LiveRxQueue {
 public:
  PacketRxQueue(const PacketRing& ring, const PacketRequest& request, bool ethernet, FrameLimit& limit);

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override;
  /// The kernel tells once that the interface went down, and not again when it then goes away: that is looked for.
  Nanos next_attention(Nanos now) override;

 protected:
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

  const PacketRing& ring_;
  const bool ethernet_;
  const bool rxhash_;
  BigFrames big_frames_;
  std::atomic<std::uint32_t> at_{0};     ///< the block to read next; also looked at by whoever asks something_waits()
  const std::uint8_t* frame_ = nullptr;  ///< in it; null: it was not entered yet
  std::uint32_t frames_left_ = 0;
  Nanos counted_{0};                                            ///< when drops were last asked for
  mutable std::atomic<Nanos> asked_{-std::chrono::seconds(1)};  ///< when something_waits() last asked for trouble
};

/// Sends packets many a system call; they are the kernel's when xmit() returns. Kernel: sendmmsg, packet_snd.
class PacketTxQueue final : public TxQueue {
 public:
  PacketTxQueue(int fd, bool ethernet) : fd_(fd), format_{.ethernet = ethernet, .vnet_hdr = true} {}

  std::size_t xmit(std::span<Packet* const> packets) override;
  void xmit_kick() override {}
  std::size_t xmit_done(PacketBatch& done) override { return done_.give(done); }

  /// Why the kernel last refused a packet, as errno; 0: it takes them.
  int trouble() const { return trouble_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kAtOnce = PacketBatch::kCapacity;

  std::size_t gather(std::span<Packet* const> packets);  ///< how many messages there are now; at least 1
  std::size_t send(std::size_t messages, bool& full);    ///< how many are the kernel's, or were refused

  const int fd_;
  const FrameFormat format_;
  DonePackets done_;
  std::array<FrameExtras, kAtOnce> extras_;
  std::array<mmsghdr, kAtOnce> messages_{};
  std::array<iovec, kMostFramePieces + 4 * kAtOnce> pieces_;
  std::atomic<int> trouble_{0};
};

}  // namespace netrx
