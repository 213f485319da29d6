// SPDX-License-Identifier: Apache-2.0
// The frames flow_fuzz starts from, and past finds, kept as files so that the fuzzer and this test read the same ones.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "wire/flow_check.h"
#include "wire/frame_builder.h"

namespace netrx::wire {
namespace {

const std::filesystem::path kDirectory = NETRX_FLOW_CORPUS;

std::map<std::string, Frame> built_frames() {
  constexpr Ip4 a("10.0.0.1"), b("10.0.0.2"), c("192.168.7.1"), d("192.168.7.2");
  constexpr Ip6 e("fd00::1"), f("fd00::2");
  const auto eth = [] { return FrameBuilder().eth(); };
  return {
      {"ipv4_tcp", eth().ipv4(a, b).tcp(12345, 80, {.options = {2, 4, 5, 0xb4}}).build()},
      {"ipv4_options_udp", eth().ipv4(a, b, {.options = {1, 1, 1, 0}}).udp(1, 53).payload(20).build()},
      {"ipv4_fragment", eth().ipv4(a, b, {.more_fragments = true}).udp(1, 2).payload(16).build()},
      {"ipv4_icmp", eth().ipv4(a, b).icmp().build()},
      {"ipv4_ah", eth().ipv4(a, b).ah(0x11223344).tcp(1, 2).build()},
      {"ipv4_esp", eth().ipv4(a, b).esp(0x11223344).payload(16).build()},
      {"ipv6_udp", eth().ipv6(e, f).udp(1, 2).payload(4).build()},
      {"ipv6_flow_label", eth().ipv6(e, f, {.flow_label = 0xabcde}).tcp(1, 2).build()},
      {"ipv6_options", eth().ipv6(e, f).hop_by_hop(1).dest_opts().routing().tcp(1, 2).build()},
      {"ipv6_fragment", eth().ipv6(e, f).ipv6_fragment(0, true).udp(1, 2).build()},
      {"vlan", eth().vlan(5, 3).ipv4(a, b).udp(1, 2).build()},
      {"vlan_twice", eth().vlan(7, 0, kEthP8021ad).vlan(9).ipv6(e, f).tcp(1, 2).build()},
      {"gre_key", eth().ipv4(a, b).gre({.csum = true, .key = 7, .seq = 1}).ipv4(c, d).tcp(1, 2).build()},
      {"gre_ethernet", eth().ipv4(a, b).gre().eth().vlan(3).ipv4(c, d).udp(1, 2).build()},
      {"gre_pptp",
       eth().ipv4(a, b).gre({.key = 9, .seq = 1, .ack = 2, .more_flags = 1}).ppp().ipv4(c, d).udp(1, 2).build()},
      {"gre_routing", eth().ipv4(a, b).gre({.more_flags = GreView::kRouting}).ipv4(c, d).build()},
      {"ipip", eth().ipv4(a, b).ipv4(c, d).tcp(1, 2).build()},
      {"sit", eth().ipv4(a, b).ipv6(e, f).tcp(1, 2).build()},
      {"ipv4_in_ipv6", eth().ipv6(e, f).ipv4(c, d).tcp(1, 2).build()},
      {"mpls_in_ip", eth().ipv4(a, b).mpls(5).ipv4(c, d).build()},
      {"vxlan", eth().ipv4(a, b).udp(5, 4789).vxlan(1).eth().ipv4(c, d).tcp(1, 2).build()},
      {"mpls", eth().mpls(5).ipv4(a, b).build()},
      {"pppoe_ipv4", eth().pppoe().ipv4(a, b).tcp(1, 2).build()},
      {"pppoe_lcp", eth().pppoe().ppp_proto(0xc021).payload(8).build()},
      {"tipc", eth().tipc(0x01001005).build()},
      {"tipc_probe", eth().tipc(0x01001005, true).build()},
      {"batman", eth().batman().eth().ipv4(a, b).udp(1, 2).build()},
      {"hsr", eth().hsr().ipv4(a, b).udp(1, 2).build()},
      {"fcoe", eth().ether_type(kEthPFcoe).payload(40).build()},
      {"ptp", eth().ether_type(kEthP1588).payload(34).build()},
      {"arp", eth().arp(a, b).build()},
      {"llc", eth().ether_type(to_be16(38)).payload(38).build()},
  };
}

/// Run with NETRX_WRITE_CORPUS=1 after a change to built_frames().
TEST(FlowCorpus, HoldsTheBuiltFrames) {
  const bool write = std::getenv("NETRX_WRITE_CORPUS") != nullptr;
  for (const auto& [name, frame] : built_frames()) {
    if (write) {
      std::ofstream(kDirectory / name, std::ios::binary)
          .write(reinterpret_cast<const char*>(frame.data()), static_cast<std::streamsize>(frame.size()));
    }
    std::ifstream file(kDirectory / name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), reinterpret_cast<const char*>(frame.data()),
                           reinterpret_cast<const char*>(frame.data()) + frame.size()))
        << kDirectory / name << " is not what the builder makes";
  }
}

TEST(FlowCorpus, EveryFileAtEveryLengthAgreesWithTheNaiveTwin) {
  std::size_t files = 0;
  HashCheck hashes({1, 2}, 3);
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory)) {
    ++files;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
      const Frame frame{{bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}};
      for (const FlowInput& in : {frame.flow_input(), frame.untagged_input()}) {
        ASSERT_EQ(difference_from_naive(in), nullptr) << entry.path() << " cut to " << size;
        ASSERT_EQ(hashes.difference_from_naive(in), nullptr) << entry.path() << " cut to " << size;
      }
    }
  }
  EXPECT_GE(files, built_frames().size());
}

}  // namespace
}  // namespace netrx::wire
