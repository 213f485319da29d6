// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "netrx/packet.h"

namespace netrx {

/// Frames of one lender on their way home, from any CPU to the one that owns the lender: a chain, lock-free.
///
/// Thread safety: frames_home() by anyone, collect() by the owner, any() by anyone. Order: the release in frames_home()
/// pairs with the owner's acquire, so what was done with a frame happens before its next use. The owner takes the whole
/// chain at once, so that a frame that went and came back meanwhile can't be mistaken for the one seen first.
class FrameReturns : public FrameHome {
 public:
  explicit FrameReturns(std::uint32_t frames) : next_(frames, kNone) {}

  void frames_home(std::span<const std::uint32_t> ids) override {
    if (ids.empty()) return;
    for (std::size_t i = 1; i < ids.size(); ++i) next_[ids[i - 1]] = ids[i];
    std::uint32_t top = returned_.load(std::memory_order_relaxed);
    do next_[ids.back()] = top;
    while (!returned_.compare_exchange_weak(top, ids.front(), std::memory_order_release, std::memory_order_relaxed));
  }

  void collect(std::vector<std::uint32_t>& free) {
    for (std::uint32_t id = returned_.exchange(kNone, std::memory_order_acquire); id != kNone; id = next_[id])
      free.push_back(id);
  }

  bool any() const { return returned_.load(std::memory_order_relaxed) != kNone; }
  /// Exact when nothing runs.
  std::uint32_t count() const {
    std::uint32_t n = 0;
    for (std::uint32_t id = returned_.load(std::memory_order_acquire); id != kNone; id = next_[id]) ++n;
    return n;
  }

 private:
  static constexpr std::uint32_t kNone = ~0u;

  std::vector<std::uint32_t> next_;  ///< link of the chain, by frame
  alignas(64) std::atomic<std::uint32_t> returned_{kNone};
};

}  // namespace netrx
