// SPDX-License-Identifier: Apache-2.0
#include "packet/packet_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "base/prng.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety"  // one thread
#endif

namespace netrx {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class PacketRingTest : public testing::Test {
 protected:
  std::vector<Packet*> make(std::initializer_list<std::uint64_t> seqs) {
    std::vector<Packet*> made;
    for (const std::uint64_t seq : seqs) {
      made.push_back(&packets.emplace_back());
      made.back()->rx_seq = seq;
    }
    return made;
  }
  static std::vector<std::uint64_t> seqs(std::span<Packet* const> packets) {
    std::vector<std::uint64_t> numbers;
    for (const Packet* packet : packets) numbers.push_back(packet->rx_seq);
    return numbers;
  }
  static std::vector<std::uint64_t> drain(PacketRing& ring) {
    std::vector<std::uint64_t> all;
    do {
      for (;;) {
        const std::span<Packet*> taken = ring.take(64);
        if (taken.empty()) break;
        for (const std::uint64_t seq : seqs(taken)) all.push_back(seq);
      }
    } while (ring.splice() != 0);
    ring.finish();
    return all;
  }
  std::deque<Packet> packets;
};

TEST_F(PacketRingTest, LengthsAndCountersFollowAPacketThrough) {
  PacketRing ring(8);
  ring.append(make({1, 2, 3}));
  EXPECT_EQ(ring.input_len(), 3u);
  EXPECT_EQ(ring.process_len(), 0u);
  EXPECT_EQ(ring.tail(), 3u);
  EXPECT_THAT(ring.take(64), IsEmpty()) << "input is not work before a splice";

  EXPECT_EQ(ring.splice(), 3u);
  EXPECT_EQ(ring.input_len(), 0u);
  EXPECT_EQ(ring.process_len(), 3u);
  EXPECT_THAT(seqs(ring.take(2)), ElementsAre(1, 2));
  EXPECT_EQ(ring.process_len(), 1u);
  EXPECT_EQ(ring.unfinished(), 2u);
  EXPECT_EQ(ring.head(), 0u) << "head waits for the work";
  ring.finish();
  EXPECT_EQ(ring.head(), 2u);
  EXPECT_EQ(ring.unfinished(), 0u);
}

TEST_F(PacketRingTest, SpliceAppendsToWorkThatIsLeft) {
  PacketRing ring(8);
  ring.append(make({1, 2}));
  ring.splice();
  ring.append(make({3}));
  EXPECT_EQ(ring.splice(), 1u);
  EXPECT_EQ(ring.splice(), 0u);
  EXPECT_THAT(seqs(ring.take(64)), ElementsAre(1, 2, 3));
}

TEST_F(PacketRingTest, RoomIsFreedByFinishNotByTake) {
  PacketRing ring(4);
  EXPECT_EQ(ring.capacity(), 4u);
  ring.append(make({1, 2, 3, 4}));
  EXPECT_EQ(ring.room(1), 0u);
  ring.splice();
  (void)ring.take(3);
  EXPECT_EQ(ring.room(1), 0u) << "the span that take() gave must stay valid";
  ring.finish();
  EXPECT_EQ(ring.room(1), 3u);
}

TEST_F(PacketRingTest, CapacityIsRoundedUp) {
  EXPECT_EQ(PacketRing(0).capacity(), 2u);
  EXPECT_EQ(PacketRing(5).capacity(), 8u);
  EXPECT_EQ(PacketRing(8).capacity(), 8u);
}

TEST_F(PacketRingTest, TakeStopsAtTheEndOfMemoryAndGoesOn) {
  PacketRing ring(4);
  ring.append(make({1, 2, 3}));
  EXPECT_THAT(drain(ring), ElementsAre(1, 2, 3));
  ring.append(make({4, 5, 6}));
  ring.splice();
  EXPECT_THAT(seqs(ring.take(64)), ElementsAre(4));
  EXPECT_THAT(seqs(ring.take(64)), ElementsAre(5, 6));
}

TEST_F(PacketRingTest, IndicesWrapAt32Bits) {
  PacketRing ring(4, 0xfffffffd);
  std::uint64_t next = 0;
  std::uint64_t expected = 0;
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(ring.room(4), 4u);
    ring.append(make({next, next + 1, next + 2}));
    next += 3;
    EXPECT_EQ(ring.input_len(), 3u);
    EXPECT_EQ(ring.room(1), 1u);
    for (const std::uint64_t seq : drain(ring)) EXPECT_EQ(seq, expected++);
  }
  EXPECT_EQ(expected, next);
  EXPECT_EQ(ring.head(), 0xfffffffdu + 15);
  EXPECT_TRUE(reached(ring.head(), 0xfffffffdu));
}

TEST_F(PacketRingTest, RemoveIfKeepsTheOrderOfBothParts) {
  for (const std::uint32_t first : {0u, 0xfffffffcu}) {
    PacketRing ring(16, first);
    ring.append(make({1, 2, 3, 4}));
    ring.splice();
    ring.append(make({5, 6, 7, 8}));
    std::vector<std::uint64_t> gone;
    ring.remove_if([&](Packet& packet) {
      if (packet.rx_seq % 3 != 0) return false;
      gone.push_back(packet.rx_seq);
      return true;
    });
    EXPECT_THAT(gone, ElementsAre(6, 3)) << "newest first";
    EXPECT_EQ(ring.process_len(), 3u);
    EXPECT_EQ(ring.input_len(), 3u);
    EXPECT_EQ(ring.head(), first + 2) << "head advances by what was removed";
    EXPECT_EQ(ring.tail(), first + 8);
    EXPECT_THAT(drain(ring), ElementsAre(1, 2, 4, 5, 7, 8));
  }
}

// What is left moves towards the tail, so head reaches the tail, and never passes it, when the last of it is done.
TEST_F(PacketRingTest, RemoveIfAgainstASlowTwin) {
  Prng prng(1);
  for (int round = 0; round < 200; ++round) {
    PacketRing ring(32, static_cast<std::uint32_t>(prng.next()));
    std::vector<std::uint64_t> left;
    const std::uint64_t spliced = prng.below(21);
    const std::uint64_t doomed = prng.next();
    for (std::uint64_t seq = 0; seq < 20; ++seq) {
      ring.append(make({seq}));
      if (seq + 1 == spliced) ring.splice();
      if ((doomed >> seq & 1) == 0) left.push_back(seq);
    }
    const std::size_t work = static_cast<std::size_t>(
        std::count_if(left.begin(), left.end(), [&](std::uint64_t seq) { return seq < spliced; }));
    ring.remove_if([&](Packet& packet) { return (doomed >> packet.rx_seq & 1) != 0; });
    EXPECT_EQ(ring.process_len(), work);
    EXPECT_EQ(ring.input_len(), left.size() - work);
    EXPECT_EQ(ring.tail() - ring.head(), left.size());
    EXPECT_EQ(drain(ring), left);
    EXPECT_EQ(ring.head(), ring.tail());
  }
}

}  // namespace
}  // namespace netrx
