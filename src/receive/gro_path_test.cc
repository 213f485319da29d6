// SPDX-License-Identifier: Apache-2.0
// The GRO stage within the path: when what it holds goes up, who waits for it, and that all of it is counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gro/gro.h"
#include "receive/receive_fixture.h"
#include "wire/frame_builder.h"

namespace netrx {
namespace {

using testing::ElementsAre;

class GroPathTest : public ReceiveTest {
 protected:
  /// The `n`-th segment of a stream from some port, without its link header.
  static Arrival segment(std::uint32_t n, std::uint16_t port = 1) {
    std::vector<std::uint8_t> bytes = wire::FrameBuilder()
                                          .ipv4("10.0.0.1", "10.0.0.2", {.dont_fragment = true})
                                          .tcp(port, 80, {.seq = n * 100})
                                          .payload(100)
                                          .build()
                                          .bytes;
    return {.bytes = std::move(bytes)};
  }
  void arrive(std::uint32_t from, std::uint32_t to, std::uint16_t port = 1) {
    for (std::uint32_t n = from; n < to; ++n) queue(dev).arrive(1, segment(n, port));
  }
  std::uint64_t held() { return gro().held_in.read() - gro().held_out.read(); }
  GroNode& gro() { return napi(dev).gro; }

  Netif& dev = add_device();
};

TEST_F(GroPathTest, WhatAPollHoldsGoesUpAtItsEnd) {
  arrive(0, 5);
  schedule(napi(dev));
  run();
  EXPECT_THAT(handler.seqs(), ElementsAre(0)) << "one packet";
  EXPECT_EQ(cpu(0).received.read(), 5u);
  EXPECT_EQ(cpu(0).merged.read(), 4u);
  EXPECT_EQ(cpu(0).delivered.read(), 1u);
  EXPECT_EQ(held(), 0u);
  EXPECT_FALSE(queue(dev).masked);
}

TEST_F(GroPathTest, AFullWeightFlushesToo) {
  arrive(0, 70);
  schedule(napi(dev));
  run();
  EXPECT_THAT(handler.seqs(), ElementsAre(0)) << "the first 64";
  EXPECT_EQ(held(), 0u);
  run();
  EXPECT_THAT(handler.seqs(), ElementsAre(0, 64));
}

TEST_F(GroPathTest, At1000HertzAFullWeightKeepsWhatCameInThisTick) {
  net.tick.hz = 1000;
  arrive(0, 64);
  schedule(napi(dev));
  run();
  EXPECT_EQ(held(), 1u);
  clock.time += std::chrono::milliseconds(1);
  run();
  EXPECT_THAT(handler.seqs(), ElementsAre(0));
  EXPECT_EQ(held(), 0u);
}

TEST_F(GroPathTest, WithAFlushTimeoutPacketsWaitForMore) {
  dev.gro_flush_timeout = 1'000'000;
  arrive(0, 3);
  schedule(napi(dev));
  run();
  EXPECT_EQ(held(), 1u);
  EXPECT_EQ(handler.all.size(), 0u);
  EXPECT_FALSE(queue(dev).masked) << "the interrupt is not deferred";
  EXPECT_NE(napi(dev).timer_deadline.load(), kNever.count());
  arrive(3, 5);
  EXPECT_TRUE(round(0));
  EXPECT_EQ(cpu(0).merged.read(), 4u) << "across two polls";
  clock.time += std::chrono::milliseconds(5);
  EXPECT_TRUE(round(0));
  EXPECT_THAT(handler.seqs(), ElementsAre(0)) << "the timer's poll found nothing, and what is held is old";
  EXPECT_EQ(held(), 0u);
}

TEST_F(GroPathTest, DeferredInterruptsStayMaskedAndNobodyElsesQueueIsTouched) {
  dev.gro_flush_timeout = 1'000'000;
  dev.napi_defer_hard_irqs = 2;
  arrive(0, 1);
  schedule(napi(dev));
  run();
  EXPECT_TRUE(queue(dev).masked);
  EXPECT_FALSE(napi(dev).state.test(kNapiSched));
  for (int empty = 0; empty < 2; ++empty) {
    clock.time += std::chrono::milliseconds(5);
    EXPECT_TRUE(round(0));
  }
  EXPECT_FALSE(queue(dev).masked) << "after two polls in vain";
}

TEST_F(GroPathTest, AMergedPacketIsSteeredAsOne) {
  rps_cpus(dev, {1});
  arrive(0, 10);
  schedule(napi(dev));
  run();
  EXPECT_EQ(tail(cpu(1)), 1u);
  EXPECT_TRUE(round(1));
  EXPECT_EQ(handler.on(1), 1u);
}

TEST_F(GroPathTest, SegmentsCountForTheBatchThatGoesUp) {
  net.tunables.gro_normal_batch.write(8);
  std::size_t delivered_during_poll = 0;
  for (std::uint16_t port = 1; port <= 9; ++port) arrive(0, 4, port);  // the 9th pushes the oldest 4 segments out
  arrive(0, 4, 10);                                                    // and the 10th the next 4: 8 are due
  queue(dev).arrive(1);
  recorder.polls.clear();
  handler.during_delivery = [&] { delivered_during_poll += recorder.polls.empty(); };
  schedule(napi(dev));
  run();
  EXPECT_GE(delivered_during_poll, 1u);
  EXPECT_EQ(handler.all.size(), 11u);
}

TEST_F(GroPathTest, RefusalsAreCountedWithTheirReason) {
  dev.rx_gro = false;
  arrive(0, 3);
  queue(dev).arrive(1);
  schedule(napi(dev));
  run();
  EXPECT_EQ(cpu(0).gro_refusals[static_cast<std::size_t>(GroRefusal::kOff)].read(), 4u);
}

TEST_F(GroPathTest, BusyPollingHandsUpListsButKeepsWhatIsHeld) {
  bool owned = false;
  arrive(0, 3);
  const BusyPoll how{.budget = 8};
  EXPECT_EQ(napi_busy_poll(net, cpu(0), napi(dev), how, owned), 3);
  EXPECT_EQ(held(), 1u) << "the loop may come again at once";
  napi_busy_poll_end(net, cpu(0), napi(dev), how);
  EXPECT_EQ(held(), 0u);
  EXPECT_THAT(handler.seqs(), ElementsAre(0));
}

}  // namespace
}  // namespace netrx
