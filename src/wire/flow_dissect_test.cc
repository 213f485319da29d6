// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>

#include "netrx/ethertype.h"
#include "netrx/flow.h"
#include "wire/flow_check.h"
#include "wire/frame_builder.h"
#include "wire/random_frame.h"

namespace netrx::wire {
namespace {

constexpr Ip4 kA4("10.0.0.1"), kB4("10.0.0.2"), kC4("192.168.7.1"), kD4("192.168.7.2");
constexpr Ip6 kA6("fd00::1"), kB6("fd00::2"), kC6("2001:db8:1:2:3:4:5:6"), kD6("2001:db8::7");

/// A dissected frame, as text: what a failing test prints.
struct Result {
  Dissected verdict = Dissected::bad;
  FlowKeys keys{};
};

Result walk(const FlowInput& in) {
  Result r;
  r.verdict = dissect(in, r.keys);
  return r;
}
Result walk(const Frame& frame) { return walk(frame.flow_input()); }
Result walk(const FrameBuilder& builder) { return walk(builder.build()); }

MATCHER(Good, "") { return arg.verdict == Dissected::good; }
MATCHER(Bad, "") { return arg.verdict == Dissected::bad; }
MATCHER_P2(Ports, src, dst, "") {
  *result_listener << "ports " << to_host(arg.keys.src_port) << ", " << to_host(arg.keys.dst_port);
  return to_host(arg.keys.src_port) == src && to_host(arg.keys.dst_port) == dst;
}
MATCHER(NoPorts, "") { return arg.keys.src_port == Be16{} && arg.keys.dst_port == Be16{}; }
MATCHER_P(IpProto, protocol, "") {
  *result_listener << "ip_proto " << int{arg.keys.ip_proto};
  return arg.keys.ip_proto == protocol;
}
MATCHER_P(Proto, protocol, "") {
  *result_listener << "n_proto " << std::hex << to_host(arg.keys.n_proto);
  return arg.keys.n_proto == protocol;
}
MATCHER_P2(From4, src, dst, "") {
  return arg.keys.addr_type == FlowAddrType::ipv4 &&
         arg.keys.ipv4_src() == load_unaligned<Be32>(Ip4(src).bytes.data()) &&
         arg.keys.ipv4_dst() == load_unaligned<Be32>(Ip4(dst).bytes.data());
}
MATCHER_P2(From6, src, dst, "") {
  return arg.keys.addr_type == FlowAddrType::ipv6 && std::ranges::equal(arg.keys.ipv6_src(), Ip6(src).bytes) &&
         std::ranges::equal(arg.keys.ipv6_dst(), Ip6(dst).bytes);
}
MATCHER(NoAddresses, "") { return arg.keys.addr_type == FlowAddrType::none; }
MATCHER_P(Flags, flags, "") {
  *result_listener << "flags " << arg.keys.flags;
  return arg.keys.flags == static_cast<std::uint32_t>(flags);
}
MATCHER_P(Thoff, offset, "") {
  *result_listener << "thoff " << arg.keys.thoff;
  return arg.keys.thoff == offset;
}
MATCHER_P(KeyId, keyid, "") {
  *result_listener << "keyid " << std::hex << to_host(arg.keys.keyid);
  return to_host(arg.keys.keyid) == static_cast<std::uint32_t>(keyid);
}
MATCHER_P3(Vlan, id_and_priority, tpid, inner, "") {
  *result_listener << "vlan " << std::hex << arg.keys.vlan.id_and_priority << " " << to_host(arg.keys.vlan.tpid) << " "
                   << to_host(arg.keys.vlan.eth_type);
  return arg.keys.vlan.id_and_priority == id_and_priority && arg.keys.vlan.tpid == tpid &&
         arg.keys.vlan.eth_type == inner;
}

using testing::AllOf;

FrameBuilder eth() { return FrameBuilder().eth(); }
FrameBuilder v4() { return eth().ipv4(kA4, kB4); }
FrameBuilder v6() { return eth().ipv6(kA6, kB6); }

// ---- IPv4, IPv6

TEST(Dissect, Ipv4Tcp) {
  EXPECT_THAT(walk(v4().tcp(12345, 80)),
              AllOf(Good(), From4(kA4, kB4), Ports(12345, 80), IpProto(6), Proto(kEthPIp), Thoff(20), Flags(0)));
}
TEST(Dissect, Ipv4OptionsMoveTheTransportHeader) {
  EXPECT_THAT(walk(eth().ipv4(kA4, kB4, {.options = {1, 2, 3, 4, 5}}).udp(1, 2)),
              AllOf(Good(), Ports(1, 2), Thoff(28)));
}
TEST(Dissect, Ipv4NeedsTwentyBytes) {
  const Frame frame = v4().build();
  EXPECT_THAT(walk(frame.cut(14 + 19)), AllOf(Bad(), NoAddresses(), IpProto(0), Proto(kEthPIp)));
  EXPECT_THAT(walk(frame), AllOf(Good(), From4(kA4, kB4)));
}
TEST(Dissect, Ipv4HeaderLengthBelowFiveIsBad) {
  Frame frame = v4().tcp(1, 2).build();
  frame.bytes[14] = 0x44;
  EXPECT_THAT(walk(frame), AllOf(Bad(), NoAddresses(), NoPorts()));
}
TEST(Dissect, Ipv4VersionIsNotLookedAt) {
  Frame frame = v4().tcp(1, 2).build();
  frame.bytes[14] = 0x75;
  EXPECT_THAT(walk(frame), AllOf(Good(), From4(kA4, kB4), Ports(1, 2)));
}
TEST(Dissect, AnyIpv4FragmentStopsWithoutPorts) {
  EXPECT_THAT(walk(eth().ipv4(kA4, kB4, {.more_fragments = true}).udp(1, 2)),
              AllOf(Good(), From4(kA4, kB4), NoPorts(), IpProto(17), Flags(kFlowIsFragment | kFlowFirstFragment)));
  EXPECT_THAT(walk(eth().ipv4(kA4, kB4, {.fragment_offset = 100}).udp(1, 2)),
              AllOf(Good(), NoPorts(), Flags(kFlowIsFragment)));
}
TEST(Dissect, DontFragmentIsNoFragment) {
  EXPECT_THAT(walk(eth().ipv4(kA4, kB4, {.dont_fragment = true}).udp(1, 2)), AllOf(Good(), Ports(1, 2)));
}
TEST(Dissect, Ipv6Udp) {
  EXPECT_THAT(walk(v6().udp(5, 6)),
              AllOf(Good(), From6(kA6, kB6), Ports(5, 6), IpProto(17), Proto(kEthPIpv6), Thoff(40)));
}
TEST(Dissect, Ipv6NeedsFortyBytes) { EXPECT_THAT(walk(v6().build().cut(14 + 39)), AllOf(Bad(), NoAddresses())); }
TEST(Dissect, Ipv6FlowLabelStopsBeforeThePorts) {
  const Result r = walk(eth().ipv6(kA6, kB6, {.traffic_class = 0xff, .flow_label = 0xabcde}).tcp(1, 2));
  EXPECT_THAT(r, AllOf(Good(), From6(kA6, kB6), NoPorts(), IpProto(6)));
  EXPECT_EQ(r.keys.flow_label, 0xabcdeu);
  EXPECT_TRUE(r.keys.have_l4());
}
TEST(Dissect, Ipv6TrafficClassIsNoFlowLabel) {
  EXPECT_THAT(walk(eth().ipv6(kA6, kB6, {.traffic_class = 0xff}).tcp(1, 2)), Ports(1, 2));
}

// ---- VLAN

TEST(Dissect, VlanInBand) {
  EXPECT_THAT(walk(eth().vlan(5, 3).ipv4(kA4, kB4).udp(1, 2)),
              AllOf(Good(), Vlan(0x6005, kEthP8021q, kEthPIp), Ports(1, 2), Proto(kEthPIp), Thoff(24)));
}
TEST(Dissect, VlanOutOfBandGivesTheSameKeys) {
  const Frame frame = eth().vlan(5, 3, kEthP8021ad).ipv4(kA4, kB4).udp(1, 2).build();
  EXPECT_THAT(walk(frame.untagged_input()),
              AllOf(Good(), Vlan(0x6005, kEthP8021ad, kEthPIp), Ports(1, 2), Proto(kEthPIp), Thoff(20)));
}
TEST(Dissect, VlanDropEligibleBitIsLeftOut) {
  Frame frame = eth().vlan(5).ipv4(kA4, kB4).udp(1, 2).build();
  frame.bytes[14] |= 0x10;
  EXPECT_THAT(walk(frame), Vlan(5, kEthP8021q, kEthPIp));
  EXPECT_THAT(walk(frame.untagged_input()), Vlan(5, kEthP8021q, kEthPIp));
}
TEST(Dissect, OnlyTheOutermostTagIsAKey) {
  const Frame frame = eth().vlan(7, 0, kEthP8021ad).vlan(9).vlan(11).ipv6(kA6, kB6).tcp(1, 2).build();
  for (const FlowInput& in : {frame.flow_input(), frame.untagged_input()}) {
    const Result r = walk(in);
    EXPECT_THAT(r, AllOf(Good(), Vlan(7, kEthP8021ad, kEthP8021q), From6(kA6, kB6), Ports(1, 2)));
    EXPECT_EQ(r.keys.cvlan.id_and_priority, 0);
  }
}
TEST(Dissect, CutVlanTagIsBad) {
  EXPECT_THAT(walk(eth().vlan(5).build().cut(17)), AllOf(Bad(), Proto(kEthP8021q), Vlan(0, Be16{}, Be16{})));
}
TEST(Dissect, TagInsideATunnelIsAKeyWhenThereIsNoneOutside) {
  EXPECT_THAT(walk(v4().gre().eth().vlan(42).ipv4(kC4, kD4).udp(1, 2)),
              AllOf(Good(), Vlan(42, kEthP8021q, kEthPIp), From4(kC4, kD4)));
}

// ---- other things on Ethernet

TEST(Dissect, DsaTagIsSkipped) {
  // Two bytes of a four-byte tag took the EtherType's place; two more and the real type follow.
  const std::vector<std::uint8_t> ip = v4().tcp(1, 2).build().bytes;
  std::vector<std::uint8_t> bytes{0x12, 0x34, 0x08, 0x00};
  bytes.insert(bytes.end(), ip.begin() + 14, ip.end());
  FlowInput in{.data = bytes.data(), .len = static_cast<std::uint32_t>(bytes.size()), .protocol = to_be16(0x00f8)};
  in.dsa_tag_len = 4;
  EXPECT_THAT(walk(in), AllOf(Good(), From4(kA4, kB4), Ports(1, 2), Thoff(24)));
  in.len = 3;
  EXPECT_THAT(walk(in), AllOf(Bad(), NoAddresses()));
}
TEST(Dissect, PppoeIpAndIpv6) {
  EXPECT_THAT(walk(eth().pppoe().ipv4(kA4, kB4).tcp(1, 2)), AllOf(Good(), From4(kA4, kB4), Ports(1, 2), Thoff(28)));
  EXPECT_THAT(walk(eth().pppoe().ipv6(kA6, kB6).tcp(1, 2)), AllOf(Good(), From6(kA6, kB6), Ports(1, 2)));
}
TEST(Dissect, PppoeMpls) {
  EXPECT_THAT(walk(eth().pppoe().mpls(1)), AllOf(Good(), Proto(kEthPMplsUc)));
  EXPECT_THAT(walk(eth().pppoe().ppp_proto(kPppMplsMc).mpls(1)), AllOf(Good(), Proto(kEthPMplsMc)));
}
TEST(Dissect, PppoeOtherValidProtocolIsGoodOthersAreBad) {
  EXPECT_THAT(walk(eth().pppoe().ppp_proto(0xc021)), AllOf(Good(), Proto(kEthPPppSes)));
  EXPECT_THAT(walk(eth().pppoe().ppp_proto(0xc020)), Bad());
  EXPECT_THAT(walk(eth().pppoe().ppp_proto(0x2145).ipv4(kA4, kB4)), AllOf(Bad(), NoAddresses())) << "compressed";
}
TEST(Dissect, PppoeHeaderMustBeASession) {
  const Frame frame = eth().pppoe().ipv4(kA4, kB4).build();
  for (auto [at, value] : {std::pair{14, 0x21}, {14, 0x12}, {15, 0x09}}) {
    Frame wrong = frame;
    wrong.bytes[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    EXPECT_THAT(walk(wrong), AllOf(Bad(), NoAddresses()));
  }
  EXPECT_THAT(walk(frame.cut(14 + 7)), Bad());
}
TEST(Dissect, TipcKeyIsTheSourceNode) {
  const Result r = walk(eth().tipc(0x01001005));
  EXPECT_THAT(r, AllOf(Good(), Proto(kEthPTipc)));
  EXPECT_EQ(r.keys.addr_type, FlowAddrType::tipc);
  EXPECT_EQ(to_host(r.keys.tipc_key()), 0x01001005u);
  EXPECT_THAT(walk(eth().tipc(1).build().cut(14 + 15)), AllOf(Bad(), NoAddresses()));
}
TEST(Dissect, TipcProbeIsKeyedByTheCallersNumber) {
  const Frame frame = eth().tipc(0x01001005, true).build();
  FlowInput in = frame.flow_input();
  in.tipc_probe_key = 0xdeadbeef;
  EXPECT_EQ(walk(in).keys.tipc_key(), Be32{0xdeadbeef});
}
TEST(Dissect, MplsStopsBeforeTheLabel) {
  EXPECT_THAT(walk(eth().mpls(3).ipv4(kA4, kB4)), AllOf(Good(), NoAddresses(), Proto(kEthPMplsUc), Thoff(0)));
  EXPECT_THAT(walk(eth().ether_type(kEthPMplsMc)), AllOf(Good(), Proto(kEthPMplsMc)));
}
TEST(Dissect, FcoeNeedsItsHeader) {
  EXPECT_THAT(walk(eth().ether_type(kEthPFcoe).payload(38)), AllOf(Good(), Thoff(38)));
  EXPECT_THAT(walk(eth().ether_type(kEthPFcoe).payload(37)), Bad());
}
TEST(Dissect, PtpNeedsItsHeader) {
  EXPECT_THAT(walk(eth().ether_type(kEthP1588).payload(34)), AllOf(Good(), NoPorts()));
  EXPECT_THAT(walk(eth().ether_type(kEthP1588).payload(33)), Bad());
}
TEST(Dissect, ArpRarpAndCfmStopUnread) {
  EXPECT_THAT(walk(eth().arp(kA4, kB4)), AllOf(Good(), NoAddresses(), Proto(kEthPArp), Thoff(0)));
  EXPECT_THAT(walk(eth().ether_type(kEthPArp)), Good());
  EXPECT_THAT(walk(eth().ether_type(kEthPRarp)), AllOf(Good(), Proto(kEthPRarp)));
  EXPECT_THAT(walk(eth().ether_type(kEthPCfm)), AllOf(Good(), Proto(kEthPCfm)));
}
TEST(Dissect, BatmanUnicastIsEntered) {
  EXPECT_THAT(walk(eth().batman().eth().ipv4(kA4, kB4).udp(1, 2)),
              AllOf(Good(), From4(kA4, kB4), Ports(1, 2), Flags(kFlowEncapsulation), Thoff(44)));
  EXPECT_THAT(walk(eth().batman(0x41).eth().ipv4(kA4, kB4)), AllOf(Bad(), Proto(kEthPBatman)));
  EXPECT_THAT(walk(eth().batman(0x40, 14).eth().ipv4(kA4, kB4)), Bad());
  EXPECT_THAT(walk(eth().batman().eth().build().cut(14 + 23)), Bad());
}
TEST(Dissect, HsrAndPrpContinue) {
  for (Be16 type : {kEthPHsr, kEthPPrp}) {
    EXPECT_THAT(walk(eth().hsr(type).ipv4(kA4, kB4).udp(1, 2)),
                AllOf(Good(), From4(kA4, kB4), Ports(1, 2), Flags(0), Thoff(26)));
    EXPECT_THAT(walk(eth().hsr(type).build().cut(19)), AllOf(Bad(), Proto(type)));
  }
}
TEST(Dissect, UnknownEtherTypeIsBadAndRemembered) {
  EXPECT_THAT(walk(eth().ether_type(to_be16(0x88cc)).payload(50)), AllOf(Bad(), NoAddresses(), Proto(to_be16(0x88cc))));
}

// ---- transport

class PortsOf : public testing::TestWithParam<std::uint8_t> {};
TEST_P(PortsOf, ProtocolsThatStartWithPorts) {
  EXPECT_THAT(walk(v4().ports(GetParam(), 0x1234, 0x5678)), AllOf(Good(), Ports(0x1234, 0x5678), IpProto(GetParam())));
  EXPECT_THAT(walk(v6().ports(GetParam(), 0x1234, 0x5678)), AllOf(Good(), Ports(0x1234, 0x5678), IpProto(GetParam())));
  EXPECT_THAT(walk(v4().ports(GetParam(), 1, 2).build().cut(14 + 20 + 3)), AllOf(Good(), NoPorts()))
      << "cut: still good";
}
INSTANTIATE_TEST_SUITE_P(Transport, PortsOf, testing::Values(6, 17, 33, 50, 132, 136));

TEST(Dissect, EspSpiStandsForPorts) { EXPECT_THAT(walk(v4().esp(0xaabbccdd)), Ports(0xaabb, 0xccdd)); }
TEST(Dissect, AhSpiStandsForPortsAndNothingBehindIsRead) {
  EXPECT_THAT(walk(v4().ah(0xaabbccdd).tcp(1, 2)), AllOf(Good(), Ports(0xaabb, 0xccdd), IpProto(51), Thoff(20)));
  EXPECT_THAT(walk(v6().ah(0xaabbccdd).tcp(1, 2)), AllOf(Good(), Ports(0xaabb, 0xccdd), IpProto(51)));
}
TEST(Dissect, OthersHaveNoPorts) {
  EXPECT_THAT(walk(v4().icmp()), AllOf(Good(), NoPorts(), IpProto(1)));
  EXPECT_THAT(walk(v6().icmp(128)), AllOf(Good(), NoPorts(), IpProto(58)));
  EXPECT_THAT(walk(v4().ports(115, 1, 2)), AllOf(Good(), NoPorts())) << "L2TP";
  EXPECT_THAT(walk(v4().ports(89, 1, 2)), AllOf(Good(), NoPorts())) << "OSPF";
  EXPECT_EQ(walk(v4().icmp()).keys.icmp, 0u);
}

// ---- IPv6 extension headers

TEST(Dissect, Ipv6OptionsAreSkipped) {
  EXPECT_THAT(walk(v6().hop_by_hop(2).dest_opts().routing(1).tcp(1, 2)),
              AllOf(Good(), Ports(1, 2), IpProto(6), Thoff(40 + 24 + 8 + 16)));
}
TEST(Dissect, Ipv6OptionsOnIpv4AreJustProtocols) {
  for (std::uint8_t protocol : std::array<std::uint8_t, 4>{0, 43, 44, 60}) {
    EXPECT_THAT(walk(v4().ports(protocol, 0x0600, 2)),
                AllOf(Good(), NoPorts(), IpProto(protocol), Flags(0), Thoff(20)));
  }
}
TEST(Dissect, CutIpv6OptionIsBad) {
  EXPECT_THAT(walk(v6().hop_by_hop().build().cut(14 + 41)), AllOf(Bad(), From6(kA6, kB6), IpProto(0)));
}
TEST(Dissect, Ipv6OptionLengthBeyondTheEndIsGoodWithoutPorts) {
  EXPECT_THAT(walk(v6().hop_by_hop(255).ip_proto(6).build().cut(14 + 48)),
              AllOf(Good(), NoPorts(), IpProto(6), Thoff(48)));
}
TEST(Dissect, AnyIpv6FragmentStopsWithoutPorts) {
  EXPECT_THAT(walk(v6().ipv6_fragment(0, true).udp(1, 2)),
              AllOf(Good(), NoPorts(), IpProto(17), Flags(kFlowIsFragment | kFlowFirstFragment), Thoff(48)));
  EXPECT_THAT(walk(v6().ipv6_fragment(0, false).udp(1, 2)), AllOf(Good(), NoPorts())) << "atomic fragments too";
  EXPECT_THAT(walk(v6().ipv6_fragment(9, true).udp(1, 2)), AllOf(NoPorts(), Flags(kFlowIsFragment)));
  EXPECT_THAT(walk(v6().ipv6_fragment(0, true).build().cut(14 + 47)), AllOf(Bad(), IpProto(44)));
}

// ---- tunnels

TEST(Dissect, GreIsEnteredAndItsKeyRecorded) {
  EXPECT_THAT(walk(v4().gre({.key = 0x01020304}).ipv4(kC4, kD4).tcp(1, 2)),
              AllOf(Good(), From4(kC4, kD4), Ports(1, 2), KeyId(0x01020304), IpProto(6), Flags(kFlowEncapsulation)));
  EXPECT_THAT(walk(v4().gre({.csum = true, .key = 1, .seq = 2}).ipv6(kC6, kD6).udp(3, 4)),
              AllOf(Good(), From6(kC6, kD6), Ports(3, 4), KeyId(1), Thoff(20 + 16 + 40)));
}
TEST(Dissect, GreOverIpv6) {
  EXPECT_THAT(walk(v6().gre().ipv6(kC6, kD6).udp(3, 4)), AllOf(Good(), From6(kC6, kD6), Ports(3, 4)));
}
TEST(Dissect, GreEthernetBridging) {
  EXPECT_THAT(walk(v4().gre().eth().ipv4(kC4, kD4).udp(3, 4)), AllOf(Good(), From4(kC4, kD4), Ports(3, 4), Thoff(58)));
  EXPECT_THAT(walk(v4().gre().eth().build().cut(14 + 20 + 4 + 13)), AllOf(Bad(), From4(kA4, kB4), Proto(kEthPTeb)));
}
TEST(Dissect, GreThatIsNotEntered) {
  const auto stays_outside = [](const FrameBuilder& b) {
    EXPECT_THAT(walk(b), AllOf(Good(), From4(kA4, kB4), NoPorts(), IpProto(47), Flags(0), Thoff(20)));
  };
  stays_outside(v4().gre({.more_flags = GreView::kRouting}).ipv4(kC4, kD4).udp(3, 4));
  stays_outside(v4().gre({.more_flags = 2}).ipv4(kC4, kD4).udp(3, 4));
  stays_outside(v4().gre({.key = 1, .more_flags = 1}).ipv4(kC4, kD4).udp(3, 4));
  stays_outside(v4().gre({.more_flags = 1}).ppp().ipv4(kC4, kD4).udp(3, 4));
}
TEST(Dissect, PptpKeyIsTheCallId) {
  EXPECT_THAT(walk(v4().gre({.key = 0x00501234, .seq = 1, .ack = 2, .more_flags = 1}).ppp().ipv4(kC4, kD4).udp(3, 4)),
              AllOf(Good(), KeyId(0x1234), From4(kC4, kD4), Ports(3, 4), Thoff(20 + 16 + 4 + 20)));
  EXPECT_THAT(walk(v4().gre({.key = 7, .more_flags = 1}).ppp().ipv6(kC6, kD6).udp(3, 4)),
              AllOf(From6(kC6, kD6), Good()));
  EXPECT_THAT(walk(v4().gre({.key = 7, .more_flags = 1}).ppp().ppp_proto(0xc021)),
              AllOf(Bad(), KeyId(7), Proto(kGreProtoPpp)));
}
TEST(Dissect, CutGreIsBad) {
  const Frame key = v4().gre({.key = 1}).ipv4(kC4, kD4).build();
  EXPECT_THAT(walk(key.cut(14 + 20 + 3)), AllOf(Bad(), Proto(kEthPIp)));
  EXPECT_THAT(walk(key.cut(14 + 20 + 7)), AllOf(Bad(), KeyId(0)));
  EXPECT_THAT(walk(v4().gre({.key = 1, .more_flags = 1}).ppp().build().cut(14 + 20 + 11)), AllOf(Bad(), KeyId(1)));
}
TEST(Dissect, IpInIp) {
  EXPECT_THAT(walk(v4().ipv4(kC4, kD4).tcp(1, 2)),
              AllOf(Good(), From4(kC4, kD4), Ports(1, 2), Flags(kFlowEncapsulation), Thoff(40)));
  EXPECT_THAT(walk(v4().ipv6(kC6, kD6).tcp(1, 2)), AllOf(Good(), From6(kC6, kD6), Ports(1, 2), Proto(kEthPIpv6)));
  EXPECT_THAT(walk(v6().ipv4(kC4, kD4).tcp(1, 2)), AllOf(Good(), From4(kC4, kD4), Ports(1, 2), Proto(kEthPIp)));
  EXPECT_THAT(walk(v6().ipv6(kC6, kD6).tcp(1, 2)), AllOf(Good(), From6(kC6, kD6), Ports(1, 2)));
}
TEST(Dissect, BadInnerHeaderKeepsTheOuterKeys) {
  EXPECT_THAT(walk(v4().ip_proto(4).payload(10)), AllOf(Bad(), From4(kA4, kB4), IpProto(4)));
}
TEST(Dissect, InnerIpv4LeavesTheRestOfTheOuterAddresses) {
  const Result r = walk(eth().ipv6(kC6, kD6).ipv4(kA4, kB4));
  EXPECT_TRUE(std::equal(&r.keys.addrs[8], &r.keys.addrs[16], &kC6.bytes[8]));
  EXPECT_EQ(r.keys.hash_length(), 48u);
}
TEST(Dissect, MplsInIpStopsGood) {
  EXPECT_THAT(walk(v4().mpls(5).ipv4(kC4, kD4)),
              AllOf(Good(), From4(kA4, kB4), NoPorts(), IpProto(137), Proto(kEthPMplsUc), Flags(0)));
}
TEST(Dissect, UdpTunnelsAreNotEntered) {
  EXPECT_THAT(walk(v4().udp(50000, 4789).vxlan(1).eth().ipv4(kC4, kD4).tcp(1, 2)),
              AllOf(Good(), From4(kA4, kB4), Ports(50000, 4789), Flags(0)));
  EXPECT_THAT(walk(v4().udp(50000, 6081).geneve(1).eth().ipv4(kC4, kD4).tcp(1, 2)),
              AllOf(Good(), From4(kA4, kB4), Ports(50000, 6081)));
  EXPECT_THAT(walk(v4().udp(50000, 5555).ipv4(kC4, kD4).tcp(1, 2)), AllOf(Good(), From4(kA4, kB4), Ports(50000, 5555)))
      << "FOU";
}

// ---- limits

TEST(Dissect, FifteenHeadersMayFollowTheFirst) {
  const auto tags = [](int count) {
    FrameBuilder b = eth();
    for (int i = 0; i < count; ++i) b.vlan(static_cast<unsigned>(i + 1));
    return b.ipv4(kA4, kB4).tcp(1, 2);
  };
  EXPECT_THAT(walk(tags(15)), AllOf(Good(), From4(kA4, kB4), Ports(1, 2)));
  EXPECT_THAT(walk(tags(16)), AllOf(Good(), NoAddresses(), NoPorts(), Proto(kEthPIp), Thoff(64)));
}
TEST(Dissect, PortsBehindTheLastExtensionHeaderStillCount) {
  const auto options = [](int count) {
    FrameBuilder b = v6();
    for (int i = 0; i < count; ++i) b.dest_opts();
    return b.tcp(1, 2);
  };
  EXPECT_THAT(walk(options(16)), AllOf(Good(), Ports(1, 2), IpProto(6)));
  EXPECT_THAT(walk(options(17)), AllOf(Good(), NoPorts(), IpProto(60)));
}

// ---- against the naive twin

/// Exactly as many bytes as the frame has, so that a sanitizer sees any read beyond them.
struct Exact {
  std::unique_ptr<std::uint8_t[]> bytes;
  FlowInput in;
  explicit Exact(const FlowInput& from) : bytes(new std::uint8_t[from.len]), in(from) {
    if (from.len != 0) std::memcpy(bytes.get(), from.data, from.len);
    in.data = bytes.get();
  }
};

::testing::AssertionResult same_as_naive(const FlowInput& from) {
  const Exact exact(from);
  const char* difference = difference_from_naive(exact.in);
  if (difference == nullptr) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << difference << ", protocol " << std::hex << to_host(from.protocol)
                                       << ", bytes " << testing::PrintToString(std::span(exact.in.data, exact.in.len));
}

TEST(DissectProperty, BuiltFramesAtEveryLength) {
  Prng prng(1);
  for (int i = 0; i < 300; ++i) {
    const Frame frame = random_frame(prng);
    for (std::size_t size = 14; size <= frame.size(); ++size) {
      const Frame cut = frame.cut(size);
      ASSERT_TRUE(same_as_naive(cut.flow_input())) << "frame " << i << " cut to " << size;
      ASSERT_TRUE(same_as_naive(cut.untagged_input())) << "frame " << i << " cut to " << size << ", tag taken out";
    }
  }
}
TEST(DissectProperty, DamagedFrames) {
  Prng prng(2);
  for (int i = 0; i < 100000; ++i) {
    const Frame frame = damaged(random_frame(prng), prng);
    ASSERT_TRUE(same_as_naive(i % 2 == 0 ? frame.flow_input() : frame.untagged_input())) << "frame " << i;
  }
}
TEST(DissectProperty, RandomBytesOfEveryEtherType) {
  constexpr std::array kTypes{kEthPIp,     kEthPIpv6, kEthP8021q, kEthP8021ad, kEthPPppSes, kEthPTipc,
                              kEthPBatman, kEthPPrp,  kEthPHsr,   kEthPFcoe,   kEthP1588,   kEthPMplsUc,
                              kEthPArp,    kEthPCfm,  kEthPRarp,  kEthPTeb,    Be16{}};
  Prng prng(3);
  for (int i = 0; i < 100000; ++i) {
    std::array<std::uint8_t, 200> bytes;
    for (std::uint8_t& byte : bytes) {
      byte = static_cast<std::uint8_t>(prng.below(4) == 0 ? prng.below(256) : prng.below(8));
    }
    FlowInput in{.data = bytes.data(),
                 .len = static_cast<std::uint32_t>(prng.below(bytes.size() + 1)),
                 .protocol = kTypes[prng.below(kTypes.size())]};
    in.vlan_present = prng.below(4) == 0;
    in.vlan_proto = prng.below(8) == 0 ? kEthPIp : kEthP8021q;
    in.vlan_tci = static_cast<std::uint16_t>(prng.next());
    in.dsa_tag_len = static_cast<std::uint8_t>(prng.below(8) == 0 ? prng.below(9) : 0);
    in.tipc_probe_key = static_cast<std::uint32_t>(prng.next());
    ASSERT_TRUE(same_as_naive(in)) << "input " << i;
  }
}
TEST(DissectProperty, GeneratedFramesReachEveryKindOfKey) {
  Prng prng(4);
  int ports = 0, labels = 0, keys = 0, tags = 0, tipc = 0, fragments = 0, tunnels = 0, bad = 0;
  for (int i = 0; i < 10000; ++i) {
    const Result r = walk(random_frame(prng));
    ports += r.keys.src_port != Be16{};
    labels += r.keys.flow_label != 0;
    keys += r.keys.keyid != Be32{};
    tags += r.keys.vlan.tpid != Be16{};
    tipc += r.keys.addr_type == FlowAddrType::tipc;
    fragments += (r.keys.flags & kFlowIsFragment) != 0;
    tunnels += (r.keys.flags & kFlowEncapsulation) != 0;
    bad += r.verdict == Dissected::bad;
  }
  for (int count : {ports, labels, keys, tags, tipc, fragments, tunnels, bad}) EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace netrx::wire
