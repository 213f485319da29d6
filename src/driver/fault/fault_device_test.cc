// SPDX-License-Identifier: Apache-2.0
#include "driver/fault/fault_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <map>

#include "driver/gen/gen_flows.h"
#include "driver/queue_runner_test_support.h"

namespace netrx {
namespace {

struct Outcome {
  std::vector<FrameBytes> frames;
  FaultCounts counts;
  std::string remark;
};

/// What comes out of queue 0 when `spec` goes through these faults.
Outcome run(const std::string& spec, const FaultOptions& options, std::uint64_t seed = 1) {
  const auto pool = test_pool(1024);
  FaultDevice device(open_device(spec).value(), options);
  Outcome outcome;
  QueueRunner runner(device.queue(0), *pool, seed);
  runner.on_batch = [&](PacketBatch& batch) {
    for (const Packet* p : batch) outcome.frames.emplace_back(p->data, p->data + p->len);
  };
  EXPECT_TRUE(runner.run());
  outcome.counts = device.counts(0);
  outcome.remark = device.remark();
  EXPECT_EQ(pool->idle(), pool->capacity());
  return outcome;
}

/// The number of a frame of a generator with one flow, whose frames are UDP over IPv4.
std::uint32_t number(const FrameBytes& frame) {
  return to_host(load_unaligned<GenPayload>(frame.data() + 14 + 20 + 8).sequence);
}

std::vector<std::uint32_t> numbers(const Outcome& outcome) {
  std::vector<std::uint32_t> all;
  for (const FrameBytes& frame : outcome.frames) all.push_back(number(frame));
  return all;
}

constexpr const char* kOneFlow = "gen:flows=1,count=10000";

TEST(Fault, LosesTheShareAskedForAndNothingElse) {
  const Outcome outcome = run(kOneFlow, {.loss = 100'000});
  EXPECT_NEAR(static_cast<double>(outcome.counts.lost), 1000, 180);
  EXPECT_EQ(outcome.frames.size(), 10'000 - outcome.counts.lost);
  const auto kept = numbers(outcome);
  EXPECT_TRUE(std::ranges::is_sorted(kept));
  EXPECT_THAT(outcome.remark, testing::HasSubstr(std::to_string(outcome.counts.lost) + " lost"));
}

TEST(Fault, DuplicatesStandBehindTheirOriginals) {
  const Outcome outcome = run(kOneFlow, {.duplicate = 200'000});
  EXPECT_NEAR(static_cast<double>(outcome.counts.duplicated), 2000, 240);
  EXPECT_EQ(outcome.frames.size(), 10'000 + outcome.counts.duplicated);
  std::map<std::uint32_t, int> times;
  for (const std::uint32_t n : numbers(outcome)) ++times[n];
  EXPECT_EQ(times.size(), 10'000u);
  EXPECT_TRUE(std::ranges::is_sorted(numbers(outcome)));
}

TEST(Fault, CorruptionFlipsOneBit) {
  const Outcome clean = run(kOneFlow, {});
  const Outcome outcome = run(kOneFlow, {.corrupt = 50'000});
  std::uint64_t changed = 0;
  for (std::size_t i = 0; i < clean.frames.size(); ++i) {
    int bits = 0;
    for (std::size_t j = 0; j < clean.frames[i].size(); ++j)
      bits += std::popcount(static_cast<unsigned>(clean.frames[i][j] ^ outcome.frames[i][j]));
    EXPECT_LE(bits, 1);
    changed += bits;
  }
  EXPECT_EQ(changed, outcome.counts.corrupted);
  EXPECT_NEAR(static_cast<double>(changed), 500, 130);
}

TEST(Fault, AReorderedFrameIsOvertakenByAsManyAsAsked) {
  const auto out = numbers(run(kOneFlow, {.reorder = 1000, .gap = 4}));
  ASSERT_EQ(out.size(), 10'000u);
  int late = 0;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (out[i] < i) {
      EXPECT_EQ(i - out[i], 4u) << "frame " << out[i];
      ++late;
    }
  EXPECT_GT(late, 2);
}

TEST(Fault, AReorderedFrameThatNobodyOvertakesComesOutAfterAWhile) {
  const auto pool = test_pool();
  FaultDevice device(open_device("gen:flows=1,count=3,rate=100").value(), {.reorder = 1'000'000});
  PacketBatch batch;
  PollContext context{Nanos{0}, *pool};
  EXPECT_EQ(device.queue(0).poll(context, batch, 64), 0u);
  EXPECT_EQ(device.queue(0).next_attention(Nanos{0}), FaultOptions::kReorderWait);
  context.now = FaultOptions::kReorderWait;
  EXPECT_EQ(device.queue(0).poll(context, batch, 64), 1u);
  end_packets(*pool, batch);
}

TEST(Fault, ReorderedFramesDoNotWaitWhenNoneCanOvertakeThem) {
  const auto pool = test_pool();
  FaultDevice device(open_device("gen:flows=1,count=3").value(), {.reorder = 1'000'000});
  PacketBatch batch;
  PollContext context{Nanos{0}, *pool};
  EXPECT_EQ(device.queue(0).poll(context, batch, 64), 3u);
  end_packets(*pool, batch);
}

TEST(Fault, DelayedFramesComeOutThatMuchLater) {
  const auto pool = test_pool();
  FaultDevice device(open_device("gen:flows=1,count=2,rate=10k").value(),
                     {.delayed = 1'000'000, .delay = std::chrono::microseconds(250)});
  RxQueue& queue = device.queue(0);
  PacketBatch batch;
  PollContext context{Nanos{1000}, *pool};
  EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  EXPECT_EQ(device.counts(0).held, 1u);
  EXPECT_FALSE(queue.exhausted());
  context.now += std::chrono::microseconds(100);
  EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  EXPECT_EQ(queue.next_attention(context.now), Nanos{1000} + std::chrono::microseconds(250));
  EXPECT_FALSE(queue.irq_take(Nanos{1000} + std::chrono::microseconds(249)));
  context.now = Nanos{1000} + std::chrono::microseconds(250);
  EXPECT_TRUE(queue.irq_take(context.now));
  EXPECT_EQ(queue.poll(context, batch, 64), 1u);
  EXPECT_FALSE(queue.exhausted()) << "one is held still";
  context.now += std::chrono::microseconds(100);
  EXPECT_EQ(queue.poll(context, batch, 64), 1u);
  EXPECT_TRUE(queue.exhausted());
  end_packets(*pool, batch);
}

TEST(Fault, AFullHoldPausesTheDeviceBehindInsteadOfLosing) {
  const auto pool = test_pool();
  FaultDevice device(open_device("gen:flows=1,count=20").value(),
                     {.delayed = 1'000'000, .delay = std::chrono::milliseconds(1), .hold = 5});
  RxQueue& queue = device.queue(0);
  PacketBatch batch;
  PollContext context{Nanos{0}, *pool};
  EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  EXPECT_EQ(device.counts(0).held, 5u);
  EXPECT_FALSE(queue.irq_missed(queue.irq_unmask())) << "nothing to do before one is out";
  EXPECT_FALSE(queue.irq_take(std::chrono::microseconds(999)));
  EXPECT_EQ(queue.next_attention(Nanos{0}), std::chrono::milliseconds(1));
  EXPECT_EQ(run("gen:flows=1,count=20", {.delayed = 1'000'000, .delay = std::chrono::milliseconds(1), .hold = 5})
                .frames.size(),
            20u);
}

TEST(Fault, ALinkThatLosesEverythingDoesNotHoldThePoll) {
  const auto pool = test_pool();
  FaultDevice device(open_device("gen:flows=1").value(), {.loss = 1'000'000});
  PacketBatch batch;
  PollContext context{Nanos{0}, *pool};
  EXPECT_EQ(device.queue(0).poll(context, batch, 64), 0u);
  EXPECT_TRUE(device.queue(0).irq_missed(device.queue(0).irq_unmask())) << "more is there";
}

TEST(Fault, SaysWhatItCouldNotDuplicate) {
  const auto pool = test_pool();
  FaultDevice device(open_device("gen:flows=1,count=10,size=5000").value(), {.duplicate = 1'000'000});
  PacketBatch batch;
  PollContext context{Nanos{0}, *pool};
  EXPECT_EQ(device.queue(0).poll(context, batch, 64), 10u);
  end_packets(*pool, batch);
  EXPECT_EQ(device.counts(0).not_duplicated, 10u) << "larger than the pool's buffers";
}

TEST(Fault, OneFaultDoesNotChangeWhichFramesAnotherHits) {
  const auto lost_only = run(kOneFlow, {.loss = 10'000}).counts.lost;
  EXPECT_EQ(run(kOneFlow, {.loss = 10'000, .duplicate = 30'000, .corrupt = 40'000, .reorder = 5000}).counts.lost,
            lost_only);
  EXPECT_NE(numbers(run(kOneFlow, {.loss = 10'000, .seed = 2})), numbers(run(kOneFlow, {.loss = 10'000, .seed = 3})));
}

TEST(Fault, ConcatenatesRemarks) {
  const auto pool = test_pool();
  FaultDevice device(
      std::make_unique<FaultDevice>(open_device("gen:count=5").value(), FaultOptions{.corrupt = 1'000'000}),
      {.loss = 1'000'000});
  PacketBatch batch;
  PollContext context{Nanos{0}, *pool};
  device.queue(0).poll(context, batch, 64);
  EXPECT_EQ(device.remark(), "fault: 5 corrupted; fault: 5 lost");
}

RC_GTEST_PROP(Fault, IsConserved, ()) {
  const auto share = [] { return *rc::gen::inRange<std::uint32_t>(0, 300'000); };
  FaultOptions options{.loss = share(), .duplicate = share(), .corrupt = share(), .reorder = share()};
  options.gap = *rc::gen::inRange<std::uint32_t>(1, 20);
  options.delayed = share();
  options.delay = std::chrono::microseconds(*rc::gen::inRange(1, 500));
  options.hold = *rc::gen::inRange<std::uint32_t>(1, 40);
  options.seed = *rc::gen::arbitrary<std::uint64_t>();
  const bool paced = *rc::gen::arbitrary<bool>();
  const std::string spec = std::string("gen:flows=1,count=1000") + (paced ? ",rate=1M" : "");
  const Outcome outcome = run(spec, options, *rc::gen::inRange<std::uint64_t>(0, 1000));
  const FaultCounts& counts = outcome.counts;
  RC_ASSERT(counts.received == 1000u);
  RC_ASSERT(counts.held == 0u);
  RC_ASSERT(counts.received + counts.duplicated == counts.lost + outcome.frames.size());
  // The same again, bit for bit.
  RC_ASSERT(run(spec, options, 5).counts.lost == counts.lost);
}

TEST(Fault, HeldPacketsOfAnotherCpusPoolGoHomeThere) {
  auto first = PacketPool::create(1, 64, 2048).value();
  auto second = PacketPool::create(2, 64, 2048).value();
  {
    FaultDevice inner_and_outer(std::make_unique<FaultDevice>(open_device("gen:flows=1,count=20").value(),
                                                              FaultOptions{.delayed = 1'000'000, .delay = Nanos{100}}),
                                {.loss = 500'000, .delayed = 1'000'000, .delay = Nanos{100}});
    PacketBatch batch;
    PollContext on_first{Nanos{0}, *first};
    EXPECT_EQ(inner_and_outer.queue(0).poll(on_first, batch, 64), 0u);
    EXPECT_EQ(first->idle(), 44u);
    PollContext on_second{Nanos{100}, *second};
    EXPECT_EQ(inner_and_outer.queue(0).poll(on_second, batch, 64), 0u) << "half is lost, half held again";
    EXPECT_EQ(second->idle(), 64u);
    EXPECT_GT(first->idle(), 44u) << "the lost ones are home, though another CPU polled";
    EXPECT_LT(first->idle(), 64u);
  }
  EXPECT_EQ(first->idle(), 64u);
  EXPECT_EQ(second->idle(), 64u);
}

}  // namespace
}  // namespace netrx
