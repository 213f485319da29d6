// SPDX-License-Identifier: Apache-2.0
// Core receive: taps, VLAN tags, who takes what, and what nobody takes.
#include "deliver/deliver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deliver/packet_types.h"
#include "softnet/softnet_fixture.h"

namespace netrx {
namespace {

using testing::ElementsAre;

struct Seen {
  std::uint64_t seq;
  PacketKind kind;
  std::uint32_t len;
};

struct Handler final : PacketHandler {
  void receive(Delivery& delivery) override {
    runs.push_back(delivery.size());
    for (std::size_t i = 0; i < delivery.size(); ++i) {
      const Packet& p = *delivery[i];
      seen.push_back({p.rx_seq, p.pkt_type, p.len});
      if (p.rx_seq == keep)
        kept = delivery.keep(i);
      else if (p.rx_seq == drop)
        delivery.drop(i, DropReason::kSocketRcvbuff);
    }
  }
  std::vector<std::size_t> runs;
  std::vector<Seen> seen;
  std::uint64_t keep = ~0u;
  std::uint64_t drop = ~0u;
  Packet* kept = nullptr;
};

struct Watcher final : Tap {
  void tap(std::uint16_t, Nanos, const Packet& packet) override { seqs.push_back(packet.rx_seq); }
  std::vector<std::uint64_t> seqs;
};

class DeliverTest : public SoftnetTest {
 protected:
  DeliverTest() { publish(); }
  void publish() { (void)net.packet_types.exchange(std::make_unique<PacketTypes>(types)); }
  void handle(Be16 type, PacketHandler& handler, const Netif* only = nullptr) {
    ASSERT_TRUE(types.add({type, only, &handler}));
    publish();
  }
  void deliver(std::vector<Packet*> list) { deliver_packets(net, cpu(0), list); }
  Packet* of_type(Be16 type) {
    Packet* p = packet(dev);
    p->protocol = type;
    return p;
  }
  /// `tci`, then the inner type, in front of what is there.
  Packet* tagged(std::uint16_t tci, Be16 inner, Be16 tpid = kEthP8021q) {
    Packet* p = of_type(tpid);
    put_tag(*p, 0, tci, inner);
    return p;
  }
  static void put_tag(Packet& p, std::size_t at, std::uint16_t tci, Be16 inner) {
    const Be16 wire_tci = to_be16(tci);
    std::memcpy(p.data + at, &wire_tci, 2);
    std::memcpy(p.data + at + 2, &inner, 2);
  }
  std::uint64_t drops(DropReason reason) { return cpu(0).drops[static_cast<std::size_t>(reason)].read(); }

  PacketTypes types;
  Netif& dev = add_device();
  Handler ip, other;
};

TEST_F(DeliverTest, RunsOfOneTypeAndDeviceGoUpInOneCall) {
  handle(kEthPIp, ip);
  handle(kEthPArp, other);
  Netif& dev2 = add_device();
  Packet* elsewhere = packet(dev2);
  deliver({of_type(kEthPIp), of_type(kEthPIp), of_type(kEthPArp), of_type(kEthPIp), elsewhere});
  EXPECT_THAT(ip.runs, ElementsAre(2, 1, 1));
  EXPECT_THAT(other.runs, ElementsAre(1));
  EXPECT_EQ(cpu(0).delivered.read(), 5u);
  EXPECT_EQ(cpu(0).processed.read(), 5u);
}

TEST_F(DeliverTest, AHandlerOfThisDeviceGoesBeforeOneForAll) {
  Handler mine;
  handle(kEthPIp, ip);
  handle(kEthPIp, mine, &dev);
  Netif& dev2 = add_device();
  deliver({of_type(kEthPIp), packet(dev2)});
  EXPECT_THAT(mine.runs, ElementsAre(1));
  EXPECT_THAT(ip.runs, ElementsAre(1));
}

TEST_F(DeliverTest, AHandlerOfEverythingTakesWhatNobodyElseDoes) {
  handle(kEthPIp, ip);
  handle(kEthPAll, other);
  deliver({of_type(kEthPIp), of_type(kEthPArp)});
  EXPECT_THAT(ip.runs, ElementsAre(1));
  EXPECT_THAT(other.runs, ElementsAre(1));
}

TEST_F(DeliverTest, TypesOfOneBucketAreKeptApart) {
  handle(to_be16(0x0810), other);  // same low 4 bits as IPv4
  deliver({of_type(kEthPIp)});
  EXPECT_TRUE(other.runs.empty());
  EXPECT_EQ(drops(DropReason::kUnhandledProto), 1u);
}

TEST_F(DeliverTest, WhatNobodyTakesIsDroppedAndChargedToTheDevice) {
  deliver({of_type(kEthPArp), of_type(kEthPArp)});
  EXPECT_EQ(drops(DropReason::kUnhandledProto), 2u);
  EXPECT_EQ(dev.rx_dropped.read(), 2u);
  EXPECT_EQ(cpu(0).dropped.read(), 0u) << "that one is the backlog's";
  EXPECT_EQ(cpu(0).delivered.read(), 0u);
  EXPECT_EQ(cpu(0).processed.read(), 2u);
}

TEST_F(DeliverTest, AHandlerMayKeepAndDrop) {
  handle(kEthPIp, ip);
  ip.keep = 1;
  ip.drop = 2;
  deliver({of_type(kEthPIp), of_type(kEthPIp), of_type(kEthPIp), of_type(kEthPIp)});
  EXPECT_EQ(cpu(0).delivered.read(), 3u) << "kept is delivered, dropped is not";
  EXPECT_EQ(drops(DropReason::kSocketRcvbuff), 1u);
  ASSERT_NE(ip.kept, nullptr);
  EXPECT_EQ(ip.kept->rx_seq, 1u);
  EXPECT_EQ(cpu(0).pool->idle(), kPool - 1);
  cpu(0).pool->put({&ip.kept, 1});
}

// ---- taps

TEST_F(DeliverTest, TapsSeeEveryPacketAlsoThoseNobodyTakes) {
  Watcher all, only_dev2;
  Netif& dev2 = add_device();
  types.taps.push_back({nullptr, &all});
  types.taps.push_back({&dev2, &only_dev2});
  publish();
  handle(kEthPIp, ip);
  deliver({of_type(kEthPIp), of_type(kEthPArp), packet(dev2)});
  EXPECT_THAT(all.seqs, ElementsAre(0, 1, 2));
  EXPECT_THAT(only_dev2.seqs, ElementsAre(2));
  EXPECT_EQ(cpu(0).consumed_by_tap.read(), 4u);
  EXPECT_EQ(cpu(0).delivered.read(), 2u) << "a tap is not a delivery";
}

// ---- VLAN

TEST_F(DeliverTest, ATagInTheFrameIsTakenOut) {
  handle(kEthPIp, ip);
  Packet* p = tagged(0, kEthPIp);
  const std::uint32_t len = p->len;
  deliver({p});
  ASSERT_EQ(ip.seen.size(), 1u);
  EXPECT_EQ(ip.seen[0].len, len - 4);
  EXPECT_EQ(ip.seen[0].kind, PacketKind::host) << "id 0 is only a priority";
}

TEST_F(DeliverTest, ATagWithAnIdIsForADeviceThatWeDoNotHave) {
  handle(kEthPIp, ip);
  deliver({tagged(5, kEthPIp)});
  ASSERT_EQ(ip.seen.size(), 1u);
  EXPECT_EQ(ip.seen[0].kind, PacketKind::otherhost);
}

TEST_F(DeliverTest, ATagTheDeviceTookOutCountsTheSame) {
  handle(kEthPIp, ip);
  for (const std::uint16_t tci : {std::uint16_t{0xe000}, std::uint16_t{0x0005}}) {
    Packet* p = of_type(kEthPIp);
    p->vlan_present = true;
    p->vlan_proto = kEthP8021q;
    p->vlan_tci = tci;
    deliver({p});
  }
  ASSERT_EQ(ip.seen.size(), 2u);
  EXPECT_EQ(ip.seen[0].kind, PacketKind::host);
  EXPECT_EQ(ip.seen[1].kind, PacketKind::otherhost);
}

TEST_F(DeliverTest, ATagTheDeviceTookOutIsNotReplacedByOneInTheFrame) {
  handle(kEthPAll, other);
  Packet* p = tagged(8, kEthPIp);
  p->vlan_present = true;
  p->vlan_proto = kEthP8021ad;
  p->vlan_tci = 7;
  const std::uint32_t len = p->len;
  deliver({p});
  ASSERT_EQ(other.seen.size(), 1u);
  EXPECT_EQ(other.seen[0].kind, PacketKind::otherhost);
  EXPECT_EQ(other.seen[0].len, len) << "the inner tag is where it was";
}

TEST_F(DeliverTest, APriorityTagAroundAnotherIsStripped) {
  handle(kEthPIp, ip);
  Packet* p = tagged(0, kEthP8021q, kEthP8021ad);
  put_tag(*p, 4, 0x2000, kEthPIp);
  const std::uint32_t len = p->len;
  deliver({p});
  ASSERT_EQ(ip.seen.size(), 1u);
  EXPECT_EQ(ip.seen[0].len, len - 8);
  EXPECT_EQ(ip.seen[0].kind, PacketKind::host);
}

TEST_F(DeliverTest, ATagWithAnIdHidesASecondOne) {
  handle(kEthPIp, ip);
  Packet* p = tagged(7, kEthP8021q);
  put_tag(*p, 4, 8, kEthPIp);
  deliver({p});
  EXPECT_TRUE(ip.seen.empty());
  EXPECT_EQ(drops(DropReason::kUnhandledProto), 1u);
}

TEST_F(DeliverTest, A802Dot3FrameInATag) {
  handle(kEthP8023, ip);
  handle(kEthP8022, other);
  Packet* raw = tagged(0, to_be16(40));
  raw->data[4] = raw->data[5] = 0xff;
  Packet* llc = tagged(0, to_be16(40));
  llc->data[4] = 0x42;
  deliver({raw, llc});
  EXPECT_EQ(ip.seen.size(), 1u);
  EXPECT_EQ(other.seen.size(), 1u);
}

TEST_F(DeliverTest, AFrameThatEndsInItsTagIsDropped) {
  handle(kEthPIp, ip);
  Packet* p = tagged(0, kEthPIp);
  p->len = 3;
  deliver({p, of_type(kEthPIp)});
  EXPECT_EQ(drops(DropReason::kPktTooSmall), 1u);
  EXPECT_EQ(cpu(0).delivered.read(), 1u);
}

TEST_F(DeliverTest, QueueingDelayIsFromThePollThatTookIt) {
  handle(kEthPIp, ip);
  Packet* p = of_type(kEthPIp);
  p->tstamp = cpu(0).now - Nanos{5000};
  deliver({p});
  std::array<std::uint64_t, Histogram::kBuckets> counts{};
  cpu(0).queueing_delay.merge_into(counts);
  EXPECT_EQ(counts[Histogram::bucket(5000)], 1u);
}

// ---- registration

TEST(PacketTypes, OneOwnerForEachTypeAndDevice) {
  PacketTypes types;
  Handler a, b;
  EXPECT_TRUE(types.add({kEthPIp, nullptr, &a}));
  const auto second = types.add({kEthPIp, nullptr, &b});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EEXIST);
  EXPECT_THAT(second.error().text, testing::HasSubstr("0x0800"));
  types.remove(a);
  EXPECT_EQ(types.find(kEthPIp, nullptr), nullptr);
  EXPECT_TRUE(types.add({kEthPIp, nullptr, &b}));
}

TEST_F(DeliverTest, ForgettingADeviceForgetsItsEntriesAndTaps) {
  Watcher watcher;
  handle(kEthPIp, ip);
  handle(kEthPIp, other, &dev);
  types.taps.push_back({&dev, &watcher});
  types.forget(dev);
  EXPECT_EQ(types.find(kEthPIp, &dev), &ip);
  EXPECT_TRUE(types.taps.empty());
}

}  // namespace
}  // namespace netrx
