// SPDX-License-Identifier: Apache-2.0
#include "driver/rss.h"

#include <gtest/gtest.h>

#include "wire/frame_builder.h"

namespace netrx {
namespace {

using wire::FrameBuilder;

// Row 1 of the published RSS verification suite: 51ccc178 with ports, 323e8fc2 without.
FrameBuilder published() { return FrameBuilder().eth().ipv4("66.9.149.187", "161.142.100.80"); }

TEST(Rss, PutsTheCardsHashThroughTheTable) {
  const auto frame = published().udp(2794, 1766).payload(10).build();
  const RssChoice choice = Rss(8).choose_ethernet(frame.bytes);
  EXPECT_EQ(choice.hash, (FlowHash{0x51ccc178, true}));
  EXPECT_EQ(choice.queue, (0x51ccc178 % 128) % 8);
  std::array<std::uint16_t, Rss::kTableSize> table{};
  table[0x51ccc178 % 128] = 5;
  EXPECT_EQ(Rss(Toeplitz(), table).choose_ethernet(frame.bytes).queue, 5);
}

TEST(Rss, HashesWhatHasNoPortsByAddresses) {
  EXPECT_EQ(Rss(4).choose_ethernet(published().icmp().build().bytes).hash, (FlowHash{0x323e8fc2, false}));
}

TEST(Rss, LooksBehindVlanTags) {
  const auto frame = FrameBuilder().eth().vlan(9).ipv4("66.9.149.187", "161.142.100.80").udp(2794, 1766).build();
  EXPECT_EQ(Rss(4).choose_ethernet(frame.bytes).hash.hash, 0x51ccc178u);
}

TEST(Rss, SendsWhatIsNotIpToQueueZeroWithoutAHash) {
  for (const auto& frame : {FrameBuilder().eth().arp("10.0.0.1", "10.0.0.2").build(), published().build().cut(13),
                            published().build().cut(20), published().build().cut(0)}) {
    const RssChoice choice = Rss(7).choose_ethernet(frame.bytes);
    EXPECT_EQ(choice.queue, 0);
    EXPECT_EQ(choice.hash, FlowHash{});
  }
}

TEST(Rss, SpreadsManyFlowsOverAllQueues) {
  const Rss rss(5);
  std::array<int, 5> count{};
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const auto frame = FrameBuilder().eth().ipv4(wire::Ip4(0x0a000000u + i), "192.0.2.1").udp(1000 + i, 53).build();
    ++count[rss.choose_ethernet(frame.bytes).queue];
  }
  for (const int n : count) EXPECT_NEAR(n, 1000, 250);
}

}  // namespace
}  // namespace netrx
