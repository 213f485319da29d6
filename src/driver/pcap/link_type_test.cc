// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/link_type.h"

#include <gmock/gmock.h>

#include "driver/pcap/capture_writer_test_support.h"
#include "netrx/ethertype.h"
#include "wire/frame_builder.h"

namespace netrx {
namespace {

using testing::HasSubstr;
using wire::FrameBuilder;

const FrameBytes kIpv4 = FrameBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(3).build().bytes;
const FrameBytes kIpv6 = FrameBuilder().ipv6("2001:db8::1", "2001:db8::2").tcp(1, 2).build().bytes;

FrameBytes operator+(FrameBytes a, const FrameBytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The one frame of a capture of this link type.
Received received(int dlt, const FrameBytes& frame) {
  const TempFile file("link.pcap");
  EXPECT_TRUE(write_capture(file.path(), dlt, {{frame}}));
  const auto frames = receive_all("pcap:" + file.path());
  EXPECT_EQ(frames.size(), 1u);
  return frames.empty() ? Received{} : frames[0];
}

void expect_packet(int dlt, const FrameBytes& header, const FrameBytes& packet, Be16 protocol) {
  const Received got = received(dlt, header + packet);
  EXPECT_EQ(got.bytes, packet) << link_type_name(dlt);
  EXPECT_EQ(got.protocol, protocol) << link_type_name(dlt);
}

TEST(LinkType, EthernetKeepsItsHeader) {
  const FrameBytes frame = FrameBuilder().eth().build().bytes + kIpv4;
  EXPECT_EQ(received(DLT_EN10MB, frame).bytes, frame);
}

TEST(LinkType, RawIpSaysItsVersionItself) {
  expect_packet(DLT_RAW, {}, kIpv4, kEthPIp);
  expect_packet(DLT_RAW, {}, kIpv6, kEthPIpv6);
  expect_packet(DLT_IPV4, {}, kIpv4, kEthPIp);
  expect_packet(DLT_IPV6, {}, kIpv6, kEthPIpv6);
}

TEST(LinkType, LoopbackFamiliesInEitherByteOrderAndOfEverySystem) {
  expect_packet(DLT_NULL, {2, 0, 0, 0}, kIpv4, kEthPIp);
  expect_packet(DLT_NULL, {0, 0, 0, 2}, kIpv4, kEthPIp);
  for (const std::uint8_t inet6 : FrameBytes{10, 24, 28, 30})
    expect_packet(DLT_NULL, {inet6, 0, 0, 0}, kIpv6, kEthPIpv6);
  expect_packet(DLT_LOOP, {0, 0, 0, 24}, kIpv6, kEthPIpv6);
  expect_packet(DLT_NULL, {7, 0, 0, 0}, kIpv4, Be16{});
}

TEST(LinkType, CookedCapturesTellProtocolAndKind) {
  const FrameBytes sll{0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd};
  expect_packet(DLT_LINUX_SLL, sll, kIpv6, kEthPIpv6);
  EXPECT_EQ(received(DLT_LINUX_SLL, sll + kIpv6).kind, PacketKind::multicast);
  const FrameBytes sll2{8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0};
  expect_packet(DLT_LINUX_SLL2, sll2, kIpv4, kEthPIp);
  EXPECT_EQ(received(DLT_LINUX_SLL2, sll2 + kIpv4).kind, PacketKind::otherhost) << "sent by this machine";
}

TEST(LinkType, PppWithAndWithoutItsCompressions) {
  expect_packet(DLT_PPP, {0xff, 0x03, 0x00, 0x21}, kIpv4, kEthPIp);
  expect_packet(DLT_PPP, {0x00, 0x57}, kIpv6, kEthPIpv6);
  expect_packet(DLT_PPP, {0x21}, kIpv4, kEthPIp);
  expect_packet(DLT_PPP, {0x02, 0x81}, kIpv4, kEthPMplsUc);
  expect_packet(DLT_PPP, {0xff, 0x03, 0xc0, 0x21}, {1, 2, 3}, Be16{});
  expect_packet(DLT_PPP_SERIAL, {0xff, 0x03, 0x00, 0x57}, kIpv6, kEthPIpv6);
  expect_packet(DLT_PPP_SERIAL, {0x0f, 0x00, 0x08, 0x00}, kIpv4, kEthPIp);
  expect_packet(DLT_PPP_PPPD, {0x01, 0x03, 0x00, 0x21}, kIpv4, kEthPIp);
  expect_packet(DLT_PPP_ETHER, {}, FrameBytes{0x11, 0, 0, 1, 0, 2, 0, 0x21} + kIpv4, kEthPPppSes);
}

TEST(LinkType, OthersThatNameAnEtherType) {
  expect_packet(DLT_C_HDLC, {0x0f, 0x00, 0x86, 0xdd}, kIpv6, kEthPIpv6);
  expect_packet(DLT_MPLS, {}, FrameBytes{0, 1, 1, 64} + kIpv4, kEthPMplsUc);
  expect_packet(DLT_APPLE_IP_OVER_IEEE1394, FrameBytes(16, 1) + FrameBytes{8, 0}, kIpv4, kEthPIp);
}

TEST(LinkType, AFrameThatEndsWithinItsHeaderIsCountedNotReceived) {
  for (const int dlt : {DLT_RAW, DLT_NULL, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_PPP, DLT_PPP_SERIAL, DLT_C_HDLC,
                        DLT_PPP_ETHER, DLT_APPLE_IP_OVER_IEEE1394}) {
    const TempFile file("short.pcap");
    const FrameBytes shorter(dlt == DLT_RAW || dlt == DLT_PPP || dlt == DLT_PPP_SERIAL ? 0 : 3);
    ASSERT_TRUE(write_capture(file.path(), dlt, {{shorter}, {shorter}}));
    const auto pool = test_pool();
    const auto device = pcap_catalog().open("pcap:" + file.path() + ",loop=forever").value();
    EXPECT_TRUE(receive_all(*device, *pool).empty()) << link_type_name(dlt);
    EXPECT_EQ(device->queue(0).stats().rx_length_errors, 2u) << link_type_name(dlt);
  }
}

TEST(LinkType, EveryOneThatLibpcapKnowsIsHandledOrRefusedByName) {
  int handled = 0, refused = 0;
  for (int dlt = 0; dlt < 1024; ++dlt) {
    const char* name = pcap_datalink_val_to_name(dlt);
    if (name == nullptr) continue;
    const TempFile file("type.pcap");
    if (!write_capture(file.path(), dlt, {{FrameBytes(64, 1)}})) {
      EXPECT_FALSE(link_type_handled(dlt)) << name;
      continue;
    }
    const auto device = pcap_catalog().open("pcap:" + file.path());
    EXPECT_EQ(device.has_value(), link_type_handled(dlt)) << name;
    if (device) {
      EXPECT_EQ((*device)->has_link_header(), dlt == DLT_EN10MB) << name;
      ++handled;
      continue;
    }
    ++refused;
    EXPECT_EQ(device.error().code, EPROTONOSUPPORT) << name;
    EXPECT_THAT(device.error().text, HasSubstr(std::string(name) + " (" + std::to_string(dlt) + ") is not handled"));
    EXPECT_THAT(device.error().text, HasSubstr("EN10MB (1), RAW"));
  }
  EXPECT_EQ(handled, 15);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace netrx
