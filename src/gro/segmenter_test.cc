// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gro/gro_fixture.h"
#include "netrx/gso.h"

namespace netrx {
namespace {

constexpr std::uint8_t kEnd = TcpView::kPsh | TcpView::kFin | TcpView::kAck;

/// Every frame that `packet` is cut into.
std::vector<std::vector<std::uint8_t>> cut(const Packet& packet, std::uint16_t mss = 0) {
  Result<Segmenter> segmenter = Segmenter::create(packet, mss);
  EXPECT_TRUE(segmenter) << segmenter.error().text;
  std::vector<std::vector<std::uint8_t>> frames;
  while (segmenter && !segmenter->done()) {
    std::vector<std::uint8_t> frame(segmenter->max_size());
    frame.resize(segmenter->next(frame));
    frames.push_back(std::move(frame));
  }
  return frames;
}

TEST(Segmenter, ATcpPacketBecomesSegmentsThatAreRight) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    PacketMaker maker;
    const Packet& packet = maker.make(
        tcp(family,
            {.size = 2500, .flags = kEnd | TcpView::kCwr, .options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, .id = 9}));
    const auto frames = cut(packet, 1000);
    const std::uint8_t first = TcpView::kAck | TcpView::kCwr;
    ASSERT_EQ(frames.size(), 3u);
    const Segment same{.options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}};
    Segment s = same;
    s.flags = first, s.id = 9;
    EXPECT_EQ(frames[0], tcp(family, s).bytes) << "CWR on the first only";
    s.at = 1000, s.flags = TcpView::kAck, s.id = 10;
    EXPECT_EQ(frames[1], tcp(family, s).bytes);
    s.at = 2000, s.size = 500, s.flags = kEnd, s.id = 11;
    EXPECT_EQ(frames[2], tcp(family, s).bytes) << "FIN and PSH on the last only";
  }
}

TEST(Segmenter, UdpBecomesDatagrams) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    PacketMaker maker;
    const auto frames = cut(maker.make(udp(family, 2100)), 1000);
    ASSERT_EQ(frames.size(), 3u);
    for (const std::size_t i : {0u, 1u, 2u}) {
      const std::span<const std::uint8_t> payload = std::span(frames[i]).last(i == 2 ? 100 : 1000);
      FrameBuilder expected;
      ip(expected.eth(), family, {.id = static_cast<std::uint16_t>(i)}).udp(1000, 443).raw(payload);
      EXPECT_EQ(frames[i], expected.build().bytes);
    }
  }
}

TEST(Segmenter, WhatIsShortIsOneSegment) {
  PacketMaker maker;
  for (const std::size_t size : {0u, 1u, 1000u}) {
    const Frame frame = tcp(Family::ipv4, {.size = size});
    const auto frames = cut(maker.make(frame), 1000);
    ASSERT_EQ(frames.size(), 1u) << size;
    EXPECT_EQ(frames[0], frame.bytes);
  }
}

TEST(Segmenter, DataMayStandAtTheLinkHeader) {
  PacketMaker maker;
  Packet& packet = maker.make(tcp(Family::ipv4, {.size = 1500}));
  const auto from_network = cut(packet, 1000);
  packet.data -= wire::EthernetView::kSize;
  packet.len += wire::EthernetView::kSize;
  EXPECT_EQ(cut(packet, 1000), from_network);
}

TEST(Segmenter, TagsInTheFrameStayInEverySegment) {
  PacketMaker maker;
  FrameBuilder big, second;
  const Segment rest{.at = 1000, .size = 500, .id = 1};
  tcp(ip(big.eth().vlan(5).vlan(6), Family::ipv4), {.size = 1500});
  tcp(ip(second.eth().vlan(5).vlan(6), Family::ipv4, rest), rest);
  const auto frames = cut(maker.make(big.build()), 1000);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1], second.build().bytes);
}

TEST(Segmenter, RefusesWhatItCannotCut) {
  PacketMaker maker;
  const auto refusal = [&](const Frame& frame, std::uint16_t mss) {
    const Result<Segmenter> cut = Segmenter::create(maker.make(frame), mss);
    return cut ? 0 : cut.error().code;
  };
  const Frame whole = tcp(Family::ipv4, {});
  EXPECT_EQ(refusal(whole, 0), EINVAL) << "no size";
  EXPECT_EQ(refusal(FrameBuilder().eth().arp("10.0.0.1", "10.0.0.2").build(), 100), EINVAL);
  EXPECT_EQ(refusal(FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").icmp().build(), 100), EINVAL);
  for (std::size_t size = wire::EthernetView::kSize; size < 54; ++size)
    EXPECT_EQ(refusal(whole.cut(size), 100), EINVAL) << "cut to " << size;
  for (std::size_t size = wire::EthernetView::kSize; size < 74; ++size)
    EXPECT_EQ(refusal(tcp(Family::ipv6, {}).cut(size), 100), EINVAL) << "cut to " << size;
  Packet& ufo = maker.make(udp(Family::ipv4, 3000));
  ufo.gso_size = 1000;
  ufo.gso_type = kGsoUdp | kGsoDodgy;
  EXPECT_EQ(Segmenter::create(ufo).error().code, EOPNOTSUPP);
}

/// GRO and back, on the fixture's node.
class ThereAndBack : public GroTest {
 protected:
  /// Merges the frames into one packet and cuts it; the same frames must come back.
  void expect_back(const std::vector<Frame>& frames) {
    up.clear();
    run(frames);
    ASSERT_EQ(up.size(), 1u) << line;
    EXPECT_EQ(up[0]->gso_segs, frames.size());
    const auto back = cut(*up[0]);
    ASSERT_EQ(back.size(), frames.size());
    for (std::size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(back[i], frames[i].bytes) << i;
  }
};

TEST_F(ThereAndBack, Tcp) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::vector<Frame> frames;
    for (std::uint32_t i = 0; i < 40; ++i)
      frames.push_back(tcp(family, {.at = i * 1000,
                                    .size = i == 39 ? 77u : 1000u,
                                    .flags = static_cast<std::uint8_t>(i == 39 ? kEnd : TcpView::kAck),
                                    .id = static_cast<std::uint16_t>(0xfff0 + i)}));
    expect_back(frames);
  }
}

TEST_F(ThereAndBack, FixedIds) {
  std::vector<Frame> frames;
  for (std::uint32_t i = 0; i < 3; ++i) frames.push_back(tcp(Family::ipv4, {.at = i * 1000, .id = 7}));
  expect_back(frames);
}

TEST_F(ThereAndBack, UdpSegments) {
  rules.udp_forwarding = true;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::vector<Frame> frames;
    for (std::uint16_t i = 0; i < 5; ++i) {
      FrameBuilder frame;
      ip(frame.eth(), family, {.id = i}).udp(1, 2).payload(i == 4 ? 3 : 900);
      frames.push_back(frame.build());
    }
    expect_back(frames);
  }
}

TEST_F(ThereAndBack, Fraglists) {
  rules.fraglist = true;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::vector<Frame> tcp_frames, udp_frames;
    for (std::uint32_t i = 0; i < 3; ++i) {
      tcp_frames.push_back(tcp(family, {.at = i * 1000, .id = static_cast<std::uint16_t>(100 + i)}));
      FrameBuilder frame;
      ip(frame.eth(), family, {.id = static_cast<std::uint16_t>(i)}).udp(1, 2).payload(900 - (i == 2 ? 100 : 0));
      udp_frames.push_back(frame.build());
    }
    expect_back(tcp_frames);
    expect_back(udp_frames);
  }
}

TEST_F(ThereAndBack, FraglistsInAnIpTunnel) {
  rules.fraglist = true;
  std::vector<Frame> frames;
  for (std::uint16_t i = 0; i < 3; ++i) {
    FrameBuilder frame;
    ip(ip(frame.eth(), Family::ipv6), Family::ipv4, {.df = false, .id = i}).udp(1, 2).payload(i == 2 ? 3 : 900);
    frames.push_back(frame.build());
  }
  expect_back(frames);
}

TEST_F(ThereAndBack, Tunnels) {
  listen({{GroEndpoint::Kind::vxlan, wire::VxlanView::kPort}, {GroEndpoint::Kind::geneve, wire::GeneveView::kPort}});
  for (const Family outer : {Family::ipv4, Family::ipv6}) {
    for (const Family inner : {Family::ipv4, Family::ipv6}) {
      for (const char* kind : {"ip", "gre", "gre key", "gre teb", "vxlan", "geneve"}) {
        SCOPED_TRACE(kind);
        std::vector<Frame> frames;
        for (std::uint32_t i = 0; i < 4; ++i) {
          const Segment s{.at = i * 1000, .size = i == 3 ? 5u : 1000u, .id = static_cast<std::uint16_t>(i)};
          FrameBuilder frame;
          ip(frame.eth(), outer, {.df = false, .id = static_cast<std::uint16_t>(500 + i)});
          const std::string name(kind);
          if (name == "gre") frame.gre();
          if (name == "gre key") frame.gre({.key = 9});
          if (name == "gre teb") frame.gre().eth();
          if (name == "vxlan") frame.udp(5555, wire::VxlanView::kPort).vxlan(7).eth();
          if (name == "geneve") frame.udp(5555, wire::GeneveView::kPort).geneve(7).eth();
          tcp(ip(frame, inner, s), s);
          frames.push_back(frame.build());
        }
        expect_back(frames);
      }
    }
  }
}

TEST_F(ThereAndBack, BigTcp) {
  rules.gro_max_size = rules.gro_ipv4_max_size = 200000;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::vector<Frame> frames;
    for (std::uint32_t i = 0; i < 100; ++i)
      frames.push_back(tcp(family, {.at = i * 1400, .size = 1400, .id = static_cast<std::uint16_t>(i)}));
    expect_back(frames);
    EXPECT_GT(up[0]->len, 140000u);
  }
}

}  // namespace
}  // namespace netrx
