// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "wire/checksum_simd.h"

#if defined(NETRX_X86)
namespace netrx::wire {
namespace {

/// Adds the eight 32-bit lanes.
NETRX_INLINE_AVX2 std::int64_t sum_lanes(__m256i x) {
  const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(x)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x, 1)));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  return _mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1);
}

/// Sixteen words as the sums of eight neighbours. The unit multiplies signed words, so each comes 0x8000 less.
NETRX_INLINE_AVX2 __m256i pairs(const std::uint8_t* at) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  return _mm256_madd_epi16(_mm256_xor_si256(bytes, _mm256_set1_epi16(static_cast<short>(0x8000))),
                           _mm256_set1_epi16(1));
}

}  // namespace

NETRX_AVX2 std::uint64_t csum_blocks_avx2(const std::uint8_t* at, std::size_t blocks) {
  constexpr std::size_t kMost = 4096;  // blocks: four sums of that many times 2^16 stay below 2^31
  std::uint64_t total = 0;
  while (blocks != 0) {
    const std::size_t now = std::min(blocks, kMost);
    // Four sums, because each addition waits for the one before it.
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (std::size_t i = 0; i < now; ++i, at += kCsumBlock) {
      a = _mm256_add_epi32(a, pairs(at));
      b = _mm256_add_epi32(b, pairs(at + 32));
      c = _mm256_add_epi32(c, pairs(at + 64));
      d = _mm256_add_epi32(d, pairs(at + 96));
    }
    const std::int64_t biased = sum_lanes(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
    total += static_cast<std::uint64_t>(biased + static_cast<std::int64_t>(now * (kCsumBlock / 2)) * 0x8000);
    blocks -= now;
  }
  return total;
}

}  // namespace netrx::wire
#endif
