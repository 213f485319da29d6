// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/simd.h"

namespace netrx::wire {

/// Bytes that a vector unit's sum takes at a time.
inline constexpr std::size_t kCsumBlock = 128;

#if defined(NETRX_X86)
/// Adds up `blocks` blocks as 16-bit words; congruent, modulo 0xffff, to their running sum.
std::uint64_t csum_blocks_avx2(const std::uint8_t* at, std::size_t blocks);
#endif

}  // namespace netrx::wire
