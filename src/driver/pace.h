// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "netrx/time.h"

namespace netrx {

/// Frames at a steady rate: when the frame at a position of the schedule is due, counted from the start. Exact to 2^-32
/// ns a frame, without floats.
class SteadyRate {
 public:
  SteadyRate() = default;
  /// `share` of `whole` parts of `frames_a_second`; each at least 1, `whole` below 2^63.
  SteadyRate(std::uint64_t frames_a_second, std::uint64_t share, std::uint64_t whole)
      : interval_((Wide{1'000'000'000} << 32) * whole / (Wide{frames_a_second} * share)) {}

  /// Half of kNever where the time is too far away to say.
  Nanos at(std::uint64_t position) const {
    constexpr Wide kLast = static_cast<Wide>(kNever.count() / 2);
    Wide when = 0;
    if (__builtin_mul_overflow(Wide{position}, interval_, &when)) return Nanos{static_cast<std::int64_t>(kLast)};
    when >>= 32;
    return Nanos{static_cast<std::int64_t>(when < kLast ? when : kLast)};
  }

 private:
  __extension__ using Wide = unsigned __int128;
  Wide interval_ = 0;  ///< units of 2^-32 ns
};

/// When a device's traffic began: the first time any of its queues was polled.
class StartTime {
 public:
  Nanos begin(Nanos now) {
    std::int64_t start = start_.load(std::memory_order_acquire);
    if (start == kUnset && start_.compare_exchange_strong(start, now.count(), std::memory_order_acq_rel)) return now;
    return Nanos{start};
  }

 private:
  static constexpr std::int64_t kUnset = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> start_{kUnset};
};

}  // namespace netrx
