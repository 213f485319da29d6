// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "netrx/packet.h"

namespace netrx {

/// A queue's own buffers for frames larger than the pool's: a fixed number, lent to packets and returned when these
/// end. Memory is touched only when a buffer is first used. Kernel: the page chains of "big" receive buffers.
///
/// Thread safety: lend() by whoever polls the queue, frames_home() by any CPU; lock-free. Order: the release
/// in frames_home() pairs with the owner's acquire, so what was done with a frame happens before its next use.
class BigFrames final : public FrameHome {
 public:
  static constexpr std::uint32_t kLargest = 256 * 1024;  ///< bytes of the largest frame a software queue receives
  static constexpr std::uint32_t kCount = 64;

  /// Buffers of `frame_size` bytes behind the headroom; at most kLargest.
  explicit BigFrames(std::uint32_t frame_size, std::uint32_t count = kCount);

  /// Gives `packet` a buffer of this set instead of its own; false when all are lent. `data` stands behind the
  /// headroom.
  bool lend(Packet& packet);

  void frames_home(std::span<const std::uint32_t> frame_ids) override;

  /// Buffers not lent; exact when nothing runs.
  std::uint32_t idle() const;
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(next_.size()); }

 private:
  static constexpr std::uint32_t kNone = ~0u;

  void collect_returned();

  const std::uint32_t stride_;
  std::unique_ptr<std::uint8_t[]> memory_;
  std::vector<std::uint32_t> next_;  ///< link of the chain of returned frames, by frame
  std::vector<std::uint32_t> free_;  ///< a stack, the owner's
  alignas(64) std::atomic<std::uint32_t> returned_{kNone};
};

}  // namespace netrx
