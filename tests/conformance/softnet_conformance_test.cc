// SPDX-License-Identifier: Apache-2.0
// /proc/net/softnet_stat: how its columns move when a burst goes by.
//
// Other traffic of the machine moves the kernel's columns too, but only ever adds to them. So a burst is repeated until
// the columns have moved by exactly what netrx's move, and they may never move by less.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "kernel_fixture.h"
#include "kernel_records.h"
#include "netrx/devices.h"
#include "netrx/engine.h"
#include "netrx/executor.h"
#include "restored_sysctls.h"
#include "wire/frame_builder.h"

namespace netrx::conformance {
namespace {

/// The columns of each CPU that a burst moves. Without time_squeeze, which depends on the clock.
enum Column : std::size_t { kProcessed, kDropped, kReceivedRps, kFlowLimit, kColumns };
using Columns = std::map<unsigned, std::array<std::uint32_t, kColumns>>;

Columns columns_of(const std::string& softnet_stat) {
  Columns columns;
  std::istringstream lines(softnet_stat);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<std::uint32_t> fields;
    for (std::string word; words >> word;) fields.push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
    EXPECT_EQ(fields.size(), 15u) << line;
    if (fields.size() == 15) columns[fields[12]] = {fields[0], fields[1], fields[9], fields[10]};
  }
  return columns;
}

Columns moved(const Columns& before, Columns after) {
  for (auto& [cpu, fields] : after)
    for (std::size_t i = 0; i < fields.size(); ++i) fields[i] -= before.at(cpu)[i];
  return after;
}

/// A burst, and what it meets.
struct Burst {
  const char* name;
  Column about;          ///< which column it is there for
  std::size_t to;        ///< which of this process's CPUs it is steered to; its sender is on the first
  std::uint32_t frames;  ///< of one flow
  std::uint32_t rounds = 1;
  bool steered = true;      ///< by rps_cpus
  bool flow_limit = false;  ///< on the sending CPU
};
constexpr Burst kBursts[] = {
    {.name = "NotSteered", .about = kProcessed, .to = 0, .frames = 63, .steered = false},
    {.name = "ToItsOwnCpu", .about = kProcessed, .to = 0, .frames = 63},
    {.name = "ToAnotherCpu", .about = kReceivedRps, .to = 1, .frames = 63},
    {.name = "MoreThanABacklogHolds", .about = kDropped, .to = 0, .frames = 63, .rounds = 20},
    {.name = "OneFlowTooMany", .about = kFlowLimit, .to = 0, .frames = 63, .rounds = 15, .flow_limit = true},
};

class SoftnetConformance : public KernelTest, public testing::WithParamInterface<Burst> {
 protected:
  static constexpr const char* kRpsCpus = "/sys/class/net/vb/queues/rx-0/rps_cpus";
  static constexpr const char* kBitmap = "/proc/sys/net/core/flow_limit_cpu_bitmap";

  void SetUp() override {
    KernelTest::SetUp();
    if (IsSkipped()) return;
    cpus_ = Kernel::cpus();
    if (cpus_.size() < 2) GTEST_SKIP() << "skipped: one CPU leaves nothing to steer";
    if (cpus_[1] >= 32) GTEST_SKIP() << "skipped: written for CPUs 0 to 31";
    kernel().set_feature("gro", false);  // netif_rx, as Application::transmit
  }

  static std::string mask(int cpu) {
    std::ostringstream text;
    text << std::hex << (1u << cpu);
    return text.str();
  }
  std::string map() const { return GetParam().steered ? mask(cpus_[GetParam().to]) : "0"; }

  /// One flow; in a flow limit's table neither this hash nor netrx's own has bucket 0, which counts otherwise.
  Arrival packet() const {
    return {.frame = wire::FrameBuilder().eth().ipv4("10.1.0.1", "10.1.0.2").udp(7, 443).payload(9).build(),
            .hash = 0xdeadbeef};
  }

  Columns kernel_moves() {
    const std::vector<Arrival> arrivals(GetParam().frames, packet());
    const Columns before = columns_of(Kernel::read("/proc/net/softnet_stat"));
    {
      const PinnedTo sender(cpus_[0]);
      EXPECT_TRUE(kernel().send(arrivals, GetParam().rounds));
    }
    Kernel::settle();
    return moved(before, columns_of(Kernel::read("/proc/net/softnet_stat")));
  }

  Columns netrx_moves() {
    EngineOptions options{.pool_packets = 4096, .flow_hash_key = SipHashKey{1, 2}};
    options.cpus.clear();
    for (std::uint16_t cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); ++cpu) options.cpus.push_back(cpu);
    const auto engine = std::move(Engine::create(options).value());
    EXPECT_TRUE(engine->attach(std::move(open_device("lo:name=vb").value())));
    EXPECT_TRUE(engine->write(kRpsCpus, map()));
    Kernel::home().run([&] {
      for (const char* path : {"/proc/sys/net/core/netdev_max_backlog", "/proc/sys/net/core/flow_limit_table_len"})
        if (const std::string value = Kernel::read(path); !value.empty()) {
          EXPECT_TRUE(engine->write(path, value));
        }
    });
    if (GetParam().flow_limit) {
      EXPECT_TRUE(engine->write(kBitmap, mask(cpus_[0])));
    }
    ThreadExecutor executor(*engine, {.pin = false});
    EXPECT_TRUE(executor.start());
    const Columns before = columns_of(engine->softnet_stat());
    const Arrival arrival = packet();
    const std::vector<std::span<const std::uint8_t>> frames(GetParam().frames * GetParam().rounds, arrival.frame.bytes);
    const auto application = engine->open_application();
    EXPECT_EQ(application->transmit("vb", static_cast<std::uint16_t>(cpus_[0]), frames).value(), frames.size());
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!engine->drained() && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    executor.stop();
    return moved(before, columns_of(engine->softnet_stat()));
  }

  std::vector<int> cpus_;
};

std::string text(const Columns& columns) {
  std::ostringstream lines;
  for (const auto& [cpu, f] : columns)
    lines << "cpu " << cpu << ": processed " << f[kProcessed] << " dropped " << f[kDropped] << " received_rps "
          << f[kReceivedRps] << " flow_limit " << f[kFlowLimit] << "\n";
  return lines.str();
}

TEST_P(SoftnetConformance, ColumnsMoveAlike) {
  std::unique_ptr<RestoredSysctls> restored;
  if (GetParam().flow_limit) {
    int error = ENOENT;
    Kernel::home().run([&] {
      restored = std::make_unique<RestoredSysctls>(std::vector<std::string>{kBitmap});
      error = Kernel::write(kBitmap, mask(cpus_[0]));
    });
    if (error != 0) GTEST_SKIP() << "skipped: flow_limit_cpu_bitmap is not to be had here";
  }
  ASSERT_EQ(Kernel::write(kRpsCpus, map()), 0);
  const Columns ours = netrx_moves();
  EXPECT_TRUE(std::ranges::any_of(ours, [](const auto& cpu) { return cpu.second[GetParam().about] > 0; }))
      << text(ours);
  Columns theirs;
  bool equal = false;
  for (int attempt = 0; attempt < 200 && !equal; ++attempt) {
    theirs = kernel_moves();
    equal = theirs == ours;
    for (const auto& [cpu, fields] : ours)
      for (std::size_t i = 0; i < fields.size(); ++i)
        ASSERT_GE(theirs.at(cpu)[i], fields[i]) << "kernel:\n" << text(theirs) << "netrx:\n" << text(ours);
  }
  EXPECT_TRUE(equal) << "kernel, at last:\n" << text(theirs) << "netrx:\n" << text(ours);
  EXPECT_EQ(Kernel::write(kRpsCpus, "0"), 0);
}
INSTANTIATE_TEST_SUITE_P(All, SoftnetConformance, testing::ValuesIn(kBursts),
                         [](const auto& burst) { return burst.param.name; });

}  // namespace
}  // namespace netrx::conformance
