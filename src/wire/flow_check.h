// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "netrx/flow.h"
#include "wire/naive_flow.h"

namespace netrx::wire {

/// The levels this CPU can run, scalar first.
inline std::vector<SimdLevel> simd_levels() {
  std::vector<SimdLevel> all{SimdLevel::scalar};
  if (best_simd_level() >= SimdLevel::avx2) all.push_back(SimdLevel::avx2);
  if (best_simd_level() >= SimdLevel::avx512) all.push_back(SimdLevel::avx512);
  return all;
}

/// Holds the dissector and the order-free keys to what the naive twin says of the same bytes. Null when they agree,
/// else what differs. For tests and fuzzing.
inline const char* difference_from_naive(const FlowInput& in) {
  FlowKeys fast, slow;
  std::memset(&fast, 0xa5, sizeof fast);  // so that a field left unwritten shows
  if (dissect(in, fast) != naive::dissect(in, slow)) return "dissect: verdict";
  if (std::memcmp(&fast, &slow, sizeof fast) != 0) return "dissect: keys";
  consistentify(fast);
  naive::consistentify(slow);
  if (std::memcmp(&fast, &slow, sizeof fast) != 0) return "consistentify";
  return nullptr;
}

/// The same for whole hashes, at every level, one frame at a time and in batches of `copies`. Makes its hashers once.
class HashCheck {
 public:
  HashCheck(SipHashKey key, std::size_t copies) : key_(key), frames_(copies), hashes_(copies) {
    for (SimdLevel level : simd_levels()) {
      software_.emplace_back(SipHash(key, level));
      card_.emplace_back(Toeplitz(level));
    }
  }

  const char* difference_from_naive(const FlowInput& in) {
    std::fill(frames_.begin(), frames_.end(), in);
    if (!all_are(software_, naive::skb_get_hash(in, key_))) return "SipHash of a frame";
    if (!all_are(card_, card_[0].hash(in))) return "Toeplitz of a frame";
    return nullptr;
  }

 private:
  bool all_are(const std::vector<FlowHasher>& hashers, const FlowHash& expected) {
    for (const FlowHasher& hasher : hashers) {
      hasher.hash_batch(frames_, hashes_);
      if (hasher.hash(frames_[0]) != expected) return false;
      if (std::count(hashes_.begin(), hashes_.end(), expected) != std::ssize(hashes_)) return false;
    }
    return true;
  }

  SipHashKey key_;
  std::vector<FlowInput> frames_;
  std::vector<FlowHash> hashes_;
  std::vector<FlowHasher> software_, card_;
};

}  // namespace netrx::wire
