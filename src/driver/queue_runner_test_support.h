// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/prng.h"
#include "netrx/device.h"
#include "netrx/packet_bytes.h"

namespace netrx {

using FrameBytes = std::vector<std::uint8_t>;

/// Ends a batch's packets as the path does: lent frames first, then the packets.
inline void end_packets(PacketPool& pool, PacketBatch& batch) {
  for (Packet* packet : batch) {
    for (Packet *part = packet, *rest = packet->frags; part != nullptr;
         part = rest, rest = rest ? rest->next : nullptr) {
      if (part->frame_home != nullptr) part->frame_home->frames_home({&part->frame_id, 1});
      pool.put({&part, 1});
    }
  }
  batch.released();
}

/// All of a packet's bytes, wherever they are.
inline FrameBytes bytes_of(const Packet& packet) {
  FrameBytes bytes(packet.len);
  EXPECT_EQ(copy_bits(packet, 0, bytes), packet.len);
  return bytes;
}

inline std::unique_ptr<PacketPool> test_pool(std::size_t packets = 1024, std::size_t frame_size = 2048) {
  return PacketPool::create(3, packets, frame_size).value();
}

/// Drives one queue through the interrupt protocol in virtual time, as receive/ does, until it is exhausted. Whatever
/// makes it sleep for ever is a lost interrupt; a file descriptor that says nothing for ten real seconds is one too.
class QueueRunner {
 public:
  QueueRunner(RxQueue& queue, PacketPool& pool, std::uint64_t seed) : queue_(queue), pool_(pool), prng_(seed) {}

  /// Called with every batch, before its packets end.
  std::function<void(PacketBatch&)> on_batch = [](PacketBatch&) {};

  /// False: it would have slept for ever.
  bool run() {
    while (!queue_.exhausted()) {
      if (!queue_.irq_take(now)) {
        const Nanos next = queue_.next_attention(now);
        if (next == kNever && (queue_.exhausted() || !watched())) return queue_.exhausted();
        now = next == kNever ? now + std::chrono::microseconds(60) : std::max(next, now + Nanos{1});
        continue;
      }
      EXPECT_FALSE(queue_.irq_take(now)) << "one interrupt for one unmask";
      queue_.irq_mask();
      EXPECT_FALSE(queue_.irq_take(now)) << "masked";
      poll_until_done();
    }
    return true;
  }

  Nanos now{1'000'000'000};
  bool always_complete = false;  ///< unmasks even behind a poll that used its budget, as a NAPI being disabled does
  std::uint64_t polled = 0;
  std::uint64_t polls = 0;

 private:
  /// Sleeps until the queue's descriptor becomes readable.
  bool watched() const {
    pollfd fd{.fd = queue_.irq_fd(), .events = POLLIN, .revents = 0};
    return fd.fd >= 0 && poll(&fd, 1, 10'000) > 0;
  }

  void poll_until_done() {
    for (;;) {
      const std::size_t budget = prng_.between(1, PacketBatch::kCapacity);
      PacketBatch batch;
      PollContext context{now, pool_};
      const std::size_t got = queue_.poll(context, batch, budget);
      EXPECT_LE(got, budget);
      EXPECT_EQ(got, batch.size());
      polled += got;
      ++polls;
      on_batch(batch);
      end_packets(pool_, batch);
      now += Nanos{prng_.below(500)};
      if (got == budget && !always_complete) continue;
      const RxQueue::IrqCookie cookie = queue_.irq_unmask();
      if (!queue_.irq_missed(cookie)) return;
      queue_.irq_mask();
    }
  }

  RxQueue& queue_;
  PacketPool& pool_;
  Prng prng_;
};

}  // namespace netrx
