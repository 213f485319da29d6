// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "netrx/device.h"
#include "wire/frame_builder.h"

namespace netrx::bench {

/// A device whose frames lie in memory, ready made, and never run out: what a ring of descriptors looks like when the
/// wire is faster than the CPU. Lends frames and lends no more than `ring` at once, so that the path behind it paces
/// it.
///
/// The number of frames is a power of two.
///
/// Thread safety: poll() and the interrupt functions on the CPU that polls; frames_home() on any.
class MemoryDevice : public NetDevice, public RxQueue, public FrameHome {
 public:
  MemoryDevice(std::span<std::uint8_t* const> frames, std::uint32_t frame_size, std::uint32_t ring, FlowHashKind kind)
      : frames_(frames), frame_size_(frame_size), ring_(ring), kind_(kind) {}

  /// `total` more frames arrive.
  void offer(std::uint64_t total) { end_ += total; }

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    const std::uint64_t credit = ring_ - (lent_ - home_.load(std::memory_order_relaxed));
    const std::size_t wanted =
        std::min({budget, batch.room(), static_cast<std::size_t>(std::min(credit, end_ - lent_))});
    const std::span<Packet*> slots = batch.extend(wanted);
    const std::size_t got = context.pool.alloc(slots);
    batch.truncate(batch.size() - (wanted - got));
    for (Packet* packet : slots.first(got)) {
      const std::uint32_t id = static_cast<std::uint32_t>(lent_ & (frames_.size() - 1));
      packet->head = packet->data = frames_[id];
      packet->len = packet->buffer_size = frame_size_;
      packet->frame_home = this;
      packet->frame_id = id;
      packet->rx_seq = lent_++;
    }
    RxQueueStats::add(stats_.rx_packets, got);
    RxQueueStats::add(stats_.rx_bytes, got * frame_size_);
    return got;
  }
  void irq_mask() override { masked_ = true; }
  IrqCookie irq_unmask() override {
    masked_ = false;
    return 0;
  }
  bool irq_missed(IrqCookie) override { return false; }
  bool irq_take(Nanos) override {
    return !masked_ && !exhausted() && lent_ - home_.load(std::memory_order_relaxed) < ring_;
  }
  Nanos next_attention(Nanos now) override { return exhausted() ? kNever : now; }
  bool exhausted() const override { return lent_ == end_; }

  void frames_home(std::span<const std::uint32_t> frame_ids) override {
    home_.fetch_add(frame_ids.size(), std::memory_order_relaxed);
  }
  std::uint64_t frames_out() const { return lent_ - home_.load(std::memory_order_relaxed); }

  std::string_view name() const override { return "mem0"; }
  std::size_t queue_count() const override { return 1; }
  RxQueue& queue(std::size_t) override { return *this; }
  FlowHashKind flow_hash() const override { return kind_; }
  std::array<std::uint8_t, 6> address() const override { return wire::kTestMac; }

 private:
  const std::span<std::uint8_t* const> frames_;
  const std::uint32_t frame_size_;
  const std::uint32_t ring_;
  const FlowHashKind kind_;
  bool masked_ = false;
  std::uint64_t lent_ = 0;
  std::uint64_t end_ = 0;
  alignas(64) std::atomic<std::uint64_t> home_{0};
};

}  // namespace netrx::bench
