// SPDX-License-Identifier: Apache-2.0
#include "observe/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "base/prng.h"

namespace netrx {
namespace {

using Counts = std::array<std::uint64_t, Histogram::kBuckets>;

std::unique_ptr<Counts> counts_of(const std::vector<std::uint64_t>& values) {
  auto histogram = std::make_unique<Histogram>();
  for (const std::uint64_t value : values) histogram->add(value);
  auto counts = std::make_unique<Counts>();
  histogram->merge_into(*counts);
  return counts;
}

TEST(Histogram, SmallValuesHaveABucketEach) {
  for (std::uint64_t value = 0; value < 64; ++value) {
    EXPECT_EQ(Histogram::bucket(value), value);
    EXPECT_EQ(Histogram::upper_bound(Histogram::bucket(value)), value);
  }
}

TEST(Histogram, BucketsAreContiguousUpToTheLargestValue) {
  for (std::size_t i = 0; i + 1 < Histogram::kBuckets; ++i) {
    ASSERT_EQ(Histogram::bucket(Histogram::upper_bound(i)), i);
    ASSERT_EQ(Histogram::bucket(Histogram::upper_bound(i) + 1), i + 1);
  }
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(Histogram::bucket(kMax), Histogram::kBuckets - 1);
  EXPECT_EQ(Histogram::upper_bound(Histogram::kBuckets - 1), kMax);
}

TEST(Histogram, EveryValueIsKnownToWithin3Point2Percent) {
  Prng prng(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = prng.next() >> prng.below(64);
    const std::uint64_t bound = Histogram::upper_bound(Histogram::bucket(value));
    ASSERT_GE(bound, value);
    ASSERT_LE(static_cast<double>(bound - value), 0.032 * static_cast<double>(value)) << value;
  }
}

TEST(Histogram, PercentilesEqualThoseOfTheSortedValues) {
  Prng prng(2);
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 1000; ++i) values.push_back(prng.below(1'000'000));
  const auto counts = counts_of(values);
  std::sort(values.begin(), values.end());
  for (const unsigned per_mille : {1u, 500u, 990u, 999u, 1000u}) {
    const std::uint64_t exact = values[per_mille - 1];  // of 1000 values
    EXPECT_EQ(percentile(*counts, per_mille), Histogram::upper_bound(Histogram::bucket(exact))) << per_mille;
  }
}

TEST(Histogram, FewValues) {
  EXPECT_EQ(percentile(*counts_of({}), 500), 0u);
  EXPECT_EQ(percentile(*counts_of({7}), 1), 7u);
  EXPECT_EQ(percentile(*counts_of({7}), 990), 7u);
  EXPECT_EQ(percentile(*counts_of({1, 2, 3}), 500), 2u);
  EXPECT_EQ(percentile(*counts_of({1, 2, 3}), 0), 1u);
}

TEST(Histogram, AddsManyAtOnceAndMerges) {
  auto one = std::make_unique<Histogram>();
  auto two = std::make_unique<Histogram>();
  one->add(10, 99);
  two->add(50);
  Counts counts{};
  one->merge_into(counts);
  two->merge_into(counts);
  EXPECT_EQ(percentile(counts, 990), 10u);
  EXPECT_EQ(percentile(counts, 991), 50u);
}

}  // namespace
}  // namespace netrx
