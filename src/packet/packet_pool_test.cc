// SPDX-License-Identifier: Apache-2.0
#include "netrx/packet_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace netrx {
namespace {

using testing::HasSubstr;

TEST(PacketPool, EveryPacketOnceEachWithABufferOfItsOwn) {
  const auto pool = *PacketPool::create(7, 100, 1500);
  std::vector<Packet*> packets(101);
  EXPECT_EQ(pool->alloc(packets), 100u);
  packets.resize(100);
  EXPECT_EQ(std::set<Packet*>(packets.begin(), packets.end()).size(), 100u);
  std::set<std::uint8_t*> buffers;
  for (Packet* packet : packets) {
    EXPECT_EQ(packet->alloc_cpu, 7);
    EXPECT_EQ(packet->headroom(), PacketPool::kHeadroom);
    EXPECT_GE(packet->tailroom(), 1500u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(packet->data) % 64, 0u);
    std::fill_n(packet->data, 1500, static_cast<std::uint8_t>(buffers.size()));
    buffers.insert(packet->data);
  }
  EXPECT_EQ(buffers.size(), 100u);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(packets[i]->data[1499], i);
  EXPECT_EQ(pool->idle(), 0u);
  pool->put(packets);
  EXPECT_EQ(pool->idle(), 100u);
}

TEST(PacketPool, AReusedPacketIsResetAndHasItsBufferBack) {
  const auto pool = *PacketPool::create(0, 64, 256);
  Packet* packet = nullptr;
  ASSERT_EQ(pool->alloc({&packet, 1}), 1u);
  std::uint8_t* const data = packet->data;
  std::uint8_t lent[64];
  packet->head = packet->data = lent;
  packet->len = 64;
  packet->hash = 5;
  packet->l4_hash = packet->sw_hash = packet->vlan_present = true;
  packet->queue_mapping = 3;
  packet->tstamp = Nanos{9};
  packet->pkt_type = PacketKind::otherhost;
  packet->gso_size = 100;
  pool->put({&packet, 1});
  Packet* again = nullptr;
  ASSERT_EQ(pool->alloc({&again, 1}), 1u);
  ASSERT_EQ(again, packet) << "last in, first out: its lines are the warmest";
  EXPECT_EQ(again->data, data);
  EXPECT_EQ(again->len, 0u);
  EXPECT_EQ(again->hash, 0u);
  EXPECT_FALSE(again->l4_hash || again->sw_hash || again->vlan_present);
  EXPECT_EQ(again->queue_mapping, 0);
  EXPECT_EQ(again->tstamp, Nanos{0});
  EXPECT_EQ(again->pkt_type, PacketKind::host);
  EXPECT_EQ(again->gso_size, 0);
  pool->put({&again, 1});
}

TEST(PacketPool, GivenBackPacketsAreTakenInWhenThePoolRunsDry) {
  const auto pool = *PacketPool::create(0, 64, 256);
  std::vector<Packet*> packets(64);
  ASSERT_EQ(pool->alloc(packets), 64u);
  pool->give_back({});
  pool->give_back(std::span(packets).first(10));
  pool->give_back(std::span(packets).subspan(10));
  EXPECT_EQ(pool->idle(), 64u);
  std::vector<Packet*> again(64);
  EXPECT_EQ(pool->alloc(again), 64u);
  EXPECT_EQ(std::set<Packet*>(again.begin(), again.end()).size(), 64u);
  pool->put(again);
}

TEST(PacketPool, TwoThreadsGiveBackWhileTheOwnerAllocates) {
  const auto pool = *PacketPool::create(0, 256, 64);
  constexpr int kRounds = 2000;
  std::atomic<Packet*> mailbox[2] = {nullptr, nullptr};
  std::atomic<bool> done = false;
  const auto giver = [&](std::atomic<Packet*>& box) {
    for (;;) {
      const bool last = done;
      if (Packet* packet = box.exchange(nullptr)) {
        ++packet->flow_tag;
        pool->give_back({&packet, 1});
      } else if (last) {
        return;
      } else {
        std::this_thread::yield();
      }
    }
  };
  std::thread one(giver, std::ref(mailbox[0]));
  std::thread two(giver, std::ref(mailbox[1]));
  for (int i = 0; i < kRounds; ++i) {
    Packet* packet = nullptr;
    ASSERT_EQ(pool->alloc({&packet, 1}), 1u);
    packet->flow_tag = static_cast<std::uint32_t>(i);
    Packet* expected = nullptr;
    while (!mailbox[i & 1].compare_exchange_weak(expected, packet)) {
      expected = nullptr;
      std::this_thread::yield();
    }
  }
  done = true;
  one.join();
  two.join();
  EXPECT_EQ(pool->idle(), 256u);
}

// More than a note has room for, in the smallest buffers there are: none is told twice, none forgotten.
TEST(PacketPool, TwoThreadsGiveBackManyAtATimeWhileTheOwnerAllocates) {
  constexpr std::size_t kPackets = 256, kRounds = 300;
  const auto pool = *PacketPool::create(0, kPackets, 64);
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::vector<Packet*> packets(kPackets);
    ASSERT_EQ(pool->alloc(packets), kPackets);
    const auto give = [&](std::span<Packet* const> mine) {
      for (std::size_t n = 1 + round % 64; !mine.empty(); mine = mine.subspan(n)) {
        n = std::min(n, mine.size());
        pool->give_back(mine.first(n));
      }
    };
    std::thread one(give, std::span(packets).first(kPackets / 2));
    std::thread two(give, std::span(packets).last(kPackets / 2));
    std::vector<Packet*> again;
    for (Packet* packet = nullptr; again.size() < kPackets;)
      if (pool->alloc({&packet, 1}) == 1) again.push_back(packet);
    one.join();
    two.join();
    EXPECT_EQ(std::set<Packet*>(again.begin(), again.end()).size(), kPackets);
    for (Packet* packet : again) std::fill_n(packet->head, packet->buffer_size, std::uint8_t{0xff});
    pool->put(again);
  }
}

TEST(PacketPool, SaysWhatIsWrongWithItsSize) {
  const auto few = PacketPool::create(0, 63, 256);
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().code, EINVAL);
  EXPECT_THAT(few.error().text, HasSubstr("63"));
  EXPECT_EQ(PacketPool::create(0, 64, 63).error().code, EINVAL);
  EXPECT_EQ(PacketPool::create(0, std::size_t{1} << 40, 2048).error().code, ENOMEM);
}

}  // namespace
}  // namespace netrx
