// SPDX-License-Identifier: Apache-2.0
// Small worlds, every schedule: the bound on preemptions is raised step by step, so that the first failure is the
// simplest one. What the numbers mean is in docs/simulation.md.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "small_world.h"

namespace netrx::simtest {
namespace {

using std::chrono::nanoseconds;

void expect_no_failure(const SmallPlan& plan, std::uint32_t most_preemptions) {
  for (std::uint32_t bound = 0; bound <= most_preemptions; ++bound) {
    const Exploration found = explore(plan, bound);
    std::printf("%u preemptions: %llu schedules\n", bound, static_cast<unsigned long long>(found.schedules));
    ASSERT_EQ(found.failure, "") << "in schedule " << found.schedules << "\n" << found.events;
  }
}

const std::pair<std::string, std::string> kToCpu1{"/sys/class/net/sim0/queues/rx-0/rps_cpus", "2"};
const std::vector<std::pair<std::string, std::string>> kOneByOne = {
    kToCpu1, {"net.core.gro_normal_batch", "1"}, {"net.core.dev_weight", "1"}};

// One CPU feeds the other's backlog: empty and not, asleep and about to sleep.
TEST(Exhaustive, BacklogAndDoorbell) {
  expect_no_failure({.arrivals = {{nanoseconds(0), nanoseconds(2000), nanoseconds(3000)}}, .settings = kOneByOne}, 3);
}

TEST(Exhaustive, TwoProducersOneTarget) {
  SmallPlan plan{.cpus = {0, 1, 2}, .arrivals = {{nanoseconds(0), nanoseconds(2000)}, {nanoseconds(0)}}};
  plan.settings = {{"/sys/class/net/sim0/queues/rx-0/rps_cpus", "4"},
                   {"/sys/class/net/sim1/queues/rx-0/rps_cpus", "4"}};
  expect_no_failure(plan, 2);
}

// The queue's interrupt is CPU 0's; an application polls it on CPU 1, so that masking, missed events and completion
// meet from two sides.
TEST(Exhaustive, InterruptAgainstBusyPoll) {
  for (const bool prefer : {false, true}) {
    SmallPlan plan{.arrivals = {{nanoseconds(500), nanoseconds(3000)}}};
    if (prefer)
      plan.settings = {{"/sys/class/net/sim0/napi_defer_hard_irqs", "2"},
                       {"/sys/class/net/sim0/gro_flush_timeout", "1000"}};
    plan.threads.push_back([prefer](SmallWorld& world) {
      for (const std::uint16_t budget : {std::uint16_t{1}, std::uint16_t{8}})
        (void)world.application().busy_poll(
            {.napi_id = 3, .cpu = 1, .until = 2, .turns = 2, .budget = budget, .prefer = prefer});
    });
    expect_no_failure(plan, 2);
  }
}

TEST(Exhaustive, DisableAgainstSchedule) {
  SmallPlan plan{.arrivals = {{nanoseconds(300), nanoseconds(1500)}}, .settings = kOneByOne};
  plan.threads.push_back([](SmallWorld& world) {
    world.reconfigure([&] {
      (void)world.engine().set_running("sim0", false);
      (void)world.engine().set_running("sim0", true);
    });
  });
  expect_no_failure(plan, 2);
}

TEST(Exhaustive, ThreadedModeOnAndOff) {
  SmallPlan plan{.arrivals = {{nanoseconds(300), nanoseconds(1500), nanoseconds(3500)}}};
  plan.threads.push_back([](SmallWorld& world) {
    for (const char* mode : {"1", "0"}) (void)world.engine().write("/sys/class/net/sim0/threaded", mode);
  });
  expect_no_failure(plan, 1);
}

TEST(Exhaustive, MovingAnInterruptThatIsDeferred) {
  SmallPlan plan{.arrivals = {{nanoseconds(300), nanoseconds(2500)}}};
  plan.settings = {{"/sys/class/net/sim0/napi_defer_hard_irqs", "1"},
                   {"/sys/class/net/sim0/gro_flush_timeout", "1500"}};
  plan.threads.push_back([](SmallWorld& world) { (void)world.engine().bind_irq("sim0", 0, 1); });
  expect_no_failure(plan, 2);
}

TEST(Exhaustive, DeferredFrees) {
  SmallPlan plan{.arrivals = {{nanoseconds(0), nanoseconds(1000), nanoseconds(2500)}}, .settings = kOneByOne};
  for (const char* max : {"1", "2"}) {
    plan.settings.push_back({"net.core.skb_defer_max", max});
    expect_no_failure(plan, 2);
  }
}

TEST(Exhaustive, TargetGoesOffline) {
  SmallPlan plan{.arrivals = {{nanoseconds(0), nanoseconds(1500)}}, .settings = kOneByOne};
  plan.threads.push_back([](SmallWorld& world) {
    world.reconfigure([&] {
      (void)world.engine().write("/sys/devices/system/cpu/cpu1/online", "0");
      (void)world.engine().write("/sys/devices/system/cpu/cpu1/online", "1");
    });
  });
  expect_no_failure(plan, 2);
}

// The consumer moves between two CPUs while packets of its flow are on their way.
TEST(Exhaustive, FlowFollowsItsConsumer) {
  SmallPlan plan{.cpus = {0, 1, 2}, .arrivals = {{nanoseconds(0), nanoseconds(1500)}}};
  plan.settings = {{"net.core.rps_sock_flow_entries", "8"}, {"/sys/class/net/sim0/queues/rx-0/rps_flow_cnt", "8"}};
  plan.threads.push_back([](SmallWorld& world) {
    for (const int cpu : {1, 2}) world.application().record_flow(world.flow_hash(), static_cast<std::uint16_t>(cpu));
  });
  expect_no_failure(plan, 2);
}

// A virtio device and its driver under a NAPI: unmask against interrupt, kick against sleep, a ring that is too small.
// Every access of a protocol word is a place to preempt at.
TEST(Exhaustive, VirtqueueUnderNapi) {
  for (const virtio::RingKind kind : {virtio::RingKind::split, virtio::RingKind::packed})
    for (const bool event_idx : {false, true}) {
      SmallPlan plan{.cpus = {0}, .arrivals = {{nanoseconds(0), nanoseconds(0), nanoseconds(12'000)}}};
      plan.virtio = {.ring = {.kind = kind, .size = 2, .event_idx = event_idx}, .mode = virtio::RxMode::small};
      plan.virtio->burst = 1;
      expect_no_failure(plan, 2);
    }
}

TEST(Exhaustive, VirtqueueInterruptAgainstBusyPoll) {
  for (const virtio::RingKind kind : {virtio::RingKind::split, virtio::RingKind::packed}) {
    SmallPlan plan{.arrivals = {{nanoseconds(0), nanoseconds(9'000)}}};
    plan.virtio = {.ring = {.kind = kind, .size = 2, .event_idx = true}, .mode = virtio::RxMode::small};
    plan.threads.push_back([](SmallWorld& world) {
      (void)world.application().busy_poll({.napi_id = 3, .cpu = 1, .until = 2, .turns = 2, .budget = 8});
    });
    expect_no_failure(plan, 1);
  }
}

}  // namespace
}  // namespace netrx::simtest
