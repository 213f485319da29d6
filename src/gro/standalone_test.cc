// SPDX-License-Identifier: Apache-2.0
// GRO as a program without an engine uses it: nothing here is not in a public header.
#include <gtest/gtest.h>

#include "gro/gro_fixture.h"
#include "netrx/gro.h"
#include "netrx/gso.h"
#include "netrx/virtio_net_hdr.h"

namespace netrx {
namespace {

TEST(StandaloneGro, ABurstBecomesFewPackets) {
  const auto gro = std::move(*Gro::create({}));
  PacketMaker maker;
  for (std::uint32_t i = 0; i < 40; ++i)
    for (std::uint16_t port = 1; port <= 3; ++port)
      EXPECT_LE(gro->receive(maker.make(tcp(Family::ipv4, {.at = i * 1000, .port = port}))), GroResult::held);
  EXPECT_EQ(gro->held(), 3u);
  EXPECT_TRUE(gro->take().empty());
  gro->flush();
  const auto packets = gro->take();
  ASSERT_EQ(packets.size(), 3u);
  for (const Packet* packet : packets) EXPECT_EQ(packet->gso_segs, 40u);
  EXPECT_EQ(gro->held(), 0u);
  EXPECT_TRUE(gro->take().empty()) << "taken once";
}

TEST(StandaloneGro, TicksLetPacketsWaitForLaterBursts) {
  const auto gro = std::move(*Gro::create({}));
  PacketMaker maker;
  gro->set_tick(1);
  gro->receive(maker.make(tcp(Family::ipv4, {})));
  gro->flush_older();
  EXPECT_EQ(gro->held(), 1u);
  gro->set_tick(2);
  gro->receive(maker.make(tcp(Family::ipv4, {.at = 1000})));
  gro->flush_older();
  ASSERT_EQ(gro->take().size(), 1u);
}

TEST(StandaloneGro, SaysWhyNot) {
  const auto gro = std::move(*Gro::create({}));
  PacketMaker maker;
  gro->receive(maker.make(udp(Family::ipv4, 100)));
  EXPECT_EQ(gro->refusals()[static_cast<std::size_t>(GroRefusal::kUdpOff)], 1u);
  for (std::size_t i = 0; i < kGroRefusals; ++i) {
    EXPECT_FALSE(name(static_cast<GroRefusal>(i)).empty());
    EXPECT_FALSE(text(static_cast<GroRefusal>(i)).empty());
  }
}

TEST(StandaloneGro, MorePacketsThanAnyListHolds) {
  const auto gro = std::move(*Gro::create({}));
  PacketMaker maker;
  for (std::uint16_t i = 0; i < 500; ++i) gro->receive(maker.make(udp(Family::ipv4, 100)));
  EXPECT_EQ(gro->take().size(), 500u);
}

TEST(StandaloneGro, OptionsOutOfRangeAreRefusedWithTheRemedy) {
  const auto refusal = [](const GroOptions& options) {
    const auto gro = Gro::create(options);
    return gro ? std::string() : gro.error().text;
  };
  EXPECT_EQ(refusal({.gro_max_size = 524281}), "gro_max_size 524281: at most 524280");
  EXPECT_EQ(refusal({.max_skb_frags = 18}), "max_skb_frags 18: 1 to 17");
  EXPECT_EQ(refusal({.flow_buckets = 9}), "flow_buckets 9: 0, 8, 16, 32 or 64");
  EXPECT_EQ(refusal({.gro_max_size = 524280, .max_skb_frags = 1, .flow_buckets = 64}), "");
}

TEST(StandaloneGro, AMergedPacketDescribesItselfToATunDevice) {
  const auto gro = std::move(*Gro::create({}));
  PacketMaker maker;
  for (const std::uint32_t at : {0u, 1000u, 2000u}) gro->receive(maker.make(tcp(Family::ipv6, {.at = at})));
  gro->flush();
  const Packet& merged = *gro->take()[0];
  VirtioNetHdr header;
  ASSERT_TRUE(virtio_net_hdr_from_packet(merged, header));
  EXPECT_EQ(header.gso_type, VirtioNetHdr::kGsoTcpv6);
  EXPECT_EQ(header.gso_size, 1000u);
  EXPECT_EQ(header.hdr_len, 60u);
  EXPECT_EQ(header.flags, VirtioNetHdr::kNeedsCsum);
  EXPECT_EQ(header.csum_start, 40u) << "data stands at the network header: a frame of a TUN device";
  EXPECT_EQ(header.csum_offset, 16u);
}

TEST(StandaloneGro, WhatIsHeldAtTheEndStaysTheCallers) {
  PacketMaker maker;
  const auto gro = std::move(*Gro::create({}));
  gro->receive(maker.make(tcp(Family::ipv4, {})));
}

}  // namespace
}  // namespace netrx
