// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "driver/queue_runner_test_support.h"
#include "netrx/devices.h"

/// What every device and every middleware owes the path, as one suite. A test program instantiates DeviceContract with
/// the devices it has:
///
///   INSTANTIATE_TEST_SUITE_P(Kinds, DeviceContract, testing::ValuesIn(my_cases), contract_case_name);
namespace netrx {

struct ContractCase {
  std::string name;
  std::function<Result<std::unique_ptr<NetDevice>>()> open;  ///< ends by itself; the same frames each time
  std::uint64_t frames = 0;                                  ///< that it gives out in all
  bool same_frames_when_dry = true;                          ///< false: what comes out depends on the pool
  std::function<std::string()> missing = {};                 ///< what this machine lacks for it; empty: nothing
};

inline std::string contract_case_name(const testing::TestParamInfo<ContractCase>& info) { return info.param.name; }
inline void PrintTo(const ContractCase& what, std::ostream* out) { *out << what.name; }

class DeviceContract : public testing::TestWithParam<ContractCase> {
 protected:
  void SetUp() override {
    const std::string missing = GetParam().missing ? GetParam().missing() : std::string();
    if (!missing.empty()) GTEST_SKIP() << "skipped: " << missing;
  }

  static std::unique_ptr<NetDevice> open() {
    auto device = GetParam().open();
    if (!device) ADD_FAILURE() << device.error().text;
    return device ? std::move(*device) : nullptr;
  }

  /// Every queue's frames in the order they came.
  static std::vector<std::vector<FrameBytes>> drain(NetDevice& device, PacketPool& pool, std::uint64_t seed = 1) {
    std::vector<std::vector<FrameBytes>> frames(device.queue_count());
    for (std::size_t i = 0; i < device.queue_count(); ++i) {
      QueueRunner runner(device.queue(i), pool, seed);
      runner.on_batch = [&](PacketBatch& batch) {
        for (const Packet* packet : batch) frames[i].push_back(bytes_of(*packet));
      };
      EXPECT_TRUE(runner.run()) << "queue " << i << " sleeps for ever";
    }
    return frames;
  }
};

TEST_P(DeviceContract, HasANameAndFixedQueues) {
  const auto device = open();
  EXPECT_FALSE(device->name().empty());
  EXPECT_LE(device->name().size(), 15u);
  ASSERT_GE(device->queue_count(), 1u);
  for (std::size_t i = 0; i < device->queue_count(); ++i) EXPECT_EQ(&device->queue(i), &device->queue(i));
}

TEST_P(DeviceContract, GivesOutEveryFrameThroughTheInterruptProtocol) {
  for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
    const auto pool = test_pool();
    const auto device = open();
    std::uint64_t frames = 0;
    for (const auto& queue : drain(*device, *pool, seed)) frames += queue.size();
    EXPECT_EQ(frames, GetParam().frames);
    for (std::size_t i = 0; i < device->queue_count(); ++i) {
      EXPECT_TRUE(device->queue(i).exhausted());
      EXPECT_EQ(device->queue(i).next_attention(Nanos{1}), kNever);
      EXPECT_FALSE(device->queue(i).irq_take(kNever - Nanos{1}));
    }
  }
}

TEST_P(DeviceContract, AnnouncesWhatABudgetLeftBehind) {
  const auto pool = test_pool();
  const auto device = open();
  std::uint64_t frames = 0;
  for (std::size_t i = 0; i < device->queue_count(); ++i) {
    QueueRunner runner(device->queue(i), *pool, 11);
    runner.always_complete = true;
    EXPECT_TRUE(runner.run()) << "queue " << i << " sleeps for ever";
    frames += runner.polled;
  }
  EXPECT_EQ(frames, GetParam().frames);
}

TEST_P(DeviceContract, IsExhaustedOnlyWhenAllIsPolled) {
  const auto pool = test_pool();
  const auto device = open();
  std::uint64_t frames = 0;
  for (std::size_t i = 0; i < device->queue_count(); ++i) {
    RxQueue& queue = device->queue(i);
    for (Nanos now{1}; !queue.exhausted(); now += std::chrono::microseconds(10)) {
      PacketBatch batch;
      PollContext context{now, *pool};
      frames += queue.poll(context, batch, 5);
      end_packets(*pool, batch);
    }
    PacketBatch batch;
    PollContext context{kNever - Nanos{1}, *pool};
    EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  }
  EXPECT_EQ(frames, GetParam().frames);
}

TEST_P(DeviceContract, RespectsBudgetAndRoom) {
  const auto pool = test_pool();
  const auto device = open();
  RxQueue& queue = device->queue(0);
  const Nanos late = std::chrono::seconds(1);
  for (const std::size_t budget : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
    PacketBatch batch;
    PollContext context{late, *pool};
    EXPECT_LE(queue.poll(context, batch, budget), budget);
    const std::size_t taken = batch.room() < 2 ? 0 : batch.room() - 2;
    const std::size_t added = pool->alloc(batch.extend(taken));
    batch.truncate(batch.size() - taken + added);
    const std::size_t before = batch.size(), room = batch.room();
    const std::size_t got = queue.poll(context, batch, 64);
    EXPECT_LE(got, room);
    EXPECT_EQ(batch.size(), before + got);
    end_packets(*pool, batch);
  }
}

TEST_P(DeviceContract, NumbersPacketsInOrderOfArrivalAndFillsThemIn) {
  const auto pool = test_pool();
  const auto device = open();
  for (std::size_t i = 0; i < device->queue_count(); ++i) {
    std::uint64_t next = 0;
    QueueRunner runner(device->queue(i), *pool, 7);
    runner.on_batch = [&](PacketBatch& batch) {
      for (const Packet* packet : batch) {
        EXPECT_EQ(packet->rx_seq, next++);
        EXPECT_EQ(packet->data, packet->head + packet->mac_header);
        EXPECT_LE(packet->headroom() + packet->headlen(), packet->buffer_size);
        EXPECT_EQ(packet->alloc_cpu, pool->cpu());
        EXPECT_FALSE(packet->sw_hash);
        if (!device->has_link_header()) {
          EXPECT_EQ(packet->network_header, packet->headroom());
        }
      }
    };
    EXPECT_TRUE(runner.run());
  }
}

TEST_P(DeviceContract, CountsWhatItGivesOut) {
  const auto pool = test_pool();
  const auto device = open();
  const auto frames = drain(*device, *pool);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    std::uint64_t bytes = 0;
    for (const FrameBytes& frame : frames[i]) bytes += frame.size();
    EXPECT_EQ(device->queue(i).stats().rx_packets, frames[i].size());
    EXPECT_EQ(device->queue(i).stats().rx_bytes, bytes);
    EXPECT_EQ(device->queue(i).stats().rx_missed_errors, 0u);
  }
}

TEST_P(DeviceContract, SendsEveryPacketAndFrameHome) {
  const auto pool = test_pool(256);
  const auto device = open();
  drain(*device, *pool);
  EXPECT_EQ(pool->idle(), pool->capacity());
}

TEST_P(DeviceContract, LeavesNothingBehindWhenItGoesEarly) {
  const auto pool = test_pool(256);
  auto device = open();
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < device->queue_count(); ++i) {
      PacketBatch batch;
      PollContext context{std::chrono::microseconds(round), *pool};
      device->queue(i).poll(context, batch, 9);
      end_packets(*pool, batch);
    }
  }
  device.reset();
  EXPECT_EQ(pool->idle(), pool->capacity());
}

TEST_P(DeviceContract, LosesNothingWhenThePoolIsDry) {
  const auto ample = test_pool();
  const auto reference = drain(*open(), *ample);
  // Buffers of 64 bytes: most frames need one of the queue's own as well.
  const auto pool = test_pool(64, 64);
  const auto device = open();
  for (std::size_t i = 0; i < device->queue_count(); ++i) {
    RxQueue& queue = device->queue(i);
    std::vector<FrameBytes> frames;
    PacketBatch kept;
    Nanos now = std::chrono::seconds(1);
    for (int round = 0; !queue.exhausted() && round < 1'000'000; ++round, now += std::chrono::microseconds(50)) {
      PollContext context{now, *pool};
      PacketBatch batch;
      const std::size_t got = queue.poll(context, batch, std::min<std::size_t>(7, kept.room()));
      if (got == 0 && queue.irq_fd() >= 0) std::this_thread::sleep_for(std::chrono::microseconds(20));  // others work
      for (Packet* packet : batch) {
        frames.push_back(bytes_of(*packet));
        kept.push_back(packet);
      }
      batch.released();
      if (kept.size() < 60 && got != 0) continue;
      // As good as dry: one more poll finds at most the rest, and then keeps still for a while.
      const std::uint64_t before = queue.stats().rx_alloc_fail;
      queue.poll(context, batch, kept.room());
      for (Packet* packet : batch) {
        frames.push_back(bytes_of(*packet));
        kept.push_back(packet);
      }
      batch.released();
      if (queue.stats().rx_alloc_fail != before) {
        EXPECT_GT(queue.next_attention(now), now) << "or somebody spins";
      }
      end_packets(*pool, kept);
    }
    end_packets(*pool, kept);
    EXPECT_TRUE(queue.exhausted());
    if (GetParam().same_frames_when_dry) {
      EXPECT_EQ(frames, reference[i]) << "queue " << i;
    }
    EXPECT_EQ(queue.stats().rx_missed_errors, 0u);
  }
  EXPECT_EQ(pool->idle(), pool->capacity());
}

TEST_P(DeviceContract, InterruptsTheCpuItIsBoundToWhileAnotherPolls) {
  const auto pool = test_pool();
  const auto device = open();
  const auto start = std::chrono::steady_clock::now();
  const auto now = [start] { return std::chrono::duration_cast<Nanos>(std::chrono::steady_clock::now() - start); };
  for (std::size_t i = 0; i < device->queue_count(); ++i) {
    RxQueue& queue = device->queue(i);
    std::atomic<bool> scheduled{false};
    std::jthread irq([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        if (queue.irq_take(now())) scheduled.store(true, std::memory_order_release);
        if (queue.next_attention(now()) > now()) std::this_thread::yield();
      }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!queue.exhausted() && std::chrono::steady_clock::now() < deadline) {
      if (!scheduled.exchange(false, std::memory_order_acquire)) {
        std::this_thread::yield();
        continue;
      }
      queue.irq_mask();
      for (bool again = true; again;) {
        PacketBatch batch;
        PollContext context{now(), *pool};
        again = queue.poll(context, batch, 16) == 16;
        end_packets(*pool, batch);
        if (!again && queue.irq_missed(queue.irq_unmask())) again = (queue.irq_mask(), true);
      }
    }
    EXPECT_TRUE(queue.exhausted()) << "an interrupt was lost";
  }
}

}  // namespace netrx
