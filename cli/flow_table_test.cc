// SPDX-License-Identifier: Apache-2.0
#include "flow_table.h"

#include <gtest/gtest.h>

#include <thread>

namespace netrx::cli {
namespace {

/// Devices are only compared by address.
const Netif* device(std::uintptr_t n) { return reinterpret_cast<const Netif*>(n * 4096); }

Packet packet(std::uint32_t hash, std::uint64_t seq, std::uint16_t queue = 1, std::uintptr_t dev = 1) {
  Packet made;
  made.dev = const_cast<Netif*>(device(dev));
  made.queue_mapping = queue;
  made.hash = hash;
  made.sw_hash = true;
  made.rx_seq = seq;
  return made;
}

TEST(FlowTable, IncreasingNumbersAreInOrder) {
  FlowTable table(100);
  for (const std::uint64_t seq : {0, 1, 7, 8, 1'000'000}) table.delivered(packet(5, seq));
  const OrderCount order = table.at_delivery(5);
  EXPECT_EQ(order.checked, 5u);
  EXPECT_EQ(order.late, 0u);
  EXPECT_EQ(order.repeated, 0u);
  EXPECT_EQ(table.flows(), 1u);
}

TEST(FlowTable, CountsEachPacketBehindALaterOneAndNamesTheFirst) {
  FlowTable table(100);
  for (const std::uint64_t seq : {3, 10, 4, 9, 11}) table.delivered(packet(0xabcd, seq));
  const OrderCount order = table.at_delivery(5);
  EXPECT_EQ(order.late, 2u);
  EXPECT_EQ(order.first, "flow 0000abcd: packet 4 came after packet 10");
}

TEST(FlowTable, CountsAPacketThatComesTwice) {
  FlowTable table(100);
  for (const std::uint64_t seq : {0, 1, 1}) table.delivered(packet(5, seq));
  EXPECT_EQ(table.at_delivery(3).repeated, 1u);
  EXPECT_EQ(table.at_delivery(3).late, 0u);
}

TEST(FlowTable, FlowsQueuesAndDevicesAreApart) {
  FlowTable table(100);
  table.delivered(packet(1, 9));
  table.delivered(packet(2, 0));
  table.delivered(packet(1, 0, 2));
  table.delivered(packet(1, 0, 1, 2));
  EXPECT_EQ(table.flows(), 4u);
  EXPECT_EQ(table.at_delivery(4).late, 0u);
}

TEST(FlowTable, HashesWhatSteeringDidNot) {
  FlowTable table(100);
  std::array<std::uint8_t, 20> header{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253};
  Packet unhashed = packet(0, 5);
  unhashed.sw_hash = false;
  unhashed.data = header.data();
  unhashed.len = header.size();
  unhashed.protocol = Be16{to_be16(0x0800)};
  table.delivered(unhashed);
  unhashed.rx_seq = 4;
  header[15] = 1;  // another source address
  table.delivered(unhashed);
  EXPECT_EQ(table.at_delivery(2).late, 0u);
  unhashed.rx_seq = 3;
  table.delivered(unhashed);
  EXPECT_EQ(table.at_delivery(3).late, 1u);
}

TEST(FlowTable, ApplicationsAreCheckedOnTheirOwn) {
  FlowTable table(100);
  const Packet early = packet(5, 0);
  const Packet late = packet(5, 1);
  const std::uint32_t slot = table.delivered(early);
  EXPECT_EQ(table.delivered(late), slot);
  table.consumed(slot, late);
  table.consumed(slot, early);
  EXPECT_EQ(table.at_delivery(2).late, 0u);
  EXPECT_EQ(table.at_consumers(2).late, 1u);
}

TEST(FlowTable, AFullTableSaysWhatItDidNotCheck) {
  FlowTable table(1);
  for (std::uint32_t flow = 1; flow <= 10'000; ++flow) table.delivered(packet(flow, 0));
  const OrderCount order = table.at_delivery(10'000);
  EXPECT_EQ(order.checked, table.flows());
  EXPECT_GT(order.unchecked, 9'000u);
  EXPECT_EQ(order.checked + order.unchecked, 10'000u);
}

TEST(FlowTable, OffChecksNothing) {
  FlowTable table(0);
  EXPECT_EQ(table.delivered(packet(1, 1)), FlowTable::kNoSlot);
  EXPECT_EQ(table.at_delivery(1).checked, 0u);
}

TEST(FlowTable, FirstRecordOfAnApplicationMovesAFlowUnprotected) {
  FlowTable table(100);
  table.get_rps_cpu(0, packet(5, 0), 0, RpsRule::kMap);
  table.get_rps_cpu(0, packet(5, 1), 0, RpsRule::kMap);
  table.get_rps_cpu(0, packet(5, 2), 1, RpsRule::kSwitchedToConsumer);
  table.delivered(packet(5, 0));
  table.delivered(packet(5, 2));
  table.delivered(packet(5, 1));
  const OrderCount order = table.at_delivery(3);
  EXPECT_EQ(order.late, 0u);
  EXPECT_EQ(order.late_moving, 1u);
  EXPECT_EQ(table.unprotected_moves(), 1u);
}

TEST(FlowTable, MapInOrderExcusesNoMoveFromTheMap) {
  FlowTable table(100);
  table.set_map_in_order(true);
  table.get_rps_cpu(0, packet(5, 0), 0, RpsRule::kMap);
  table.get_rps_cpu(0, packet(5, 1), 1, RpsRule::kSwitchedToConsumer);
  table.delivered(packet(5, 1));
  table.delivered(packet(5, 0));
  EXPECT_EQ(table.at_delivery(2).late, 1u);
}

TEST(FlowTable, MovesOfRfsAreProtected) {
  FlowTable table(100);
  table.get_rps_cpu(0, packet(5, 0), 0, RpsRule::kFollowsFlow);
  table.get_rps_cpu(0, packet(5, 1), 1, RpsRule::kSwitchedToConsumer);
  table.delivered(packet(5, 1));
  table.delivered(packet(5, 0));
  EXPECT_EQ(table.at_delivery(2).late, 1u);
  EXPECT_EQ(table.unprotected_moves(), 0u);
}

TEST(FlowTable, AnExcusedMoveExcusesNothingBehindIt) {
  FlowTable table(100);
  table.get_rps_cpu(0, packet(5, 0), 0, RpsRule::kMap);
  table.get_rps_cpu(0, packet(5, 1), 1, RpsRule::kSwitchedToConsumer);
  for (const std::uint64_t seq : {0, 1, 3, 2}) table.delivered(packet(5, seq));
  EXPECT_EQ(table.at_delivery(4).late, 1u);
}

TEST(FlowTable, HereIsAnotherPlaceThanTheOwnBacklog) {
  FlowTable table(100);
  table.get_rps_cpu(0, packet(5, 0), 0, RpsRule::kFollowsFlow);
  table.get_rps_cpu(0, packet(5, 1), -1, RpsRule::kLocal);
  EXPECT_EQ(table.unprotected_moves(), 1u);
}

// Two CPUs that deliver different flows and share a few, each handed over in order.
TEST(FlowTable, CountsRightOnSeveralCpusAtOnce) {
  FlowTable table(1000);
  constexpr std::uint64_t kPackets = 20'000;
  std::atomic<std::uint64_t> turn{0};
  const auto deliver = [&](std::uint64_t me) {
    for (std::uint64_t seq = me; seq < kPackets; seq += 2) {
      table.delivered(packet(100 + static_cast<std::uint32_t>(me), seq));
      if (seq >= 200) continue;
      while (turn.load(std::memory_order_acquire) != seq) std::this_thread::yield();
      table.delivered(packet(7, seq));
      turn.store(seq + 1, std::memory_order_release);
    }
  };
  std::thread other(deliver, 1);
  deliver(0);
  other.join();
  EXPECT_EQ(table.flows(), 3u);
  const OrderCount order = table.at_delivery(kPackets + 200);
  EXPECT_EQ(order.checked, kPackets + 200);
  EXPECT_EQ(order.late + order.repeated, 0u);
}

}  // namespace
}  // namespace netrx::cli
