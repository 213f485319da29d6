// SPDX-License-Identifier: Apache-2.0
// Packets and lent frames go home: at once, or through the defer_list of the CPU they came from.
#include "softnet/free_packets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "softnet/softnet_fixture.h"

namespace netrx {
namespace {

using testing::ElementsAre;

class FreePacketsTest : public SoftnetTest {
 protected:
  std::uint32_t deferred(std::uint32_t on) { return cpu(on).defer.count; }
  void consume(std::uint32_t on, std::vector<Packet*> list) { consume_packets(net, cpu(on), list); }
  bool kicked(std::uint32_t on) { return (cpu(on).doorbell.collect() & kBellDefer) != 0; }

  Netif& dev = add_device();
};

TEST_F(FreePacketsTest, OwnPacketsGoStraightBack) {
  consume(1, packets(dev, 10, 1));
  EXPECT_EQ(deferred(1), 0u);
  EXPECT_EQ(cpu(1).pool->idle(), kPool);
}

TEST_F(FreePacketsTest, ForeignPacketsWaitForTheirOwner) {
  consume(1, packets(dev, 10, 0));
  EXPECT_EQ(deferred(0), 10u);
  EXPECT_EQ(cpu(0).pool->idle(), kPool - 10);
  EXPECT_FALSE(kicked(0));
  flush_deferred(cpu(0));
  EXPECT_EQ(deferred(0), 0u);
  EXPECT_EQ(cpu(0).pool->idle(), kPool);
}

TEST_F(FreePacketsTest, TheListIsBoundedAndTheRestIsFreedHere) {
  net.tunables.skb_defer_max.write(64);
  consume(1, packets(dev, 100, 0));
  EXPECT_EQ(deferred(0), 64u);
  EXPECT_EQ(cpu(0).pool->idle(), kPool - 64) << "36 went straight to the pool";
}

TEST_F(FreePacketsTest, ZeroTurnsDeferringOff) {
  net.tunables.skb_defer_max.write(0);
  consume(1, packets(dev, 10, 0));
  EXPECT_EQ(deferred(0), 0u);
  EXPECT_EQ(cpu(0).pool->idle(), kPool);
}

TEST_F(FreePacketsTest, KicksTheOwnerOnceThePacketBeyondHalfComes) {
  net.tunables.skb_defer_max.write(64);
  for (int i = 0; i < 32; ++i) consume(1, packets(dev, 1, 0));
  EXPECT_FALSE(kicked(0));
  consume(1, packets(dev, 1, 0));
  EXPECT_TRUE(kicked(0));
  consume(1, packets(dev, 20, 0));
  EXPECT_FALSE(kicked(0)) << "once";
}

TEST_F(FreePacketsTest, ABatchThatCrossesHalfKicksToo) {
  net.tunables.skb_defer_max.write(64);
  consume(1, packets(dev, 30, 0));
  EXPECT_FALSE(kicked(0));
  consume(1, packets(dev, 30, 0));
  EXPECT_TRUE(kicked(0));
}

TEST_F(FreePacketsTest, AKickThatIsNotAnsweredYetIsNotRepeated) {
  net.tunables.skb_defer_max.write(64);
  consume(1, packets(dev, 40, 0));
  EXPECT_TRUE(kicked(0));
  flush_deferred(cpu(0));
  consume(1, packets(dev, 40, 0));
  EXPECT_FALSE(kicked(0)) << "defer_ipi_scheduled is still set";
  cpu(0).defer.ipi_scheduled = false;
  flush_deferred(cpu(0));
  consume(1, packets(dev, 40, 0));
  EXPECT_TRUE(kicked(0));
}

TEST_F(FreePacketsTest, AnOfflineOwnerGetsNothingDeferred) {
  net.online[0] = false;
  consume(1, packets(dev, 10, 0));
  EXPECT_EQ(deferred(0), 0u);
  EXPECT_EQ(cpu(0).pool->idle(), kPool);
}

TEST_F(FreePacketsTest, AMixGoesEachToItsOwn) {
  std::vector<Packet*> mix;
  for (const std::uint32_t home : {0u, 1u, 1u, 2u, 0u, 3u}) mix.push_back(packet(dev, 1, home));
  consume(1, mix);
  EXPECT_EQ(deferred(0), 2u);
  EXPECT_EQ(deferred(1), 0u);
  EXPECT_EQ(deferred(2), 1u);
  EXPECT_EQ(deferred(3), 1u);
}

TEST_F(FreePacketsTest, AnApplicationHasNoPoolOfItsOwn) {
  std::vector<Packet*> list = packets(dev, 10, 0);
  consume_packets_from_application(net, actor, list);
  EXPECT_EQ(deferred(0), 10u);
}

TEST_F(FreePacketsTest, DropsAreCountedUnderTheirReason) {
  std::vector<Packet*> list = packets(dev, 3, 1);
  drop_packets(net, cpu(1), list, DropReason::kUnhandledProto);
  EXPECT_EQ(cpu(1).drops[static_cast<std::size_t>(DropReason::kUnhandledProto)].read(), 3u);
  EXPECT_EQ(cpu(1).pool->idle(), kPool);
}

struct Lender final : FrameHome {
  void frames_home(std::span<const std::uint32_t> ids) override { calls.emplace_back(ids.begin(), ids.end()); }
  std::vector<std::vector<std::uint32_t>> calls;
};

TEST_F(FreePacketsTest, LentFramesGoHomeInOneCallForEachLender) {
  Lender a, b;
  std::vector<Packet*> list = packets(dev, 5, 0);
  for (std::uint32_t i = 0; i < 5; ++i) list[i]->frame_id = i;
  for (const std::size_t i : {0u, 1u}) list[i]->frame_home = &a;
  for (const std::size_t i : {2u, 4u}) list[i]->frame_home = &b;  // 3 has its own buffer
  consume(0, list);
  EXPECT_THAT(a.calls, ElementsAre(ElementsAre(0, 1)));
  EXPECT_THAT(b.calls, ElementsAre(ElementsAre(2, 4)));
}

TEST_F(FreePacketsTest, DeferredFramesGoHomeAtTheFlush) {
  Lender a;
  std::vector<Packet*> list = packets(dev, 1, 0);
  list[0]->frame_home = &a;
  list[0]->frame_id = 9;
  consume(1, list);
  EXPECT_TRUE(a.calls.empty());
  flush_deferred(cpu(0));
  EXPECT_THAT(a.calls, ElementsAre(ElementsAre(9)));
}

TEST_F(FreePacketsTest, RingingWakesOnlyASleeper) {
  EXPECT_FALSE(ring_doorbell(cpu(0), actor, kBellKick));
  EXPECT_EQ(cpu(0).doorbell.collect(), kBellKick);
  ASSERT_TRUE(cpu(0).doorbell.prepare_sleep());
  EXPECT_TRUE(ring_doorbell(cpu(0), actor, kBellKick));
  EXPECT_FALSE(ring_doorbell(cpu(0), actor, kBellRps)) << "somebody wakes it already";
  EXPECT_EQ(waker.wakes, 1);
  EXPECT_EQ(cpu(0).doorbell.collect(), kBellKick | kBellRps);
}

}  // namespace
}  // namespace netrx
