// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "netrx/time.h"

namespace netrx {

/// The interrupt of a queue made of software: one moment, `due`, from which on the queue wants attention.
///
/// One interrupt for one unmask(): the first take() at or after `due` gets it, and no other until the queue is unmasked
/// again, as a virtqueue with event index behaves. So whoever takes it must schedule the queue's NAPI, and a NAPI that
/// is disabled meanwhile costs nothing.
///
/// Thread safety: mask(), unmask(), missed() and set_due() by the queue's owner; take() and next_attention() by anyone.
/// unmask() followed by missed() has a full barrier in between (both are sequentially consistent), so of a producer
/// that lowers `due` and then asks take(), and an owner that unmasks and then asks missed(), one sees the other.
class SoftIrq {
 public:
  /// How long a CPU may sleep that is bound to a queue it sees masked: another CPU may unmask it without a word.
  static constexpr Nanos kMaskedRecheck = std::chrono::milliseconds(1);

  void mask() { armed_.store(false, std::memory_order_relaxed); }
  void unmask() { armed_.store(true, std::memory_order_seq_cst); }

  /// Something is due already at `now`, the time of the last poll.
  bool missed(Nanos now) const { return due_.load(std::memory_order_seq_cst) <= now.count(); }

  bool take(Nanos now) { return armed() && due() <= now && fire(); }

  bool armed() const { return armed_.load(std::memory_order_seq_cst); }
  /// The one interrupt, whatever the time; false when it is masked or has been had.
  bool fire() { return armed_.exchange(false, std::memory_order_seq_cst); }

  Nanos next_attention(Nanos now) const {
    const Nanos when = due();
    if (when == kNever || armed()) return when;
    return std::max(when, now + kMaskedRecheck);
  }

  void set_due(Nanos when) { due_.store(when.count(), std::memory_order_seq_cst); }
  Nanos due() const { return Nanos{due_.load(std::memory_order_seq_cst)}; }

 private:
  std::atomic<bool> armed_{true};
  std::atomic<std::int64_t> due_{0};
};

}  // namespace netrx
