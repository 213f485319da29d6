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
/// The same for any number of bytes; an odd last one counts as the first of a word.
std::uint64_t csum_avx512(const std::uint8_t* at, std::size_t size);
inline bool has_csum_avx512() { return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"); }
#endif

}  // namespace netrx::wire
