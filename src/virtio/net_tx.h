// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cpu/counter.h"
#include "netrx/device.h"
#include "netrx/virtqueue.h"
#include "virtio/net_header.h"

namespace netrx::virtio {

/// What one transmit queue counts besides TxQueueStats. Kernel: virtnet_sq_stats.
struct NetTxStats {
  Counter kicks;      ///< system calls to tell the device of frames
  Counter completed;  ///< frames the device is done with
};

/// The driver's side of a virtio-net transmit queue. Kernel: start_xmit, xmit_skb, free_old_xmit.
///
/// Frames are copied into buffers that the device may see; a packet is done with as soon as it was taken. A frame
/// longer than a buffer takes several.
///
/// Thread rules: one thread at a time.
class NetTx {
 public:
  static constexpr std::uint32_t kBuffer = 4096, kStride = kBuffer + 64;  // pages in a row would share their cache sets
  static constexpr std::uint16_t kMaxChain = 20;                          // buffers of the longest frame: 64 KiB
  static std::size_t bytes(std::uint16_t ring_size) { return std::size_t{kStride} * ring_size; }
  static TxFeatures features(Features features);

  struct Memory {
    std::uint8_t* at;
    std::uint64_t address;
  };
  enum class Sent : std::uint8_t { yes, no_room, refused };

  NetTx(DriverRing& ring, Features features, Memory memory, NetTxStats& stats);

  /// Copies the packet's frame in. `refused`: the device can't be told what this packet needs, or it is too long.
  Sent send(const Packet& packet);
  /// True: the device wants to be told.
  bool kick();
  /// Takes back the buffers of frames the device is done with. Kernel: free_old_xmit.
  void reclaim();

  std::uint32_t free_buffers() const { return static_cast<std::uint32_t>(free_.size()); }
  DriverRing& ring() { return ring_; }

 private:
  class Writer;
  bool header_of(const Packet& packet, NetHeader& header) const;
  void complete_checksum(const NetHeader& header, std::span<const std::uint32_t> buffers, std::uint32_t bytes) const;

  DriverRing& ring_;
  const Features features_;
  const std::uint32_t header_size_;
  const Memory memory_;
  NetTxStats& stats_;
  std::vector<std::uint32_t> free_;  ///< a stack of buffers
  std::vector<std::uint32_t> next_;  ///< of a frame's buffers, by buffer: token names the first
};

}  // namespace netrx::virtio
