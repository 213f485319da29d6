// SPDX-License-Identifier: Apache-2.0
#include "wire/toeplitz_batch.h"

#if defined(NETRX_X86)
#include <array>

/// Toeplitz is linear: the hash is the XOR of what each input byte adds, and what a byte adds to one byte of the hash
/// is an 8x8 bit matrix. One gf2p8affineqb multiplies eight bytes in each of eight 64-bit lanes by that lane's matrix,
/// so tuples are rearranged until a lane holds the same byte of eight tuples. For 16 tuples and each byte of the hash:
///   a: address bytes of tuples 0-7     b: of tuples 8-15     c: port bytes, tuples 0-7 in the lower half, 8-15 in the
///   upper
/// and XORing the lanes of each gives the hashes.
namespace netrx::wire {
namespace {

using Bytes64 = std::array<std::uint8_t, 64>;

NETRX_INLINE_AVX512 __m512i load(const void* at) { return _mm512_loadu_si512(at); }

/// What each lane adds to the four bytes of the hash.
struct Sums {
  __m512i at[4];
};

NETRX_INLINE_AVX512 Sums multiply(__m512i lanes, const Toeplitz::Tables::Matrices& matrices) {
  return {_mm512_gf2p8affine_epi64_epi8(lanes, load(matrices[0].data()), 0),
          _mm512_gf2p8affine_epi64_epi8(lanes, load(matrices[1].data()), 0),
          _mm512_gf2p8affine_epi64_epi8(lanes, load(matrices[2].data()), 0),
          _mm512_gf2p8affine_epi64_epi8(lanes, load(matrices[3].data()), 0)};
}

NETRX_INLINE_AVX512 __m512i xor3(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }

/// Lower halves of the two side by side XOR upper halves of the two side by side.
NETRX_INLINE_AVX512 __m512i fold_halves(__m512i a, __m512i b, __m512i c) {
  return xor3(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xee), c);
}

NETRX_INLINE_AVX512 __m512i fold_neighbours(__m512i a, __m512i b) {
  return _mm512_xor_si512(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/// Where byte j of hash t stands after the folds.
constexpr Bytes64 kHashOrder = [] {
  Bytes64 order{};
  for (unsigned t = 0; t < 16; ++t) {
    for (unsigned j = 0; j < 4; ++j) {
      const unsigned lane = j / 2 * 4 + t / 8 * 2 + j % 2;
      order[4 * t + j] = static_cast<std::uint8_t>(8 * lane + t % 8);
    }
  }
  return order;
}();

NETRX_INLINE_AVX512 void store_hashes(const Sums& a, const Sums& b, const Sums& c, std::uint32_t* out) {
  const __m512i r01 = fold_neighbours(fold_halves(a.at[0], b.at[0], c.at[0]), fold_halves(a.at[1], b.at[1], c.at[1]));
  const __m512i r23 = fold_neighbours(fold_halves(a.at[2], b.at[2], c.at[2]), fold_halves(a.at[3], b.at[3], c.at[3]));
  const __m512i r = _mm512_xor_si512(_mm512_shuffle_i64x2(r01, r23, 0x88), _mm512_shuffle_i64x2(r01, r23, 0xdd));
  _mm512_storeu_si512(out, _mm512_permutexvar_epi8(load(kHashOrder.data()), r));
}

/// The last 32-bit word, the ports, of 16 packed tuples: they stand at 16 different places modulo 16, so blending the
/// registers that hold the tuples collects them.
template <class Tuple>
struct Ports {
  static constexpr unsigned kStride = sizeof(Tuple) / 4;

  static constexpr std::array<std::uint16_t, kStride> kMask = [] {
    std::array<std::uint16_t, kStride> mask{};
    for (unsigned t = 0; t < 16; ++t) {
      const unsigned word = kStride * t + kStride - 1;
      mask[word / 16] = static_cast<std::uint16_t>(mask[word / 16] | 1u << word % 16);
    }
    return mask;
  }();

  /// Lane i: byte i of the ports of tuples 0-7; lane 4 + i: of tuples 8-15.
  static constexpr Bytes64 kOrder = [] {
    Bytes64 order{};
    for (unsigned t = 0; t < 16; ++t) {
      const unsigned word = (kStride * t + kStride - 1) % 16;
      for (unsigned i = 0; i < 4; ++i) order[8 * (t / 8 * 4 + i) + t % 8] = static_cast<std::uint8_t>(4 * word + i);
    }
    return order;
  }();

  NETRX_INLINE_AVX512 static __m512i lanes(const Tuple* in) {
    const auto* words = reinterpret_cast<const std::uint8_t*>(in);
    __m512i all = load(words);
#pragma GCC unroll 8
    for (unsigned i = 1; i < kStride; ++i) all = _mm512_mask_loadu_epi32(all, kMask[i], words + 64 * i);
    return _mm512_permutexvar_epi8(load(kOrder.data()), all);
  }
};

/// Lane i: byte i of the addresses of eight packed IPv4 tuples, out of two registers whose bytes start `at` before the
/// first of them.
template <unsigned kAt>
constexpr Bytes64 kIpv4Order = [] {
  Bytes64 order{};
  for (unsigned i = 0; i < 8; ++i) {
    for (unsigned t = 0; t < 8; ++t) order[8 * i + t] = static_cast<std::uint8_t>(kAt + sizeof(RssTuple4) * t + i);
  }
  return order;
}();

struct KernelIpv4 {
  const Toeplitz::Tables& tables;

  NETRX_AVX512 void operator()(const RssTuple4* in, std::uint32_t* out) const {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(in);
    const __m512i x = load(bytes), y = load(bytes + 64), z = load(bytes + 128);
    const __m512i a = _mm512_permutex2var_epi8(x, load(kIpv4Order<0>.data()), y);
    const __m512i b = _mm512_permutex2var_epi8(y, load(kIpv4Order<96 - 64>.data()), z);
    store_hashes(multiply(a, tables.ipv4[0]), multiply(b, tables.ipv4[0]),
                 multiply(Ports<RssTuple4>::lanes(in), tables.ipv4[1]), out);
  }
};

/// From two registers of two tuples each to bytes 16 * kHalf to 16 * kHalf + 15 of the four, byte by byte.
template <unsigned kHalf>
constexpr Bytes64 kIpv6Order = [] {
  Bytes64 order{};
  for (unsigned i = 0; i < 16; ++i) {
    for (unsigned t = 0; t < 4; ++t) order[4 * i + t] = static_cast<std::uint8_t>(32 * t + 16 * kHalf + i);
  }
  return order;
}();

NETRX_INLINE_AVX512 __m512i two_tuples(const RssTuple6* in) {
  const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)));
  return _mm512_inserti64x4(low, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 1)), 1);
}

/// The addresses of eight tuples.
NETRX_INLINE_AVX512 Sums ipv6_addresses(const RssTuple6* in, const Toeplitz::Tables& tables) {
  const __m512i t01 = two_tuples(in), t23 = two_tuples(in + 2), t45 = two_tuples(in + 4), t67 = two_tuples(in + 6);
  const __m512i order_src = load(kIpv6Order<0>.data()), order_dst = load(kIpv6Order<1>.data());
  const __m512i src_0 = _mm512_permutex2var_epi8(t01, order_src, t23);
  const __m512i src_4 = _mm512_permutex2var_epi8(t45, order_src, t67);
  const __m512i dst_0 = _mm512_permutex2var_epi8(t01, order_dst, t23);
  const __m512i dst_4 = _mm512_permutex2var_epi8(t45, order_dst, t67);
  const Sums s0 = multiply(_mm512_unpacklo_epi32(src_0, src_4), tables.ipv6[0]);
  const Sums s1 = multiply(_mm512_unpackhi_epi32(src_0, src_4), tables.ipv6[1]);
  const Sums s2 = multiply(_mm512_unpacklo_epi32(dst_0, dst_4), tables.ipv6[2]);
  const Sums s3 = multiply(_mm512_unpackhi_epi32(dst_0, dst_4), tables.ipv6[3]);
  Sums sums;
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) sums.at[j] = _mm512_xor_si512(xor3(s0.at[j], s1.at[j], s2.at[j]), s3.at[j]);
  return sums;
}

struct KernelIpv6 {
  const Toeplitz::Tables& tables;

  NETRX_AVX512 void operator()(const RssTuple6* in, std::uint32_t* out) const {
    const Sums a = ipv6_addresses(in, tables);
    const Sums b = ipv6_addresses(in + 8, tables);
    store_hashes(a, b, multiply(Ports<RssTuple6>::lanes(in), tables.ipv6[4]), out);
  }
};

}  // namespace

void toeplitz_batch_avx512(const Toeplitz::Tables& tables, const RssTuple4* in, std::size_t count, std::uint32_t* out) {
  toeplitz_in_sixteens<0>(in, count, out, KernelIpv4{tables});
}

void toeplitz_batch_avx512(const Toeplitz::Tables& tables, const RssTuple6* in, std::size_t count, std::uint32_t* out) {
  toeplitz_in_sixteens<0>(in, count, out, KernelIpv6{tables});
}

}  // namespace netrx::wire
#endif
