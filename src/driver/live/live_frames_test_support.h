// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "driver/queue_runner_test_support.h"
#include "wire/frame_builder.h"

namespace netrx {

/// The i-th of the frames that tests send: UDP over IPv4 or IPv6, each of another size and flow.
inline FrameBytes live_frame(std::uint32_t i, bool ethernet = true) {
  wire::FrameBuilder builder;
  if (ethernet) builder.eth();
  if (i % 3 == 0)
    builder.ipv6("fd00::1", wire::Ip6("fd00::", i));
  else
    builder.ipv4("10.0.0.1", wire::Ip4(0x0a010000u + i));
  return builder.udp(1000 + i, 53).payload(20 + i * 37 % 1400).build().bytes;
}

/// A packet of the test's own memory, as the path hands one to a transmit queue.
struct OwnPacket {
  explicit OwnPacket(const FrameBytes& frame) : buffer(kRoom + frame.size()) {
    std::copy(frame.begin(), frame.end(), buffer.begin() + kRoom);
    packet.head = buffer.data();
    packet.data = buffer.data() + kRoom;
    packet.len = static_cast<std::uint32_t>(frame.size());
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.mac_header = kRoom;
    packet.network_header = static_cast<std::uint16_t>(kRoom + wire::EthernetView::kSize);
  }
  static constexpr std::uint16_t kRoom = 64;

  std::vector<std::uint8_t> buffer;
  Packet packet;
};

/// Sends packets as an egress does and expects the queue to take and finish them all.
inline void send_all(TxQueue& queue, std::span<Packet* const> packets) {
  EXPECT_EQ(queue.xmit(packets), packets.size());
  queue.xmit_kick();
  std::vector<Packet*> finished;
  for (int turns = 0; finished.size() < packets.size() && turns < 1000; ++turns) {
    PacketBatch done;
    queue.xmit_done(done);
    finished.insert(finished.end(), done.begin(), done.end());
    done.released();
  }
  EXPECT_TRUE(std::ranges::is_permutation(finished, packets));
}

}  // namespace netrx
