// SPDX-License-Identifier: Apache-2.0
#include "driver/gen/zipf.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numeric>

namespace netrx {
namespace {

TEST(Zipf, WeightsAreTheLawsWeights) {
  for (const std::uint32_t s : {0u, 250u, 900u, 1000u, 1234u, 2000u}) {
    const auto weights = zipf_weights(5000, s);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double exact = std::pow(static_cast<double>(i + 1), -(s / 1000.0)) * 0x1p40;
      EXPECT_NEAR(static_cast<double>(weights[i]), exact, exact * 0x1p-24 + 1) << "rank " << i + 1 << " s " << s;
    }
  }
}

TEST(Zipf, PinsSomeWeights) {
  const auto weights = zipf_weights(1000, 1000);
  EXPECT_EQ(weights[0], std::uint64_t{1} << 40);
  EXPECT_EQ(weights[1], std::uint64_t{1} << 39);
  EXPECT_EQ(weights[9], 109951162781u);
  EXPECT_EQ(weights[999], 1099511628u);
}

TEST(Zipf, NoFlowIsLeftOut) {
  for (const std::uint64_t weight : zipf_weights(1u << 20, 10'000)) EXPECT_GE(weight, 1u);
}

RC_GTEST_PROP(AliasTable, DrawsByWeight, ()) {
  const auto weights = *rc::gen::container<std::vector<std::uint64_t>>(
      *rc::gen::inRange<std::size_t>(1, 12), rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 40));
  const double total = static_cast<double>(std::accumulate(weights.begin(), weights.end(), std::uint64_t{0}));
  RC_PRE(total > 0);
  const AliasTable table(weights);
  Prng prng(*rc::gen::arbitrary<std::uint64_t>());
  std::vector<int> drawn(weights.size());
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) ++drawn[table.draw(prng)];
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double p = static_cast<double>(weights[i]) / total;
    const double sigma = std::sqrt(kDraws * p * (1 - p));
    RC_ASSERT(std::abs(drawn[i] - kDraws * p) <= 6 * sigma + 1);
  }
}

TEST(AliasTable, DrawsTheSameForTheSameSeed) {
  const auto weights = zipf_weights(100, 1000);
  const AliasTable table(weights);
  Prng prng(42);
  std::uint64_t digest = 0;
  for (int i = 0; i < 1000; ++i) digest = digest * 31 + table.draw(prng);
  EXPECT_EQ(digest, 9174119411016787569u);
}

}  // namespace
}  // namespace netrx
