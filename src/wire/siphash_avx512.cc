// SPDX-License-Identifier: Apache-2.0
#include "wire/siphash_batch.h"

#if defined(NETRX_X86)
namespace netrx::wire {
namespace {

constexpr std::size_t kLanes = 8;

/// Eight SipHash states, one a lane.
struct State {
  __m512i v0, v1, v2, v3;
};

NETRX_INLINE_AVX512 void start(State& s, SipHashKey key) {
  s.v0 = _mm512_set1_epi64(static_cast<long long>(key.k0 ^ 0x736f6d6570736575));
  s.v1 = _mm512_set1_epi64(static_cast<long long>(key.k1 ^ 0x646f72616e646f6d));
  s.v2 = _mm512_set1_epi64(static_cast<long long>(key.k0 ^ 0x6c7967656e657261));
  s.v3 = _mm512_set1_epi64(static_cast<long long>(key.k1 ^ 0x7465646279746573));
}

NETRX_INLINE_AVX512 void round(State& s) {
  s.v0 = _mm512_add_epi64(s.v0, s.v1);
  s.v2 = _mm512_add_epi64(s.v2, s.v3);
  s.v1 = _mm512_xor_si512(_mm512_rol_epi64(s.v1, 13), s.v0);
  s.v3 = _mm512_xor_si512(_mm512_rol_epi64(s.v3, 16), s.v2);
  s.v0 = _mm512_rol_epi64(s.v0, 32);
  s.v2 = _mm512_add_epi64(s.v2, s.v1);
  s.v0 = _mm512_add_epi64(s.v0, s.v3);
  s.v1 = _mm512_xor_si512(_mm512_rol_epi64(s.v1, 17), s.v2);
  s.v3 = _mm512_xor_si512(_mm512_rol_epi64(s.v3, 21), s.v0);
  s.v2 = _mm512_rol_epi64(s.v2, 32);
}

/// Word w of eight keys: up to nine, and the last one hashed.
struct Words {
  __m512i at[9];
  __m512i last;
};

/// Turns eight rows of eight words into eight columns.
NETRX_INLINE_AVX512 void transpose(Words& rows) {
  __m512i pair[8], quad[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    pair[2 * i] = _mm512_unpacklo_epi64(rows.at[2 * i], rows.at[2 * i + 1]);
    pair[2 * i + 1] = _mm512_unpackhi_epi64(rows.at[2 * i], rows.at[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const int a = i % 2 + i / 2 * 4;
    quad[a] = _mm512_shuffle_i64x2(pair[a], pair[a + 2], 0x88);
    quad[a + 2] = _mm512_shuffle_i64x2(pair[a], pair[a + 2], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows.at[i] = _mm512_shuffle_i64x2(quad[i], quad[i + 4], 0x88);
    rows.at[i + 4] = _mm512_shuffle_i64x2(quad[i], quad[i + 4], 0xdd);
  }
}

NETRX_INLINE_AVX512 __m512i length_word(std::size_t words) {
  const std::uint64_t length = std::uint64_t{8 * words} << 56;
  return _mm512_set1_epi64(static_cast<long long>(length));
}

/// Keys as rows, to be turned.
struct Rows {
  const SipGroup& group;

  std::size_t size() const { return group.size; }

  template <std::size_t kWords>
  NETRX_INLINE_AVX512 void load(Words& words, std::size_t from) const {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kLanes; ++i) words.at[i] = _mm512_loadu_si512(group.bytes(from + i));
    transpose(words);
    std::array<std::uint64_t, kLanes> lanes;
    if constexpr (kWords > 8) {
      for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = load_unaligned<std::uint64_t>(group.bytes(from + i) + 64);
      words.at[8] = _mm512_loadu_si512(lanes.data());
    }
    words.last = length_word(kWords);
    if constexpr (kWords == kSipWordsOther) {
      for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = sip_last_word(group.at(from + i));
      words.last = _mm512_loadu_si512(lanes.data());
    }
  }

  NETRX_INLINE_AVX512 void store(__m256i hash, std::size_t from) const {
    std::array<std::uint32_t, kLanes> lanes;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes.data()), hash);
    const std::size_t count = std::min(kLanes, group.size - from);
    for (std::size_t i = 0; i < count; ++i) group.store(from + i, lanes[i]);
  }
};

/// Keys as columns, padded.
template <std::size_t kColumns>
struct Columns {
  SipColumns<kColumns>& flows;

  std::size_t size() const { return flows.size; }

  template <std::size_t kWords>
  NETRX_INLINE_AVX512 void load(Words& words, std::size_t from) const {
#pragma GCC unroll 9
    for (std::size_t w = 0; w < kWords; ++w) words.at[w] = _mm512_loadu_si512(&flows.word[w][from]);
    words.last = length_word(kWords);
  }

  NETRX_INLINE_AVX512 void store(__m256i hash, std::size_t from) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(&flows.hash[from]), hash);
  }
};

NETRX_INLINE_AVX512 __m256i finish(State& s) {
  const __m512i all = _mm512_xor_si512(_mm512_xor_si512(s.v0, s.v1), _mm512_xor_si512(s.v2, s.v3));
  return _mm256_max_epu32(_mm512_cvtepi64_epi32(all), _mm256_set1_epi32(1));
}

/// Eight keys from position `from` on, and as many again for each further chain: several chains of dependent
/// instructions keep the units busy where one leaves them waiting.
template <std::size_t kWords, std::size_t kChains, class Keys>
NETRX_INLINE_AVX512 void hash_lanes(SipHashKey key, const Keys& keys, std::size_t from) {
  State state[kChains];
  Words words[kChains];
#pragma GCC unroll 4
  for (std::size_t p = 0; p < kChains; ++p) {
    start(state[p], key);
    keys.template load<kWords>(words[p], from + p * kLanes);
  }
#pragma GCC unroll 16
  for (std::size_t w = 0; w <= kWords; ++w) {
    __m512i word[kChains];
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kChains; ++p) {
      word[p] = w == kWords ? words[p].last : words[p].at[w];
      state[p].v3 = _mm512_xor_si512(state[p].v3, word[p]);
    }
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kChains; ++p) round(state[p]);
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kChains; ++p) round(state[p]);
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kChains; ++p) state[p].v0 = _mm512_xor_si512(state[p].v0, word[p]);
  }
#pragma GCC unroll 4
  for (std::size_t p = 0; p < kChains; ++p) state[p].v2 = _mm512_xor_si512(state[p].v2, _mm512_set1_epi64(0xff));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kChains; ++p) round(state[p]);
  }
#pragma GCC unroll 4
  for (std::size_t p = 0; p < kChains; ++p) keys.store(finish(state[p]), from + p * kLanes);
}

template <std::size_t kWords, class Keys>
NETRX_AVX512 void hash_all(SipHashKey key, const Keys& keys) {
  for (std::size_t from = 0; from < keys.size();) {
    if (keys.size() - from > 3 * kLanes) {
      hash_lanes<kWords, 4>(key, keys, from);
      from += 4 * kLanes;
    } else if (keys.size() - from > kLanes) {
      hash_lanes<kWords, 2>(key, keys, from);
      from += 2 * kLanes;
    } else {
      hash_lanes<kWords, 1>(key, keys, from);
      from += kLanes;
    }
  }
}

struct Kernel {
  template <std::size_t kWords>
  static void hash(SipHashKey key, const SipGroup& group) {
    hash_all<kWords>(key, Rows{group});
  }
};

}  // namespace

void siphash_batch_avx512(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out) {
  siphash_in_groups<Kernel>(key, keys, out);
}

void siphash_columns_avx512(SipHashKey key, SipColumns<kSipWordsIpv4>& flows) {
  hash_all<kSipWordsIpv4>(key, Columns<kSipWordsIpv4>{flows});
}

void siphash_columns_avx512(SipHashKey key, SipColumns<kSipWordsIpv6>& flows) {
  hash_all<kSipWordsIpv6>(key, Columns<kSipWordsIpv6>{flows});
}

}  // namespace netrx::wire
#endif
