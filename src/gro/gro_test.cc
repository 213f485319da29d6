// SPDX-License-Identifier: Apache-2.0
// The rules of merging, row by row. Each expectation reads: what became of each packet, and what it made go up.
#include "gro/gro.h"

#include <gmock/gmock.h>

#include "gro/gro_fixture.h"

namespace netrx {
namespace {

using enum GroRefusal;

constexpr std::uint8_t kPlain = TcpView::kAck, kPshAck = TcpView::kPsh | TcpView::kAck,
                       kFinAck = TcpView::kFin | TcpView::kAck;

/// TCP over both IP versions.
class GroTcp : public GroTest, public testing::WithParamInterface<Family> {
 protected:
  std::string run(std::initializer_list<Segment> segments) { return GroTest::run(GetParam(), segments); }
  /// A first segment, then one that differs: why they do not merge. The first goes up, the second is held.
  GroRefusal refusal(const Segment& second) {
    EXPECT_EQ(run({{}, second}), "H H 1/1000 | 1/" + std::to_string(second.size));
    return last.why_not();
  }
  bool v4() const { return GetParam() == Family::ipv4; }
  std::deque<std::vector<std::uint8_t>> buffers;
};
INSTANTIATE_TEST_SUITE_P(Over, GroTcp, testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return p.param == Family::ipv4 ? "Ipv4" : "Ipv6"; });

TEST_P(GroTcp, SegmentsMergeAndAShortOneClosesTheAggregate) {
  EXPECT_EQ(run({{}, {.at = 1000}, {.at = 2000, .size = 500}, {.at = 2500}}), "H M M 3/2500 H | 1/1000");
}
TEST_P(GroTcp, AFullAggregateWaitsForTheFlush) { EXPECT_EQ(run({{}, {.at = 1000}, {.at = 2000}}), "H M M | 3/3000"); }
TEST_P(GroTcp, FlagsThatEndAnAggregateAreNotHeldAlone) {
  for (const std::uint8_t flag : {TcpView::kPsh, TcpView::kFin, TcpView::kSyn, TcpView::kRst, TcpView::kUrg}) {
    EXPECT_EQ(run({{.flags = static_cast<std::uint8_t>(kPlain | flag)}}), "N 1/1000 |") << int{flag};
    EXPECT_EQ(last.why_not(), kFlags);
  }
}
TEST_P(GroTcp, PshAndFinCloseTheAggregateAndShowInItsHeader) {
  for (const std::uint8_t flags : {kPshAck, kFinAck, static_cast<std::uint8_t>(kPshAck | kFinAck)}) {
    EXPECT_EQ(run({{}, {.at = 1000, .flags = flags}}), "H M 2/2000 |");
    const Packet& merged = *up.back();
    EXPECT_EQ(TcpView{merged.head + merged.transport_header}.flags(), flags);
  }
}
TEST_P(GroTcp, SynOrRstOfAHeldFlowGoUpBehindIt) {
  for (const std::uint8_t flag : {TcpView::kSyn, TcpView::kRst, TcpView::kUrg}) {
    EXPECT_EQ(run({{}, {.at = 1000, .flags = static_cast<std::uint8_t>(kPlain | flag)}}), "H N 1/1000 1/1000 |");
    EXPECT_EQ(last.why_not(), kFlagsOrWindow);
  }
}
TEST_P(GroTcp, APureAckGoesUpBehindWhatIsHeld) {
  EXPECT_EQ(run({{}, {.at = 1000, .size = 0}}), "H N 1/1000 1/0 |");
  EXPECT_EQ(last.why_not(), kEmpty);
  EXPECT_EQ(run({{.size = 0}}), "N 1/0 |") << "and is never held";
}
TEST_P(GroTcp, TheFirstSegmentIsTheMss) {
  EXPECT_EQ(run({{.size = 500}, {.at = 500, .size = 1000}}), "H H 1/500 | 1/1000");
  EXPECT_EQ(last.why_not(), kLonger);
}
TEST_P(GroTcp, GapsAndDuplicates) {
  EXPECT_EQ(refusal({.at = 2000}), kSequence);
  EXPECT_EQ(refusal({.at = 0}), kSequence) << "a duplicate";
  EXPECT_EQ(refusal({.at = 999}), kSequence) << "an overlap";
}
TEST_P(GroTcp, WhatMustBeEqual) {
  const std::vector<std::uint8_t> stamp{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
      later{1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 2};
  EXPECT_EQ(refusal({.at = 1000, .window = 501}), kFlagsOrWindow);
  EXPECT_EQ(refusal({.at = 1000, .flags = kPlain | TcpView::kEce}), kFlagsOrWindow);
  EXPECT_EQ(refusal({.at = 1000, .flags = kPlain | TcpView::kCwr}), kCwr);
  EXPECT_EQ(refusal({.at = 1000, .ack = 78}), GroRefusal::kAck);
  EXPECT_EQ(refusal({.at = 1000, .ttl = 63}), kTtl);
  EXPECT_EQ(refusal({.at = 1000, .tos = 4}), kTos) << "DSCP";
  EXPECT_EQ(refusal({.at = 1000, .tos = 3}), kTos) << "ECN";
  EXPECT_EQ(refusal({.at = 1000, .options = stamp}), kFlagsOrWindow) << "another header length";
  EXPECT_EQ(run({{.options = stamp}, {.at = 1000, .options = later}}), "H H 1/1000 | 1/1000");
  EXPECT_EQ(last.why_not(), kOptions);
  EXPECT_EQ(run({{.options = stamp}, {.at = 1000, .options = stamp}}), "H M | 2/2000");
}

TEST_P(GroTcp, PaddingIsSeenAndPushesTheFlowOut) {
  FrameBuilder padded;
  const Segment second{.at = 4, .size = 4};
  const Frame first = tcp(GetParam(), {.size = 4});
  tcp(ip(padded.eth(), GetParam(), second), second).pad(first.size() + 6);
  EXPECT_EQ(GroTest::run({first, padded.build()}), "H N 1/4 1/10 |");
  EXPECT_EQ(last.why_not(), kIpLength);
}
TEST_P(GroTcp, AFlowThatIsNotHeldNamesWhyNot) {
  run({{.size = 0}});
  EXPECT_EQ(last.why_not(), kEmpty);
  run({{}});
  EXPECT_EQ(last.why_not(), kNone);
}

TEST_P(GroTcp, EightFlowsOfOneBucketAreHeldAndTheNinthPushesTheOldest) {
  EXPECT_EQ(run({{.size = 901, .port = 1},
                 {.size = 902, .port = 2},
                 {.size = 903, .port = 3},
                 {.size = 904, .port = 4},
                 {.size = 905, .port = 5},
                 {.size = 906, .port = 6},
                 {.size = 907, .port = 7},
                 {.size = 908, .port = 8},
                 {.size = 909, .port = 9}}),
            "H H H H H H H H H 1/901 | 1/902 1/903 1/904 1/905 1/906 1/907 1/908 1/909");
}
TEST_P(GroTcp, MergingDoesNotMakeAFlowYounger) {
  EXPECT_EQ(run({{.size = 901, .port = 1},
                 {.port = 2},
                 {.port = 3},
                 {.port = 4},
                 {.port = 5},
                 {.port = 6},
                 {.port = 7},
                 {.port = 8},
                 {.at = 901, .size = 901, .port = 1},
                 {.port = 9}}),
            "H H H H H H H H M H 2/1802 | 1/1000 1/1000 1/1000 1/1000 1/1000 1/1000 1/1000 1/1000");
}
TEST_P(GroTcp, HashesOfTheDeviceSpreadOverTheBuckets) {
  line.clear();
  for (std::uint32_t flow = 0; flow < 64; ++flow) {
    Packet& one = packet(tcp(GetParam(), {.port = static_cast<std::uint16_t>(flow)}));
    one.hash = flow;
    one.l4_hash = true;
    EXPECT_EQ(receive(one).result(), GroResult::held) << flow;
  }
  EXPECT_EQ(up.size(), 0u) << "8 buckets of 8";
  for (std::uint32_t flow = 0; flow < 64; ++flow) {
    Packet& one = packet(tcp(GetParam(), {.at = 1000, .port = static_cast<std::uint16_t>(flow)}));
    one.hash = flow;
    EXPECT_EQ(receive(one).result(), GroResult::merged_free) << flow;
  }
  flush();
  EXPECT_EQ(up.size(), 64u);
}
TEST_P(GroTcp, AnotherHashIsAnotherFlow) {
  line.clear();
  Packet &a = packet(tcp(GetParam(), {})), &b = packet(tcp(GetParam(), {.at = 1000}));
  a.hash = 8;
  b.hash = 16;
  receive(a);
  EXPECT_EQ(receive(b).result(), GroResult::held);
}
TEST_P(GroTcp, BucketsByFlowHoldManyFlowsWithoutAHash) {
  rules.flow_buckets = 64;
  line.clear();
  for (const std::uint32_t at : {0u, 1000u})
    for (std::uint16_t flow = 0; flow < 100; ++flow) receive(tcp(GetParam(), {.at = at, .port = flow}));
  EXPECT_EQ(up.size(), 0u);
  flush();
  EXPECT_EQ(up.size(), 100u);
  for (const Packet* one : up) EXPECT_EQ(one->gso_segs, 2u);
}

TEST_P(GroTcp, BucketsChangeOnlyWhileNothingIsHeld) {
  rules.flow_buckets = 64;
  line.clear();
  receive(tcp(GetParam(), {}));
  rules.flow_buckets = 0;
  EXPECT_EQ(receive(tcp(GetParam(), {.at = 1000})).result(), GroResult::merged_free);
  flush();
  receive(tcp(GetParam(), {}));
  EXPECT_EQ(gro.bitmask, 1u) << "the kernel's bucket for packets without a hash";
}

TEST_P(GroTcp, OnlyOldStopsAtThisTick) {
  line.clear();
  rules.jiffies = 1;
  receive(tcp(GetParam(), {.size = 901, .port = 1}));
  rules.jiffies = 2;
  receive(tcp(GetParam(), {.size = 902, .port = 2}));
  flush(true);
  EXPECT_EQ(line, "H H | 1/901");
  rules.jiffies = 3;
  flush(true);
  EXPECT_EQ(line, "H H | 1/901 | 1/902");
}

TEST_P(GroTcp, NoAggregateReaches65536Bytes) {
  const std::uint32_t headers = v4() ? 40 : 60;
  const std::uint32_t most = (65535 - headers) / 1400;
  line.clear();
  for (std::uint32_t i = 0; i <= most; ++i) receive(tcp(GetParam(), {.at = i * 1400, .size = 1400}));
  EXPECT_EQ(last.result(), GroResult::held);
  EXPECT_EQ(last.why_not(), kMaxSize);
  ASSERT_EQ(up.size(), 1u);
  EXPECT_EQ(up[0]->gso_segs, most);
  EXPECT_EQ(up[0]->len, headers + most * 1400);
}
TEST_P(GroTcp, GroMaxSizeIsTheLimitAndNotReached) {
  const std::uint32_t headers = v4() ? 40 : 60;
  (v4() ? rules.gro_ipv4_max_size : rules.gro_max_size) = headers + 3000;
  EXPECT_EQ(run({{}, {.at = 1000}, {.at = 2000}}), "H M H 2/2000 | 1/1000");
  (v4() ? rules.gro_ipv4_max_size : rules.gro_max_size) = headers + 3001;
  EXPECT_EQ(run({{}, {.at = 1000}, {.at = 2000}}), "H M M | 3/3000");
}
TEST_P(GroTcp, SeventeenFragsThenAFragList) {
  line.clear();
  for (std::uint32_t i = 0; i < 20; ++i) {
    const GroResult expected = i == 0 ? GroResult::held : i == 18 ? GroResult::merged : GroResult::merged_free;
    EXPECT_EQ(receive(tcp(GetParam(), {.at = i * 1000})).result(), expected) << i;
  }
  flush();
  EXPECT_EQ(up[0]->nr_frags, 17u);
  EXPECT_EQ(up[0]->gso_segs, 20u);
}
TEST_P(GroTcp, MaxSkbFragsIsASetting) {
  rules.max_skb_frags = 1;
  EXPECT_EQ(run({{}, {.at = 1000}, {.at = 2000}, {.at = 3000}}), "H M m M | 4/4000")
      << "the chained packet takes a frag of its own";
}

TEST_P(GroTcp, HeadersSayWhatThePacketHasBecome) {
  const Segment s[] = {{.id = 5}, {.at = 1000, .id = 6}, {.at = 2000, .size = 10, .flags = kPshAck, .id = 7}};
  ASSERT_EQ(run({s[0], s[1], s[2]}), "H M M 3/2010 |");
  const Packet& merged = *up[0];
  EXPECT_EQ(merged.gso_size, 1000u);
  EXPECT_EQ(merged.gso_segs, 3u);
  EXPECT_EQ(merged.gso_type, v4() ? kGsoTcpv4 : kGsoTcpv6);
  EXPECT_EQ(merged.ip_summed, IpSummed::partial);
  EXPECT_EQ(merged.csum & 0xffff, merged.transport_header);
  EXPECT_EQ(merged.csum >> 16, 16u);
  EXPECT_FALSE(merged.encapsulation);
  // The frame is that of one long segment, but for its checksum, which is still to come.
  Frame whole = tcp(GetParam(), {.size = 2010, .flags = kPshAck, .id = 5});
  std::vector<std::uint8_t> got = bytes_of(merged);
  const std::size_t check = merged.transport_header - merged.mac_header + 16u;
  const std::uint32_t pseudo = wire::csum_partial(std::span(got).subspan(check, 2));
  std::uint32_t sum = wire::csum_partial(std::span(got).subspan(check - 16));
  std::memcpy(&got[check], &whole.bytes[check], 2);
  EXPECT_EQ(got, whole.bytes);
  sum = wire::csum_sub(sum, 0);
  const Be16 completed = wire::csum_fold(sum);
  EXPECT_EQ(std::memcmp(&completed, &whole.bytes[check], 2), 0) << "what is stored there is the pseudo header's sum";
  EXPECT_NE(pseudo, 0u);
}

TEST_P(GroTcp, WrongChecksumsGoUpAtOnceAndOvertake) {
  Frame bad = tcp(GetParam(), {.at = 1000});
  bad.bytes.back() ^= 1;
  EXPECT_EQ(GroTest::run({tcp(GetParam(), {}), bad}), "H N 1/" + std::to_string(bad.size() - 14) + " | 1/1000");
  EXPECT_EQ(last.why_not(), kL4Checksum);
}
TEST_P(GroTcp, VerifiedChecksumsAreNotLookedAtAgain) {
  Frame bad = tcp(GetParam(), {});
  bad.bytes.back() ^= 1;
  Packet& trusted = packet(bad);
  trusted.ip_summed = IpSummed::unnecessary;
  EXPECT_EQ(receive(trusted).result(), GroResult::held);
  Packet& partial = packet(bad);
  partial.ip_summed = IpSummed::partial;
  partial.csum = (partial.headroom() + (v4() ? 20u : 40u)) | 16u << 16;
  EXPECT_NE(receive(partial).why_not(), kL4Checksum);
}
TEST_P(GroTcp, AVerifiedChecksumIsRemembered) {
  Packet& one = packet(tcp(GetParam(), {}));
  receive(one);
  EXPECT_EQ(one.ip_summed, IpSummed::unnecessary);
  EXPECT_EQ(one.csum_level, 0u);
}
TEST_P(GroTcp, TheDevicesSumIsUsed) {
  for (const bool right : {true, false}) {
    Packet& one = packet(tcp(GetParam(), {}));
    one.ip_summed = IpSummed::complete;
    one.csum = wire::csum_partial(one.linear());
    if (!right) one.csum = wire::csum_add(one.csum, 1);
    EXPECT_EQ(receive(one).result(), GroResult::held) << "a wrong sum by the device is computed again";
    flush();
  }
  Frame bad = tcp(GetParam(), {});
  bad.bytes.back() ^= 1;
  Packet& one = packet(bad);
  one.ip_summed = IpSummed::complete;
  one.csum = wire::csum_partial(one.linear());
  EXPECT_EQ(receive(one).why_not(), kL4Checksum);
}

TEST_P(GroTcp, FramesCutAnywhereInTheirHeadersGoUp) {
  const Frame whole = tcp(GetParam(), {.options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}});
  const std::size_t headers = 14 + (v4() ? 20 : 40) + 32;
  for (std::size_t size = 14; size < headers; ++size) {
    Packet& cut = packet(whole.cut(size));
    cut.ip_summed = IpSummed::unnecessary;
    EXPECT_EQ(receive(cut).result(), GroResult::normal) << size;
    EXPECT_EQ(last.why_not(), kHeaderCut) << size;
  }
}
TEST_P(GroTcp, AnImpossibleHeaderLength) {
  Frame frame = tcp(GetParam(), {});
  frame.bytes[14 + (v4() ? 20 : 40) + 12] = 0x40;
  Packet& one = packet(frame);
  one.ip_summed = IpSummed::unnecessary;
  EXPECT_EQ(receive(one).why_not(), kTcpHeader);
}

TEST_P(GroTcp, BytesInFragsAreReadAndMergedRight) {
  for (const std::uint32_t linear : {0u, 1u, 14u, 30u, 60u, 500u}) {
    up.clear();
    line.clear();
    std::deque<Packet> tails;
    for (const std::uint32_t at : {0u, 1000u, 2000u}) {
      Packet& one = packet(tcp(GetParam(), {.at = at}));
      Packet& tail = tails.emplace_back(one);
      const std::uint32_t cut = std::min(linear, one.len);
      tail.data += cut;
      tail.len -= cut;
      tail.frags = nullptr;
      std::vector<std::uint8_t>& room = buffers.emplace_back(tail.data, tail.data + tail.len);
      tail.head = tail.data = room.data();
      tail.buffer_size = tail.len;
      one.len = cut;
      Packet* last_frag = nullptr;
      append_frag(one, last_frag, tail);
      one.nr_frags = 1;
      // Room to pull headers into.
      std::vector<std::uint8_t>& head = buffers.emplace_back(400 + cut);
      std::memcpy(head.data() + 50, one.mac(), 14 + cut);
      one.head = head.data();
      one.mac_header = 50;
      one.network_header = one.transport_header = 64;
      one.data = one.head + 64;
      one.buffer_size = static_cast<std::uint32_t>(head.size());
      receive(one);
    }
    flush();
    EXPECT_EQ(line, "H M M | 3/3000") << linear;
    std::vector<std::uint8_t> got = bytes_of(*up[0]), whole = tcp(GetParam(), {.size = 3000}).bytes;
    const std::size_t headers = 14 + (v4() ? 40 : 60);
    got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(headers));
    whole.erase(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(headers));
    EXPECT_EQ(got, whole) << linear;
  }
}

TEST_P(GroTcp, GsoPacketsOfADeviceGoUpBehindWhatIsHeld) {
  line.clear();
  receive(tcp(GetParam(), {}));
  Packet& big = packet(tcp(GetParam(), {.at = 1000, .size = 3000}));
  big.gso_size = 1000;
  big.gso_type = (v4() ? kGsoTcpv4 : kGsoTcpv6) | kGsoDodgy;
  receive(big);
  EXPECT_EQ(line, "H N 1/1000 1/3000") << "the device did not say how many segments";
  EXPECT_EQ(last.why_not(), kGso);
}
TEST_P(GroTcp, GsoPacketsThatWereCheckedMerge) {
  const auto gso = [&](std::uint32_t at, std::uint32_t size, std::uint16_t mss) -> Packet& {
    Packet& big =
        packet(tcp(GetParam(), {.at = at, .size = size, .df = true, .id = static_cast<std::uint16_t>(at / 1000)}));
    big.gso_size = mss;
    big.gso_segs = static_cast<std::uint16_t>((size + mss - 1) / mss);
    big.gso_type = v4() ? kGsoTcpv4 : kGsoTcpv6;
    return big;
  };
  line.clear();
  receive(gso(0, 2000, 1000));
  receive(gso(2000, 3000, 1000));
  receive(gso(5000, 2500, 1000));
  EXPECT_EQ(line, "H M M 8/7500") << "a short end closes it";
  line.clear();
  receive(gso(0, 2000, 1000));
  EXPECT_EQ(receive(gso(2000, 2000, 500)).why_not(), kGsoSize);
}

TEST_P(GroTcp, TurnedOffNothingIsHeld) {
  rules.on = false;
  EXPECT_EQ(run({{}, {.at = 1000}}), "N 1/1000 N 1/1000 |");
  EXPECT_EQ(last.why_not(), kOff);
}

TEST_P(GroTcp, FraglistsKeepEveryPacketWhole) {
  rules.fraglist = true;
  EXPECT_EQ(run({{.id = 1}, {.at = 1000, .id = 2}, {.at = 2000, .size = 400, .id = 3}}), "H m m 3/2400 |");
  EXPECT_EQ(up[0]->gso_type, kGsoFraglist | (v4() ? kGsoTcpv4 : kGsoTcpv6));
  EXPECT_EQ(up[0]->ip_summed, IpSummed::unnecessary);
  EXPECT_EQ(run({{}, {.at = 1000, .flags = kPshAck}}), "H N 1/1000 1/1000 |") << "every flag must be equal";
}
TEST_P(GroTcp, FraglistsAreNotForLocalSockets) {
  rules.fraglist = true;
  listen({{GroEndpoint::Kind::tcp, 80}});
  EXPECT_EQ(run({{}, {.at = 1000}}), "H M | 2/2000");
}
TEST_P(GroTcp, FraglistsEndAt64) {
  rules.fraglist = true;
  line.clear();
  for (std::uint32_t i = 0; i < 65; ++i) receive(tcp(GetParam(), {.at = i * 500, .size = 500}));
  EXPECT_EQ(last.why_not(), kSegments);
  EXPECT_EQ(up[0]->gso_segs, 64u);
}

// ---- IPv4 ----------------------------------------------------------------------------------------------------------

class GroIpv4 : public GroTest {
 protected:
  std::string run(std::initializer_list<Segment> segments) { return GroTest::run(Family::ipv4, segments); }
};

TEST_F(GroIpv4, OptionsGoUpAtOnceAndOvertake) {
  FrameBuilder frame;
  tcp(frame.eth().ipv4("10.0.0.1", "10.0.0.2", {.options = {1, 1, 1, 1}}), {.at = 1000});
  EXPECT_EQ(GroTest::run({tcp(Family::ipv4, {}), frame.build()}), "H N 1/1044 | 1/1000");
  EXPECT_EQ(last.why_not(), kIpOptions);
}
TEST_F(GroIpv4, IdsWithoutDfCountUp) {
  EXPECT_EQ(run({{.df = false, .id = 10}, {.at = 1000, .df = false, .id = 11}, {.at = 2000, .df = false, .id = 13}}),
            "H M H 2/2000 | 1/1000");
  EXPECT_EQ(last.why_not(), kIpId);
}
TEST_F(GroIpv4, IdsWithDfStayOrCountUp) {
  EXPECT_EQ(run({{.id = 0}, {.at = 1000, .id = 0}, {.at = 2000, .id = 0}}), "H M M | 3/3000");
  EXPECT_EQ(up.back()->gso_type, kGsoTcpv4 | kGsoTcpFixedId);
  EXPECT_EQ(run({{.id = 5}, {.at = 1000, .id = 6}, {.at = 2000, .id = 7}}), "H M M | 3/3000");
  EXPECT_EQ(up.back()->gso_type, kGsoTcpv4);
  EXPECT_EQ(run({{.id = 5}, {.at = 1000, .id = 5}, {.at = 2000, .id = 6}}), "H M H 2/2000 | 1/1000");
  EXPECT_EQ(run({{.id = 5}, {.at = 1000, .id = 6}, {.at = 2000, .id = 6}}), "H M H 2/2000 | 1/1000");
  EXPECT_EQ(run({{.id = 0xffff}, {.at = 1000, .id = 0}}), "H M | 2/2000") << "ids wrap";
}
TEST_F(GroIpv4, DfMustBeEqual) {
  EXPECT_EQ(run({{.id = 1}, {.at = 1000, .df = false, .id = 2}}), "H H 1/1000 | 1/1000");
  EXPECT_EQ(last.why_not(), kDf);
}
TEST_F(GroIpv4, FragmentsGoUpAtOnce) {
  for (const wire::Ipv4Fields& fields :
       {wire::Ipv4Fields{.more_fragments = true}, wire::Ipv4Fields{.fragment_offset = 5}}) {
    FrameBuilder frame;
    tcp(frame.eth().ipv4("10.0.0.1", "10.0.0.2", fields), {});
    receive(frame.build());
    EXPECT_EQ(last.why_not(), kFragment);
  }
}
TEST_F(GroIpv4, AWrongHeaderChecksumGoesUpAtOnce) {
  Frame frame = tcp(Family::ipv4, {});
  frame.bytes[14 + 10] ^= 1;
  receive(frame);
  EXPECT_EQ(last.why_not(), kIpChecksum);
}
TEST_F(GroIpv4, TheReservedBitPushesTheFlowOut) {
  Frame frame = tcp(Family::ipv4, {.at = 1000});
  frame.bytes[14 + 6] |= 0x80;
  frame.bytes[14 + 10] = frame.bytes[14 + 11] = 0;
  const Be16 check = wire::csum_fold(wire::csum_partial(std::span(frame.bytes).subspan(14, 20)));
  std::memcpy(&frame.bytes[14 + 10], &check, 2);
  EXPECT_EQ(GroTest::run({tcp(Family::ipv4, {}), frame}), "H N 1/1000 1/1000 |");
  EXPECT_EQ(last.why_not(), kIpReserved);
}
TEST_F(GroIpv4, WhatHasNoOffloadGoesUpAtOnce) {
  for (const Frame& frame : {FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").icmp().payload(100).build(),
                             FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").esp(1).payload(100).build(),
                             FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").ports(wire::kIpProtoSctp, 1, 2).build(),
                             FrameBuilder().eth().arp("10.0.0.1", "10.0.0.2").build()}) {
    receive(frame);
    EXPECT_EQ(last.result(), GroResult::normal);
    EXPECT_EQ(last.why_not(), kNotOffloaded);
  }
}
TEST_F(GroIpv4, OtherAddressesPortsOrLinkHeadersAreOtherFlows) {
  const auto first = tcp(Family::ipv4, {});
  const Segment next{.at = 1000};
  FrameBuilder address, mac;
  tcp(address.eth().ipv4("10.0.0.1", "10.0.0.3", {.dont_fragment = true}), next);
  tcp(ip(mac.eth(wire::kTestMac, {2, 0, 0, 0, 0, 9}), Family::ipv4, next), next);
  for (const Frame& other : {address.build(), mac.build(), tcp(Family::ipv4, {.at = 1000, .port = 1001})}) {
    EXPECT_EQ(GroTest::run({first, other}), "H H | 1/1000 1/1000");
    EXPECT_EQ(last.why_not(), kNone);
  }
}

// ---- IPv6 ----------------------------------------------------------------------------------------------------------

class GroIpv6 : public GroTest {};

TEST_F(GroIpv6, TheFlowLabelIsPartOfTheFlow) {
  EXPECT_EQ(run(Family::ipv6, {{.flow_label = 1}, {.at = 1000, .flow_label = 2}}), "H H | 1/1000 1/1000");
  EXPECT_EQ(run(Family::ipv6, {{.flow_label = 0xfffff}, {.at = 1000, .flow_label = 0xfffff}}), "H M | 2/2000");
}
TEST_F(GroIpv6, ExtensionHeadersMustBeEqual) {
  const auto with = [](std::uint32_t at, int kind, std::uint8_t more) {
    FrameBuilder frame;
    frame.eth().ipv6("fd00::1", "fd00::2");
    if (kind == 0) frame.hop_by_hop(more);
    if (kind == 1) frame.routing(more);
    if (kind == 2) frame.dest_opts(more);
    if (kind == 3) frame.hop_by_hop().routing().dest_opts(more);
    return tcp(frame, {.at = at}).build();
  };
  for (int kind = 0; kind < 4; ++kind) {
    EXPECT_EQ(run({with(0, kind, 0), with(1000, kind, 0), with(2000, kind, 0)}), "H M M | 3/3000") << kind;
    EXPECT_EQ(run({with(0, kind, 0), with(1000, kind, 1)}), "H H | 1/1000 1/1000") << kind;
    EXPECT_EQ(run({with(0, kind, 0), with(1000, (kind + 1) % 3, 0)}), "H H | 1/1000 1/1000") << kind;
    EXPECT_EQ(run({with(0, kind, 0), tcp(Family::ipv6, {.at = 1000})}), "H H | 1/1000 1/1000") << kind;
  }
}
TEST_F(GroIpv6, FragmentsGoUpAtOnce) {
  FrameBuilder frame;
  tcp(frame.eth().ipv6("fd00::1", "fd00::2").ipv6_fragment(0, true), {});
  receive(frame.build());
  EXPECT_EQ(last.why_not(), kFragment);
}
TEST_F(GroIpv6, BigTcpGetsAJumboHeader) {
  rules.gro_max_size = 524280;
  line.clear();
  for (std::uint32_t i = 0; i < 60; ++i) receive(tcp(Family::ipv6, {.at = i * 1400, .size = 1400}));
  flush();
  ASSERT_EQ(up.size(), 1u);
  const Packet& big = *up[0];
  const wire::Ipv6View ip{big.data};
  EXPECT_EQ(ip.payload_length(), 0u);
  EXPECT_EQ(ip.next_header(), wire::kIpProtoHopByHop);
  const std::uint8_t* jumbo = big.data + wire::Ipv6View::kSize;
  EXPECT_EQ(jumbo[0], wire::kIpProtoTcp);
  EXPECT_EQ(jumbo[2], 0xc2);
  EXPECT_EQ(wire::host32(jumbo + 4), 8u + 20 + 60 * 1400);
  EXPECT_EQ(big.len, 40u + 8 + 20 + 60 * 1400);
  EXPECT_EQ(std::memcmp(big.mac(), tcp(Family::ipv6, {}).data(), 14), 0) << "the link header moved with it";
}

// ---- tags ----------------------------------------------------------------------------------------------------------

class GroTagged : public GroTcp {
 protected:
  Frame tagged(std::uint32_t at, std::initializer_list<unsigned> ids, Be16 tpid = kEthP8021q) {
    FrameBuilder frame;
    frame.eth();
    for (const unsigned id : ids) frame.vlan(id, 0, std::exchange(tpid, kEthP8021q));
    const Segment s{.at = at};
    return tcp(ip(frame, GetParam(), s), s).build();
  }
};
INSTANTIATE_TEST_SUITE_P(Over, GroTagged, testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return p.param == Family::ipv4 ? "Ipv4" : "Ipv6"; });

TEST_P(GroTagged, InTheFrame) {
  EXPECT_EQ(GroTest::run({tagged(0, {5}), tagged(1000, {5})}), "H M | 2/2000");
  EXPECT_EQ(GroTest::run({tagged(0, {5}), tagged(1000, {6})}), "H H | 1/1000 1/1000");
  EXPECT_EQ(GroTest::run({tagged(0, {5}), tagged(1000, {})}), "H H | 1/1000 1/1000");
  EXPECT_EQ(GroTest::run({tagged(0, {5, 6}, kEthP8021ad), tagged(1000, {5, 6}, kEthP8021ad)}), "H M | 2/2000")
      << "QinQ";
  EXPECT_EQ(GroTest::run({tagged(0, {5, 6}), tagged(1000, {5, 7})}), "H H | 1/1000 1/1000");
}
TEST_P(GroTagged, OutOfTheFrame) {
  const auto out = [&](std::uint32_t at, Be16 proto, std::uint16_t tci) -> Packet& {
    Packet& one = packet(tcp(GetParam(), {.at = at}));
    one.vlan_present = true;
    one.vlan_proto = proto;
    one.vlan_tci = tci;
    return one;
  };
  receive(out(0, kEthP8021q, 5));
  EXPECT_EQ(receive(out(1000, kEthP8021q, 5)).result(), GroResult::merged_free);
  EXPECT_EQ(receive(out(2000, kEthP8021q, 6)).result(), GroResult::held);
  EXPECT_EQ(receive(out(2000, kEthP8021ad, 5)).result(), GroResult::held);
  EXPECT_EQ(receive(out(2000, kEthP8021q, 0x2005)).result(), GroResult::held) << "priority is part of the tag";
  EXPECT_EQ(receive(packet(tcp(GetParam(), {.at = 2000}))).result(), GroResult::held);
}
TEST_P(GroTagged, MoreTagsThanTheKernelsRecursionAllows) {
  FrameBuilder allowed, deep;
  const Segment s{};
  allowed.eth();
  deep.eth();
  for (int i = 0; i < 13; ++i) allowed.vlan(5);
  for (int i = 0; i < 14; ++i) deep.vlan(5);
  receive(tcp(ip(allowed, GetParam(), s), s).build());
  EXPECT_EQ(last.result(), GroResult::held);
  receive(tcp(ip(deep, GetParam(), s), s).build());
  EXPECT_EQ(last.why_not(), kTooDeep);
}

// ---- UDP -----------------------------------------------------------------------------------------------------------

class GroUdp : public GroTest, public testing::WithParamInterface<Family> {
 protected:
  Frame datagram(std::uint16_t id, std::size_t size, std::uint16_t port = 1000, std::uint8_t ttl = 64) {
    FrameBuilder frame;
    return ip(frame.eth(), GetParam(), {.ttl = ttl, .id = id}).udp(port, 443).payload(size).build();
  }
};
INSTANTIATE_TEST_SUITE_P(Over, GroUdp, testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return p.param == Family::ipv4 ? "Ipv4" : "Ipv6"; });

TEST_P(GroUdp, NobodyAskedNothingMerges) {
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100)}).substr(0, 1), "N");
  EXPECT_EQ(last.why_not(), kUdpOff);
}
TEST_P(GroUdp, WhoMayAsk) {
  rules.udp_forwarding = true;
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100)}), "H M | 2/200") << "rx-udp-gro-forwarding";
  listen({{GroEndpoint::Kind::udp, 443}});
  run({datagram(1, 100)});
  EXPECT_EQ(last.why_not(), kUdpOff) << "a local socket without UDP_GRO";
  rules.udp_forwarding = false;
  listen({{GroEndpoint::Kind::udp_gro, 443}});
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100)}), "H M | 2/200") << "a socket with UDP_GRO";
  listen({{GroEndpoint::Kind::udp_gro, 444}});
  run({datagram(1, 100)});
  EXPECT_EQ(last.why_not(), kUdpOff) << "another port";
}
TEST_P(GroUdp, AShorterDatagramClosesALongerStartsAnew) {
  rules.udp_forwarding = true;
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100), datagram(3, 40), datagram(4, 40)}), "H M M 3/240 H | 1/40");
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 101)}), "H H 1/100 | 1/101");
  EXPECT_EQ(last.why_not(), kLonger);
}
TEST_P(GroUdp, HeadersSayWhatThePacketHasBecome) {
  rules.udp_forwarding = true;
  run({datagram(1, 100), datagram(2, 100)});
  const Packet& merged = *up[0];
  EXPECT_EQ(merged.gso_type, kGsoUdpL4);
  EXPECT_EQ(merged.gso_size, 100u);
  EXPECT_EQ(merged.gso_segs, 2u);
  EXPECT_EQ(merged.ip_summed, IpSummed::partial);
  EXPECT_EQ(merged.csum >> 16, 6u);
  EXPECT_EQ(wire::UdpView{merged.head + merged.transport_header}.length(), 208u);
}
TEST_P(GroUdp, NoMoreThan64Datagrams) {
  rules.udp_forwarding = true;
  line.clear();
  for (std::uint16_t i = 0; i < 64; ++i) receive(datagram(i, 100));
  EXPECT_EQ(up.size(), 1u) << "goes up as soon as it has 64";
  EXPECT_EQ(up[0]->gso_segs, 64u);
}
TEST_P(GroUdp, NoAggregateReaches65536Bytes) {
  rules.udp_forwarding = true;
  rules.gro_max_size = rules.gro_ipv4_max_size = 524280;
  line.clear();
  for (std::uint16_t i = 0; i < 50; ++i) receive(datagram(i, 1400));
  EXPECT_EQ(up.size(), 1u);
  EXPECT_LT(up[0]->len, 65536u);
  EXPECT_GT(up[0]->len + 1400, 65535u);
}
TEST_P(GroUdp, WhatIsNeverHeld) {
  rules.udp_forwarding = true;
  Frame unsummed = datagram(1, 100);
  const std::size_t at = 14 + (GetParam() == Family::ipv4 ? 20 : 40);
  unsummed.bytes[at + 6] = unsummed.bytes[at + 7] = 0;
  receive(unsummed);
  EXPECT_EQ(last.why_not(), kUdpNoCsum);
  receive(datagram(1, 0));
  EXPECT_EQ(last.why_not(), kUdpLength) << "empty";
  Frame wrong = datagram(1, 100);
  wrong.bytes.back() ^= 1;
  receive(wrong);
  EXPECT_EQ(last.why_not(), kL4Checksum);
  Frame length = datagram(1, 100);
  length.bytes[at + 5] ^= 1;
  Packet& trusted = packet(length);
  trusted.ip_summed = IpSummed::unnecessary;
  receive(trusted);
  EXPECT_EQ(last.why_not(), kUdpLength);
  Packet& inner = packet(datagram(1, 100));
  inner.encapsulation = true;
  receive(inner);
  EXPECT_EQ(last.why_not(), kUdpOff) << "the device has taken a tunnel off";
}
TEST_P(GroUdp, NetworkHeadersMustContinue) {
  rules.udp_forwarding = true;
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100, 1000, 63)}), "H H 1/100 | 1/100");
  EXPECT_EQ(last.why_not(), kTtl);
  if (GetParam() == Family::ipv6) return;
  EXPECT_EQ(run({datagram(1, 100), datagram(3, 100)}), "H H 1/100 | 1/100");
  EXPECT_EQ(last.why_not(), kIpId);
}
TEST_P(GroUdp, OtherPortsAreOtherFlows) {
  rules.udp_forwarding = true;
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100, 1001)}), "H H | 1/100 1/100");
}
TEST_P(GroUdp, FraglistsKeepEveryPacketWhole) {
  rules.fraglist = true;
  EXPECT_EQ(run({datagram(1, 100), datagram(2, 100), datagram(3, 60)}), "H m m 3/260 |");
  EXPECT_EQ(up[0]->gso_type, kGsoFraglist | kGsoUdpL4);
  EXPECT_EQ(up[0]->ip_summed, IpSummed::unnecessary);
}
TEST_P(GroUdp, FraglistsRefuseAnotherChecksumStateAndLetItOvertake) {
  rules.fraglist = true;
  line.clear();
  receive(datagram(1, 100));
  Packet& level = packet(datagram(2, 100));
  level.ip_summed = IpSummed::unnecessary;
  level.csum_level = 1;
  receive(level);
  EXPECT_EQ(line, "H N 1/100");
  EXPECT_EQ(last.why_not(), kCsumState);
}
TEST_P(GroUdp, ASocketsModeAndTheDevicesDoNotMix) {
  rules.fraglist = true;
  line.clear();
  receive(datagram(1, 100));
  listen({{GroEndpoint::Kind::udp_gro, 443}});
  receive(datagram(2, 100));
  EXPECT_EQ(line, "H N 1/100 1/100");
  EXPECT_EQ(last.why_not(), kMode);
}

// ---- tunnels -------------------------------------------------------------------------------------------------------

class GroTunnels : public GroTest {
 protected:
  GroTunnels() {
    listen({{GroEndpoint::Kind::vxlan, wire::VxlanView::kPort}, {GroEndpoint::Kind::geneve, wire::GeneveView::kPort}});
  }
  struct Outer {
    std::uint32_t network = 7;
    std::uint16_t id = 0;
    bool df = true;
    std::uint8_t ttl = 64;
    std::uint16_t port = 5555;
    bool checksum = true;
    wire::GreFields gre = {};
  };
  enum class Kind { ip, gre, vxlan, geneve };
  static Frame tunnelled(Kind kind, const Outer& outer, const Segment& s) {
    FrameBuilder frame;
    ip(frame.eth(), Family::ipv4, {.ttl = outer.ttl, .df = outer.df, .id = outer.id});
    if (kind == Kind::gre) frame.gre(outer.gre);
    if (kind == Kind::vxlan) frame.udp(outer.port, wire::VxlanView::kPort).vxlan(outer.network).eth();
    if (kind == Kind::geneve) frame.udp(outer.port, wire::GeneveView::kPort).geneve(outer.network).eth();
    Frame built = tcp(ip(frame, Family::ipv4, s), s).build();
    if (!outer.checksum) built.bytes[14 + 20 + 6] = built.bytes[14 + 20 + 7] = 0;
    return built;
  }
  GroRefusal refusal(Kind kind, const Outer& other) {
    EXPECT_EQ(run({tunnelled(kind, {}, {}), tunnelled(kind, other, {.at = 1000})}), "H H 1/1000 | 1/1000");
    return last.why_not();
  }
  bool same_flow(Kind kind, const Outer& first, const Outer& second) {
    return run({tunnelled(kind, first, {}), tunnelled(kind, second, {.at = 1000})}) == "H M | 2/2000";
  }
};

TEST_F(GroTunnels, OuterHeadersMustContinueToo) {
  for (const Kind kind : {Kind::ip, Kind::gre, Kind::vxlan, Kind::geneve}) {
    EXPECT_TRUE(same_flow(kind, {}, {}));
    EXPECT_TRUE(same_flow(kind, {.id = 5}, {.id = 99})) << "with DF the outer ids do not matter";
    EXPECT_TRUE(same_flow(kind, {.id = 5, .df = false}, {.id = 6, .df = false}));
    EXPECT_EQ(refusal(kind, {.ttl = 63}), kTtl);
    EXPECT_EQ(refusal(kind, {.df = false}), kDf);
  }
}
TEST_F(GroTunnels, AFixedInnerIdSpoilsCountingOuterIds) {
  EXPECT_EQ(run({tunnelled(Kind::ip, {.id = 5, .df = false}, {.id = 1}),
                 tunnelled(Kind::ip, {.id = 6, .df = false}, {.at = 1000, .id = 1}),
                 tunnelled(Kind::ip, {.id = 7, .df = false}, {.at = 2000, .id = 1})}),
            "H M H 2/2000 | 1/1000")
      << "one state serves both headers, as in Linux 6.12";
}
TEST_F(GroTunnels, WhatTellsTunnelsApart) {
  EXPECT_FALSE(same_flow(Kind::vxlan, {.network = 7}, {.network = 8}));
  EXPECT_FALSE(same_flow(Kind::geneve, {.network = 7}, {.network = 8}));
  EXPECT_FALSE(same_flow(Kind::vxlan, {.port = 1}, {.port = 2}));
  EXPECT_TRUE(same_flow(Kind::vxlan, {.checksum = false}, {.checksum = false}));
  EXPECT_FALSE(same_flow(Kind::vxlan, {.checksum = true}, {.checksum = false}));
  EXPECT_TRUE(same_flow(Kind::gre, {.gre = {.key = 1}}, {.gre = {.key = 1}}));
  EXPECT_FALSE(same_flow(Kind::gre, {.gre = {.key = 1}}, {.gre = {.key = 2}}));
  EXPECT_FALSE(same_flow(Kind::gre, {.gre = {.key = 1}}, {}));
}
TEST_F(GroTunnels, GreWithMoreThanAKey) {
  receive(tunnelled(Kind::gre, {.gre = {.seq = 1}}, {}));
  EXPECT_EQ(last.why_not(), kGreFlags);
}
TEST_F(GroTunnels, WithoutAnEndpointUdpIsUdp) {
  rules.endpoints = nullptr;
  receive(tunnelled(Kind::vxlan, {}, {}));
  EXPECT_EQ(last.why_not(), kUdpOff);
}
TEST_F(GroTunnels, ATunnelWithinATunnel) {
  FrameBuilder frame;
  const Segment s{};
  ip(ip(frame.eth(), Family::ipv4), Family::ipv4);
  receive(tcp(ip(frame, Family::ipv4, s), s).build());
  EXPECT_EQ(last.why_not(), kTunnelNested);
}
TEST_F(GroTunnels, AFraglistOfUdpInIpOrGreComesOutAsSegments) {
  rules.fraglist = true;
  for (const Kind kind : {Kind::ip, Kind::gre, Kind::vxlan}) {
    std::vector<Frame> frames;
    for (std::uint16_t id = 0; id < 3; ++id) {
      FrameBuilder frame;
      ip(frame.eth(), Family::ipv4, {.df = false, .id = id});
      if (kind == Kind::gre) frame.gre();
      if (kind == Kind::vxlan) frame.udp(999, wire::VxlanView::kPort).vxlan(7).eth();
      frames.push_back(ip(frame, Family::ipv4, {.df = false, .id = id}).udp(1, 2).payload(100).build());
    }
    up.clear();
    run(frames);
    ASSERT_EQ(up.size(), 1u);
    EXPECT_EQ(up[0]->gso_segs, 3u);
    const bool chained = kind == Kind::vxlan;
    EXPECT_EQ((up[0]->gso_type & kGsoFraglist) != 0, chained);
    EXPECT_EQ(up[0]->gso_type & kGsoUdpL4, kGsoUdpL4);
    EXPECT_EQ(up[0]->ip_summed, chained ? IpSummed::unnecessary : IpSummed::partial);
  }
}
TEST_F(GroTunnels, AnOuterChecksumVouchesForTheInnerOne) {
  Frame frame = tunnelled(Kind::vxlan, {}, {});
  Packet& one = packet(frame);
  receive(one);
  EXPECT_EQ(one.ip_summed, IpSummed::unnecessary);
  EXPECT_EQ(one.csum_level, 1u) << "both are known now";
}
TEST_F(GroTunnels, AnUnverifiedInnerChecksumIsComputed) {
  Frame frame = tunnelled(Kind::vxlan, {.checksum = false}, {});
  frame.bytes.back() ^= 1;
  receive(frame);
  EXPECT_EQ(last.why_not(), kL4Checksum);
}
TEST_F(GroTunnels, CompletionNotesWhereTheInnerHeadersAre) {
  for (const Kind kind : {Kind::ip, Kind::gre, Kind::vxlan, Kind::geneve}) {
    up.clear();
    run({tunnelled(kind, {.id = 1}, {.id = 1}), tunnelled(kind, {.id = 2}, {.at = 1000, .id = 2})});
    const Packet& merged = *up[0];
    const std::uint32_t types[] = {kGsoIpxip4, kGsoGre, kGsoUdpTunnelCsum, kGsoUdpTunnelCsum};
    EXPECT_EQ(merged.gso_type, kGsoTcpv4 | types[static_cast<int>(kind)]);
    EXPECT_TRUE(merged.encapsulation);
    const wire::Ipv4View outer{merged.data}, inner{merged.head + merged.inner_network_header};
    EXPECT_EQ(outer.total_length(), merged.len);
    EXPECT_EQ(inner.total_length(), 2040u);
    EXPECT_EQ(wire::ip_fast_csum(outer.at), Be16{});
    EXPECT_EQ(wire::ip_fast_csum(inner.at), Be16{});
    EXPECT_EQ(merged.inner_transport_header, merged.inner_network_header + 20);
  }
}

// ---- order ---------------------------------------------------------------------------------------------------------

class GroInOrder : public GroTest {
 protected:
  GroInOrder() { rules.in_order = true; }
};

TEST_F(GroInOrder, WhatWouldOvertakePushesTheFlowOut) {
  FrameBuilder options;
  tcp(options.eth().ipv4("10.0.0.1", "10.0.0.2", {.options = {1, 1, 1, 1}}), {.at = 1000});
  EXPECT_EQ(run({tcp(Family::ipv4, {}), options.build()}), "H N 1/1000 1/1044 |");
  Frame bad = tcp(Family::ipv4, {.at = 1000});
  bad.bytes.back() ^= 1;
  EXPECT_EQ(run({tcp(Family::ipv4, {}), bad}), "H N 1/1000 1/1040 |");
}
TEST_F(GroInOrder, OtherHostsAndProtocolsAreLeftAlone) {
  const Frame held = tcp(Family::ipv4, {});
  for (const Frame& other :
       {FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.9", {.more_fragments = true}).tcp(1, 2).build(),
        FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").icmp().build(), udp(Family::ipv4, 100)}) {
    line.clear();
    up.clear();
    receive(held);
    receive(other);
    EXPECT_EQ(up.size(), 1u);
    flush();
  }
}
TEST_F(GroInOrder, ATunnelsBrokenOuterHeaderPushesOutWhatIsInside) {
  listen({{GroEndpoint::Kind::vxlan, wire::VxlanView::kPort}});
  const auto inside = [](std::uint32_t at) {
    FrameBuilder frame;
    ip(frame.eth(), Family::ipv4).udp(1, wire::VxlanView::kPort).vxlan(7).eth();
    const Segment s{.at = at};
    return tcp(ip(frame, Family::ipv4, s), s).build();
  };
  Frame bad = inside(1000);
  bad.bytes.back() ^= 1;
  line.clear();
  receive(inside(0));
  receive(bad);
  EXPECT_EQ(last.why_not(), kL4Checksum);
  EXPECT_EQ(up.size(), 2u);
}
TEST_F(GroInOrder, TurningGroOffLetsNothingOvertake) {
  line.clear();
  receive(tcp(Family::ipv4, {}));
  receive(tcp(Family::ipv6, {}));
  rules.on = false;
  receive(tcp(Family::ipv4, {.at = 1000}));
  EXPECT_EQ(line, "H H N 1/1000 1/1000");
  EXPECT_EQ(up[0]->protocol, kEthPIp);
}
TEST_F(GroInOrder, OneFlowIsHeldOnceWhateverElseDiffers) {
  line.clear();
  Packet &a = packet(tcp(Family::ipv4, {})), &b = packet(tcp(Family::ipv4, {.at = 1000}));
  a.hash = 1;
  b.hash = 2;
  receive(a);
  receive(b);
  EXPECT_EQ(line, "H H 1/1000");
}
TEST_F(GroInOrder, ManyPushedOutAtOnceDoNotOverflowTheList) {
  rules.flow_buckets = 64;
  line.clear();
  for (std::uint16_t flow = 0; flow < 300; ++flow) receive(tcp(Family::ipv4, {.port = flow}));
  ASSERT_GT(gro.held_in.read() - gro.held_out.read(), 100u);
  receive(FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2", {.more_fragments = true}).tcp(1, 2).payload(9).build());
  EXPECT_EQ(up.size(), 301u);
  EXPECT_FALSE(gro_holds_packets(gro));
}

// ---- the list ------------------------------------------------------------------------------------------------------

TEST_F(GroTest, AListIsDueAtTheBatchSizeOrWhenFull) {
  GroNode node;
  EXPECT_FALSE(gro_list_due(node, 1));
  node.rx_count = 7;
  EXPECT_FALSE(gro_list_due(node, 8));
  node.rx_count = 8;
  EXPECT_TRUE(gro_list_due(node, 8)) << "segments, not packets";
  Packet packets[PacketBatch::kCapacity];
  node.rx_count = 1;
  for (Packet& one : packets) {
    EXPECT_FALSE(gro_list_due(node, 1000));
    node.rx_list.push_back(&one);
  }
  EXPECT_TRUE(gro_list_due(node, 1000)) << "no room for more";
  node.rx_list.released();
}

TEST_F(GroTest, GivingUpReturnsEverythingHeld) {
  for (std::uint16_t port = 0; port < 8; ++port)
    for (const std::uint32_t at : {0u, 1000u}) receive(tcp(Family::ipv4, {.at = at, .port = port}));
  EXPECT_EQ(gro.held_in.read() - gro.held_out.read(), 8u);
  EXPECT_EQ(gro.parts_in.read() - gro.parts_out.read(), 8u);
  PacketBatch rest;
  gro_give_up(gro, rest);
  EXPECT_EQ(rest.size(), 8u);
  EXPECT_FALSE(gro_holds_packets(gro));
  EXPECT_EQ(gro.held_in.read(), gro.held_out.read());
  EXPECT_EQ(gro.parts_in.read(), gro.parts_out.read());
  rest.released();
}

}  // namespace
}  // namespace netrx
