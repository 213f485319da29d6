// SPDX-License-Identifier: Apache-2.0
#include "sim/machine.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cpu/doorbell.h"
#include "sim/explorer.h"
#include "sim/time_order.h"

namespace netrx {
namespace {

using std::chrono::microseconds;

TEST(TimeOrder, TheOneFurthestBehindRuns) {
  FiberStacks stacks;
  TimeOrder order(SimOptions{});
  SimMachine machine(stacks, order, 1000);
  std::string log;
  const auto worker = [&](char name, Nanos pace) {
    return [&machine, &log, name, pace](SimTask&) {
      for (int i = 0; i < 3; ++i) {
        machine.work(pace);
        log += name;
      }
    };
  };
  machine.spawn("fast", SimExecutor::kOwnCore, false, worker('f', microseconds(10)));
  machine.spawn("slow", SimExecutor::kOwnCore, false, worker('s', microseconds(25)));
  EXPECT_EQ(machine.run(), SimEnd::finished);
  EXPECT_EQ(log, "ffsfss");
  EXPECT_EQ(machine.now(), microseconds(75));
}

TEST(TimeOrder, TasksOfOneCoreShareItsTime) {
  FiberStacks stacks;
  TimeOrder order(SimOptions{});
  SimMachine machine(stacks, order, 1000);
  for (const char* name : {"a", "b"}) {
    machine.spawn(name, 3, false, [&](SimTask&) {
      for (int i = 0; i < 4; ++i) machine.work(microseconds(10));
    });
  }
  EXPECT_EQ(machine.run(), SimEnd::finished);
  EXPECT_GE(machine.now(), microseconds(80));
}

TEST(SimMachine, AWakeBeforeTheSleepIsNotLost) {
  FiberStacks stacks;
  TimeOrder order(SimOptions{});
  SimMachine machine(stacks, order, 1000);
  bool woken = false;
  SimTask& sleeper = machine.spawn("sleeper", SimExecutor::kOwnCore, false, [&](SimTask&) {
    machine.work(microseconds(50));
    woken = machine.sleep(kNever);
  });
  machine.spawn("waker", SimExecutor::kOwnCore, false, [&](SimTask&) { machine.wake(sleeper); });
  EXPECT_EQ(machine.run(), SimEnd::finished);
  EXPECT_TRUE(woken);
}

TEST(SimMachine, SleepEndsByItselfInTime) {
  FiberStacks stacks;
  TimeOrder order(SimOptions{});
  SimMachine machine(stacks, order, 1000);
  bool woken = true;
  machine.spawn("sleeper", SimExecutor::kOwnCore, false, [&](SimTask&) { woken = machine.sleep(microseconds(30)); });
  EXPECT_EQ(machine.run(), SimEnd::finished);
  EXPECT_FALSE(woken);
  EXPECT_EQ(machine.now(), microseconds(30));
}

TEST(SimMachine, ASleepWithoutEndIsAStall) {
  FiberStacks stacks;
  TimeOrder order(SimOptions{});
  SimMachine machine(stacks, order, 1000);
  machine.spawn("sleeper", SimExecutor::kOwnCore, false, [&](SimTask&) { machine.sleep(kNever); });
  EXPECT_EQ(machine.run(), SimEnd::stalled);
}

TEST(SimMachine, EndlessSpinningIsALivelock) {
  FiberStacks stacks;
  TimeOrder order(SimOptions{});
  SimMachine machine(stacks, order, 1000);
  machine.spawn("spinner", SimExecutor::kOwnCore, false, [&](SimTask& me) {
    for (;;) me.actor.relax();
  });
  EXPECT_EQ(machine.run(), SimEnd::endless);
}

/// Two tasks of `sites` sites each; returns how many schedules there were, and each order seen.
std::uint64_t orders(std::uint32_t sites, std::uint32_t preemptions, std::set<std::string>& seen) {
  FiberStacks stacks;
  Explorer explorer(preemptions);
  do {
    SimMachine machine(stacks, explorer, 1000);
    std::string log;
    for (const char name : {'a', 'b'}) {
      machine.spawn(std::string(1, name), SimExecutor::kOwnCore, false, [&log, name, sites](SimTask& me) {
        log += name;
        for (std::uint32_t i = 0; i < sites; ++i) {
          me.actor.at(Site::lock);
          log += name;
        }
      });
    }
    EXPECT_EQ(machine.run(), SimEnd::finished);
    seen.insert(log);
  } while (explorer.next());
  return explorer.schedules();
}

TEST(Explorer, TriesEveryOrderOnce) {
  for (const auto& [sites, expected] : {std::pair{1u, 6u}, {2u, 20u}, {3u, 70u}}) {  // (2n+2) choose (n+1)
    std::set<std::string> seen;
    EXPECT_EQ(orders(sites, 100, seen), expected);
    EXPECT_EQ(seen.size(), expected);
  }
}

TEST(Explorer, WithoutPreemptionsTasksOnlyTakeTurns) {
  std::set<std::string> seen;
  EXPECT_EQ(orders(3, 0, seen), 2u);
  EXPECT_EQ(seen, (std::set<std::string>{"aaaabbbb", "bbbbaaaa"}));
}

/// The doorbell's protocol, or one that looks for sleepers before it leaves its request.
SimEnd sleep_against_ring(std::uint32_t preemptions, bool look_first) {
  FiberStacks stacks;
  Explorer explorer(preemptions);
  SimEnd end = SimEnd::finished;
  do {
    SimMachine machine(stacks, explorer, 1000);
    Doorbell bell;
    bool sleeping = false;
    SimTask& sleeper = machine.spawn("sleeper", SimExecutor::kOwnCore, false, [&](SimTask& me) {
      while (bell.collect() == 0) {
        me.actor.at(Site::sleep);
        if (!bell.prepare_sleep()) continue;
        sleeping = true;
        me.actor.at(Site::sleep);
        machine.sleep(kNever);
        sleeping = false;
        bell.awake();
      }
    });
    machine.spawn("ringer", SimExecutor::kOwnCore, false, [&](SimTask& me) {
      const bool saw_sleeper = sleeping;
      me.actor.at(Site::doorbell_ring);
      const bool must_wake = bell.ring(kBellKick);
      if (look_first ? saw_sleeper : must_wake) machine.wake(sleeper);
    });
    end = machine.run();
  } while (end == SimEnd::finished && explorer.next());
  return end;
}

TEST(Explorer, FindsALostWakeUpWithOnePreemption) {
  EXPECT_EQ(sleep_against_ring(3, false), SimEnd::finished);
  EXPECT_EQ(sleep_against_ring(1, true), SimEnd::stalled);
}

}  // namespace
}  // namespace netrx
