// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/counter.h"
#include "netrx/device.h"
#include "netrx/virtqueue.h"
#include "virtio/net_header.h"

namespace netrx::virtio {

/// What one receive queue counts besides RxQueueStats. Kernel: virtnet_rq_stats.
struct NetRxStats {
  Counter packets;  ///< buffers that began a packet, those dropped later too
  Counter bytes;    ///< of them, without headers
  Counter drops;
  Counter kicks;  ///< system calls to tell the device of new buffers
};

/// How receive buffers are posted. Kernel: mergeable_rx_bufs and big_packets of struct virtnet_info.
enum class RxMode : std::uint8_t { small, big, mergeable };

/// Smoothed length of received packets. Kernel: ewma_pkt_len, weight 1/64 without fraction bits.
class PacketLengthAverage {
 public:
  void add(std::uint32_t length) {
    if (length == average_) return;  // as most are: nothing would change
    average_ = average_ == 0 ? length : ((std::uint64_t{average_} << 6) - average_ + length) >> 6;
  }
  std::uint32_t read() const { return static_cast<std::uint32_t>(average_); }

 private:
  std::uint64_t average_ = 0;
};

/// Sizes that follow from what was negotiated. Kernel: virtnet_probe, add_recvbuf_small, _big, _mergeable.
///
/// A header has the end of a line to itself, its frame begins the next: a device that leaves headers alone that are
/// right already (DPDK's does) then shares that line with the driver for good, and of a short frame one line travels
/// instead of two.
struct RxGeometry {
  static constexpr std::uint32_t kPage = 4096, kGoodPacket = 1518, kMaxFrags = 17, kPaddedHeader = 32;

  RxMode mode;
  std::uint32_t header;         ///< bytes in front of a frame
  bool hash_report;             ///< the device's hash among them
  std::uint32_t posted;         ///< bytes of a buffer; of a mergeable one, the least
  std::uint32_t lead;           ///< bytes in front of each buffer, by which its frame begins on a cache line
  std::uint32_t stride;         ///< bytes from one lead to the next, whole cache lines
  std::uint32_t largest;        ///< bytes of the longest frame in one buffer, small and big
  std::uint32_t shortest_body;  ///< least bytes behind the header, mergeable

  /// `mtu`: as the device advertised it, 0: it did not.
  static RxGeometry of(Features features, std::uint16_t ring_size, std::uint32_t mtu);
  std::size_t bytes(std::uint16_t ring_size) const { return std::size_t{stride} * ring_size; }
};

/// The driver's side of a virtio-net receive queue: posts buffers, makes packets of what comes back. Kernel:
/// virtnet_receive, receive_small, receive_big, receive_mergeable, try_fill_recv.
///
/// Frames are copied into the pool's packets. The device keeps its mapping of the buffers and may write them at any
/// moment, so nothing in them can be checked and then used; and a buffer that goes straight back needs no memory that
/// could run out. What is in the shared memory is rings and frames, nothing of ours.
///
/// Thread rules: one thread at a time, but for what DriverRing says.
class NetRx {
 public:
  /// Where buffers are: `geometry.bytes(ring size)` bytes, called `address` by the device.
  struct Memory {
    std::uint8_t* at;
    std::uint64_t address;
  };
  struct Outcome {
    std::size_t got = 0;
    bool dry = false;   ///< the pool had no packets: what is there stays there
    bool kick = false;  ///< the device wants to be told of the new buffers
  };

  NetRx(DriverRing& ring, const RxGeometry& geometry, Memory memory, NetRxStats& stats, RxQueueStats& queue_stats);

  /// Posts every buffer; true: kick. Kernel: try_fill_recv.
  bool fill();

  /// `rx_seq` counts the packets.
  Outcome poll(PollContext& context, PacketBatch& batch, std::size_t budget, std::uint64_t& rx_seq);

  /// Something for poll(), taken from the ring already or not.
  bool has_work() const { return has_leftover() || (ring_.fault() == RingFault::none && ring_.has_used()); }
  /// What the ring gave and poll() has left: no interrupt will tell of it.
  bool has_leftover() const { return at_ != got_; }

  DriverRing& ring() { return ring_; }
  std::uint32_t average() const { return average_.read(); }
  /// Bytes of the next mergeable buffer. Kernel: get_mergeable_buf_len.
  std::uint32_t mergeable_length() const;

 private:
  class Packets;  // a stock taken from the pool
  enum class Step : std::uint8_t { received, dropped, dry };
  /// What one poll counts, until its end.
  struct Tally {
    std::uint64_t heads = 0, bytes = 0, packets = 0, packet_bytes = 0;
  };

  Outcome receive(PollContext& context, PacketBatch& batch, std::size_t budget, std::uint64_t& rx_seq);
  std::size_t get(std::uint32_t at_most);
  bool fetch();
  bool ensure(std::uint32_t buffers);
  std::uint32_t waiting() const { return got_ - at_; }
  const UsedBuffer& used(std::uint32_t index) const { return window_[(at_ + index) & mask_]; }
  const std::uint8_t* bytes(const UsedBuffer& buffer) const {
    return memory_.at + std::size_t{buffer.token} * geometry_.stride;
  }
  std::size_t receive_plain(Packets& packets, PacketBatch& batch, std::size_t at_most, std::uint64_t& rx_seq);
  Step receive_one(Packets& packets, PacketBatch& batch, std::uint64_t& rx_seq);
  std::uint32_t judge(const NetHeader& header, std::uint32_t& total);
  Packet* assemble(Packets& packets, std::uint32_t buffers, std::uint32_t total) const;
  bool apply(const NetHeader& header, Packet& packet) const;

  DriverRing& ring_;
  const RxGeometry geometry_;
  const Memory memory_;  ///< of the first buffer
  NetRxStats& stats_;
  RxQueueStats& queue_stats_;
  PacketLengthAverage average_;
  Tally tally_;
  /// Every buffer that is not in the ring, in the order of coming back: received and to be posted from posted_ on, not
  /// yet received from at_ on, up to got_. Positions wrap. First in, first out, as the ring's ids are: so each id, once
  /// all were posted, goes with the same buffer again, and its descriptor need not change.
  std::vector<UsedBuffer> window_;
  const std::uint32_t mask_;
  std::uint32_t posted_ = 0;
  std::uint32_t at_;
  std::uint32_t got_;
};

}  // namespace netrx::virtio
