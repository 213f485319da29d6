// SPDX-License-Identifier: Apache-2.0
#include "wire/toeplitz_batch.h"

#if defined(NETRX_X86)

/// What half an input byte adds to one byte of the hash is a table of 16 bytes, and vpshufb looks up 16 of them at
/// once. So 16 tuples are turned from rows into columns (column i: byte i of each tuple), and each column looks up its
/// own tables, two columns an instruction.
namespace netrx::wire {
namespace {

/// 16 bytes of 16 tuples; as rows one register a tuple, as columns one register a byte.
struct Square {
  __m128i at[16];
};

/// Interleaving each register with the one half the square away, four times, turns rows into columns.
NETRX_INLINE_AVX2 void transpose(Square& square) {
#pragma GCC unroll 4
  for (int pass = 0; pass < 4; ++pass) {
    Square next;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      next.at[2 * i] = _mm_unpacklo_epi8(square.at[i], square.at[i + 8]);
      next.at[2 * i + 1] = _mm_unpackhi_epi8(square.at[i], square.at[i + 8]);
    }
    square = next;
  }
}

/// Byte j of the 16 hashes, once for even columns (lower half) and once for odd ones.
struct Sums {
  __m256i at[4];
};

NETRX_INLINE_AVX2 __m256i table(const Toeplitz::Tables& tables, std::size_t column, int half, int j) {
  const auto of = [&](std::size_t i) { return reinterpret_cast<const __m128i*>(tables.shuffle[i][half][j].data()); };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(of(column))), _mm_loadu_si128(of(column + 1)),
                                 1);
}

NETRX_INLINE_AVX2 void add_columns(Sums& sums, const Toeplitz::Tables& tables, std::size_t column, __m256i bytes) {
  const __m256i low_bits = _mm256_set1_epi8(15);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low_bits);
  const __m256i low = _mm256_and_si256(bytes, low_bits);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m256i sum = _mm256_xor_si256(_mm256_shuffle_epi8(table(tables, column, 0, j), high),
                                         _mm256_shuffle_epi8(table(tables, column, 1, j), low));
    sums.at[j] = _mm256_xor_si256(sums.at[j], sum);
  }
}

/// Adds bytes kFrom to kFrom + kCount - 1 of 16 tuples, reading 16 bytes of each at kRead, which is at most kFrom.
template <std::size_t kRead, std::size_t kFrom, std::size_t kCount, class Tuple>
NETRX_INLINE_AVX2 void add_bytes(Sums& sums, const Toeplitz::Tables& tables, const Tuple* in) {
  Square square;
#pragma GCC unroll 16
  for (int t = 0; t < 16; ++t) {
    square.at[t] =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(reinterpret_cast<const std::uint8_t*>(in + t) + kRead));
  }
  transpose(square);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kCount; i += 2) {
    const __m128i* column = &square.at[kFrom - kRead + i];
    add_columns(sums, tables, kFrom + i, _mm256_inserti128_si256(_mm256_castsi128_si256(column[0]), column[1], 1));
  }
}

NETRX_INLINE_AVX2 void store_hashes(const Sums& sums, std::uint32_t* out) {
  __m128i byte[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    byte[j] = _mm_xor_si128(_mm256_castsi256_si128(sums.at[j]), _mm256_extracti128_si256(sums.at[j], 1));
  }
  const __m128i low_0 = _mm_unpacklo_epi8(byte[0], byte[1]), low_8 = _mm_unpackhi_epi8(byte[0], byte[1]);
  const __m128i high_0 = _mm_unpacklo_epi8(byte[2], byte[3]), high_8 = _mm_unpackhi_epi8(byte[2], byte[3]);
  auto* to = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(to, _mm_unpacklo_epi16(low_0, high_0));
  _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(low_0, high_0));
  _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(low_8, high_8));
  _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(low_8, high_8));
}

struct KernelIpv4 {
  const Toeplitz::Tables& tables;

  NETRX_AVX2 void operator()(const RssTuple4* in, std::uint32_t* out) const {
    Sums sums{};
    add_bytes<0, 0, 12>(sums, tables, in);
    store_hashes(sums, out);
  }
};

struct KernelIpv6 {
  const Toeplitz::Tables& tables;

  NETRX_AVX2 void operator()(const RssTuple6* in, std::uint32_t* out) const {
    Sums sums{};
    add_bytes<0, 0, 16>(sums, tables, in);
    add_bytes<16, 16, 16>(sums, tables, in);
    add_bytes<20, 32, 4>(sums, tables, in);
    store_hashes(sums, out);
  }
};

}  // namespace

void toeplitz_batch_avx2(const Toeplitz::Tables& tables, const RssTuple4* in, std::size_t count, std::uint32_t* out) {
  toeplitz_in_sixteens<4>(in, count, out, KernelIpv4{tables});
}

void toeplitz_batch_avx2(const Toeplitz::Tables& tables, const RssTuple6* in, std::size_t count, std::uint32_t* out) {
  toeplitz_in_sixteens<0>(in, count, out, KernelIpv6{tables});
}

}  // namespace netrx::wire
#endif
