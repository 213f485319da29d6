// SPDX-License-Identifier: Apache-2.0
#include "driver/big_frames.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "netrx/packet_pool.h"

namespace netrx {
namespace {

TEST(BigFrames, LendsEachBufferOnceUntilItIsHome) {
  BigFrames frames(9000, 4);
  std::array<Packet, 5> packets;
  std::set<std::uint8_t*> buffers;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(frames.lend(packets[i]));
    EXPECT_EQ(packets[i].frame_home, &frames);
    EXPECT_GE(packets[i].tailroom(), 9000u);
    EXPECT_EQ(packets[i].headroom(), PacketPool::kHeadroom);
    buffers.insert(packets[i].head);
  }
  EXPECT_EQ(buffers.size(), 4u);
  EXPECT_FALSE(frames.lend(packets[4]));
  const std::array<std::uint32_t, 2> back{packets[1].frame_id, packets[3].frame_id};
  frames.frames_home(back);
  EXPECT_EQ(frames.idle(), 2u);
  ASSERT_TRUE(frames.lend(packets[4]));
  EXPECT_TRUE(packets[4].head == packets[1].head || packets[4].head == packets[3].head);
}

TEST(BigFrames, TakesFramesBackFromOtherThreadsWhileItLends) {
  BigFrames frames(64, 8);
  std::array<std::atomic<std::uint32_t>, 2> slots{~0u, ~0u};
  std::vector<std::jthread> threads;
  for (auto& slot : slots)
    threads.emplace_back([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const std::uint32_t id = slot.exchange(~0u, std::memory_order_acquire);
        if (id != ~0u)
          frames.frames_home({&id, 1});
        else
          std::this_thread::yield();
      }
    });
  std::uint64_t lent = 0;
  for (std::uint32_t i = 0; lent < 5000; ++i) {
    Packet packet;
    if (!frames.lend(packet)) continue;
    ++lent;
    packet.head[0] = static_cast<std::uint8_t>(i);  // a race with the last user would show here
    std::uint32_t expected = ~0u;
    while (!slots[i % 2].compare_exchange_weak(expected, packet.frame_id, std::memory_order_release)) {
      expected = ~0u;
      std::this_thread::yield();
    }
  }
  for (auto& slot : slots)
    while (slot.load() != ~0u) std::this_thread::yield();
  threads.clear();
  EXPECT_EQ(frames.idle(), frames.capacity());
}

}  // namespace
}  // namespace netrx
