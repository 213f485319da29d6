// SPDX-License-Identifier: Apache-2.0
// enqueue_to_backlog: what is checked in which order, who is charged, who is rung.
#include "backlog/backlog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "softnet/softnet_fixture.h"

namespace netrx {
namespace {

using testing::ElementsAre;

class BacklogTest : public SoftnetTest {
 protected:
  struct Outcome {
    std::size_t accepted = 0;
    std::size_t full = 0;
    std::size_t down = 0;
  };

  /// cpu `from` sends packets to cpu `to` in one outbox.
  Outcome send(std::uint32_t from, std::uint32_t to, std::vector<Packet*> list, RpsDevFlow* flow = nullptr) {
    Outcome outcome;
    for (std::size_t i = 0; i < list.size();) {
      Outbox& box = cpu(from).outbox[to];
      Refused refused;
      std::size_t sent = 0;
      for (; i < list.size() && !box.packets.full(); ++i, ++sent) {
        box.flows[box.packets.size()] = flow;
        box.packets.push_back(list[i]);
      }
      enqueue_to_backlog(net, cpu(from), cpu(to), box, refused);
      EXPECT_TRUE(box.packets.empty());
      outcome.full += refused.backlog_full.size();
      outcome.down += refused.device_down.size();
      outcome.accepted += sent - refused.backlog_full.size() - refused.device_down.size();
      for (PacketBatch* batch : {&refused.backlog_full, &refused.device_down}) {
        for (Packet* p : *batch) cpu(p->alloc_cpu).pool->put({&p, 1});
        batch->released();
      }
    }
    return outcome;
  }
  bool sched(std::uint32_t on) { return cpu(on).backlog.state.test(kNapiSched); }
  std::vector<std::uint16_t> ipi_list(std::uint32_t of) {
    std::vector<std::uint16_t> cpus;
    for (SoftnetData* sd = cpu(of).rps_ipi_list; sd != nullptr; sd = sd->rps_ipi_next) cpus.push_back(sd->cpu.id());
    return cpus;
  }

  Netif& dev = add_device();
};

TEST_F(BacklogTest, TheLimitIsInclusive) {
  net.tunables.netdev_max_backlog.write(1000);
  const Outcome outcome = send(0, 1, packets(dev, 1002));
  EXPECT_EQ(outcome.accepted, 1001u);
  EXPECT_EQ(outcome.full, 1u);
  EXPECT_EQ(cpu(1).dropped.read(), 1u) << "the target is charged";
  EXPECT_EQ(cpu(0).dropped.read(), 0u);
  EXPECT_EQ(tail(cpu(1)), 1001u) << "a drop does not advance the tail";
  EXPECT_EQ(cpu(1).input.head(), 0u);
}

TEST_F(BacklogTest, ProcessQueueDoesNotCount) {
  net.tunables.netdev_max_backlog.write(10);
  EXPECT_EQ(send(0, 1, packets(dev, 20)).accepted, 11u);
  EXPECT_TRUE(splice_or_idle(cpu(1)));
  EXPECT_EQ(send(0, 1, packets(dev, 20)).accepted, 11u);
}

TEST_F(BacklogTest, ZeroAdmitsOneAndNegativeMeansNoLimit) {
  net.tunables.netdev_max_backlog.write(0);
  EXPECT_EQ(send(0, 1, packets(dev, 3)).accepted, 1u);
  net.tunables.netdev_max_backlog.write(-1);
  EXPECT_EQ(send(0, 2, packets(dev, 1500)).accepted, 1500u);
}

TEST_F(BacklogTest, TheRingBoundsItWhateverTheLimit) {
  make_cpus(2, 64);
  net.tunables.netdev_max_backlog.write(1000);
  Netif& other = add_device();
  const Outcome outcome = send(0, 1, packets(other, 70));
  EXPECT_EQ(outcome.accepted, 64u);
  EXPECT_EQ(outcome.full, 6u);
  EXPECT_EQ(cpu(1).dropped.read(), 6u);
}

TEST_F(BacklogTest, ADownDeviceIsNotTheTargetsFault) {
  dev.running = false;
  const Outcome outcome = send(0, 1, packets(dev, 3));
  EXPECT_EQ(outcome.down, 3u);
  EXPECT_EQ(cpu(1).dropped.read(), 0u);
  EXPECT_EQ(tail(cpu(1)), 0u);
  EXPECT_FALSE(sched(1)) << "nothing came, nothing to wake for";
  EXPECT_THAT(ipi_list(0), ElementsAre());
}

// The full queue and the flow limit are looked at before the device is.
TEST_F(BacklogTest, AFullQueueComesBeforeADownDevice) {
  net.tunables.netdev_max_backlog.write(2);
  Netif& down = add_device();
  down.running = false;
  EXPECT_EQ(send(0, 1, packets(dev, 3)).accepted, 3u);
  const Outcome outcome = send(0, 1, packets(down, 1));
  EXPECT_EQ(outcome.full, 1u);
  EXPECT_EQ(outcome.down, 0u);
  EXPECT_EQ(cpu(1).dropped.read(), 1u);
}

TEST_F(BacklogTest, TheFlowLimitIsTheEnqueuersAndStartsAtHalf) {
  net.tunables.netdev_max_backlog.write(1000);
  flow_limit(0, 4096);
  EXPECT_EQ(send(0, 1, packets(dev, 500)).accepted, 500u) << "below half nobody is judged";
  EXPECT_EQ(cpu(0).flow_limit.read()->buckets[1], 0);
  const Outcome outcome = send(0, 1, packets(dev, 100));
  EXPECT_EQ(outcome.accepted, 64u);
  EXPECT_EQ(outcome.full, 36u);
  EXPECT_EQ(cpu(0).flow_limit.read()->count, 36u);
  EXPECT_EQ(cpu(1).dropped.read(), 36u);
  EXPECT_EQ(send(2, 1, packets(dev, 100)).accepted, 100u) << "cpu 2 has no flow limit";
}

TEST_F(BacklogTest, ABatchIsJudgedPacketByPacket) {
  net.tunables.netdev_max_backlog.write(20);
  EXPECT_EQ(send(0, 1, packets(dev, 10)).accepted, 10u);
  Netif& down = add_device();
  down.running = false;
  std::vector<Packet*> mixed = packets(dev, 4);
  mixed.insert(mixed.begin() + 2, packet(down));
  for (Packet* p : packets(dev, 20)) mixed.push_back(p);
  const Outcome outcome = send(0, 1, mixed);
  EXPECT_EQ(outcome.down, 1u);
  EXPECT_EQ(outcome.accepted, 11u);
  EXPECT_EQ(outcome.full, 13u);
  EXPECT_EQ(tail(cpu(1)), 21u);
}

TEST_F(BacklogTest, TheFlowGetsItsPacketsTail) {
  RpsDevFlow flow;
  send(0, 1, packets(dev, 3), &flow);
  EXPECT_EQ(flow.last_qtail, 3u);
  send(0, 1, packets(dev, 2), &flow);
  EXPECT_EQ(flow.last_qtail, 5u);
}

TEST_F(BacklogTest, ADropLeavesLastQtailAlone) {
  RpsDevFlow flow;
  flow.last_qtail = 42;
  net.tunables.netdev_max_backlog.write(0);
  send(0, 1, packets(dev, 1));
  send(0, 1, packets(dev, 1), &flow);
  EXPECT_EQ(flow.last_qtail, 42u);
}

// ---- kicks

TEST_F(BacklogTest, OnlyTheFirstPacketLinksTheTarget) {
  send(0, 1, packets(dev, 5));
  send(0, 1, packets(dev, 5));
  EXPECT_TRUE(sched(1));
  EXPECT_THAT(ipi_list(0), ElementsAre(1));
  send_rps_doorbells(net, cpu(0));
  EXPECT_EQ(cpu(0).doorbells.read(), 1u);
  answer_doorbell(net, cpu(1));
  EXPECT_EQ(cpu(1).received_rps.read(), 1u) << "one for the doorbell, not one a packet";
  EXPECT_FALSE(cpu(1).poll_list.empty());
}

TEST_F(BacklogTest, OnlyOneCpuLinksATarget) {
  send(0, 1, packets(dev, 1));
  send(2, 1, packets(dev, 1));
  EXPECT_THAT(ipi_list(0), ElementsAre(1));
  EXPECT_THAT(ipi_list(2), ElementsAre());
}

TEST_F(BacklogTest, DoorbellsRingInReverseOrderOfEnqueue) {
  struct Recorder final : Tracer {
    void doorbell(std::uint16_t, std::uint16_t target) override { targets.push_back(target); }
    std::vector<std::uint16_t> targets;
  } recorder;
  net.tracer = &recorder;
  for (const std::uint32_t target : {1u, 3u, 2u}) send(0, target, packets(dev, 1));
  EXPECT_THAT(ipi_list(0), ElementsAre(2, 3, 1));
  send_rps_doorbells(net, cpu(0));
  EXPECT_THAT(recorder.targets, ElementsAre(2, 3, 1));
  EXPECT_THAT(ipi_list(0), ElementsAre());
}

TEST_F(BacklogTest, AnOfflineTargetIsNotRung) {
  send(0, 1, packets(dev, 1));
  net.online[1] = false;
  send_rps_doorbells(net, cpu(0));
  EXPECT_EQ(cpu(0).doorbells.read(), 0u);
  EXPECT_THAT(ipi_list(0), ElementsAre());
}

TEST_F(BacklogTest, OnlyASleepingTargetIsWoken) {
  send(0, 1, packets(dev, 1));
  send(0, 2, packets(dev, 1));
  ASSERT_TRUE(cpu(1).doorbell.prepare_sleep());
  send_rps_doorbells(net, cpu(0));
  EXPECT_EQ(waker.wakes, 1);
  EXPECT_EQ(cpu(0).doorbells.read(), 2u);
  EXPECT_EQ(cpu(0).wakeups.read(), 1u);
}

// Inside net_rx_action the list is sent at its end; from anywhere else somebody must be asked to send it.
TEST_F(BacklogTest, OutsideASoftirqALinkRaisesNetRx) {
  send(0, 1, packets(dev, 1));
  EXPECT_TRUE(cpu(0).net_rx_pending);
  cpu(2).in_net_rx_action = true;
  send(2, 3, packets(dev, 1));
  EXPECT_FALSE(cpu(2).net_rx_pending);
  cpu(2).in_net_rx_action = false;
  cpu(2).in_napi_threaded_poll = true;
  send(2, 0, packets(dev, 1));
  EXPECT_FALSE(cpu(2).net_rx_pending);
}

TEST_F(BacklogTest, TheOwnBacklogIsScheduledWithoutADoorbell) {
  send(0, 0, packets(dev, 1));
  EXPECT_THAT(ipi_list(0), ElementsAre());
  EXPECT_EQ(&cpu(0).poll_list.front(), &cpu(0).backlog);
  EXPECT_TRUE(cpu(0).net_rx_pending);
  EXPECT_EQ(cpu(0).received_rps.read(), 0u);
}

// A target that still works is not rung: it looks at its input queue once more before it clears SCHED.
TEST_F(BacklogTest, ATargetThatPollsIsNotKicked) {
  send(0, 1, packets(dev, 1));
  send_rps_doorbells(net, cpu(0));
  EXPECT_TRUE(splice_or_idle(cpu(1)));
  send(0, 1, packets(dev, 5));
  EXPECT_THAT(ipi_list(0), ElementsAre());
  EXPECT_TRUE(splice_or_idle(cpu(1))) << "the final look finds them";
  EXPECT_FALSE(splice_or_idle(cpu(1)));
  EXPECT_FALSE(sched(1));
}

TEST_F(BacklogTest, ATargetThatFinishedBetweenTwoPacketsIsKickedAgain) {
  send(0, 1, packets(dev, 5));
  send_rps_doorbells(net, cpu(0));
  EXPECT_TRUE(splice_or_idle(cpu(1)));
  EXPECT_FALSE(splice_or_idle(cpu(1)));
  send(0, 1, packets(dev, 1));
  EXPECT_THAT(ipi_list(0), ElementsAre(1));
}

TEST_F(BacklogTest, IdlingKeepsOnlyThreaded) {
  cpu(1).backlog.state.set(kNapiSched | kNapiMissed | kNapiThreaded | kNapiSchedThreaded);
  EXPECT_FALSE(splice_or_idle(cpu(1)));
  EXPECT_EQ(cpu(1).backlog.state.bits(), kNapiThreaded);
}

// ---- a device goes away

TEST_F(BacklogTest, FlushTakesOneDevicesPacketsAndAdvancesHead) {
  Netif& gone = add_device();
  std::vector<Packet*> list{packet(dev), packet(gone), packet(dev)};
  send(0, 1, list);
  EXPECT_TRUE(splice_or_idle(cpu(1)));
  send(0, 1, {packet(gone), packet(dev)});
  flush_backlog(net, cpu(1), gone);
  EXPECT_EQ(cpu(1).input.head(), 2u);
  EXPECT_EQ(cpu(1).input.process_len(), 2u);
  EXPECT_EQ(cpu(1).input.input_len(), 1u);
  EXPECT_EQ(cpu(1).drops[static_cast<std::size_t>(DropReason::kDevReady)].read(), 2u);
  EXPECT_THAT(take_backlog(cpu(1)), ElementsAre(0, 2, 4));
  EXPECT_EQ(cpu(1).input.head(), tail(cpu(1))) << "no flow sticks to the CPU";
}

}  // namespace
}  // namespace netrx
