// SPDX-License-Identifier: Apache-2.0
#include "driver/live/interface_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "driver/live/netns_test_support.h"

namespace netrx {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

InterfaceInfo with_queues(std::vector<KernelRxQueue> queues) {
  InterfaceInfo info;
  info.rx_queues = std::move(queues);
  return info;
}

TEST(InterfaceInfo, SaysWhatRpsAndRfsMean) {
  EXPECT_THAT(explain_steering(with_queues({{"0", 0}}), 0),
              ElementsAre(HasSubstr("RPS off: one CPU"), HasSubstr("RFS off")));
  EXPECT_THAT(explain_steering(with_queues({{"00000000,00000003", 0}}), 0),
              Contains(HasSubstr("RPS on: packets of its queue go by flow to the CPUs of mask 00000000,00000003")));
  EXPECT_THAT(explain_steering(with_queues({{"0", 0}, {"3", 0}}), 0), Contains(HasSubstr("packets of queue 1 go")));
  EXPECT_THAT(explain_steering(with_queues({{"1", 0}, {"2", 0}}), 0),
              Contains(HasSubstr("every queue go by flow to the CPUs of mask of each queue")));
  EXPECT_THAT(explain_steering(with_queues({{"3", 4096}}), 0), Contains(HasSubstr("RFS does nothing")));
  EXPECT_THAT(explain_steering(with_queues({{"3", 0}}), 32768), Contains(HasSubstr("no queue has an rps_flow_cnt")));
  EXPECT_THAT(explain_steering(with_queues({{"3", 4096}}), 32768), Contains(HasSubstr("RFS on: flows follow")));
}

TEST(InterfaceInfo, SaysWhenSettingsAreNotThere) {
  InterfaceInfo elsewhere = with_queues({});
  EXPECT_THAT(explain_steering(elsewhere, 0), ElementsAre(HasSubstr("no receive queue")));
  elsewhere.in_sysfs = false;
  EXPECT_THAT(explain_steering(elsewhere, 0), ElementsAre(HasSubstr("another network namespace")));
  InterfaceInfo deferred = with_queues({{"0", 0}});
  deferred.threaded = true;
  deferred.gro_flush_timeout = 20'000;
  deferred.napi_defer_hard_irqs = 2;
  EXPECT_THAT(explain_steering(deferred, 0), Contains(HasSubstr("a timer of 20000 ns polls up to 2 times")));
  EXPECT_THAT(explain_steering(deferred, 0), Contains(HasSubstr("NAPI threaded")));
}

TEST(InterfaceInfo, ListsWhatThisNamespaceHas) {
  const std::string missing = missing_for_netns();
  if (!missing.empty()) GTEST_SKIP() << "skipped: " << missing;
  enter_new_netns();
  shell("ip link add v0 mtu 1400 type veth peer name v1 && ip link set v0 up address 02:00:00:00:00:07");
  const std::vector<InterfaceInfo> all = list_interfaces();
  const auto v0 = std::ranges::find(all, "v0", &InterfaceInfo::name);
  ASSERT_NE(v0, all.end());
  EXPECT_TRUE(v0->up);
  EXPECT_TRUE(v0->ethernet);
  EXPECT_EQ(v0->driver, "veth");
  EXPECT_EQ(v0->mtu, 1400u);
  EXPECT_EQ(v0->address, "02:00:00:00:00:07");
  EXPECT_THAT(v0->offloads, Contains("tx-checksumming"));
  if (v0->xdp_features) {
    EXPECT_TRUE(v0->xdp_native());
  }
  const auto lo = std::ranges::find(all, "lo", &InterfaceInfo::name);
  ASSERT_NE(lo, all.end());
  EXPECT_EQ(lo->address, "");
}

}  // namespace
}  // namespace netrx
