// SPDX-License-Identifier: Apache-2.0
#include "netrx/virtio_net_hdr.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "wire/frame_builder.h"

namespace netrx {
namespace {

using wire::Frame;
using wire::FrameBuilder;

constexpr std::uint8_t kCsum = VirtioNetHdr::kNeedsCsum, kValid = VirtioNetHdr::kDataValid;
constexpr std::uint8_t kTcp4 = VirtioNetHdr::kGsoTcpv4, kTcp6 = VirtioNetHdr::kGsoTcpv6;
constexpr std::uint8_t kUdpL4 = VirtioNetHdr::kGsoUdpL4, kUfo = VirtioNetHdr::kGsoUdp;

/// A frame as a device would hand it over, with some headroom in front.
struct Received {
  explicit Received(const Frame& frame, std::uint32_t headroom = 32) : buffer(headroom + frame.size()) {
    std::memcpy(buffer.data() + headroom, frame.data(), frame.size());
    packet.head = buffer.data();
    packet.data = buffer.data() + headroom;
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.len = static_cast<std::uint32_t>(frame.size());
  }
  std::vector<std::uint8_t> buffer;
  Packet packet;
};

Frame tcp4(std::size_t payload) {
  return FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload(payload).build();
}
Frame tcp6(std::size_t payload) {
  return FrameBuilder().eth().ipv6("fd00::1", "fd00::2").tcp(1, 2).payload(payload).build();
}
Frame udp4(std::size_t payload) {
  return FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(payload).build();
}

TEST(VirtioNetHdr, NothingSaidNothingSet) {
  Received in(tcp4(100));
  ASSERT_TRUE(virtio_net_hdr_to_packet({}, in.packet));
  EXPECT_EQ(in.packet.ip_summed, IpSummed::none);
  EXPECT_EQ(in.packet.gso_size, 0u);
}

TEST(VirtioNetHdr, DataValidIsUnnecessaryUnlessTheChecksumIsStillToCome) {
  Received valid(tcp4(100)), both(tcp4(100));
  ASSERT_TRUE(virtio_net_hdr_to_packet({.flags = kValid}, valid.packet));
  EXPECT_EQ(valid.packet.ip_summed, IpSummed::unnecessary);
  ASSERT_TRUE(virtio_net_hdr_to_packet({.flags = kValid | kCsum, .csum_start = 34, .csum_offset = 16}, both.packet));
  EXPECT_EQ(both.packet.ip_summed, IpSummed::partial);
}

TEST(VirtioNetHdr, PartialCountsFromTheBuffersHead) {
  Received in(tcp4(100), 40);
  ASSERT_TRUE(virtio_net_hdr_to_packet({.flags = kCsum, .csum_start = 34, .csum_offset = 16}, in.packet));
  EXPECT_EQ(in.packet.csum, (40u + 34) | 16u << 16);
  EXPECT_EQ(in.packet.transport_header, 40u + 34);
}

TEST(VirtioNetHdr, GsoOfAllKinds) {
  struct Row {
    Frame frame;
    VirtioNetHdr header;
    std::uint32_t type;
  } rows[] = {
      {tcp4(4000), {kCsum, kTcp4, 54, 1000, 34, 16}, kGsoTcpv4},
      {tcp4(4000), {kCsum, kTcp4 | VirtioNetHdr::kGsoEcn, 54, 1000, 34, 16}, kGsoTcpv4 | kGsoTcpEcn},
      {tcp4(4000), {0, kTcp4, 54, 1000, 0, 0}, kGsoTcpv4},
      {tcp6(4000), {kCsum, kTcp6, 74, 1000, 54, 16}, kGsoTcpv6},
      {udp4(4000), {kCsum, kUdpL4, 42, 1000, 34, 6}, kGsoUdpL4},
      {udp4(4000), {kCsum, kUfo, 42, 1000, 34, 6}, kGsoUdp},
  };
  for (const Row& row : rows) {
    Received in(row.frame);
    ASSERT_TRUE(virtio_net_hdr_to_packet(row.header, in.packet)) << int{row.header.gso_type};
    EXPECT_EQ(in.packet.gso_type, row.type | kGsoDodgy);
    EXPECT_EQ(in.packet.gso_size, 1000u);
    EXPECT_EQ(in.packet.gso_segs, 0u) << "the device is not believed";
  }
}

TEST(VirtioNetHdr, WhatFitsOneSegmentIsNoGsoPacket) {
  Received one(tcp4(1000)), two(tcp4(1001)), tiny(tcp4(9));
  ASSERT_TRUE(virtio_net_hdr_to_packet({kCsum, kTcp4, 54, 1000, 34, 16}, one.packet));
  EXPECT_EQ(one.packet.gso_size, 0u);
  ASSERT_TRUE(virtio_net_hdr_to_packet({kCsum, kTcp4, 54, 1000, 34, 16}, two.packet));
  EXPECT_EQ(two.packet.gso_size, 1000u);
  ASSERT_TRUE(virtio_net_hdr_to_packet({kCsum, kTcp4, 54, 1, 34, 16}, tiny.packet));
  EXPECT_EQ(tiny.packet.gso_size, 8u) << "TCP_MIN_GSO_SIZE";
}

TEST(VirtioNetHdr, WrongHeadersAreRefused) {
  struct Row {
    const char* why;
    Frame frame;
    VirtioNetHdr header;
  } rows[] = {
      {"unknown kind", tcp4(4000), {0, 2, 54, 1000, 0, 0}},
      {"no segment size", tcp4(4000), {kCsum, kTcp4, 54, 0, 34, 16}},
      {"GSO_BY_FRAGS", tcp4(4000), {kCsum, kTcp4, 54, 0xffff, 34, 16}},
      {"checksum behind the end", tcp4(10), {kCsum, 0, 0, 0, 60, 16}},
      {"checksum in the link header", tcp4(10), {kCsum, 0, 0, 0, 14, 4}},
      {"start and offset beyond everything", tcp4(10), {kCsum, 0, 0, 0, 0xffff, 0xffff}},
      {"TCP checksum not where TCP has it", tcp4(4000), {kCsum, kTcp4, 54, 1000, 34, 6}},
      {"IPv6 header cut short", tcp6(4000), {kCsum, kTcp6, 54, 1000, 34, 16}},
      {"UDP without checksum to come", udp4(4000), {0, kUdpL4, 42, 1000, 0, 0}},
      {"UDP with the ECN bit", udp4(4000), {kCsum, kUdpL4 | VirtioNetHdr::kGsoEcn, 42, 1000, 34, 6}},
      {"UDP checksum not where UDP has it", udp4(4000), {kCsum, kUdpL4, 42, 1000, 34, 16}},
      {"more than 128 datagrams", udp4(1281), {kCsum, kUdpL4, 42, 10, 34, 6}},
      {"shorter than its own headers", tcp4(0).cut(30), {0, kTcp4, 54, 1000, 0, 0}},
  };
  for (const Row& row : rows) {
    Received in(row.frame);
    EXPECT_FALSE(virtio_net_hdr_to_packet(row.header, in.packet)) << row.why;
  }
}

TEST(VirtioNetHdr, ThereAndBack) {
  const std::pair<Frame, VirtioNetHdr> rows[] = {
      {tcp4(4000), {kCsum, kTcp4, 54, 1000, 34, 16}},
      {tcp6(4000), {kCsum, kTcp6 | VirtioNetHdr::kGsoEcn, 74, 1400, 54, 16}},
      {udp4(4000), {kCsum, kUdpL4, 42, 1000, 34, 6}},
      {tcp4(10), {kCsum, 0, 0, 0, 34, 16}},
      {tcp4(10), {kValid, 0, 0, 0, 0, 0}},
      {tcp4(10), {}},
  };
  for (const auto& [frame, header] : rows) {
    Received in(frame);
    ASSERT_TRUE(virtio_net_hdr_to_packet(header, in.packet));
    VirtioNetHdr back;
    ASSERT_TRUE(virtio_net_hdr_from_packet(in.packet, back));
    EXPECT_EQ(std::memcmp(&back, &header, sizeof back), 0) << int{header.gso_type};
  }
}

TEST(VirtioNetHdr, WhatItCannotName) {
  Received in(tcp4(4000));
  in.packet.gso_size = 1000;
  VirtioNetHdr header;
  for (const std::uint32_t type : {kGsoTcpv4 | kGsoUdpTunnel, kGsoUdpL4 | kGsoFraglist, kGsoDodgy | 0}) {
    in.packet.gso_type = type;
    EXPECT_FALSE(virtio_net_hdr_from_packet(in.packet, header)) << type;
  }
}

}  // namespace
}  // namespace netrx
