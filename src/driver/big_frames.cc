// SPDX-License-Identifier: Apache-2.0
#include "driver/big_frames.h"

#include "netrx/packet_pool.h"

namespace netrx {

BigFrames::BigFrames(std::uint32_t frame_size, std::uint32_t count)
    : FrameReturns(count),
      stride_((PacketPool::kHeadroom + frame_size + 63) & ~63u),
      count_(count),
      memory_(new std::uint8_t[std::size_t{stride_} * count]) {
  free_.reserve(count);
  for (std::uint32_t i = count; i-- > 0;) free_.push_back(i);
}

bool BigFrames::lend(Packet& packet) {
  if (free_.empty()) collect(free_);
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

std::uint32_t BigFrames::idle() const { return static_cast<std::uint32_t>(free_.size()) + FrameReturns::count(); }

}  // namespace netrx
