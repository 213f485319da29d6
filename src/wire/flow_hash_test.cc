// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "netrx/ethertype.h"
#include "netrx/flow.h"
#include "wire/flow_check.h"
#include "wire/frame_builder.h"
#include "wire/random_frame.h"

namespace netrx::wire {
namespace {

/// Key bytes 00 01 .. 0f.
constexpr SipHashKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};
constexpr Ip4 kA4("10.0.0.1"), kB4("10.0.0.2");
constexpr Ip6 kA6("fd00::1"), kB6("fd00::2");

std::string name(SimdLevel level) { return std::array{"scalar", "avx2", "avx512"}[static_cast<std::size_t>(level)]; }

std::uint32_t hash_of(const FrameBuilder& b) { return skb_get_hash(b.build().flow_input(), kKey).hash; }
FrameBuilder eth() { return FrameBuilder().eth(); }

// ---- the specification's vectors (18.1)

TEST(SipHash, PublishedVector) {
  std::array<std::uint8_t, 15> input;
  for (std::uint8_t i = 0; i < 15; ++i) input[i] = i;
  EXPECT_EQ(siphash_2_4(input, kKey), 0xa129ca6149be45e5u);
}
TEST(FlowHash, Vectors) {
  EXPECT_EQ(hash_of(eth().ipv4(kA4, kB4).tcp(12345, 80)), 0xbaf87ff2u);
  EXPECT_EQ(hash_of(eth().ipv4(kB4, kA4).tcp(80, 12345)), 0xbaf87ff2u) << "the other direction";
  EXPECT_EQ(hash_of(eth().ipv4(kA4, kB4).tcp(80, 12345)), 0xbaf87ff2u) << "only the ports exchanged";
  EXPECT_EQ(hash_of(eth().ipv4(kA4, kB4).udp(12345, 80)), 0x03e9c424u);
  EXPECT_EQ(hash_of(eth().ipv4(kA4, kB4).icmp()), 0xf8315a71u);
}

// ---- what counts, what does not

TEST(FlowHash, WhatChangesIt) {
  const std::uint32_t plain = hash_of(eth().ipv4(kA4, kB4).udp(1, 2));
  const std::uint32_t tagged = hash_of(eth().vlan(5).ipv4(kA4, kB4).udp(1, 2));
  EXPECT_NE(tagged, plain);
  EXPECT_NE(hash_of(eth().vlan(6).ipv4(kA4, kB4).udp(1, 2)), tagged) << "id";
  EXPECT_NE(hash_of(eth().vlan(5, 1).ipv4(kA4, kB4).udp(1, 2)), tagged) << "priority";
  EXPECT_NE(hash_of(eth().vlan(5, 0, kEthP8021ad).ipv4(kA4, kB4).udp(1, 2)), tagged) << "TPID";
  const auto gre = [](std::int64_t key) { return eth().ipv4(kA4, kB4).gre({.key = key}).ipv4(kB4, kA4).udp(1, 2); };
  EXPECT_NE(hash_of(gre(1)), hash_of(gre(2)));
  EXPECT_NE(hash_of(eth().ipv6(kA6, kB6, {.flow_label = 1}).udp(1, 2)),
            hash_of(eth().ipv6(kA6, kB6, {.flow_label = 2}).udp(1, 2)));
  EXPECT_NE(hash_of(eth().ipv4(kA4, kB4).udp(1, 3)), plain);
  EXPECT_NE(hash_of(eth().ipv4(kA4, Ip4("10.0.0.3")).udp(1, 2)), plain);
}
TEST(FlowHash, WhatDoesNotChangeIt) {
  EXPECT_EQ(hash_of(eth().ipv4(kA4, kB4).icmp(8, 0, 1)), hash_of(eth().ipv4(kA4, kB4).icmp(0, 3, 2)))
      << "ICMP type, id";
  EXPECT_EQ(hash_of(eth().vlan(5).vlan(6).ipv4(kA4, kB4).udp(1, 2)),
            hash_of(eth().vlan(5).vlan(7).ipv4(kA4, kB4).udp(1, 2)))
      << "second tag";
  EXPECT_EQ(hash_of(eth().mpls(1)), hash_of(eth().mpls(2))) << "MPLS label";
  EXPECT_EQ(hash_of(eth().ipv4(kA4, kB4).tcp(1, 2, {.flags = TcpView::kSyn})), hash_of(eth().ipv4(kA4, kB4).tcp(1, 2)));
  EXPECT_EQ(hash_of(eth().arp(kA4, kB4)), hash_of(eth().arp(kB4, kA4, 2))) << "all ARP is one flow";
}
TEST(FlowHash, VlanInAndOutOfBandHashAlike) {
  const Frame frame = eth().vlan(5, 2).ipv6(kA6, kB6).tcp(1, 2).build();
  EXPECT_EQ(skb_get_hash(frame.flow_input(), kKey), skb_get_hash(frame.untagged_input(), kKey));
}
TEST(FlowHash, BothDirectionsAgree) {
  Prng prng(5);
  for (int i = 0; i < 1000; ++i) {
    const auto word = [&] { return static_cast<std::uint32_t>(prng.next()); };
    const Ip4 a(word()), b(word());
    const Ip6 c(kA6, word()), d(kB6, word());
    const unsigned p = word() >> 16, q = word() >> 16;
    ASSERT_EQ(hash_of(eth().ipv4(a, b).tcp(p, q)), hash_of(eth().ipv4(b, a).tcp(q, p)));
    ASSERT_EQ(hash_of(eth().ipv4(a, b).tcp(p, q)), hash_of(eth().ipv4(a, b).tcp(q, p))) << "swapped independently";
    ASSERT_EQ(hash_of(eth().ipv6(c, d).udp(p, q)), hash_of(eth().ipv6(d, c).udp(q, p)));
  }
}
TEST(FlowHash, L4MeansPortsOrFlowLabel) {
  const auto l4 = [](const FrameBuilder& b) { return skb_get_hash(b.build().flow_input(), kKey).l4; };
  EXPECT_TRUE(l4(eth().ipv4(kA4, kB4).udp(0, 2)));
  EXPECT_TRUE(l4(eth().ipv4(kA4, kB4).udp(2, 0)));
  EXPECT_FALSE(l4(eth().ipv4(kA4, kB4).udp(0, 0)));
  EXPECT_FALSE(l4(eth().ipv4(kA4, kB4).icmp()));
  EXPECT_TRUE(l4(eth().ipv6(kA6, kB6, {.flow_label = 1}).icmp(128)));
  EXPECT_FALSE(l4(eth().arp(kA4, kB4)));
}
TEST(FlowHash, FailureStillHashesWhatWasCollected) {
  const auto bad = [](std::uint16_t type) { return eth().ether_type(to_be16(type)).payload(10); };
  EXPECT_NE(hash_of(bad(0x88cc)), 0u);
  EXPECT_NE(hash_of(bad(0x88cc)), hash_of(bad(0x88cd)));
  const Frame cut = eth().ipv4(kA4, kB4).ip_proto(4).payload(3).build();
  EXPECT_NE(skb_get_hash(cut.flow_input(), kKey).hash,
            skb_get_hash(eth().ipv4(kA4, Ip4("10.0.0.9")).ip_proto(4).payload(3).build().flow_input(), kKey).hash);
}
TEST(FlowHash, ZeroBecomesOne) {
  std::array<FlowKeys, 9> keys{};
  for (FlowKeys& one : keys) one.flow_label = 0x09073f97;  // found by search
  ASSERT_EQ(static_cast<std::uint32_t>(siphash_2_4(keys[0].hashed_bytes(), kKey)), 0u);
  for (SimdLevel level : simd_levels()) {
    const SipHash hash(kKey, level);
    std::array<std::uint32_t, 9> out;
    hash.hash_batch(keys, out);
    EXPECT_EQ(hash.hash(keys[0]), 1u);
    for (std::uint32_t one : out) EXPECT_EQ(one, 1u) << name(level);
  }
}
TEST(FlowHash, HashedLengths) {
  FlowKeys keys{};
  const auto length = [&](FlowAddrType type) {
    keys.addr_type = type;
    return keys.hashed_bytes().size();
  };
  EXPECT_EQ(length(FlowAddrType::none), 40u);
  EXPECT_EQ(length(FlowAddrType::ipv4), 48u);
  EXPECT_EQ(length(FlowAddrType::ipv6), 72u);
  EXPECT_EQ(length(FlowAddrType::tipc), 44u);
}

// ---- Toeplitz: the published verification suite

struct ToeplitzVector {
  const char* src;
  const char* dst;
  unsigned src_port, dst_port;
  std::uint32_t addresses_only, with_ports;
};
constexpr std::array<ToeplitzVector, 5> kVectors4{{
    {"66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178},
    {"199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea},
    {"24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a},
    {"38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176, 0xafc7327f},
    {"153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5, 0x10e828a2},
}};
constexpr std::array<ToeplitzVector, 3> kVectors6{{
    {"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d},
    {"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf},
    {"3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024, 0x4b61e985, 0x02d1feef},
}};

TEST(Toeplitz, PublishedVectorsIpv4) {
  for (SimdLevel level : simd_levels()) {
    const FlowHasher hasher{Toeplitz(level)};
    for (const ToeplitzVector& v : kVectors4) {
      const Frame tcp = eth().ipv4(v.src, v.dst).tcp(v.src_port, v.dst_port).build();
      const Frame icmp = eth().ipv4(v.src, v.dst).icmp().build();
      EXPECT_EQ(hasher.hash(tcp.flow_input()), (FlowHash{v.with_ports, true})) << v.src;
      EXPECT_EQ(hasher.hash(icmp.flow_input()), (FlowHash{v.addresses_only, false})) << v.src;
    }
  }
}
TEST(Toeplitz, PublishedVectorsIpv6) {
  const FlowHasher hasher{Toeplitz()};
  for (const ToeplitzVector& v : kVectors6) {
    const Frame tcp = eth().ipv6(v.src, v.dst).tcp(v.src_port, v.dst_port).build();
    const Frame icmp = eth().ipv6(v.src, v.dst).icmp(128).build();
    EXPECT_EQ(hasher.hash(tcp.flow_input()), (FlowHash{v.with_ports, true})) << v.src;
    EXPECT_EQ(hasher.hash(icmp.flow_input()), (FlowHash{v.addresses_only, false})) << v.src;
  }
}
TEST(Toeplitz, KeyLengths) {
  const std::array<std::uint8_t, 65> bytes{};
  EXPECT_FALSE(Toeplitz::create(std::span(bytes).first(39)));
  EXPECT_TRUE(Toeplitz::create(std::span(bytes).first(40)));
  EXPECT_TRUE(Toeplitz::create(std::span(bytes).first(64)));
  const auto refused = Toeplitz::create(bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  EXPECT_NE(refused.error().text.find("65"), std::string::npos);
}
TEST(Toeplitz, AnyKeyAnyInputEqualsTheNaiveOne) {
  Prng prng(6);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::uint8_t> key(prng.between(Toeplitz::kMinKey, Toeplitz::kMaxKey));
    for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(prng.next());
    std::vector<std::uint8_t> input(prng.below(key.size() - 4 + 1));
    for (std::uint8_t& byte : input) byte = static_cast<std::uint8_t>(prng.next());
    ASSERT_EQ(Toeplitz::create(key)->hash(input), naive::toeplitz(key, input)) << "case " << i;
  }
}

TEST(RssInput, WhatACardHashes) {
  const auto kind = [](const FrameBuilder& b) { return rss_input(b.build().flow_input()).kind; };
  EXPECT_EQ(kind(eth().ipv4(kA4, kB4).tcp(1, 2)), RssKind::ipv4_ports);
  EXPECT_EQ(kind(eth().ipv4(kA4, kB4, {.options = {1, 1, 1}}).udp(1, 2)), RssKind::ipv4_ports);
  EXPECT_EQ(kind(eth().ipv4(kA4, kB4).ports(132, 1, 2)), RssKind::ipv4) << "SCTP";
  EXPECT_EQ(kind(eth().ipv4(kA4, kB4, {.more_fragments = true}).udp(1, 2)), RssKind::ipv4);
  EXPECT_EQ(kind(eth().ipv4(kA4, kB4).gre().ipv4(kB4, kA4).udp(1, 2)), RssKind::ipv4) << "no tunnels";
  EXPECT_EQ(kind(eth().vlan(1).vlan(2).ipv6(kA6, kB6).tcp(1, 2)), RssKind::ipv6_ports);
  EXPECT_EQ(kind(eth().ipv6(kA6, kB6, {.flow_label = 3}).hop_by_hop().tcp(1, 2)), RssKind::ipv6_ports);
  EXPECT_EQ(kind(eth().ipv6(kA6, kB6).ipv6_fragment(0, true).udp(1, 2)), RssKind::ipv6);
  EXPECT_EQ(kind(eth().ipv6(kA6, kB6).icmp(128)), RssKind::ipv6);
  EXPECT_EQ(kind(eth().arp(kA4, kB4)), RssKind::none);
}
TEST(RssInput, CutFrames) {
  const Frame v4 = eth().ipv4(kA4, kB4).tcp(1, 2).build();
  EXPECT_EQ(rss_input(v4.cut(14 + 19).flow_input()).kind, RssKind::none);
  EXPECT_EQ(rss_input(v4.cut(14 + 23).flow_input()).kind, RssKind::ipv4);
  EXPECT_EQ(rss_input(v4.cut(14 + 24).flow_input()).kind, RssKind::ipv4_ports);
  const Frame v6 = eth().ipv6(kA6, kB6).hop_by_hop().tcp(1, 2).build();
  EXPECT_EQ(rss_input(v6.cut(14 + 39).flow_input()).kind, RssKind::none);
  EXPECT_EQ(rss_input(v6.cut(14 + 41).flow_input()).kind, RssKind::ipv6);
  EXPECT_EQ(rss_input(v6.cut(14 + 51).flow_input()).kind, RssKind::ipv6);
  EXPECT_EQ(rss_input(v6.cut(14 + 52).flow_input()).kind, RssKind::ipv6_ports);
  EXPECT_EQ(rss_input(eth().vlan(1).build().cut(16).flow_input()).kind, RssKind::none);
}

// ---- batches: every count, mix and CPU level

TEST(SipHashBatch, EqualsOneByOneAtEveryCountAndLevel) {
  Prng prng(7);
  std::vector<FlowKeys> keys(200);
  for (FlowKeys& one : keys) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(&one);
    for (std::size_t i = 0; i < sizeof one; ++i) bytes[i] = static_cast<std::uint8_t>(prng.next());
    one.addr_type = static_cast<FlowAddrType>(prng.below(4));
  }
  for (SimdLevel level : simd_levels()) {
    const SipHash hash({prng.next(), prng.next()}, level);
    ASSERT_EQ(hash.level(), level);
    for (std::size_t count = 0; count <= keys.size(); ++count) {
      const std::span<const FlowKeys> some = std::span(keys).last(count);
      std::vector<std::uint32_t> out(count + 1, 0xfeedfeed);
      hash.hash_batch(some, out);
      for (std::size_t i = 0; i < count; ++i) {
        const std::span<const std::uint8_t> bytes = some[i].hashed_bytes();
        const auto expected = static_cast<std::uint32_t>(naive::siphash_2_4({bytes.begin(), bytes.end()}, hash.key()));
        ASSERT_EQ(out[i], expected == 0 ? 1 : expected) << name(level) << ", " << i << " of " << count;
        ASSERT_EQ(hash.hash(some[i]), out[i]);
      }
      ASSERT_EQ(out[count], 0xfeedfeedu) << "wrote beyond the end";
    }
  }
}

template <class Tuple>
void check_toeplitz_batches() {
  Prng prng(8);
  std::vector<Tuple> tuples(200);
  for (std::uint8_t& byte : std::span(reinterpret_cast<std::uint8_t*>(tuples.data()), tuples.size() * sizeof(Tuple))) {
    byte = static_cast<std::uint8_t>(prng.next());
  }
  std::array<std::uint8_t, 52> key;
  for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(prng.next());
  for (SimdLevel level : simd_levels()) {
    const Toeplitz hash = *Toeplitz::create(key, level);
    ASSERT_EQ(hash.level(), level);
    for (std::size_t count = 0; count <= tuples.size(); ++count) {
      // A copy of its own size, so that a sanitizer sees reads beyond the end.
      const std::vector<Tuple> some(tuples.end() - static_cast<std::ptrdiff_t>(count), tuples.end());
      std::vector<std::uint32_t> out(count + 1, 0xfeedfeed);
      hash.hash_batch(std::span(some), out);
      for (std::size_t i = 0; i < count; ++i) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&some[i]);
        ASSERT_EQ(out[i], naive::toeplitz(key, {bytes, sizeof(Tuple)})) << name(level) << ", " << i << " of " << count;
        ASSERT_EQ(hash.hash(some[i]), out[i]);
      }
      ASSERT_EQ(out[count], 0xfeedfeedu) << "wrote beyond the end";
    }
  }
}
TEST(ToeplitzBatch, Ipv4EqualsOneByOneAtEveryCountAndLevel) { check_toeplitz_batches<RssTuple4>(); }
TEST(ToeplitzBatch, Ipv6EqualsOneByOneAtEveryCountAndLevel) { check_toeplitz_batches<RssTuple6>(); }

TEST(FlowHasher, SipHashBatchEqualsSingleEqualsNaive) {
  Prng prng(9);
  std::vector<Frame> frames;
  for (int i = 0; i < 300; ++i) frames.push_back(damaged(random_frame(prng), prng));
  std::vector<FlowInput> in;
  for (const Frame& frame : frames) in.push_back(in.size() % 3 == 0 ? frame.untagged_input() : frame.flow_input());
  for (SimdLevel level : simd_levels()) {
    const FlowHasher hasher{SipHash(kKey, level)};
    EXPECT_EQ(hasher.kind(), FlowHashKind::siphash);
    for (std::size_t count : {0, 1, 2, 7, 8, 9, 63, 64, 65, 128, 300}) {
      std::vector<FlowHash> out(count);
      hasher.hash_batch(std::span(in).first(count), out);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(out[i], naive::skb_get_hash(in[i], kKey)) << name(level) << ", frame " << i << " of " << count;
        ASSERT_EQ(out[i], hasher.hash(in[i]));
        ASSERT_EQ(out[i], skb_get_hash(in[i], kKey));
      }
    }
  }
}
TEST(FlowHasher, PlainFlowsInEveryNumberEqualNaive) {
  std::vector<Frame> frames;
  for (unsigned i = 0; i < 130; ++i) {
    const bool six = i % 7 == 3 || i >= 80;
    FrameBuilder ip = six ? eth().ipv6(kA6, kB6) : eth().ipv4(Ip4(0x0a000000u + 99 * i), kB4);
    frames.push_back(ip.udp(1000 + 61 * i, 4000).build());
  }
  std::vector<FlowInput> in;
  for (const Frame& frame : frames) in.push_back(frame.flow_input());
  for (SimdLevel level : simd_levels()) {
    const FlowHasher hasher{SipHash(kKey, level)};
    for (std::size_t count = 0; count <= in.size(); ++count) {
      std::vector<FlowHash> out(count);
      hasher.hash_batch(std::span(in).first(count), out);
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(out[i], naive::skb_get_hash(in[i], kKey)) << name(level) << ", frame " << i << " of " << count;
    }
  }
}

TEST(FlowHasher, ToeplitzBatchEqualsSingle) {
  Prng prng(10);
  std::vector<Frame> frames;
  for (int i = 0; i < 300; ++i) frames.push_back(damaged(random_frame(prng), prng));
  std::vector<FlowInput> in;
  for (const Frame& frame : frames) in.push_back(in.size() % 3 == 0 ? frame.untagged_input() : frame.flow_input());
  for (SimdLevel level : simd_levels()) {
    const FlowHasher hasher{Toeplitz(level)};
    EXPECT_EQ(hasher.kind(), FlowHashKind::toeplitz);
    for (std::size_t count : {0, 1, 2, 15, 16, 17, 63, 64, 65, 128, 300}) {
      std::vector<FlowHash> out(count);
      hasher.hash_batch(std::span(in).first(count), out);
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], hasher.hash(in[i])) << name(level) << ", frame " << i;
    }
  }
}
TEST(FlowHasher, ToeplitzOfWhatIsNotIpIsNone) {
  EXPECT_EQ(FlowHasher{Toeplitz()}.hash(eth().arp(kA4, kB4).build().flow_input()), FlowHash{});
}

}  // namespace
}  // namespace netrx::wire
