// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "driver/frame_returns.h"
#include "netrx/packet.h"

namespace netrx {

/// A queue's own buffers for frames larger than the pool's: a fixed number, lent to packets and returned when these
/// end. Memory is touched only when a buffer is first used. Kernel: the page chains of "big" receive buffers.
///
/// Thread safety: lend() by whoever polls the queue; frames_home() by any CPU, see FrameReturns.
class BigFrames final : public FrameReturns {
 public:
  static constexpr std::uint32_t kLargest = 256 * 1024;  ///< bytes of the largest frame a software queue receives
  static constexpr std::uint32_t kCount = 64;

  /// Buffers of `frame_size` bytes behind the headroom; at most kLargest.
  explicit BigFrames(std::uint32_t frame_size, std::uint32_t count = kCount);

  /// Gives `packet` a buffer of this set instead of its own; false when all are lent. `data` stands behind the
  /// headroom.
  bool lend(Packet& packet);

  /// Buffers not lent; exact when nothing runs.
  std::uint32_t idle() const;
  std::uint32_t capacity() const { return count_; }

 private:
  const std::uint32_t stride_;
  const std::uint32_t count_;
  std::unique_ptr<std::uint8_t[]> memory_;
  std::vector<std::uint32_t> free_;  ///< a stack, the owner's
};

}  // namespace netrx
