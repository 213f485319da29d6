// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "netrx/flow.h"
#include "wire/siphash_batch.h"

namespace netrx {
namespace {

struct State {
  std::uint64_t v0, v1, v2, v3;

  explicit State(SipHashKey key)
      : v0(key.k0 ^ 0x736f6d6570736575),
        v1(key.k1 ^ 0x646f72616e646f6d),
        v2(key.k0 ^ 0x6c7967656e657261),
        v3(key.k1 ^ 0x7465646279746573) {}

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  std::uint64_t finish() {
    v2 ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

/// Never 0.
std::uint32_t flow_hash(std::uint64_t hash) { return std::max(1u, static_cast<std::uint32_t>(hash)); }

template <class Columns>
void columns_scalar(SipHashKey key, Columns& flows) {
  for (std::size_t i = 0; i < flows.size; ++i) {
    State s(key);
    for (const auto& column : flows.word) s.absorb(column[i]);
    s.absorb(std::uint64_t{8 * Columns::kWords} << 56);
    flows.hash[i] = flow_hash(s.finish());
  }
}

template <class Columns>
void columns_at_level(const SipHash& hash, Columns& flows) {
#if defined(NETRX_X86)
  flows.pad();
  if (hash.level() == SimdLevel::avx512) return wire::siphash_columns_avx512(hash.key(), flows);
  if (hash.level() == SimdLevel::avx2) return wire::siphash_columns_avx2(hash.key(), flows);
#endif
  columns_scalar(hash.key(), flows);
}

wire::SipHashBatch batch_for(SimdLevel level) {
#if defined(NETRX_X86)
  if (level == SimdLevel::avx512) return wire::siphash_batch_avx512;
  if (level == SimdLevel::avx2) return wire::siphash_batch_avx2;
#endif
  return wire::siphash_batch_scalar;
}

}  // namespace

void wire::siphash_batch_scalar(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out) {
  for (const FlowKeys& one : keys) {
    *out++ = flow_hash(siphash_2_4(one.hashed_bytes(), key));
  }
}

void wire::hash_columns(const SipHash& hash, SipColumns<kSipWordsIpv4>& flows) { columns_at_level(hash, flows); }
void wire::hash_columns(const SipHash& hash, SipColumns<kSipWordsIpv6>& flows) { columns_at_level(hash, flows); }

std::uint64_t siphash_2_4(std::span<const std::uint8_t> bytes, SipHashKey key) {
  State s(key);
  const std::size_t whole = bytes.size() / 8 * 8;
  for (std::size_t i = 0; i < whole; i += 8) s.absorb(load_unaligned<std::uint64_t>(&bytes[i]));
  std::uint64_t last = std::uint64_t{bytes.size()} << 56;
  for (std::size_t i = whole; i < bytes.size(); ++i) last |= std::uint64_t{bytes[i]} << (8 * (i - whole));
  s.absorb(last);
  return s.finish();
}

SipHash::SipHash(SipHashKey key, SimdLevel level)
    : key_(key), level_(std::min(level, best_simd_level())), batch_(batch_for(level_)) {}

std::uint32_t SipHash::hash(const FlowKeys& keys) const {
  std::uint32_t out;
  wire::siphash_batch_scalar(key_, {&keys, 1}, &out);
  return out;
}

void SipHash::hash_batch(std::span<const FlowKeys> keys, std::span<std::uint32_t> out) const {
  batch_(key_, keys, out.data());
}

}  // namespace netrx
