// SPDX-License-Identifier: Apache-2.0
#include "netrx/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "netrx/consumer.h"
#include "netrx/devices.h"
#include "netrx/ethertype.h"
#include "netrx/executor.h"
#include "order_checker.h"

namespace netrx {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool wait_until(const std::function<bool()>& done, seconds at_most = seconds(60)) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

/// An engine on CPUs 0 and 1 with one device, everything delivered to an order checker.
struct Rig {
  explicit Rig(const std::string& device, ThreadOptions threads = {}) {
    EngineOptions options;
    options.cpus = {0, 1};
    options.pool_packets = 2048;
    options.flow_hash_key = SipHashKey{1, 2};
    engine = std::move(Engine::create(options).value());
    EXPECT_TRUE(engine->attach(open_device(device).value()));
    EXPECT_TRUE(engine->add_handler(kEthPAll, checker));
    executor = std::make_unique<ThreadExecutor>(*engine, threads);
  }

  void set(std::string_view path, std::string_view text) {
    const auto written = engine->write(path, text);
    ASSERT_TRUE(written) << written.error().text;
  }
  void rps_on_both() { set("/sys/class/net/gen0/queues/rx-0/rps_cpus", "3"); }
  void rfs() {
    set("net.core.rps_sock_flow_entries", "1024");
    set("/sys/class/net/gen0/queues/rx-0/rps_flow_cnt", "1024");
  }
  bool run_dry() {
    return wait_until([&] { return engine->drained(); });
  }

  /// Frames that found the queue full, because everything stood still for a while.
  std::uint64_t missed() const {
    std::uint64_t sum = 0;
    for (const DeviceStats& device : engine->stats().devices)
      for (const QueueStats& queue : device.queues) sum += queue.rx_missed_errors;
    return sum;
  }

  void expect_conserved() {
    executor->stop();
    const Conservation sum = engine->stats().conservation;
    EXPECT_TRUE(sum.holds()) << sum.received << " != " << sum.delivered << " + " << sum.dropped << " + " << sum.held;
    EXPECT_EQ(sum.packets_out, sum.held + sum.held_frags);
  }

  OrderChecker checker;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ThreadExecutor> executor;
};

TEST(Engine, SpreadsOneQueueOverBothCpusInOrder) {
  Rig rig("gen:flows=64,count=300000,name=gen0");
  rig.rps_on_both();
  ASSERT_TRUE(rig.executor->start());
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  const EngineStats stats = rig.engine->stats();
  EXPECT_EQ(stats.conservation.received, 300000u);
  EXPECT_EQ(rig.checker.delivered() + stats.conservation.dropped, 300000u);
  EXPECT_EQ(rig.checker.out_of_order(), 0u);
  EXPECT_GT(rig.checker.on_cpu(0), 0u);
  EXPECT_GT(rig.checker.on_cpu(1), 0u);
}

TEST(Engine, WithoutSteeringEverythingStaysWhereItIsPolled) {
  Rig rig("gen:flows=8,count=10000,name=gen0");
  ASSERT_TRUE(rig.executor->start());
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  EXPECT_EQ(rig.checker.delivered(), 10000u);
  EXPECT_TRUE(rig.checker.on_cpu(0) == 0 || rig.checker.on_cpu(1) == 0);
  EXPECT_EQ(rig.engine->stats().cpus[0].processed + rig.engine->stats().cpus[1].processed, 10000u);
}

class IdlePolicies : public testing::TestWithParam<IdlePolicy> {};

TEST_P(IdlePolicies, PacedTrafficArrivesWhole) {
  Rig rig("gen:flows=16,count=5000,rate=20000,burst=4,name=gen0", {.idle = GetParam()});
  rig.rps_on_both();
  ASSERT_TRUE(rig.executor->start());
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  EXPECT_EQ(rig.checker.delivered() + rig.missed(), 5000u);
  EXPECT_EQ(rig.checker.out_of_order(), 0u);
}
INSTANTIATE_TEST_SUITE_P(All, IdlePolicies,
                         testing::Values(IdlePolicy::poll, IdlePolicy::interrupt, IdlePolicy::adaptive));

TEST(Engine, RfsBringsFlowsToTheirConsumersAndKeepsOrderWhileTheyMove) {
  Rig rig("gen:flows=32,count=400000,rate=200000,name=gen0");
  rig.rps_on_both();
  rig.rfs();
  // Without it a consumer's first wish may overtake packets that the map sent elsewhere, as in the kernel.
  rig.set("net.netrx.rps_map_in_order", "1");
  std::vector<std::unique_ptr<Consumer>> consumers;
  std::vector<Consumer*> targets;
  for (int i = 0; i < 2; ++i) targets.push_back(consumers.emplace_back(std::make_unique<Consumer>(4096)).get());
  FlowFanout fanout(targets);
  ASSERT_TRUE(rig.engine->remove_handler(rig.checker));
  ASSERT_TRUE(rig.engine->add_handler(kEthPAll, fanout));
  ASSERT_TRUE(rig.executor->start());

  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> out_of_order{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < consumers.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto application = rig.engine->open_application();
      std::vector<std::uint64_t> last(OrderChecker::kFlows);
      for (std::uint64_t turn = 0; !stop.load();) {
        consumers[i]->wait(milliseconds(5));
        PacketBatch batch;
        consumers[i]->receive(batch);
        // Its thread says it runs on the one CPU, then on the other, many times over.
        application->record_flows(batch.packets(), static_cast<std::uint16_t>((i + (++turn / 200)) % 2));
        for (const Packet* packet : batch.packets()) {
          std::uint64_t& seq = last[packet->hash % OrderChecker::kFlows];
          if (seq >= packet->rx_seq + 1) out_of_order.fetch_add(1);
          seq = packet->rx_seq + 1;
        }
        taken.fetch_add(batch.size());
        application->free_packets(batch);
      }
    });
  }
  EXPECT_TRUE(rig.run_dry());
  const EngineStats before = rig.engine->stats();
  EXPECT_TRUE(wait_until([&] { return taken.load() == before.conservation.delivered; }));
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  rig.expect_conserved();
  EXPECT_EQ(out_of_order.load(), 0u);
  std::uint64_t switched = 0;
  for (const CpuStats& cpu : before.cpus) switched += cpu.rules[static_cast<std::size_t>(RpsRule::kSwitchedToConsumer)];
  EXPECT_GT(switched, 32u);
}

TEST(Engine, NothingIsLostWhileACpuGoesOfflineAndOnline) {
  Rig rig("gen:flows=64,count=400000,rate=400000,name=gen0");
  rig.rps_on_both();
  ASSERT_TRUE(rig.executor->start());
  for (int i = 0; i < 40 && !rig.engine->drained(); ++i) {
    const std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(i / 2 % 2) + "/online";
    rig.set(path, i % 2 == 0 ? "0" : "1");
    std::this_thread::sleep_for(milliseconds(5));
  }
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  EXPECT_EQ(rig.checker.delivered() + rig.engine->stats().conservation.dropped + rig.missed(), 400000u);
}

TEST(Engine, TheLastCpuStaysOnline) {
  Rig rig("gen:count=1,name=gen0");
  rig.set("/sys/devices/system/cpu/cpu0/online", "0");
  const auto refused = rig.engine->write("/sys/devices/system/cpu/cpu1/online", "0");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
}

TEST(Engine, ADeviceIsTakenAwayUnderTraffic) {
  Rig rig("gen:flows=64,name=gen0");  // without end
  rig.rps_on_both();
  ASSERT_TRUE(rig.executor->start());
  ASSERT_TRUE(wait_until([&] { return rig.checker.delivered() > 10000; }));
  const auto detached = rig.engine->detach("gen0");
  ASSERT_TRUE(detached) << detached.error().text;
  EXPECT_TRUE(rig.engine->drained());
  EXPECT_FALSE(rig.engine->detach("gen0"));
  const std::uint64_t seen = rig.checker.delivered();
  ASSERT_TRUE(rig.engine->attach(open_device("gen:flows=4,count=1000,name=gen0").value()));
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  EXPECT_EQ(rig.checker.delivered(), seen + 1000);
}

TEST(Engine, ADeviceGoesDownAndUpUnderTraffic) {
  Rig rig("gen:flows=64,count=200000,rate=500000,name=gen0");
  rig.rps_on_both();
  ASSERT_TRUE(rig.executor->start());
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(rig.engine->set_running("gen0", false));
    ASSERT_TRUE(rig.engine->set_running("gen0", true));
    std::this_thread::sleep_for(milliseconds(2));
  }
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
}

TEST(Engine, ThreadedModeComesAndGoesUnderTraffic) {
  Rig rig("gen:flows=64,count=300000,rate=600000,name=gen0");
  rig.rps_on_both();
  ASSERT_TRUE(rig.executor->start());
  for (int i = 0; i < 10; ++i) {
    rig.set("/sys/class/net/gen0/threaded", i % 2 == 0 ? "1" : "0");
    std::this_thread::sleep_for(milliseconds(5));
  }
  rig.set("/sys/class/net/gen0/threaded", "1");
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  EXPECT_EQ(rig.checker.out_of_order(), 0u);
}

TEST(Engine, SettingsChangeUnderTraffic) {
  Rig rig("gen:flows=64,count=400000,rate=800000,name=gen0");
  ASSERT_TRUE(rig.executor->start());
  constexpr const char* kMasks[] = {"0", "1", "2", "3"};
  for (int i = 0; i < 60; ++i) {
    rig.set("/sys/class/net/gen0/queues/rx-0/rps_cpus", kMasks[i % 4]);
    rig.set("/sys/class/net/gen0/queues/rx-0/rps_flow_cnt", i % 3 == 0 ? "0" : "64");
    rig.set("net.core.rps_sock_flow_entries", i % 5 == 0 ? "0" : "256");
    rig.set("net.core.flow_limit_cpu_bitmap", kMasks[i % 4]);
    rig.set("net.core.netdev_max_backlog", i % 2 == 0 ? "10" : "1000");
    std::this_thread::sleep_for(milliseconds(2));
  }
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
}

TEST(Engine, AFullConsumerRefusesAndIsCounted) {
  Rig rig("gen:flows=4,count=5000,name=gen0");
  Consumer never_drained(64);
  FlowFanout fanout({&never_drained});
  ASSERT_TRUE(rig.engine->remove_handler(rig.checker));
  ASSERT_TRUE(rig.engine->add_handler(kEthPAll, fanout));
  ASSERT_TRUE(rig.executor->start());
  ASSERT_TRUE(rig.run_dry());
  rig.executor->stop();
  const EngineStats stats = rig.engine->stats();
  EXPECT_TRUE(stats.conservation.holds());
  EXPECT_EQ(stats.conservation.delivered, never_drained.waiting());
  EXPECT_EQ(stats.conservation.packets_out, never_drained.waiting());
  std::uint64_t refused = 0;
  for (const CpuStats& cpu : stats.cpus) refused += cpu.drops[static_cast<std::size_t>(DropReason::kSocketRcvbuff)];
  EXPECT_EQ(refused, 5000 - never_drained.waiting());
}

TEST(Engine, BusyPollTakesPacketsFromTheCallersThread) {
  Rig rig("gen:flows=4,count=2000,name=gen0");
  rig.executor.reset();  // nobody else polls
  const auto application = rig.engine->open_application();
  // Attaching scheduled it once on its CPU, as enabling does; the control plane's next wait runs that.
  ASSERT_TRUE(rig.engine->set_running("gen0", false));
  ASSERT_TRUE(rig.engine->set_running("gen0", true));
  ThreadExecutor executor(*rig.engine, {});
  const std::uint32_t napi_id = 3;  // the first after CPUs 0 and 1
  ASSERT_TRUE(executor.start());
  for (int i = 0; i < 2000 && !rig.engine->drained(); ++i)
    (void)application->busy_poll({.napi_id = napi_id, .cpu = 1, .until = 8, .turns = 50});
  ASSERT_TRUE(rig.run_dry());
  executor.stop();
  EXPECT_EQ(rig.checker.delivered(), 2000u);
  EXPECT_EQ(rig.checker.out_of_order(), 0u);
  EXPECT_EQ(application->busy_poll({.napi_id = 99}).error().code, ENOENT);
}

TEST(Engine, LoopbackAlwaysPassesABacklog) {
  Rig rig("lo");
  ASSERT_TRUE(rig.executor->start());
  const auto application = rig.engine->open_application();
  std::vector<std::uint8_t> frame(60);
  frame[12] = 0x08;
  const std::span<const std::uint8_t> frames[] = {frame, frame, frame};
  std::size_t sent = 0;
  for (int i = 0; i < 500; ++i) {
    const auto done = application->transmit("lo", 1, frames);
    ASSERT_TRUE(done) << done.error().text;
    sent += *done;
  }
  ASSERT_TRUE(wait_until([&] {
    const Conservation sum = rig.engine->stats().conservation;
    return sum.delivered + sum.dropped == sent;
  }));
  rig.expect_conserved();
  const EngineStats stats = rig.engine->stats();
  EXPECT_EQ(stats.cpus[0].backlogged + stats.cpus[1].backlogged, stats.conservation.delivered);
  EXPECT_GT(stats.conservation.delivered, 0u);
}

TEST(Engine, StopsAndGoesOn) {
  Rig rig("gen:flows=64,count=300000,name=gen0");
  rig.rps_on_both();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(rig.executor->start());
    std::this_thread::sleep_for(milliseconds(1));
    rig.executor->stop();
    EXPECT_TRUE(rig.engine->stats().conservation.holds());
  }
  ASSERT_TRUE(rig.executor->start());
  ASSERT_TRUE(rig.run_dry());
  rig.expect_conserved();
  EXPECT_EQ(rig.checker.out_of_order(), 0u);
}

// A thread that took the stop's kick along with other bells, having looked at the stop flag before, slept for good.
TEST(Engine, StopReachesAThreadOnItsWayToSleep) {
  Rig rig("lo", {.idle = IdlePolicy::interrupt});  // no arrival will ever wake it
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(rig.executor->start());
    for (int spin = i % 300; spin > 0; --spin) __builtin_ia32_pause();
    rig.executor->stop();
  }
}

TEST(Engine, TwoEnginesInOneProcess) {
  Rig one("gen:flows=8,count=20000,name=gen0");
  Rig two("gen:flows=8,count=30000,name=gen0");
  one.rps_on_both();
  ASSERT_TRUE(one.executor->start());
  ASSERT_TRUE(two.executor->start());
  ASSERT_TRUE(one.run_dry());
  ASSERT_TRUE(two.run_dry());
  one.expect_conserved();
  two.expect_conserved();
  EXPECT_EQ(two.checker.delivered(), 30000u);
}

TEST(Engine, BadOptionsAreOneLine) {
  EngineOptions options;
  options.cpus = {};
  EXPECT_THAT(Engine::create(options).error().text, testing::HasSubstr("at least one"));
  options.cpus = {0, 0};
  EXPECT_EQ(Engine::create(options).error().code, EINVAL);
  options.cpus = {0};
  options.pool_packets = 63;
  EXPECT_THAT(Engine::create(options).error().text, testing::HasSubstr("at least 64"));
  options.pool_packets = std::size_t{1} << 50;
  EXPECT_EQ(Engine::create(options).error().code, ENOMEM);
}

TEST(Engine, ACpuTheMachineDoesNotHaveIsAnErrorAndNothingRuns) {
  EngineOptions options;
  options.cpus = {4000};
  const auto engine = std::move(Engine::create(options).value());
  ThreadExecutor executor(*engine, {});
  const auto started = executor.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().text, testing::HasSubstr("CPU 4000"));
}

}  // namespace
}  // namespace netrx
