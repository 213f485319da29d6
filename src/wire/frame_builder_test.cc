// SPDX-License-Identifier: Apache-2.0
#include "wire/frame_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace netrx::wire {
namespace {

using testing::ElementsAre;

TEST(FrameBuilder, AddressesFromText) {
  EXPECT_THAT(Ip4("192.168.7.255").bytes, ElementsAre(192, 168, 7, 255));
  EXPECT_THAT(Ip4(0x0a000102u).bytes, ElementsAre(10, 0, 1, 2));
  EXPECT_THAT(Ip6("2001:db8::a:1").bytes, ElementsAre(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 1));
  EXPECT_THAT(Ip6("::1").bytes, ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_THAT(Ip6("1:2:3:4:5:6:7:8").bytes, ElementsAre(0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8));
  EXPECT_THAT(Ip6("fe80::").bytes, ElementsAre(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(Ip6(Ip6("fd00::"), 0x01020304).bytes, ElementsAre(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4));
}

TEST(FrameBuilder, WholeFrameByteByByte) {
  const Frame frame =
      FrameBuilder().eth().vlan(5, 3).ipv4("10.0.0.1", "10.0.0.2", {.id = 7}).udp(1, 2).raw({'h', 'i'}).build();
  const std::vector<std::uint8_t> expected{
      0x02, 0, 0, 0,  0, 1,  0x02, 0,    0,   0,  0,    2,    0x81, 0,                     // Ethernet
      0x60, 5, 8, 0,                                                                       // VLAN
      0x45, 0, 0, 30, 0, 7,  0,    0,    64,  17, 0x66, 0xc6, 10,   0, 0, 1, 10, 0, 0, 2,  // IPv4
      0,    1, 0, 2,  0, 10, 0x83, 0x6b, 'h', 'i'};
  EXPECT_EQ(frame.bytes, expected);
}

/// The checks a receiver makes.
void expect_intact(const Frame& frame, bool tcp) {
  const std::span<const std::uint8_t> l3 = std::span(frame.bytes).subspan(14);
  const bool v6 = l3[0] >> 4 == 6;
  const std::uint32_t header = v6 ? 40 : Ipv4View{l3.data()}.header_size();
  const std::uint32_t length = v6 ? Ipv6View{l3.data()}.payload_length() : Ipv4View{l3.data()}.total_length() - header;
  if (!v6) {
    EXPECT_TRUE(csum_ok(l3.first(header)));
  }
  const std::span<const std::uint8_t> addresses = v6 ? l3.subspan(8, 32) : l3.subspan(12, 8);
  EXPECT_TRUE(csum_ok(l3.subspan(header, length), csum_pseudo_header(addresses, tcp ? 6 : 17, length)));
}

TEST(FrameBuilder, LengthsAndChecksums) {
  for (std::size_t size : {0, 1, 2, 99, 100, 1400}) {
    expect_intact(FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(size).build(), false);
    expect_intact(
        FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2", {.options = {1, 1, 1}}).tcp(1, 2).payload(size).pad().build(),
        true);
    expect_intact(FrameBuilder().eth().ipv6("::1", "fd00::2").udp(1, 2).payload(size).build(), false);
    expect_intact(
        FrameBuilder().eth().ipv6("::1", "fd00::2").tcp(1, 2, {.options = {2, 4, 5, 0xb4, 1}}).payload(size).build(),
        true);
  }
}

TEST(FrameBuilder, TcpFieldsReadBackThroughTheView) {
  const Frame frame =
      FrameBuilder()
          .eth()
          .ipv4("10.0.0.1", "10.0.0.2")
          .tcp(3, 4, {.seq = 5, .ack = 6, .flags = TcpView::kSyn, .window = 7, .urgent = 8, .options = {1}})
          .build();
  const TcpView tcp{&frame.bytes[34]};
  EXPECT_EQ(tcp.src_port(), 3);
  EXPECT_EQ(tcp.dst_port(), 4);
  EXPECT_EQ(tcp.seq(), 5u);
  EXPECT_EQ(tcp.ack(), 6u);
  EXPECT_EQ(tcp.flags(), TcpView::kSyn);
  EXPECT_EQ(tcp.window(), 7);
  EXPECT_EQ(tcp.urgent(), 8);
  EXPECT_EQ(tcp.header_size(), 24u);
  EXPECT_EQ(frame.size(), 14u + 20 + 24);
}

TEST(FrameBuilder, TunnelLengthsCoverWhatTheyCarry) {
  const Frame frame = FrameBuilder()
                          .eth()
                          .ipv4("1.1.1.1", "2.2.2.2")
                          .udp(5, 4789)
                          .vxlan(9)
                          .eth()
                          .ipv6("::1", "::2")
                          .tcp(1, 2)
                          .payload(10)
                          .build();
  EXPECT_EQ(Ipv4View{&frame.bytes[14]}.total_length(), frame.size() - 14);
  EXPECT_EQ(UdpView{&frame.bytes[34]}.length(), frame.size() - 34);
  EXPECT_EQ(Ipv6View{&frame.bytes[14 + 20 + 8 + 8 + 14]}.payload_length(), 30);
  expect_intact(frame, false);
}

TEST(FrameBuilder, PadIsNotPartOfTheDatagram) {
  const Frame frame = FrameBuilder().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).pad().build();
  EXPECT_EQ(frame.size(), 60u);
  EXPECT_EQ(Ipv4View{&frame.bytes[14]}.total_length(), 28);
}

TEST(EthTypeTrans, WhomItIsFor) {
  const auto kind = [](const MacAddress& dst) {
    return eth_type_trans(FrameBuilder().eth(dst).build().bytes, kTestMac).kind;
  };
  EXPECT_EQ(kind(kTestMac), PacketKind::host);
  EXPECT_EQ(kind(kTestPeerMac), PacketKind::otherhost);
  EXPECT_EQ(kind({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), PacketKind::broadcast);
  EXPECT_EQ(kind({0x01, 0, 0x5e, 0, 0, 1}), PacketKind::multicast);
  EXPECT_EQ(kind({0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}), PacketKind::multicast);
}
TEST(EthTypeTrans, Protocol) {
  const auto protocol = [](const FrameBuilder& b) { return eth_type_trans(b.build().bytes, kTestMac).protocol; };
  EXPECT_EQ(protocol(FrameBuilder().eth().ipv6("::1", "::2")), kEthPIpv6);
  EXPECT_EQ(protocol(FrameBuilder().eth().ether_type(to_be16(0x0600)).raw({0xff, 0xff})), to_be16(0x0600));
  EXPECT_EQ(protocol(FrameBuilder().eth().ether_type(to_be16(0x05ff)).raw({0xff, 0xff})), kEthP8023);
  EXPECT_EQ(protocol(FrameBuilder().eth().ether_type(to_be16(40)).raw({0xff, 0xfe})), kEthP8022);
  EXPECT_EQ(protocol(FrameBuilder().eth().ether_type(to_be16(0)).raw({0xff})), kEthP8022);
  EXPECT_EQ(protocol(FrameBuilder().eth()), kEthP8022);
}

}  // namespace
}  // namespace netrx::wire
