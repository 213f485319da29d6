// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/prng.h"

namespace netrx {

/// Weights of `count` ranks under Zipf's law: rank i (from 1) weighs 1/i^s, `s` in thousandths (1000: the classic law,
/// 0: all the same). Rank 1 weighs 2^40, and none less than 1; the error of a weight is below 2^-24 of it, plus
/// rounding to a whole number. Integer arithmetic throughout, so that every machine gets the same.
std::vector<std::uint64_t> zipf_weights(std::uint32_t count, std::uint32_t s_thousandths);

/// Draws indices with given weights in constant time (Walker's alias method, Vose's construction), without floats.
class AliasTable {
 public:
  /// `weights`: not empty, each at most 2^40, not all 0.
  explicit AliasTable(std::span<const std::uint64_t> weights);

  std::uint32_t draw(Prng& prng) const {
    const std::uint64_t random = prng.next();
    const auto slot = static_cast<std::uint32_t>(((random >> 32) * slots_.size()) >> 32);
    const Slot& at = slots_[slot];
    return static_cast<std::uint32_t>(random) < at.keep ? slot : at.alias;
  }

 private:
  struct Slot {
    std::uint32_t keep;   ///< of 2^32 draws of this slot, so many are its own
    std::uint32_t alias;  ///< the others are this index's
  };
  std::vector<Slot> slots_;
};

}  // namespace netrx
