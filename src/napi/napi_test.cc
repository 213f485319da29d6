// SPDX-License-Identifier: Apache-2.0
// Who may poll, when, and how ownership is given up.
#include "napi/napi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "softnet/napi_thread.h"
#include "softnet/softnet_fixture.h"

namespace netrx {
namespace {

class NapiTest : public SoftnetTest {
 protected:
  /// A completion as receive/ makes it, on `on`. True: the driver may unmask.
  bool complete(int work, bool gro_holds = false, std::uint32_t on = 0) {
    const Completion completion = begin_complete(n, work, gro_holds);
    return !completion.refused && finish_complete(net, cpu(on), n, completion);
  }
  void own() {
    ASSERT_TRUE(napi_schedule(net, cpu(0), n));
    n.unlink();
  }
  bool armed() const { return n.timer_deadline.load() != kNever.count(); }

  Netif& dev = add_device();
  NapiStruct& n = napi(dev);
};

// ---- schedule

TEST_F(NapiTest, TheWinnerMasksLinksAndRaises) {
  EXPECT_TRUE(napi_schedule(net, cpu(2), n));
  EXPECT_TRUE(n.state.test(kNapiSched));
  EXPECT_EQ(&cpu(2).poll_list.front(), &n) << "on the CPU that called, it has no home";
  EXPECT_EQ(n.list_owner, 2);
  EXPECT_TRUE(cpu(2).net_rx_pending);
  EXPECT_EQ(queue(dev).masks, 1);
  n.unlink();
}

TEST_F(NapiTest, ALoserLeavesMissedAndMasksNothing) {
  own();
  queue(dev).masked = false;
  EXPECT_FALSE(napi_schedule(net, cpu(1), n));
  EXPECT_FALSE(napi_schedule(net, cpu(1), n));
  EXPECT_TRUE(n.state.test(kNapiMissed));
  EXPECT_EQ(queue(dev).masks, 1);
  EXPECT_FALSE(n.linked());
  EXPECT_FALSE(cpu(1).net_rx_pending);
}

TEST_F(NapiTest, ADisabledOneIsNotTouched) {
  n.state.set(kNapiDisable);
  const std::uint32_t before = n.state.bits();
  EXPECT_FALSE(napi_schedule(net, cpu(0), n));
  n.state.set(kNapiSched);
  EXPECT_FALSE(napi_schedule(net, cpu(0), n));
  EXPECT_EQ(n.state.bits(), before | kNapiSched) << "no MISSED";
}

TEST_F(NapiTest, NoRaiseWhileNetRxActionRunsHere) {
  cpu(0).in_net_rx_action = true;
  EXPECT_TRUE(napi_schedule(net, cpu(0), n));
  EXPECT_FALSE(cpu(0).net_rx_pending);
  n.unlink();
}

TEST_F(NapiTest, AThreadedOneGoesToItsThread) {
  NapiThread thread(waker);
  n.thread = &thread;
  n.state.set(kNapiThreaded);
  ASSERT_TRUE(thread.doorbell().prepare_sleep());
  EXPECT_TRUE(napi_schedule(net, cpu(0), n));
  EXPECT_TRUE(n.state.test(kNapiSchedThreaded));
  EXPECT_EQ(waker.wakes, 1);
  EXPECT_FALSE(n.linked());
  EXPECT_FALSE(cpu(0).net_rx_pending);
}

TEST_F(NapiTest, ThreadedWithoutAThreadIsPolledInTheSoftirq) {
  n.state.set(kNapiThreaded);
  EXPECT_TRUE(napi_schedule(net, cpu(0), n));
  EXPECT_TRUE(n.linked());
  n.unlink();
}

// ---- complete

TEST_F(NapiTest, CompletionClearsWhatOwnershipSet) {
  own();
  n.state.set(kNapiSchedThreaded | kNapiPreferBusyPoll | kNapiThreaded | kNapiListed);
  EXPECT_TRUE(complete(5));
  EXPECT_EQ(n.state.bits(), kNapiThreaded | kNapiListed);
  EXPECT_EQ(n.list_owner, kNoCpu);
  EXPECT_FALSE(armed());
}

TEST_F(NapiTest, CompletionAfterMissedKeepsOwnershipAndRelinksHere) {
  own();
  EXPECT_FALSE(napi_schedule(net, cpu(1), n));
  EXPECT_FALSE(napi_schedule(net, cpu(1), n)) << "two interrupts are as one";
  EXPECT_FALSE(complete(5, false, 3));
  EXPECT_TRUE(n.state.test(kNapiSched));
  EXPECT_FALSE(n.state.test(kNapiMissed));
  EXPECT_EQ(&cpu(3).poll_list.front(), &n);
  n.unlink();
  EXPECT_TRUE(complete(0, false, 3)) << "exactly one more poll";
}

TEST_F(NapiTest, ACompletionThatMissedArmsNoTimer) {
  dev.gro_flush_timeout = 1000;
  dev.napi_defer_hard_irqs = 2;
  own();
  EXPECT_FALSE(napi_schedule(net, cpu(0), n));
  EXPECT_FALSE(complete(5));
  EXPECT_FALSE(armed());
  n.unlink();
}

TEST_F(NapiTest, NetpollOrABusyPollerRefusesCompletion) {
  for (const std::uint32_t bit : {kNapiNpsvc, kNapiInBusyPoll}) {
    own();
    n.state.set(bit);
    dev.napi_defer_hard_irqs = 3;
    EXPECT_TRUE(begin_complete(n, 5, true).refused);
    EXPECT_EQ(n.defer_hard_irqs_count, 0u) << "nothing was touched";
    EXPECT_TRUE(n.state.test(kNapiSched));
    n.state.clear(bit | kNapiSched);
  }
}

// ---- deferred interrupts

TEST_F(NapiTest, DeferTwice) {
  dev.napi_defer_hard_irqs = 2;
  dev.gro_flush_timeout = 1000;
  own();
  EXPECT_FALSE(complete(5)) << "productive";
  EXPECT_EQ(n.timer_deadline.load(), cpu(0).now.count() + 1000);
  EXPECT_FALSE(n.state.test(kNapiSched)) << "nobody owns it while it waits for the timer";
  n.timer_deadline = kNever.count();
  own();
  EXPECT_FALSE(complete(0)) << "empty";
  EXPECT_TRUE(armed());
  n.timer_deadline = kNever.count();
  own();
  EXPECT_TRUE(complete(0)) << "empty again: interrupts come back";
  EXPECT_FALSE(armed());
}

TEST_F(NapiTest, AProductivePollStartsTheCountAnew) {
  dev.napi_defer_hard_irqs = 1;
  dev.gro_flush_timeout = 1000;
  for (int i = 0; i < 5; ++i) {
    own();
    EXPECT_FALSE(complete(1));
  }
  own();
  EXPECT_TRUE(complete(0));
}

TEST_F(NapiTest, WithoutATimeoutNothingIsDeferred) {
  dev.napi_defer_hard_irqs = 2;
  own();
  EXPECT_TRUE(complete(5));
  EXPECT_FALSE(armed());
}

TEST_F(NapiTest, HeldPacketsArmTheTimerWithInterruptsOn) {
  dev.gro_flush_timeout = 1000;
  own();
  EXPECT_TRUE(complete(5, true));
  EXPECT_TRUE(armed());
  n.timer_deadline = kNever.count();
  own();
  EXPECT_TRUE(complete(0, true)) << "without work the timeout does not count";
  EXPECT_FALSE(armed());
}

TEST_F(NapiTest, ArmingElsewhereTellsTheCpuOfTheTimer) {
  dev.napi_defer_hard_irqs = 1;
  dev.gro_flush_timeout = 1000;
  n.irq_cpu = 2;
  ASSERT_TRUE(cpu(2).doorbell.prepare_sleep());
  own();
  EXPECT_FALSE(complete(5));
  EXPECT_EQ(waker.wakes, 1) << "it sleeps without knowing of the deadline";
}

// ---- watchdog

TEST_F(NapiTest, WatchdogSchedulesWhenDue) {
  n.state.set(kNapiPreferBusyPoll);
  n.timer_deadline = cpu(1).now.count() + 100;
  run_napi_timer(net, cpu(1), n);
  EXPECT_FALSE(n.linked()) << "not yet";
  cpu(1).now += Nanos{100};
  run_napi_timer(net, cpu(1), n);
  EXPECT_EQ(&cpu(1).poll_list.front(), &n);
  EXPECT_EQ(n.state.bits(), kNapiSched) << "PREFER_BUSY_POLL is gone";
  EXPECT_FALSE(armed()) << "it fires once";
  n.unlink();
}

TEST_F(NapiTest, WatchdogNeverSetsMissed) {
  own();
  n.timer_deadline = 0;
  run_napi_timer(net, cpu(0), n);
  EXPECT_EQ(n.state.bits(), kNapiSched);
  EXPECT_FALSE(n.linked());
}

TEST_F(NapiTest, WatchdogLeavesADisabledOneAlone) {
  begin_disable(n);
  n.timer_deadline = 0;
  run_napi_timer(net, cpu(0), n);
  EXPECT_FALSE(n.state.test(kNapiSched));
  EXPECT_FALSE(n.linked());
}

// ---- enable and disable

TEST_F(NapiTest, StartsDisabled) {
  NapiStruct fresh(&dev, &queue(dev));
  EXPECT_EQ(fresh.state.bits(), kNapiSched | kNapiNpsvc);
  EXPECT_FALSE(fresh.state.schedule_prep()) << "owned by nobody who would poll it";
  fresh.state.clear(kNapiMissed);
  napi_enable(fresh, false);
  EXPECT_EQ(fresh.state.bits(), 0u);
  EXPECT_TRUE(fresh.state.schedule_prep());
}

TEST_F(NapiTest, EnableSetsThreadedOnlyWithAThread) {
  begin_disable(n);
  ASSERT_TRUE(try_disable(n));
  napi_enable(n, true);
  EXPECT_EQ(n.state.bits(), 0u);
  begin_disable(n);
  ASSERT_TRUE(try_disable(n));
  NapiThread thread(waker);
  n.thread = &thread;
  napi_enable(n, true);
  EXPECT_EQ(n.state.bits(), kNapiThreaded);
}

TEST_F(NapiTest, DisableWaitsForTheOwner) {
  own();
  begin_disable(n);
  EXPECT_FALSE(try_disable(n));
  EXPECT_FALSE(napi_schedule(net, cpu(0), n)) << "nobody new";
  EXPECT_TRUE(complete(0));
  n.state.set(kNapiThreaded | kNapiPreferBusyPoll);
  n.timer_deadline = 1;
  EXPECT_TRUE(try_disable(n));
  EXPECT_EQ(n.state.bits(), kNapiSched | kNapiNpsvc);
  EXPECT_FALSE(armed()) << "the timer is cancelled";
  EXPECT_FALSE(try_disable(n)) << "a second disable never gets through";
}

// ---- busy poll

TEST_F(NapiTest, BusyPollTakesWhatNobodyHas) {
  EXPECT_TRUE(n.state.begin_busy_poll());
  EXPECT_EQ(n.state.bits(), kNapiSched | kNapiInBusyPoll);
  EXPECT_FALSE(n.state.begin_busy_poll());
  n.state.clear(kNapiInBusyPoll);
  EXPECT_FALSE(n.state.begin_busy_poll()) << "the softirq has it";
  n.state.clear(kNapiSched);
  begin_disable(n);
  EXPECT_FALSE(n.state.begin_busy_poll());
}

}  // namespace
}  // namespace netrx
