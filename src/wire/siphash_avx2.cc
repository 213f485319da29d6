// SPDX-License-Identifier: Apache-2.0
#include "wire/siphash_batch.h"

#if defined(NETRX_X86)
namespace netrx::wire {
namespace {

constexpr std::size_t kLanes = 4;

/// Four SipHash states, one a lane.
struct State {
  __m256i v0, v1, v2, v3;
};

NETRX_INLINE_AVX2 __m256i all_lanes(std::uint64_t value) { return _mm256_set1_epi64x(static_cast<long long>(value)); }

template <int kBits>
NETRX_INLINE_AVX2 __m256i rotate(__m256i x) {
  if constexpr (kBits == 32) {
    return _mm256_shuffle_epi32(x, 0xb1);
  } else if constexpr (kBits == 16) {
    const __m256i bytes = _mm256_set_epi8(13, 12, 11, 10, 9, 8, 15, 14, 5, 4, 3, 2, 1, 0, 7, 6,  //
                                          13, 12, 11, 10, 9, 8, 15, 14, 5, 4, 3, 2, 1, 0, 7, 6);
    return _mm256_shuffle_epi8(x, bytes);
  } else {
    return _mm256_or_si256(_mm256_slli_epi64(x, kBits), _mm256_srli_epi64(x, 64 - kBits));
  }
}

NETRX_INLINE_AVX2 void start(State& s, SipHashKey key) {
  s.v0 = all_lanes(key.k0 ^ 0x736f6d6570736575);
  s.v1 = all_lanes(key.k1 ^ 0x646f72616e646f6d);
  s.v2 = all_lanes(key.k0 ^ 0x6c7967656e657261);
  s.v3 = all_lanes(key.k1 ^ 0x7465646279746573);
}

NETRX_INLINE_AVX2 void round(State& s) {
  s.v0 = _mm256_add_epi64(s.v0, s.v1);
  s.v2 = _mm256_add_epi64(s.v2, s.v3);
  s.v1 = _mm256_xor_si256(rotate<13>(s.v1), s.v0);
  s.v3 = _mm256_xor_si256(rotate<16>(s.v3), s.v2);
  s.v0 = rotate<32>(s.v0);
  s.v2 = _mm256_add_epi64(s.v2, s.v1);
  s.v0 = _mm256_add_epi64(s.v0, s.v3);
  s.v1 = _mm256_xor_si256(rotate<17>(s.v1), s.v2);
  s.v3 = _mm256_xor_si256(rotate<21>(s.v3), s.v0);
  s.v2 = rotate<32>(s.v2);
}

/// Two times four states: two chains of dependent instructions keep the units busy where one leaves them waiting.
struct Pair {
  State a, b;
};

NETRX_INLINE_AVX2 void rounds(Pair& s, int count) {
  for (int i = 0; i < count; ++i) {
    round(s.a);
    round(s.b);
  }
}

NETRX_INLINE_AVX2 void absorb(Pair& s, __m256i a, __m256i b) {
  s.a.v3 = _mm256_xor_si256(s.a.v3, a);
  s.b.v3 = _mm256_xor_si256(s.b.v3, b);
  rounds(s, 2);
  s.a.v0 = _mm256_xor_si256(s.a.v0, a);
  s.b.v0 = _mm256_xor_si256(s.b.v0, b);
}

struct FourWords {
  __m256i at[4];
};

NETRX_INLINE_AVX2 __m256i length_word(std::size_t words) { return all_lanes(std::uint64_t{8 * words} << 56); }

/// Keys as rows, to be turned.
struct Rows {
  const SipGroup& group;

  std::size_t size() const { return group.size; }

  /// Word `word` of four keys.
  NETRX_INLINE_AVX2 __m256i word(std::size_t from, std::size_t word) const {
    const auto at = [&](std::size_t i) { return load_unaligned<long long>(group.bytes(from + i) + 8 * word); };
    return _mm256_set_epi64x(at(3), at(2), at(1), at(0));
  }

  /// Words `word` to `word` + 3 of four keys.
  NETRX_INLINE_AVX2 FourWords four_words(std::size_t from, std::size_t word) const {
    const auto row = [&](std::size_t i) { return reinterpret_cast<const __m256i*>(group.bytes(from + i) + 8 * word); };
    const __m256i a = _mm256_loadu_si256(row(0)), b = _mm256_loadu_si256(row(1));
    const __m256i c = _mm256_loadu_si256(row(2)), d = _mm256_loadu_si256(row(3));
    const __m256i ab_even = _mm256_unpacklo_epi64(a, b), ab_odd = _mm256_unpackhi_epi64(a, b);
    const __m256i cd_even = _mm256_unpacklo_epi64(c, d), cd_odd = _mm256_unpackhi_epi64(c, d);
    return {_mm256_permute2x128_si256(ab_even, cd_even, 0x20), _mm256_permute2x128_si256(ab_odd, cd_odd, 0x20),
            _mm256_permute2x128_si256(ab_even, cd_even, 0x31), _mm256_permute2x128_si256(ab_odd, cd_odd, 0x31)};
  }

  /// The same in all lanes but for keys without IP addresses.
  template <std::size_t kWords>
  NETRX_INLINE_AVX2 __m256i last_word(std::size_t from) const {
    if constexpr (kWords != kSipWordsOther) {
      return length_word(kWords);
    } else {
      std::array<std::uint64_t, kLanes> lanes;
      for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = sip_last_word(group.at(from + i));
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes.data()));
    }
  }

  void store(std::uint32_t hash, std::size_t i) const {
    if (i < group.size) group.store(i, hash);
  }
};

/// Keys as columns, padded.
template <std::size_t kColumns>
struct Columns {
  SipColumns<kColumns>& flows;

  std::size_t size() const { return flows.size; }
  NETRX_INLINE_AVX2 __m256i word(std::size_t from, std::size_t word) const {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&flows.word[word][from]));
  }
  NETRX_INLINE_AVX2 FourWords four_words(std::size_t from, std::size_t first) const {
    return {word(from, first), word(from, first + 1), word(from, first + 2), word(from, first + 3)};
  }
  template <std::size_t kWords>
  NETRX_INLINE_AVX2 __m256i last_word(std::size_t) const {
    return length_word(kWords);
  }
  void store(std::uint32_t hash, std::size_t i) const { flows.hash[i] = hash; }
};

template <class Keys>
NETRX_INLINE_AVX2 void finish(State& s, const Keys& keys, std::size_t from) {
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(s.v0, s.v1), _mm256_xor_si256(s.v2, s.v3));
  std::array<std::uint64_t, kLanes> lanes;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes.data()), all);
  for (std::size_t i = 0; i < kLanes; ++i) keys.store(std::max(1u, static_cast<std::uint32_t>(lanes[i])), from + i);
}

template <std::size_t kWords, class Keys>
NETRX_INLINE_AVX2 void hash_eight(SipHashKey key, const Keys& keys, std::size_t from) {
  const std::size_t next = from + kLanes;
  Pair s;
  start(s.a, key);
  start(s.b, key);
  constexpr std::size_t kFours = kWords / 4 * 4;
  for (std::size_t w = 0; w < kFours; w += 4) {
    const FourWords a = keys.four_words(from, w), b = keys.four_words(next, w);
    for (int i = 0; i < 4; ++i) absorb(s, a.at[i], b.at[i]);
  }
  for (std::size_t w = kFours; w < kWords; ++w) absorb(s, keys.word(from, w), keys.word(next, w));
  absorb(s, keys.template last_word<kWords>(from), keys.template last_word<kWords>(next));
  s.a.v2 = _mm256_xor_si256(s.a.v2, all_lanes(0xff));
  s.b.v2 = _mm256_xor_si256(s.b.v2, all_lanes(0xff));
  rounds(s, 4);
  finish(s.a, keys, from);
  finish(s.b, keys, next);
}

template <std::size_t kWords, class Keys>
NETRX_AVX2 void hash_all(SipHashKey key, const Keys& keys) {
  for (std::size_t from = 0; from < keys.size(); from += 2 * kLanes) hash_eight<kWords>(key, keys, from);
}

struct Kernel {
  template <std::size_t kWords>
  static void hash(SipHashKey key, const SipGroup& group) {
    hash_all<kWords>(key, Rows{group});
  }
};

}  // namespace

void siphash_batch_avx2(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out) {
  siphash_in_groups<Kernel>(key, keys, out);
}

void siphash_columns_avx2(SipHashKey key, SipColumns<kSipWordsIpv4>& flows) {
  hash_all<kSipWordsIpv4>(key, Columns<kSipWordsIpv4>{flows});
}

void siphash_columns_avx2(SipHashKey key, SipColumns<kSipWordsIpv6>& flows) {
  hash_all<kSipWordsIpv6>(key, Columns<kSipWordsIpv6>{flows});
}

}  // namespace netrx::wire
#endif
