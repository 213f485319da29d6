// SPDX-License-Identifier: Apache-2.0
// Ring indices and pseudo-random numbers.
#include <gtest/gtest.h>

#include <array>

#include "base/prng.h"
#include "base/ring_index.h"

namespace netrx {
namespace {

TEST(RingIndex, MapIndex) {
  EXPECT_EQ(reciprocal_scale(0, 3), 0u);
  EXPECT_EQ(reciprocal_scale(0x55555555, 3), 0u);
  EXPECT_EQ(reciprocal_scale(0x55555556, 3), 1u);
  EXPECT_EQ(reciprocal_scale(0xffffffff, 3), 2u);
  EXPECT_EQ(reciprocal_scale(0x80000000, 4), 2u);
  EXPECT_EQ(reciprocal_scale(0xdeadbeef, 7), 6u);
}

TEST(RingIndex, ReachedIsASignedDifference) {
  EXPECT_TRUE(reached(5, 5));
  EXPECT_FALSE(reached(4, 5));
  EXPECT_TRUE(reached(2, 0xfffffffe));
  EXPECT_FALSE(reached(0xfffffffe, 2));
}

TEST(RingIndex, RoundUpPow2) {
  EXPECT_EQ(round_up_pow2(0), 1u);
  EXPECT_EQ(round_up_pow2(1), 1u);
  EXPECT_EQ(round_up_pow2(3), 4u);
  EXPECT_EQ(round_up_pow2(4096), 4096u);
  EXPECT_EQ(round_up_pow2(4097), 8192u);
  EXPECT_EQ(round_up_pow2(0x80000000), 0x80000000u);
}

// The first outputs published for SplitMix64 with seed 1234567.
TEST(Prng, IsSplitMix64) {
  Prng prng(1234567);
  for (const std::uint64_t expected :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u, 16408922859458223821u})
    EXPECT_EQ(prng.next(), expected);
}

TEST(Prng, BelowAndBetweenStayInRangeAndReachTheEnds) {
  Prng prng(1);
  EXPECT_EQ(prng.below(0), 0u);
  EXPECT_EQ(prng.below(1), 0u);
  std::array<int, 7> below{};
  std::array<int, 3> between{};
  for (int i = 0; i < 7000; ++i) {
    ++below.at(prng.below(7));
    ++between.at(prng.between(10, 12) - 10);
  }
  for (const int n : below) EXPECT_NEAR(n, 1000, 200);
  for (const int n : between) EXPECT_NEAR(n, 2333, 300);
}

TEST(Prng, ChanceInPartsPerMillion) {
  Prng prng(2);
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) {
    hits += prng.chance_ppm(10'000);
    EXPECT_FALSE(prng.chance_ppm(0));
    EXPECT_TRUE(prng.chance_ppm(1'000'000));
  }
  EXPECT_NEAR(hits, 1000, 200);
}

TEST(Prng, AForkDoesNotShareItsFuture) {
  Prng one(3), two(3);
  Prng fork_of_one = one.fork();
  Prng fork_of_two = two.fork();
  for (int i = 0; i < 10; ++i) (void)one.next();
  EXPECT_EQ(fork_of_one.next(), fork_of_two.next());
  EXPECT_NE(Prng(3).fork().next(), Prng(3).next());
}

}  // namespace
}  // namespace netrx
