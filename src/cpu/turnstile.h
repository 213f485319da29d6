// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/actor.h"

namespace netrx {

/// A ticket lock: whoever asks first gets in first, so that nobody starves behind a busy owner. What was done inside
/// one turn happens before the next turn begins.
template <template <class> class Atomic = std::atomic>
class BasicTurnstile {
 public:
  void enter(Actor& actor) {
    const std::uint32_t ticket = next_ticket_.fetch_add(1, std::memory_order_relaxed);
    while (now_serving_.load(std::memory_order_acquire) != ticket) actor.relax();
  }

  void leave() { now_serving_.store(now_serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

  /// True when someone else waits.
  bool wanted() const {
    return next_ticket_.load(std::memory_order_relaxed) - now_serving_.load(std::memory_order_relaxed) > 1;
  }

 private:
  alignas(64) Atomic<std::uint32_t> next_ticket_{0};
  Atomic<std::uint32_t> now_serving_{0};
};

using Turnstile = BasicTurnstile<>;

}  // namespace netrx
