// SPDX-License-Identifier: Apache-2.0
#include "driver/source_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace netrx {
namespace {

constexpr std::uint32_t kBad = ~0u;

struct TestFrame {
  Nanos due;
  std::uint32_t size;
};

/// Frames as a test lists them; a frame's first byte is its number.
class ListSource {
 public:
  using Ticket = std::uint32_t;
  ListSource(std::vector<TestFrame> frames, bool paced) : frames_(std::move(frames)), paced_(paced) {}

  bool paced() const { return paced_; }
  bool empty() const { return frames_.empty(); }
  void begin(Nanos) {}
  Nanos next_due(Nanos) const { return next_ == frames_.size() ? kNever : frames_[next_].due; }
  Ticket take() { return next_++; }
  std::uint32_t size(Ticket ticket) const { return frames_[ticket].size; }
  void write(Ticket ticket, Packet& packet) const {
    std::memset(packet.data, 0, packet.len);
    if (packet.len != 0) packet.data[0] = static_cast<std::uint8_t>(ticket);
  }

 private:
  std::vector<TestFrame> frames_;
  bool paced_;
  std::uint32_t next_ = 0;
};
using Queue = SourceQueue<ListSource>;

class SourceQueueTest : public testing::Test {
 protected:
  /// The numbers of the frames one poll yields; they end at once unless `kept`.
  std::vector<int> poll(Queue& queue, Nanos now, std::size_t budget = 64) {
    PollContext context{now, *pool_};
    queue.poll(context, batch_, budget);
    std::vector<int> numbers;
    for (std::size_t i = 0; i < batch_.size(); ++i) numbers.push_back(batch_[i]->data[0]);
    if (!keep_) end();
    return numbers;
  }
  void end() {
    for (Packet* packet : batch_)
      if (packet->frame_home != nullptr) packet->frame_home->frames_home({&packet->frame_id, 1});
    pool_->put(batch_.packets());
    batch_.released();
  }

  std::unique_ptr<PacketPool> pool_ = PacketPool::create(0, 64, 256).value();
  PacketBatch batch_;
  bool keep_ = false;
};

TEST_F(SourceQueueTest, HandsOutWhatIsDueAndWaitsForTheRest) {
  Queue queue(ListSource({{Nanos{10}, 60}, {Nanos{20}, 60}, {Nanos{20}, 60}, {Nanos{35}, 60}}, true), {.ring = 16});
  EXPECT_EQ(poll(queue, Nanos{9}), std::vector<int>());
  EXPECT_EQ(queue.next_attention(Nanos{9}), Nanos{10});
  EXPECT_EQ(poll(queue, Nanos{20}), (std::vector<int>{0, 1, 2}));
  EXPECT_FALSE(queue.irq_missed(queue.irq_unmask()));
  EXPECT_FALSE(queue.irq_take(Nanos{34}));
  EXPECT_TRUE(queue.irq_take(Nanos{35}));
  EXPECT_EQ(poll(queue, Nanos{40}), (std::vector<int>{3}));
  EXPECT_TRUE(queue.exhausted());
}

TEST_F(SourceQueueTest, WhatABudgetCutShortIsMissed) {
  Queue queue(ListSource({{Nanos{1}, 60}, {Nanos{2}, 60}}, true), {.ring = 16});
  EXPECT_EQ(poll(queue, Nanos{5}, 1), (std::vector<int>{0}));
  EXPECT_TRUE(queue.irq_missed(queue.irq_unmask()));
}

TEST_F(SourceQueueTest, LosesWhatFindsTheRingFullAndCountsIt) {
  std::vector<TestFrame> frames(10, TestFrame{Nanos{1}, 60});
  frames.push_back({Nanos{50}, 60});
  Queue queue(ListSource(frames, true), {.ring = 4});
  EXPECT_EQ(poll(queue, Nanos{2}, 3), (std::vector<int>{0, 1, 2})) << "the first four found room";
  EXPECT_EQ(queue.stats().rx_missed_errors, 6u);
  EXPECT_EQ(poll(queue, Nanos{60}), (std::vector<int>{3, 10}));
  EXPECT_EQ(queue.stats().rx_packets, 5u);
  EXPECT_TRUE(queue.exhausted());
}

TEST_F(SourceQueueTest, AnUnpacedSourceLosesNothingWhateverTheRing) {
  Queue queue(ListSource(std::vector<TestFrame>(200, TestFrame{Nanos{0}, 60}), false), {.ring = 1});
  std::size_t frames = 0;
  while (!queue.exhausted()) frames += poll(queue, Nanos{1}, 50).size();
  EXPECT_EQ(frames, 200u);
  EXPECT_EQ(queue.stats().rx_missed_errors, 0u);
}

TEST_F(SourceQueueTest, CountsWhatCanNotBeReceivedAndGoesOn) {
  Queue queue(ListSource({{Nanos{0}, kBad}, {Nanos{0}, 60}, {Nanos{0}, kBad}, {Nanos{0}, 0}}, false), {});
  EXPECT_EQ(poll(queue, Nanos{1}).size(), 2u);
  EXPECT_EQ(queue.stats().rx_length_errors, 2u);
  EXPECT_TRUE(queue.exhausted());
}

TEST_F(SourceQueueTest, APollOfNothingButBadFramesEnds) {
  Queue queue(ListSource(std::vector<TestFrame>(100'000, TestFrame{Nanos{0}, kBad}), false), {});
  int polls = 0;
  while (!queue.exhausted()) {
    EXPECT_TRUE(poll(queue, Nanos{1}).empty());
    EXPECT_TRUE(queue.exhausted() || queue.irq_missed(queue.irq_unmask())) << "more is here";
    ++polls;
  }
  EXPECT_GT(polls, 10);
  EXPECT_EQ(queue.stats().rx_length_errors, 100'000u);
}

TEST_F(SourceQueueTest, LendsItsOwnBuffersToFramesLargerThanThePools) {
  Queue queue(ListSource(std::vector<TestFrame>(100, TestFrame{Nanos{0}, 5000}), false), {.largest_frame = 5000});
  keep_ = true;
  pool_ = PacketPool::create(0, 256, 256).value();
  EXPECT_EQ(poll(queue, Nanos{1}).size(), BigFrames::kCount);
  for (const Packet* packet : batch_) EXPECT_NE(packet->frame_home, nullptr);
  PacketBatch first;
  for (Packet* packet : batch_) first.push_back(packet);
  batch_.released();
  EXPECT_TRUE(poll(queue, Nanos{2}).empty()) << "all are lent";
  EXPECT_EQ(queue.stats().rx_alloc_fail, 1u);
  EXPECT_GT(queue.next_attention(Nanos{2}), Nanos{2});
  EXPECT_FALSE(queue.irq_missed(queue.irq_unmask())) << "or the poller spins";
  for (Packet* packet : first) batch_.push_back(packet);
  first.released();
  end();
  EXPECT_EQ(poll(queue, std::chrono::milliseconds(1)).size(), 36u) << "nothing was lost meanwhile";
  end();
  EXPECT_EQ(queue.big_frames().idle(), BigFrames::kCount);
  EXPECT_EQ(pool_->idle(), pool_->capacity()) << "packets that got no buffer went back";
}

}  // namespace
}  // namespace netrx
