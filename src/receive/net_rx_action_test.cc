// SPDX-License-Identifier: Apache-2.0
// net_rx_action and do_softirq: budget, time, order, and what is left pending.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "receive/receive_fixture.h"

namespace netrx {
namespace {

using testing::ElementsAre;
using testing::Pair;

class NetRxActionTest : public ReceiveTest {
 protected:
  /// `n` devices of one always-full queue each; ids 100, 200, ...
  void always_full(int n) {
    for (int i = 0; i < n; ++i) {
      Netif& dev = add_device();
      queue(dev).endless = true;
      schedule(napi(dev));
    }
  }
};

TEST_F(NetRxActionTest, BudgetIsOverdrawnByAtMostOnePollAndTheRestKeepsItsOrder) {
  always_full(6);
  Netif& late = add_device();
  queue(*netifs[0]).during_poll = [&] { napi_schedule(net, cpu(0), napi(late)); };
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 64), Pair(200, 64), Pair(300, 64), Pair(400, 64), Pair(500, 64)));
  EXPECT_EQ(cpu(0).time_squeeze.read(), 1u);
  EXPECT_THAT(poll_list(), ElementsAre(600, 700, 100, 200, 300, 400, 500));
  EXPECT_TRUE(cpu(0).net_rx_pending);
  EXPECT_TRUE(cpu(0).in_net_rx_action) << "with a raise pending it stays set";
}

TEST_F(NetRxActionTest, OneFullQueueIsPolledOnceAndIsNoSqueeze) {
  always_full(1);
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 64)));
  EXPECT_EQ(cpu(0).time_squeeze.read(), 0u);
  EXPECT_THAT(poll_list(), ElementsAre(100));
  EXPECT_TRUE(cpu(0).net_rx_pending);
}

TEST_F(NetRxActionTest, AFullQueueHasTenPassesThenKsoftirqd) {
  always_full(1);
  EXPECT_FALSE(do_softirq(net, cpu(0)));
  EXPECT_EQ(cpu(0).softirqs.read(), 10u);
  EXPECT_EQ(cpu(0).ksoftirqd.read(), 1u);
  EXPECT_EQ(handler.all.size(), 640u);
}

TEST_F(NetRxActionTest, OrTwoMilliseconds) {
  always_full(1);
  clock.per_look = std::chrono::microseconds(900);
  EXPECT_FALSE(do_softirq(net, cpu(0)));
  EXPECT_EQ(cpu(0).softirqs.read(), 4u) << "looks at 0, 0.9, 1.8 and 2.7 ms";
}

TEST_F(NetRxActionTest, TheTimeLimitIsSeenAfterAPoll) {
  always_full(3);
  net.tunables.netdev_budget_usecs.write(8000);
  clock.time += std::chrono::milliseconds(8);  // sd.now is the time the run began
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 64))) << "at least one poll is made";
  EXPECT_EQ(cpu(0).time_squeeze.read(), 1u);
  EXPECT_THAT(poll_list(), ElementsAre(200, 300, 100));
}

TEST_F(NetRxActionTest, TheTimeLimitHasTickGranularity) {
  always_full(3);
  cpu(0).now = Nanos{0};
  clock.time = std::chrono::microseconds(7999);  // jiffy 1 of 4 ms: two are granted
  run();
  EXPECT_EQ(recorder.polls.size(), 3u);
  EXPECT_EQ(cpu(0).time_squeeze.read(), 0u);
}

TEST_F(NetRxActionTest, ABudgetOfZeroPollsOnceAndSqueezes) {
  net.tunables.netdev_budget.write(0);
  Netif& dev = add_device();
  schedule(napi(dev));
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 0)));
  EXPECT_EQ(cpu(0).time_squeeze.read(), 1u) << "also when nothing remains";
  EXPECT_FALSE(cpu(0).net_rx_pending);
  EXPECT_FALSE(cpu(0).in_net_rx_action);
}

TEST_F(NetRxActionTest, WhatComesDuringTheRunIsPolledInItWhenTheListRanEmpty) {
  Netif& a = add_device();
  Netif& b = add_device();
  queue(a).arrive(3);
  queue(a).during_poll = [&] {
    queue(b).arrive(2);
    napi_schedule(net, cpu(0), napi(b));
  };
  schedule(napi(a));
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 3), Pair(200, 2)));
  EXPECT_FALSE(cpu(0).net_rx_pending);
  EXPECT_FALSE(cpu(0).in_net_rx_action);
}

// The two rounds of one run share a budget.
TEST_F(NetRxActionTest, TheSecondLookHasTheSameBudget) {
  net.tunables.netdev_budget.write(5);
  Netif& a = add_device();
  Netif& b = add_device();
  queue(a).arrive(3);
  queue(a).during_poll = [&] {
    queue(b).arrive(2);
    napi_schedule(net, cpu(0), napi(b));
  };
  schedule(napi(a));
  run();
  EXPECT_EQ(cpu(0).time_squeeze.read(), 1u);
}

// A NAPI that used its weight ends the run once the list is through: what came meanwhile waits for the next.
TEST_F(NetRxActionTest, RepollEndsTheRun) {
  always_full(1);
  Netif& late = add_device();
  queue(*netifs[0]).during_poll = [&] { napi_schedule(net, cpu(0), napi(late)); };
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 64)));
  EXPECT_THAT(poll_list(), ElementsAre(200, 100));
}

TEST_F(NetRxActionTest, InterruptDuringThePollMeansExactlyOneMore) {
  Netif& dev = add_device();
  queue(dev).arrive(3);
  int interrupts = 2;
  queue(dev).during_poll = [&] {
    while (interrupts > 0) {
      --interrupts;
      EXPECT_FALSE(napi_schedule(net, cpu(0), napi(dev)));
    }
  };
  schedule(napi(dev));
  run();
  EXPECT_THAT(recorder.polls, ElementsAre(Pair(100, 3), Pair(100, 0)));
  EXPECT_FALSE(napi(dev).state.test(kNapiSched | kNapiMissed));
  EXPECT_FALSE(queue(dev).masked) << "unmasked by the last completion";
}

TEST_F(NetRxActionTest, AfterAMissedEventTheDeviceStaysMasked) {
  Netif& dev = add_device();
  queue(dev).during_poll = [&] { napi_schedule(net, cpu(0), napi(dev)); };
  schedule(napi(dev));
  cpu(0).poll_list.pop_front();
  (void)napi_poll(net, cpu(0), napi(dev));
  EXPECT_TRUE(napi(dev).state.test(kNapiSched));
  EXPECT_TRUE(queue(dev).masked);
  EXPECT_THAT(poll_list(), ElementsAre(100));
}

// What arrives between the last poll and the unmask is announced by nobody: the recheck finds it.
TEST_F(NetRxActionTest, AnArrivalAfterTheUnmaskIsFoundByTheRecheck) {
  Netif& dev = add_device();
  queue(dev).silent = true;
  int late = 1;
  queue(dev).after_unmask = [&] {
    if (late-- > 0) queue(dev).arrive(1);
  };
  schedule(napi(dev));
  run();
  EXPECT_EQ(handler.all.size(), 1u);
  EXPECT_FALSE(queue(dev).masked);
}

TEST_F(NetRxActionTest, DisableDuringAFullPollCompletesInsteadOfRepolling) {
  always_full(1);
  NapiStruct& n = napi(*netifs[0]);
  queue(*netifs[0]).during_poll = [&] {
    begin_disable(n);
    EXPECT_FALSE(try_disable(n));
  };
  run();
  EXPECT_THAT(poll_list(), ElementsAre());
  EXPECT_TRUE(try_disable(n));
}

TEST_F(NetRxActionTest, ANapiThatLostSchedIsNotPolled) {
  Netif& dev = add_device();
  queue(dev).arrive(1);
  napi(dev).state.clear(kNapiSched);
  const PollStep step = napi_poll(net, cpu(0), napi(dev));
  EXPECT_EQ(step.work, 0);
  EXPECT_FALSE(step.repoll);
  EXPECT_EQ(queue(dev).polls, 0);
}

TEST_F(NetRxActionTest, PreferBusyPollGivesAFullQueueUp) {
  always_full(1);
  Netif& dev = *netifs[0];
  dev.napi_defer_hard_irqs = 1;
  dev.gro_flush_timeout = 1000;
  napi(dev).state.set(kNapiPreferBusyPoll);
  run();
  EXPECT_THAT(poll_list(), ElementsAre());
  EXPECT_FALSE(napi(dev).state.test(kNapiSched)) << "the busy poller may have it";
  EXPECT_NE(napi(dev).timer_deadline.load(), kNever.count());
}

TEST_F(NetRxActionTest, PreferBusyPollWithoutDeferralSchedulesAgain) {
  always_full(1);
  napi(*netifs[0]).state.set(kNapiPreferBusyPoll);
  cpu(0).poll_list.pop_front();
  const PollStep step = napi_poll(net, cpu(0), napi(*netifs[0]));
  EXPECT_FALSE(step.repoll);
  EXPECT_THAT(poll_list(), ElementsAre(100));
}

TEST_F(NetRxActionTest, DeferredFreesAreTakenInFirst) {
  Netif& dev = add_device();
  std::vector<Packet*> foreign = packets(dev, 3, 0);
  consume_packets(net, cpu(1), foreign);
  EXPECT_EQ(cpu(0).pool->idle(), kPool - 3);
  run();
  EXPECT_EQ(cpu(0).pool->idle(), kPool);
}

TEST_F(NetRxActionTest, ADeferKickRaisesNetRxOnItsOwner) {
  Netif& dev = add_device();
  std::vector<Packet*> foreign = packets(dev, 40, 0);
  consume_packets(net, cpu(1), foreign);
  EXPECT_TRUE(round(0));
  EXPECT_EQ(cpu(0).pool->idle(), kPool);
  EXPECT_EQ(cpu(0).softirqs.read(), 1u);
  EXPECT_EQ(cpu(0).received_rps.read(), 0u);
  EXPECT_FALSE(cpu(0).defer.ipi_scheduled);
}

TEST_F(NetRxActionTest, GroListsGoUpInBatches) {
  net.tunables.gro_normal_batch.write(8);
  Netif& dev = add_device();
  queue(dev).arrive(20);
  std::vector<std::size_t> seen;
  handler.during_delivery = [&] { seen.push_back(handler.all.size()); };
  schedule(napi(dev));
  run();
  EXPECT_THAT(seen, ElementsAre(0, 8, 16));
  EXPECT_EQ(handler.all.size(), 20u);
}

// ---- threaded

TEST_F(NetRxActionTest, AThreadPollsUntilTheQueueIsEmptyAndSendsDoorbells) {
  Netif& dev = add_device();
  rps_cpus(dev, {1});
  queue(dev).arrive(100);
  ASSERT_TRUE(napi(dev).state.schedule_prep());
  napi(dev).state.set(kNapiThreaded | kNapiSchedThreaded);
  EXPECT_TRUE(napi_threaded_poll(net, cpu(0), napi(dev)));
  EXPECT_FALSE(napi_threaded_poll(net, cpu(0), napi(dev)));
  EXPECT_EQ(napi(dev).state.bits(), kNapiThreaded);
  EXPECT_THAT(recorder.doorbells, ElementsAre(1));
  EXPECT_FALSE(cpu(0).net_rx_pending) << "the thread sends the doorbells itself";
  EXPECT_FALSE(cpu(0).in_napi_threaded_poll);
  settle();
  EXPECT_EQ(handler.on(1), 100u);
}

// ---- busy poll

TEST_F(NetRxActionTest, BusyPollOwnsUntilItsEnd) {
  Netif& dev = add_device();
  queue(dev).arrive(20);
  bool owned = false;
  const BusyPoll how{.budget = 8};
  EXPECT_EQ(napi_busy_poll(net, cpu(1), napi(dev), how, owned), 8);
  EXPECT_TRUE(owned);
  EXPECT_TRUE(queue(dev).masked);
  EXPECT_EQ(handler.on(1), 8u) << "up at once";
  EXPECT_FALSE(napi_schedule(net, cpu(0), napi(dev)));
  EXPECT_EQ(napi_busy_poll(net, cpu(1), napi(dev), how, owned), 8);
  EXPECT_EQ(napi_busy_poll(net, cpu(1), napi(dev), how, owned), 4);
  EXPECT_TRUE(napi(dev).state.test(kNapiSched)) << "its completion inside the loop is refused";
  EXPECT_TRUE(queue(dev).masked);
  napi_busy_poll_end(net, cpu(1), napi(dev), how);
  EXPECT_EQ(napi(dev).state.bits(), 0u) << "MISSED went before the last poll, so that one completes";
  EXPECT_FALSE(queue(dev).masked) << "else the interrupt would stay masked for good";
}

TEST_F(NetRxActionTest, BusyPollEndWithWorkLeftHandsOverToTheSoftirq) {
  Netif& dev = add_device();
  queue(dev).endless = true;
  bool owned = false;
  const BusyPoll how{.budget = 8};
  (void)napi_busy_poll(net, cpu(1), napi(dev), how, owned);
  napi_busy_poll_end(net, cpu(1), napi(dev), how);
  EXPECT_THAT(poll_list(1), ElementsAre(100));
  EXPECT_TRUE(napi(dev).state.test(kNapiSched));
  EXPECT_FALSE(napi(dev).state.test(kNapiInBusyPoll));
}

TEST_F(NetRxActionTest, PreferringBusyPollStaysDeferred) {
  Netif& dev = add_device();
  queue(dev).endless = true;
  dev.napi_defer_hard_irqs = 2;
  dev.gro_flush_timeout = 5000;
  bool owned = false;
  const BusyPoll how{.budget = 8, .prefer = true};
  (void)napi_busy_poll(net, cpu(1), napi(dev), how, owned);
  napi_busy_poll_end(net, cpu(1), napi(dev), how);
  EXPECT_THAT(poll_list(1), ElementsAre());
  EXPECT_FALSE(napi(dev).state.test(kNapiSched));
  EXPECT_TRUE(queue(dev).masked);
  EXPECT_EQ(napi(dev).timer_deadline.load(), cpu(1).now.count() + 5000) << "the watchdog is the way back";
}

// A watchdog that fires while the last poll runs finds its NAPI owned and gives up. One armed before that poll would be
// gone, with the interrupt masked: nothing would ever look at the queue again.
TEST_F(NetRxActionTest, TheLastBusyPollMayTakeLongerThanTheTimeout) {
  Netif& dev = add_device();
  queue(dev).endless = true;
  dev.napi_defer_hard_irqs = 2;
  dev.gro_flush_timeout = 5000;
  bool owned = false;
  const BusyPoll how{.budget = 8, .prefer = true};
  (void)napi_busy_poll(net, cpu(1), napi(dev), how, owned);
  queue(dev).during_poll = [&] {
    cpu(0).now = clock.time + Nanos{10'000};
    run_napi_timer(net, cpu(0), napi(dev));
  };
  napi_busy_poll_end(net, cpu(1), napi(dev), how);
  EXPECT_FALSE(napi(dev).state.test(kNapiSched));
  EXPECT_NE(napi(dev).timer_deadline.load(), kNever.count());
}

TEST_F(NetRxActionTest, BusyPollDoesNotTakeWhatAnotherOwns) {
  Netif& dev = add_device();
  schedule(napi(dev));
  bool owned = false;
  EXPECT_EQ(napi_busy_poll(net, cpu(1), napi(dev), {.prefer = true}, owned), -1);
  EXPECT_FALSE(owned);
  EXPECT_TRUE(napi(dev).state.test(kNapiPreferBusyPoll)) << "the softirq shall yield";
  napi(dev).unlink();
}

}  // namespace
}  // namespace netrx
