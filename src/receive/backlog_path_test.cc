// SPDX-License-Identifier: Apache-2.0
// Through steering, another CPU's backlog, and up: who polls when, what head tells, who is charged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "receive/receive_fixture.h"

namespace netrx {
namespace {

using testing::ElementsAre;
using testing::Pair;

class BacklogPathTest : public ReceiveTest {
 protected:
  std::uint64_t drops(std::uint32_t on, DropReason reason) {
    return cpu(on).drops[static_cast<std::size_t>(reason)].read();
  }
  std::uint64_t decisions(std::uint32_t on, RpsRule rule) {
    return cpu(on).rules[static_cast<std::size_t>(rule)].read();
  }
  static std::vector<std::uint64_t> first(std::size_t n) {
    std::vector<std::uint64_t> seqs(n);
    std::iota(seqs.begin(), seqs.end(), 0u);
    return seqs;
  }
  Netif& dev = add_device();
};

TEST_F(BacklogPathTest, AStalledConsumerTakes1001Packets) {
  rps_cpus(dev, {1});
  net.tunables.netdev_max_backlog.write(1000);
  netif_rx_packets(dev, 0, 1002);
  EXPECT_EQ(cpu(1).dropped.read(), 1u);
  EXPECT_EQ(dev.rx_dropped.read(), 1u);
  EXPECT_EQ(drops(0, DropReason::kCpuBacklog), 1u) << "by the CPU that dropped";
  EXPECT_EQ(tail(cpu(1)), 1001u);
  EXPECT_EQ(cpu(1).input.head(), 0u);
}

TEST_F(BacklogPathTest, ADownDeviceIsChargedAlone) {
  rps_cpus(dev, {1});
  dev.running = false;
  netif_rx_packets(dev, 0, 2);
  EXPECT_EQ(dev.rx_dropped.read(), 2u);
  EXPECT_EQ(drops(0, DropReason::kDevReady), 2u);
  EXPECT_EQ(cpu(1).dropped.read(), 0u);
}

TEST_F(BacklogPathTest, TheFlowLimitChargesTargetDeviceAndTheEnqueuersCount) {
  rps_cpus(dev, {1});
  flow_limit(0, 4096);
  net.tunables.netdev_max_backlog.write(200);
  netif_rx_packets(dev, 0, 100);
  netif_rx_packets(dev, 0, 70);
  EXPECT_EQ(cpu(0).flow_limit.read()->count, 6u);
  EXPECT_EQ(cpu(1).dropped.read(), 6u);
  EXPECT_EQ(dev.rx_dropped.read(), 6u);
  EXPECT_EQ(drops(0, DropReason::kCpuBacklog), 6u);
}

TEST_F(BacklogPathTest, TenPacketsInOneSoftirqAreOneDoorbell) {
  rps_cpus(dev, {1});
  queue(dev).arrive(10);
  schedule(napi(dev));
  run();
  EXPECT_THAT(recorder.doorbells, ElementsAre(1));
  EXPECT_EQ(handler.all.size(), 0u);
  EXPECT_TRUE(round(1));
  EXPECT_EQ(cpu(1).received_rps.read(), 1u);
  EXPECT_EQ(handler.on(1), 10u);
}

TEST_F(BacklogPathTest, ATargetPollingItsBacklogIsNotRung) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 1);
  send_rps_doorbells(net, cpu(0));
  recorder.doorbells.clear();
  bool once = true;
  handler.during_delivery = [&] {
    if (!once) return;
    once = false;
    netif_rx_packets(dev, 0, 5);
    send_rps_doorbells(net, cpu(0));
  };
  EXPECT_TRUE(round(1));
  EXPECT_THAT(recorder.doorbells, ElementsAre());
  EXPECT_EQ(handler.on(1), 6u) << "found by the final look under the lock";
}

TEST_F(BacklogPathTest, HundredPacketsAre64And36) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 100);
  send_rps_doorbells(net, cpu(0));
  recorder.polls.clear();
  answer_doorbell(net, cpu(1));
  run(1);
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(0, 64)));
  EXPECT_EQ(cpu(1).input.head(), 64u);
  EXPECT_TRUE(cpu(1).backlog.state.test(kNapiSched));
  run(1);
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(0, 64), Pair(0, 36)));
  EXPECT_EQ(cpu(1).input.head(), 100u);
  EXPECT_FALSE(cpu(1).backlog.state.test(kNapiSched));
  EXPECT_EQ(handler.seqs(), first(100));
}

TEST_F(BacklogPathTest, HeadAdvancesByTheBatchAndNotBeforeTheWork) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 10);
  send_rps_doorbells(net, cpu(0));
  handler.during_delivery = [&] { EXPECT_EQ(cpu(1).input.head(), 0u); };
  EXPECT_TRUE(round(1));
  EXPECT_EQ(handler.all.size(), 10u);
  EXPECT_EQ(cpu(1).input.head(), 10u);
}

TEST_F(BacklogPathTest, AWeightChangeHoldsFromTheNextPollOn) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 150);
  send_rps_doorbells(net, cpu(0));
  net.tunables.dev_rx_weight.write(10);
  recorder.polls.clear();
  answer_doorbell(net, cpu(1));
  run(1);
  run(1);
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(0, 64), Pair(0, 10)));
}

TEST_F(BacklogPathTest, ProcessBacklogRingsOthersFirst) {
  rps_cpus(dev, {2});
  netif_rx_packets(dev, 1, 1);  // links cpu 2 on cpu 1's list
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 1, 1);  // cpu 1's own backlog
  handler.during_delivery = [&] { EXPECT_THAT(recorder.doorbells, ElementsAre(2)); };
  run(1);
  EXPECT_EQ(handler.on(1), 1u);
}

TEST_F(BacklogPathTest, NetifRxNeverGoesStraightUp) {
  netif_rx_packets(dev, 0, 3);  // no map: rule 2
  EXPECT_EQ(handler.all.size(), 0u);
  EXPECT_EQ(tail(cpu(0)), 3u);
  EXPECT_TRUE(round(0));
  EXPECT_EQ(handler.on(0), 3u);
  EXPECT_EQ(cpu(0).received_rps.read(), 0u);
}

TEST_F(BacklogPathTest, UnsteeredPacketsOfAPollGoUpHere) {
  queue(dev).arrive(5);
  schedule(napi(dev));
  run();
  EXPECT_EQ(handler.on(0), 5u);
  EXPECT_EQ(tail(cpu(0)), 0u);
  EXPECT_EQ(decisions(0, RpsRule::kNotAsked), 5u);
}

TEST_F(BacklogPathTest, EveryDecisionOfTheMapIsCountedUnderItsRule) {
  rps_cpus(dev, {1, 2});
  net.online[2] = false;
  queue(dev).arrive(3, {.hash = 1});
  queue(dev).arrive(4, {.hash = 0xffffffff});
  queue(dev).arrive(2, {.hash = 0});
  schedule(napi(dev));
  run();
  EXPECT_EQ(decisions(0, RpsRule::kMap), 3u);
  EXPECT_EQ(decisions(0, RpsRule::kLocal), 4u);
  EXPECT_EQ(decisions(0, RpsRule::kNoHash), 2u);
  EXPECT_EQ(tail(cpu(1)), 3u);
  EXPECT_EQ(handler.on(0), 6u);
}

TEST_F(BacklogPathTest, ASingleBatchSplitsByHashAndKeepsOrder) {
  rps_cpus(dev, {1, 2});
  for (int i = 0; i < 20; ++i) queue(dev).arrive(1, {.hash = i % 2 != 0 ? 0xffffffffu : 1u});
  queue(dev).arrive(1, {.hash = 0});
  schedule(napi(dev));
  run();
  EXPECT_EQ(handler.on(0), 1u) << "hash 0 stays";
  settle();
  EXPECT_EQ(handler.on(1), 10u);
  EXPECT_EQ(handler.on(2), 10u);
  std::vector<std::uint64_t> last(4, 0);
  for (const auto& one : handler.all) {
    EXPECT_GE(one.seq, last[one.cpu]);
    last[one.cpu] = one.seq;
  }
}

// ---- RFS along the path

class RfsPathTest : public BacklogPathTest {
 protected:
  RfsPathTest() {
    flows = &rps_flow_cnt(dev, 16);
    wishes = &rps_sock_flow_entries(16);
  }
  void poll_device(std::size_t n) {
    queue(dev).arrive(n);
    schedule(napi(dev));
    run();
  }
  RpsDevFlow& entry() { return flows->slot(1); }
  RpsDevFlowTable* flows;
  RpsSockFlowTable* wishes;
};

TEST_F(RfsPathTest, TheFlowFollowsItsConsumerOnceTheOldCpuIsDone) {
  wishes->record(1, 1);
  poll_device(10);
  EXPECT_EQ(entry().cpu, 1);
  EXPECT_EQ(entry().last_qtail, 10u);
  wishes->record(1, 2);
  poll_device(5);
  EXPECT_EQ(tail(cpu(1)), 15u) << "cpu 1 still has packets";
  EXPECT_EQ(decisions(0, RpsRule::kHeldForOrder), 5u);
  EXPECT_TRUE(round(1));
  poll_device(3);
  EXPECT_EQ(entry().cpu, 2);
  settle();
  EXPECT_EQ(handler.on(1), 15u);
  EXPECT_EQ(handler.on(2), 3u);
  EXPECT_EQ(handler.seqs(), first(18));
}

// The packets of this batch are on their way to cpu 1 and have no tail yet.
TEST_F(RfsPathTest, AWishThatChangesInsideABatchDoesNotMoveTheFlow) {
  struct Migrate final : Tracer {
    explicit Migrate(RpsSockFlowTable& table) : wishes(table) {}
    void get_rps_cpu(std::uint16_t, const Packet& p, int target, RpsRule) override {
      targets.push_back(target);
      if (p.rx_seq == 3) wishes.record(1, 2);
    }
    RpsSockFlowTable& wishes;
    std::vector<int> targets;
  } migrate(*wishes);
  net.tracer = &migrate;
  wishes->record(1, 1);
  poll_device(8);
  EXPECT_THAT(migrate.targets, ElementsAre(1, 1, 1, 1, 1, 1, 1, 1));
  net.tracer = nullptr;
  settle();
  poll_device(1);
  settle();
  EXPECT_EQ(handler.on(2), 1u);
  EXPECT_EQ(handler.seqs(), first(9));
}

TEST_F(RfsPathTest, ADroppedPacketLeavesTheEntryIdle) {
  wishes->record(1, 1);
  net.tunables.netdev_max_backlog.write(0);
  poll_device(1);
  EXPECT_EQ(entry().last_qtail, 1u);
  poll_device(1);
  EXPECT_EQ(entry().last_qtail, 1u) << "the second was dropped";
  EXPECT_EQ(cpu(1).dropped.read(), 1u);
}

TEST_F(RfsPathTest, FlushingADeviceLetsItsFlowsMove) {
  wishes->record(1, 1);
  poll_device(5);
  flush_backlog(net, cpu(1), dev);
  EXPECT_EQ(dev.rx_dropped.read(), 0u);
  wishes->record(1, 2);
  poll_device(1);
  EXPECT_EQ(entry().cpu, 2);
  settle();
}

// ---- a CPU goes offline

TEST_F(BacklogPathTest, ADeadCpusPacketsAreSteeredAnewInOrder) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 80);
  send_rps_doorbells(net, cpu(0));
  EXPECT_TRUE(splice_or_idle(cpu(1)));
  netif_rx_packets(dev, 0, 20);
  net.online[1] = false;
  rps_cpus(dev, {2});
  take_over_dead_cpu(net, cpu(0), cpu(1));
  EXPECT_EQ(cpu(1).input.head(), 100u) << "flows don't stick to it";
  EXPECT_FALSE(cpu(1).backlog.state.test(kNapiSched));
  settle();
  EXPECT_EQ(handler.on(2), 100u);
  EXPECT_EQ(handler.seqs(), first(100));
}

TEST_F(BacklogPathTest, WithoutATargetTheyGoToTheSurvivorsBacklog) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 5);
  net.online[1] = false;
  take_over_dead_cpu(net, cpu(3), cpu(1));
  EXPECT_EQ(tail(cpu(3)), 5u);
  settle();
  EXPECT_EQ(handler.on(3), 5u);
}

TEST_F(BacklogPathTest, ADeadCpusNapisDoorbellsAndInterruptsMove) {
  Netif& dev2 = add_device();
  schedule(napi(dev2), 1);
  cpu(0).irq_napis.clear();
  cpu(1).irq_napis.push_back(&napi(dev2));
  napi(dev2).irq_cpu = 1;
  rps_cpus(dev, {2});
  netif_rx_packets(dev, 1, 1);  // links cpu 2 on cpu 1's list
  ASSERT_TRUE(cpu(1).backlog.state.schedule_prep());
  schedule_owned(net, cpu(1), cpu(1).backlog);
  net.online[1] = false;
  take_over_dead_cpu(net, cpu(0), cpu(1));
  EXPECT_THAT(poll_list(0), ElementsAre(napi(dev2).napi_id)) << "the backlog does not move";
  EXPECT_EQ(cpu(1).backlog.state.bits(), 0u);
  EXPECT_THAT(recorder.doorbells, ElementsAre(2));
  EXPECT_EQ(napi(dev2).irq_cpu, 0);
  EXPECT_THAT(cpu(0).irq_napis, ElementsAre(&napi(dev2)));
}

// Its backlog was linked, but the ring is skipped for an offline CPU: nobody would clear SCHED.
TEST_F(BacklogPathTest, AKickThatNeverCameLeavesNoSched) {
  rps_cpus(dev, {1});
  netif_rx_packets(dev, 0, 1);
  net.online[1] = false;
  send_rps_doorbells(net, cpu(0));
  take_over_dead_cpu(net, cpu(0), cpu(1));
  settle();
  net.online[1] = true;
  netif_rx_packets(dev, 0, 1);
  settle();
  EXPECT_EQ(handler.on(1), 1u);
  EXPECT_EQ(handler.all.size(), 2u);
}

}  // namespace
}  // namespace netrx
