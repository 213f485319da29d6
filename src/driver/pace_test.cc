// SPDX-License-Identifier: Apache-2.0
#include "driver/pace.h"

#include <gtest/gtest.h>

namespace netrx {
namespace {

TEST(SteadyRate, PutsFramesAtTheirTime) {
  const SteadyRate rate(1000, 1, 1);
  EXPECT_EQ(rate.at(0), Nanos{0});
  EXPECT_EQ(rate.at(1), std::chrono::milliseconds(1));
  EXPECT_EQ(rate.at(3'600'000), std::chrono::hours(1));
}

TEST(SteadyRate, DoesNotDriftWhereTheGapIsNoWholeNumber) {
  const SteadyRate rate(3'000'000, 1, 1);
  EXPECT_NEAR(static_cast<double>(rate.at(3'000'000'000).count()), 1e12, 1000);
}

TEST(SteadyRate, SharesOfARateAddUpToIt) {
  const SteadyRate third(1'000'000, 1, 3), rest(1'000'000, 2, 3);
  EXPECT_NEAR(static_cast<double>(third.at(1'000'000).count()), 3e9, 1);
  EXPECT_NEAR(static_cast<double>(rest.at(2'000'000).count()), 3e9, 1);
}

TEST(SteadyRate, SaysFarAwayRatherThanOverflow) {
  const SteadyRate slow(1, 1, std::uint64_t{1} << 60);
  EXPECT_GT(slow.at(1), std::chrono::hours(24 * 365 * 100));
  EXPECT_LT(slow.at(~std::uint64_t{0}), kNever);
  EXPECT_GT(slow.at(~std::uint64_t{0}), std::chrono::hours(24 * 365 * 100));
}

TEST(StartTime, IsTheFirstPolls) {
  StartTime start;
  EXPECT_EQ(start.begin(Nanos{7}), Nanos{7});
  EXPECT_EQ(start.begin(Nanos{9}), Nanos{7});
}

}  // namespace
}  // namespace netrx
