// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "netrx/packet.h"
#include "netrx/virtqueue.h"
#include "virtio/net_header.h"

namespace netrx::virtio {

/// The device's side of a virtio-net receive queue: puts frames into the driver's buffers. Kernel: vhost's handle_rx.
/// One thread at a time.
class NetFiller {
 public:
  enum class Put : std::uint8_t {
    done,
    no_room,  ///< not now: the driver has not posted enough
    refused,  ///< never: too long for any of its buffers, or nothing its header can say
    broken,   ///< the driver's ring is
  };

  NetFiller(DeviceRing& ring, Features features) : ring_(ring), features_(features) {}

  /// Copies the packet's frame; `data` stands at its link header.
  Put put(const Packet& packet);
  /// The same with a header of the caller's own; num_buffers is filled in.
  Put put(NetHeader header, const Packet& packet);
  /// True: the driver wants an interrupt.
  bool call() { return ring_.call_prepare(); }

 private:
  struct Written {
    ChainId chain;
    std::uint32_t bytes;
  };

  DeviceRing& ring_;
  const Features features_;
  Chain first_, more_;
  std::vector<Written> written_;
};

/// The device's side of a transmit queue: takes frames out of the driver's buffers. Kernel: vhost's handle_tx.
class NetDrainer {
 public:
  static constexpr std::uint32_t kLargest = 65536 + 64;  ///< bytes of a frame that are looked at

  NetDrainer(DeviceRing& ring, Features features) : ring_(ring), features_(features), frame_(kLargest) {}

  /// Calls `use(header, frame)` for up to `limit` frames, each copied before it is looked at; returns how many there
  /// were. A chain that holds no frame is given back and counted in malformed().
  template <class Use>
  std::size_t drain(std::size_t limit, Use use) {
    std::size_t n = 0;
    NetHeader header;
    std::span<const std::uint8_t> frame;
    for (; n < limit && next(header, frame); ++n)
      if (!frame.empty()) use(header, frame);
    return n;
  }
  /// True: the driver wants an interrupt.
  bool call() { return ring_.call_prepare(); }
  std::uint64_t malformed() const { return malformed_; }

 private:
  bool next(NetHeader& header, std::span<const std::uint8_t>& frame);

  DeviceRing& ring_;
  const Features features_;
  Chain chain_;
  std::vector<std::uint8_t> frame_;
  std::uint64_t malformed_ = 0;
};

}  // namespace netrx::virtio
