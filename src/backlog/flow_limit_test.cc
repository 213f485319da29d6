// SPDX-License-Identifier: Apache-2.0
#include "backlog/flow_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace netrx {
namespace {

using testing::Each;
using testing::IsEmpty;

/// Judges `n` packets whose flows repeat; returns the places of those dropped, from 1.
std::vector<int> dropped(FlowLimit& limit, std::vector<std::uint32_t> flows, int n) {
  std::vector<int> places;
  for (int i = 0; i < n; ++i)
    if (flow_limit_exceeded(limit, flows[static_cast<std::size_t>(i) % flows.size()])) places.push_back(i + 1);
  return places;
}

std::vector<int> from_to(int first, int last) {
  std::vector<int> places;
  for (int i = first; i <= last; ++i) places.push_back(i);
  return places;
}

TEST(FlowLimit, OneFlowMayOwnHalfTheHistory) {
  FlowLimit limit(4096);
  EXPECT_EQ(dropped(limit, {7}, 200), from_to(65, 200));
  EXPECT_EQ(limit.count, 136u);
  EXPECT_EQ(limit.buckets[7], 128);
}

// A fresh history is all zeros, so bucket 0 pays for its own packets.
TEST(FlowLimit, Bucket0AloneIsNeverLimited) {
  FlowLimit limit(4096);
  EXPECT_THAT(dropped(limit, {0}, 500), IsEmpty());
}

TEST(FlowLimit, TwoEqualFlowsPass) {
  FlowLimit limit(4096);
  EXPECT_THAT(dropped(limit, {7, 9}, 600), IsEmpty());
}

TEST(FlowLimit, TwoThirdsAreTooMuch) {
  FlowLimit limit(4096);
  const std::vector<int> places = dropped(limit, {7, 7, 9}, 900);
  ASSERT_GE(places.size(), 3u);
  EXPECT_EQ(places[0], 97);
  EXPECT_EQ(places[1], 98);
  EXPECT_EQ(places[2], 100);
  for (const int place : places) EXPECT_NE(place % 3, 0) << "only flow 7 is dropped";
}

TEST(FlowLimit, ALaterFlowIsJudgedByItsOwnShare) {
  FlowLimit limit(4096);
  EXPECT_EQ(dropped(limit, {7}, 100), from_to(65, 100));
  EXPECT_EQ(dropped(limit, {9}, 200), from_to(65, 200));
}

TEST(FlowLimit, TheTableMapsHashesToBuckets) {
  FlowLimit limit(16);
  EXPECT_EQ(dropped(limit, {0x123, 0xff3, 0x003}, 70), from_to(65, 70)) << "all bucket 3";
  FlowLimit one(1);
  EXPECT_THAT(dropped(one, {1, 2, 3}, 500), IsEmpty()) << "a table of 1 has only bucket 0";
}

}  // namespace
}  // namespace netrx
