// SPDX-License-Identifier: Apache-2.0
#include "driver/big_frames.h"

#include "netrx/packet_pool.h"

namespace netrx {

BigFrames::BigFrames(std::uint32_t frame_size, std::uint32_t count)
    : stride_((PacketPool::kHeadroom + frame_size + 63) & ~63u),
      memory_(new std::uint8_t[std::size_t{stride_} * count]),
      next_(count, kNone) {
  free_.reserve(count);
  for (std::uint32_t i = count; i-- > 0;) free_.push_back(i);
}

bool BigFrames::lend(Packet& packet) {
  if (free_.empty()) collect_returned();
  if (free_.empty()) return false;
  const std::uint32_t id = free_.back();
  free_.pop_back();
  packet.frame_home = this;
  packet.frame_id = id;
  packet.head = memory_.get() + std::size_t{stride_} * id;
  packet.data = packet.head + PacketPool::kHeadroom;
  packet.buffer_size = stride_;
  return true;
}

void BigFrames::frames_home(std::span<const std::uint32_t> frame_ids) {
  if (frame_ids.empty()) return;
  for (std::size_t i = 1; i < frame_ids.size(); ++i) next_[frame_ids[i - 1]] = frame_ids[i];
  std::uint32_t top = returned_.load(std::memory_order_relaxed);
  do {
    next_[frame_ids.back()] = top;
  } while (
      !returned_.compare_exchange_weak(top, frame_ids.front(), std::memory_order_release, std::memory_order_relaxed));
}

// The whole chain at once, so that a frame that went and came back meanwhile can't be mistaken for the one seen first.
void BigFrames::collect_returned() {
  for (std::uint32_t id = returned_.exchange(kNone, std::memory_order_acquire); id != kNone; id = next_[id])
    free_.push_back(id);
}

std::uint32_t BigFrames::idle() const {
  auto n = static_cast<std::uint32_t>(free_.size());
  for (std::uint32_t id = returned_.load(std::memory_order_acquire); id != kNone; id = next_[id]) ++n;
  return n;
}

}  // namespace netrx
