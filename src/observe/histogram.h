// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "cpu/counter.h"

namespace netrx {

/// Counts values in log-linear buckets, the way HdrHistogram does: 32 linear steps in each power of two, so every
/// value is known to within 3.2 %. Fixed size, any 64-bit value.
///
/// Thread safety: one writer, any reader (counters are read one by one).
class Histogram {
 public:
  static constexpr unsigned kStepBits = 5;
  static constexpr std::size_t kBuckets = (64 - kStepBits + 1) << kStepBits;

  void add(std::uint64_t value, std::uint64_t times = 1) { buckets_[bucket(value)].add(times); }

  void merge_into(std::array<std::uint64_t, kBuckets>& sum) const {
    for (std::size_t i = 0; i < kBuckets; ++i) sum[i] += buckets_[i].read();
  }

  static constexpr std::size_t bucket(std::uint64_t value) {
    const unsigned width = static_cast<unsigned>(std::bit_width(value));
    if (width <= kStepBits) return value;
    const unsigned shift = width - kStepBits - 1;
    return (std::size_t{shift} << kStepBits) + (value >> shift);
  }

  /// The largest value that falls into the bucket.
  static constexpr std::uint64_t upper_bound(std::size_t bucket) {
    if (bucket < (2u << kStepBits)) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket >> kStepBits) - 1;
    const std::uint64_t step = (bucket & ((1u << kStepBits) - 1)) + (1u << kStepBits);
    return ((step + 1) << shift) - 1;
  }

 private:
  std::array<Counter, kBuckets> buckets_;
};

/// The value below or at which `per_mille`/1000 of the counted values lie; 0 when nothing was counted.
std::uint64_t percentile(const std::array<std::uint64_t, Histogram::kBuckets>& counts, unsigned per_mille);

}  // namespace netrx
