// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

namespace netrx {

/// Smallest power of two that is not below `n`; 1 for 0. `n` at most 2^31.
constexpr std::uint32_t round_up_pow2(std::uint32_t n) { return std::bit_ceil(n); }

/// True when the free-running counter `a` is at or past `b`, wrap included: signed difference not negative.
constexpr bool reached(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) >= 0; }

/// Maps a 32-bit hash onto [0, n) by multiplication. Kernel: reciprocal_scale.
constexpr std::uint32_t reciprocal_scale(std::uint32_t hash, std::uint32_t n) {
  return static_cast<std::uint32_t>((std::uint64_t{hash} * n) >> 32);
}

}  // namespace netrx
