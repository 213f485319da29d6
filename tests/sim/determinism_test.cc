// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
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
// --gtest_filter=Simulation.Table and judge it before it goes in here.
TEST(Simulation, Table) {
  const std::string expected =
      "seed  received delivered  merged dropped   time us\n"
      "   1         5         5       0       0      1157\n"
      "   2         0         0       0       0      1205\n"
      "   3       602       169     132     301      1236\n"
      "   4       602       132     115     355      1749\n"
      "   5       605       112     218     275     13540\n"
      "   6       569        69     115     385      1171\n"
      "   7        32        32       0       0      1380\n"
      "   8       103        52      51       0      1426\n"
      "   9       102        68      13      21      5833\n"
      "  10       104        58      46       0      2033\n"
      "  11       101        42      49      10      4157\n"
      "  12       103        26      23      54      1165\n";
  std::string table = "seed  received delivered  merged dropped   time us\n";
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const Report report = run_plan(draw_plan(seed), false);
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

TEST(Simulation, SeedsDiffer) { EXPECT_NE(run_plan(draw_plan(1), false).digest, run_plan(draw_plan(2), false).digest); }

}  // namespace
}  // namespace netrx::simtest
