// SPDX-License-Identifier: Apache-2.0
// The nine rules of get_rps_cpu and the table of RFS states.
#include "steer/get_rps_cpu.h"

#include <gtest/gtest.h>

#include "softnet/softnet_fixture.h"
#include "wire/frame_builder.h"

namespace netrx {
namespace {

class GetRpsCpuTest : public SoftnetTest {
 protected:
  /// Decides about one packet, and takes it home again.
  RpsDecision decide(Packet* p, const PendingFlows& pending = {}) {
    const SteerTables tables = steer_tables(net, *p);
    RpsDecision decision{.rule = tables.why_not};
    if (tables.steers()) {
      skb_get_hash(cpu(0), {&p, 1});
      decision = get_rps_cpu(net, cpu(0), tables, *p, pending);
    }
    cpu(0).pool->put({&p, 1});
    return decision;
  }
  void expect(const RpsDecision& decision, int cpu, RpsRule rule) {
    EXPECT_EQ(decision.cpu, cpu);
    EXPECT_EQ(decision.rule, rule) << name(decision.rule);
  }
  /// Makes a CPU's input_queue_tail go up by n, and its head too if `finished`.
  void enqueued(std::uint32_t on, std::size_t n, bool finished) {
    std::vector<Packet*> made = packets(dev, n);
    SpinGuard guard(cpu(on).input.lock(), actor);
    EXPECT_GE(cpu(on).input.room(static_cast<std::uint32_t>(n)), n);
    cpu(on).input.append(made);
    if (!finished) return;
    cpu(on).input.splice();
    while (!cpu(on).input.take(64).empty()) {
    }
    cpu(on).input.finish();
    cpu(0).pool->put(made);
  }

  static constexpr std::uint32_t kHash = 0xdeadbeef;
  Netif& dev = add_device(2);
};

// ---- the rules in their order

TEST_F(GetRpsCpuTest, Rule1RecordedQueueOutOfRange) {
  rps_cpus(dev, {1});
  Packet* p = packet(dev);
  p->queue_mapping = 3;
  expect(decide(p), -1, RpsRule::kQueueOutOfRange);
  EXPECT_TRUE(dev.warned_queue_range);

  Netif& single = add_device(1);
  rps_cpus(single, {1});
  p = packet(single);
  p->queue_mapping = 2;
  expect(decide(p), -1, RpsRule::kQueueOutOfRange);
  EXPECT_FALSE(single.warned_queue_range) << "a device of one queue gets no warning";
}

TEST_F(GetRpsCpuTest, Rule2NeitherMapNorFlowTable) {
  rps_cpus(dev, {1}, 0);
  Packet* p = packet(dev);
  p->queue_mapping = 2;
  expect(decide(p), -1, RpsRule::kNoTables);
}

TEST_F(GetRpsCpuTest, NoRecordedQueueMeansQueue0) {
  rps_cpus(dev, {1}, 0);
  rps_cpus(dev, {2}, 1);
  Packet* p = packet(dev);
  p->queue_mapping = 0;
  expect(decide(p), 1, RpsRule::kMap);
  p = packet(dev);
  p->queue_mapping = 2;
  expect(decide(p), 2, RpsRule::kMap);
}

TEST_F(GetRpsCpuTest, Rule3HashIs0) {
  rps_cpus(dev, {1});
  expect(decide(packet(dev, 0)), -1, RpsRule::kNoHash);
}

TEST_F(GetRpsCpuTest, Rule4WithoutASockTableTheMapDecides) {
  rps_cpus(dev, {1});
  RpsDevFlowTable& flows = rps_flow_cnt(dev, 16);
  expect(decide(packet(dev, kHash)), 1, RpsRule::kMap);
  EXPECT_EQ(flows.slot(kHash).cpu, kNoCpu);
}

TEST_F(GetRpsCpuTest, Rule4WithoutAFlowTableTheMapDecides) {
  rps_cpus(dev, {1});
  rps_sock_flow_entries(16).record(kHash, 3);
  expect(decide(packet(dev, kHash)), 1, RpsRule::kMap);
}

TEST_F(GetRpsCpuTest, Rule5AnEntryOfAnotherFlowIsNoWish) {
  rps_cpus(dev, {1});
  RpsDevFlowTable& flows = rps_flow_cnt(dev, 16);
  rps_sock_flow_entries(16).record(kHash ^ 0x10000, 3);
  const RpsDecision decision = decide(packet(dev, kHash));
  expect(decision, 1, RpsRule::kMap);
  EXPECT_EQ(decision.flow, nullptr) << "the tail is discarded";
  EXPECT_EQ(flows.slot(kHash).cpu, kNoCpu) << "the flow table is untouched";
}

TEST_F(GetRpsCpuTest, Rule8MapByMultiplication) {
  rps_cpus(dev, {0, 2, 3});
  expect(decide(packet(dev, 0x55555555)), 0, RpsRule::kMap);
  expect(decide(packet(dev, 0x55555556)), 2, RpsRule::kMap);
  expect(decide(packet(dev, 0xffffffff)), 3, RpsRule::kMap);
}

TEST_F(GetRpsCpuTest, Rule8And9AnOfflineCpuOfTheMapIsNotReplaced) {
  rps_cpus(dev, {1, 2});
  net.online[2] = false;
  expect(decide(packet(dev, 0x00000001)), 1, RpsRule::kMap);
  expect(decide(packet(dev, 0xffffffff)), -1, RpsRule::kLocal);
}

TEST_F(GetRpsCpuTest, Rule9FlowTableWithoutAWishOrMap) {
  rps_flow_cnt(dev, 16);
  rps_sock_flow_entries(16);
  expect(decide(packet(dev, kHash)), -1, RpsRule::kLocal);
}

// ---- RFS

class RfsTest : public GetRpsCpuTest {
 protected:
  RfsTest() {
    flows = &rps_flow_cnt(dev, 16);
    wishes = &rps_sock_flow_entries(16);
  }
  RpsDevFlow& entry() { return flows->slot(kHash); }
  RpsDevFlowTable* flows;
  RpsSockFlowTable* wishes;
};

TEST_F(RfsTest, EntryUnsetSwitchesAtOnce) {
  wishes->record(kHash, 3);
  enqueued(3, 5, true);
  const RpsDecision decision = decide(packet(dev, kHash));
  expect(decision, 3, RpsRule::kSwitchedToConsumer);
  EXPECT_EQ(decision.flow, &entry());
  EXPECT_EQ(entry().cpu, 3);
  EXPECT_EQ(entry().last_qtail, 5u) << "head of the new CPU, until the packet has a tail";
}

TEST_F(RfsTest, StaysWhileTheOldCpuHasNotFinished) {
  wishes->record(kHash, 2);
  entry().cpu = 3;
  enqueued(3, 5, false);
  entry().last_qtail = 1;  // head[3] is 0
  expect(decide(packet(dev, kHash)), 3, RpsRule::kHeldForOrder);
  EXPECT_EQ(entry().cpu, 3);
  EXPECT_EQ(entry().last_qtail, 1u);
}

TEST_F(RfsTest, SwitchesOnceHeadEqualsTheTail) {
  wishes->record(kHash, 2);
  entry().cpu = 3;
  enqueued(3, 5, true);
  entry().last_qtail = 5;
  expect(decide(packet(dev, kHash)), 2, RpsRule::kSwitchedToConsumer);
  EXPECT_EQ(entry().last_qtail, 0u);
}

TEST_F(RfsTest, HeadAndTailAreComparedAcrossTheWrap) {
  wishes->record(kHash, 2);
  entry().cpu = 3;
  enqueued(3, 2, true);  // head[3] is 2
  entry().last_qtail = 0xfffffffe;
  expect(decide(packet(dev, kHash)), 2, RpsRule::kSwitchedToConsumer);
  entry().cpu = 3;
  entry().last_qtail = 0x80000003;  // more than 2^31 - 1 ahead counts as behind
  expect(decide(packet(dev, kHash)), 2, RpsRule::kSwitchedToConsumer);
  entry().cpu = 3;
  entry().last_qtail = 3;
  expect(decide(packet(dev, kHash)), 3, RpsRule::kHeldForOrder);
}

TEST_F(RfsTest, LeavesAnOfflineCpuAtOnce) {
  wishes->record(kHash, 2);
  entry().cpu = 3;
  entry().last_qtail = 100;
  net.online[3] = false;
  expect(decide(packet(dev, kHash)), 2, RpsRule::kSwitchedToConsumer);
}

TEST_F(RfsTest, AnOfflineWishIsWrittenAndTheMapDecides) {
  wishes->record(kHash, 2);
  net.online[2] = false;
  entry().cpu = 3;
  expect(decide(packet(dev, kHash)), -1, RpsRule::kLocal);
  EXPECT_EQ(entry().cpu, 2);
  rps_cpus(dev, {1});
  expect(decide(packet(dev, kHash)), 1, RpsRule::kMap);
}

TEST_F(RfsTest, FollowsTheFlowWhereItIs) {
  wishes->record(kHash, 3);
  entry().cpu = 3;
  entry().last_qtail = 77;
  const RpsDecision decision = decide(packet(dev, kHash));
  expect(decision, 3, RpsRule::kFollowsFlow);
  EXPECT_EQ(decision.flow, &entry()) << "takes the new tail";
}

// A packet decided on in this batch has no tail yet; without this rule the next one of its flow would overtake it.
TEST_F(RfsTest, AFlowWithAPacketOnItsWayDoesNotMove) {
  wishes->record(kHash, 2);
  entry().cpu = 3;  // drained: would switch
  PendingFlows pending;
  pending.add(&entry());
  expect(decide(packet(dev, kHash), pending), 3, RpsRule::kHeldForOrder);
  PendingFlows others;
  others.add(&flows->slot(kHash + 1));
  others.add(nullptr);
  expect(decide(packet(dev, kHash), others), 2, RpsRule::kSwitchedToConsumer);
}

// kEmpty is no "no match": a hash with its high bits asks for cpu 0xffff & mask, which is checked like any other.
TEST_F(RfsTest, TheEmptyValueAliasesAHashRange) {
  rps_cpus(dev, {1});
  make_cpus(3);  // mask 3, so the alias is cpu 3, which does not exist
  Netif& other = add_device();
  rps_flow_cnt(other, 16);
  rps_sock_flow_entries(16);
  rps_cpus(other, {1});
  expect(decide(packet(other, 0xfffd)), 1, RpsRule::kMap);
}

TEST(RpsSockFlowTable, EntryIsHighHashBitsAndCpu) {
  RpsSockFlowTable table(32768, 64);
  EXPECT_EQ(table.cpu_mask(), 0x3fu);
  table.record(0xdeadbeef, 5);
  EXPECT_EQ(table.read(0x3eef), 0xdeadbec5u) << "at index 3eef";
  table.record(0, 5);
  EXPECT_EQ(table.read(0), RpsSockFlowTable::kEmpty) << "hash 0 is never recorded";
  table.clear();
  EXPECT_EQ(table.read(0xdeadbeef), 0xffffu);
}

TEST(RpsSockFlowTable, MaskCoversEveryCpuNumber) {
  EXPECT_EQ(RpsSockFlowTable(16, 1).cpu_mask(), 0u);
  EXPECT_EQ(RpsSockFlowTable(16, 4).cpu_mask(), 3u);
  EXPECT_EQ(RpsSockFlowTable(16, 5).cpu_mask(), 7u);
}

// ---- the hash

TEST_F(GetRpsCpuTest, AHardwareL4HashAndASoftwareHashStay) {
  Packet* p = packet(dev, 7);
  Packet* q = packet(dev, 8);
  q->l4_hash = false;
  q->sw_hash = true;
  Packet* both[] = {p, q};
  skb_get_hash(cpu(0), both);
  EXPECT_EQ(p->hash, 7u);
  EXPECT_EQ(q->hash, 8u);
  cpu(0).pool->put(both);
}

TEST_F(GetRpsCpuTest, AHardwareL3HashIsReplacedAndTheSoftwareHashIsKept) {
  const wire::Frame frame = wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(10).build();
  Packet* p = packet(dev, 7);
  p->l4_hash = false;
  std::copy(frame.bytes.begin() + 14, frame.bytes.end(), p->data);
  p->len = static_cast<std::uint32_t>(frame.size() - 14);
  skb_get_hash(cpu(0), {&p, 1});
  EXPECT_EQ(p->hash, dev.hasher.hash(frame.flow_input()).hash);
  EXPECT_TRUE(p->sw_hash && p->l4_hash);
  const std::uint32_t first = p->hash;
  p->data[15] ^= 1;
  skb_get_hash(cpu(0), {&p, 1});
  EXPECT_EQ(p->hash, first);
  cpu(0).pool->put({&p, 1});
}

}  // namespace
}  // namespace netrx
