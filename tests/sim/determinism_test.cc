// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <set>
#include <string>

#include "world.h"

namespace netrx::simtest {
namespace {

TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (const std::uint64_t seed : {3u, 14u, 159u}) {
    const Plan plan = draw_plan(seed);
    const Report first = run_plan(plan, false);
    const Report second = run_plan(draw_plan(seed), false);
    ASSERT_TRUE(first.ok) << first.why;
    EXPECT_EQ(first.digest, second.digest) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
    EXPECT_EQ(first.time, second.time) << "seed " << seed;
  }
}

// What a change of the path does to twelve runs, as a table that a person can read in a diff. Print the new one with
// --gtest_filter=Simulation.Table and judge it before it goes in here. All devices are scripts alone: a virtio device's
// run changes with every access of a ring that is saved.
TEST(Simulation, Table) {
  const std::string expected =
      "seed  received delivered  merged dropped   time us\n"
      "   1         6         6       0       0      1178\n"
      "   2         0         0       0       0      1202\n"
      "   3       602       147     139     316      1221\n"
      "   4       602       129     117     356      1717\n"
      "   5       605       251     221     133     12113\n"
      "   6       443        65     104     274      1172\n"
      "   7        32        32       0       0      1180\n"
      "   8       103        56      47       0      1653\n"
      "   9       102        54      11      37      5906\n"
      "  10       104        59      45       0      2247\n"
      "  11       101        42      49      10      4157\n"
      "  12       103        55       6      42      1213\n";
  std::string table = "seed  received delivered  merged dropped   time us\n";
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Plan plan = draw_plan(seed);
    for (DevicePlan& device : plan.devices) device.virtio.reset();
    const Report report = run_plan(plan, false);
    ASSERT_TRUE(report.ok) << report.why;
    char line[80];
    std::snprintf(line, sizeof line, "%4llu %9llu %9llu %7llu %7llu %9llu\n", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(report.received), static_cast<unsigned long long>(report.delivered),
                  static_cast<unsigned long long>(report.merged), static_cast<unsigned long long>(report.dropped),
                  static_cast<unsigned long long>(report.time.count() / 1000));
    table += line;
  }
  EXPECT_EQ(table, expected) << table;
}

TEST(Simulation, SeedsHaveVirtioDevicesOfEveryKind) {
  std::set<std::string> kinds;
  for (std::uint64_t seed = 1; seed <= 300; ++seed)
    for (const DevicePlan& device : draw_plan(seed).devices)
      if (device.virtio)
        kinds.insert(std::to_string(static_cast<int>(device.virtio->ring.kind)) +
                     std::to_string(static_cast<int>(device.virtio->mode)) +
                     (device.virtio->ring.event_idx ? "e" : "") + (device.virtio->mishaps.empty() ? "" : "m"));
  EXPECT_EQ(kinds.size(), 2u * 3u * 2u * 2u);
}

TEST(Simulation, SeedsDiffer) { EXPECT_NE(run_plan(draw_plan(1), false).digest, run_plan(draw_plan(2), false).digest); }

}  // namespace
}  // namespace netrx::simtest
