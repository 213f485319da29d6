// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "wire/checksum_simd.h"

#if defined(NETRX_X86)
namespace netrx::wire {
namespace {

constexpr std::size_t kVector = 64;   // bytes
constexpr std::size_t kMost = 65536;  // bytes; the sum of so many words, each 0x8000 at most, is below 2^31

/// Adds a vector's words, pairwise, to sixteen sums. The unit multiplies signed words, so each comes 0x8000 less.
NETRX_INLINE_AVX512_VNNI __m512i add(__m512i sums, __m512i bytes) {
  const __m512i words = _mm512_xor_si512(bytes, _mm512_set1_epi16(static_cast<short>(0x8000)));
  return _mm512_dpwssd_epi32(sums, words, _mm512_set1_epi16(1));
}

NETRX_INLINE_AVX512_VNNI std::int32_t sum_lanes(__m512i x) {
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
  __m128i quarter = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  quarter = _mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0xb1)));
}

/// Up to 63 bytes, the others zero.
NETRX_INLINE_AVX512_VNNI __m512i load_some(const std::uint8_t* at, std::size_t size) {
  return _mm512_maskz_loadu_epi8((__mmask64{1} << size) - 1, at);
}

/// The sum of at most kMost bytes.
NETRX_INLINE_AVX512_VNNI std::uint64_t sum_some(const std::uint8_t* at, std::size_t size) {
  // Four sums, because each addition waits for the one before it.
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  std::size_t vectors = 0;
  // A load across two cache lines costs two. Where words stand at even addresses the first one is cut short.
  const std::size_t head = -reinterpret_cast<std::uintptr_t>(at) % kVector;
  if (head % 2 == 0 && head != 0 && size >= 4 * kVector) {
    a = add(a, load_some(at, head));
    at += head, size -= head, ++vectors;
  }
  vectors += (size + kVector - 1) / kVector;
  for (; size >= 4 * kVector; size -= 4 * kVector, at += 4 * kVector) {
    a = add(a, _mm512_loadu_si512(at));
    b = add(b, _mm512_loadu_si512(at + kVector));
    c = add(c, _mm512_loadu_si512(at + 2 * kVector));
    d = add(d, _mm512_loadu_si512(at + 3 * kVector));
  }
  for (; size >= kVector; size -= kVector, at += kVector) b = add(b, _mm512_loadu_si512(at));
  if (size != 0) c = add(c, load_some(at, size));
  const std::int32_t biased = sum_lanes(_mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d)));
  return static_cast<std::uint64_t>(biased + static_cast<std::int64_t>(vectors * (kVector / 2)) * 0x8000);
}

}  // namespace

NETRX_AVX512_VNNI std::uint64_t csum_avx512(const std::uint8_t* at, std::size_t size) {
  std::uint64_t total = 0;
  for (std::size_t now; size != 0; size -= now, at += now) {
    now = std::min(size, kMost);
    total += sum_some(at, now);
  }
  return total;
}

}  // namespace netrx::wire
#endif
