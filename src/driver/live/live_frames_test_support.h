// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "driver/queue_runner_test_support.h"
#include "netrx/virtio_net_hdr.h"
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

/// A TCP packet of many segments, as a sender with TSO hands it down: the checksum is left to the device.
inline FrameBytes large_segment(std::uint32_t payload, VirtioNetHdr& header) {
  FrameBytes frame =
      wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).payload(payload).build().bytes;
  header = {.flags = VirtioNetHdr::kNeedsCsum,
            .gso_type = VirtioNetHdr::kGsoTcpv4,
            .hdr_len = 54,
            .gso_size = 1448,
            .csum_start = 34,
            .csum_offset = 16};
  // What is there before the sum: the pseudo header's, not inverted.
  const std::uint32_t sum =
      wire::csum_pseudo_header(std::span(frame).subspan(26, 8), 6, static_cast<std::uint32_t>(frame.size() - 34));
  const Be16 folded = wire::csum_fold(~std::uint32_t{0} - sum);
  std::memcpy(frame.data() + 50, &folded, 2);
  return frame;
}

inline FrameBytes behind_header(const VirtioNetHdr& header, const FrameBytes& frame) {
  FrameBytes bytes(sizeof header + frame.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::copy(frame.begin(), frame.end(), bytes.begin() + sizeof header);
  return bytes;
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

inline Nanos steady_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

/// What one queue has now, frame by frame.
inline std::vector<FrameBytes> take_waiting(RxQueue& queue, PacketPool& pool) {
  std::vector<FrameBytes> frames;
  for (bool more = true; more;) {
    PacketBatch batch;
    PollContext context{steady_now(), pool};
    more = queue.poll(context, batch, PacketBatch::kCapacity) != 0;
    for (const Packet* packet : batch) frames.push_back(bytes_of(*packet));
    end_packets(pool, batch);
  }
  return frames;
}

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
