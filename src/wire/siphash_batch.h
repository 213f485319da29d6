// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "netrx/flow.h"
#include "wire/simd.h"
#include "wire/sip_columns.h"

/// How a batch of flow keys becomes work for vector units: one lane a key, so keys of one length go together.
namespace netrx::wire {

using SipHashBatch = void (*)(SipHashKey, std::span<const FlowKeys>, std::uint32_t*);

void siphash_batch_scalar(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out);
#if defined(NETRX_X86)
void siphash_batch_avx2(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out);
void siphash_batch_avx512(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out);

void siphash_columns_avx2(SipHashKey key, SipColumns<kSipWordsIpv4>& flows);
void siphash_columns_avx2(SipHashKey key, SipColumns<kSipWordsIpv6>& flows);
void siphash_columns_avx512(SipHashKey key, SipColumns<kSipWordsIpv4>& flows);
void siphash_columns_avx512(SipHashKey key, SipColumns<kSipWordsIpv6>& flows);
#endif

/// The same for keys without IP addresses. sip_last_word() holds what is left over.
inline constexpr std::size_t kSipWordsOther = 5;

/// The length, and for TIPC the four bytes that do not fill a word.
inline std::uint64_t sip_last_word(const FlowKeys& keys) {
  const std::uint64_t length = std::uint64_t{keys.hash_length()} << 56;
  if (keys.addr_type != FlowAddrType::tipc) return length;
  return length | load_unaligned<std::uint32_t>(keys.hashed_bytes().data() + 8 * kSipWordsOther);
}

/// Some keys of one batch that have the same number of words, by position. hash() writes to the same positions.
struct SipGroup {
  static constexpr std::size_t kCapacity = 256;

  const FlowKeys* keys;
  std::uint32_t* out;
  std::array<std::uint8_t, kCapacity> position;
  std::size_t size = 0;

  void add(std::size_t at) { position[size++] = static_cast<std::uint8_t>(at); }
  /// Beyond the last: the last again, so that lanes without a key have something to chew.
  const FlowKeys& at(std::size_t i) const { return keys[position[std::min(i, size - 1)]]; }
  /// Where the hashed bytes of key i start. 72 may be read.
  const std::uint8_t* bytes(std::size_t i) const {
    return reinterpret_cast<const std::uint8_t*>(&at(i)) + FlowKeys::kHashStart;
  }
  void store(std::size_t i, std::uint32_t hash) const { out[position[i]] = hash; }
};

/// Sorts each 256 keys into groups and hands them to Kernel::hash<words>(key, group).
template <class Kernel>
void siphash_in_groups(SipHashKey key, std::span<const FlowKeys> keys, std::uint32_t* out) {
  constexpr std::array<std::uint8_t, 4> kGroupOf{2, 0, 1, 2};  // by FlowAddrType
  for (std::size_t from = 0; from < keys.size(); from += SipGroup::kCapacity) {
    const std::size_t count = std::min(SipGroup::kCapacity, keys.size() - from);
    std::array<SipGroup, 3> groups;
    for (SipGroup& group : groups) {
      group.keys = &keys[from];
      group.out = out + from;
    }
    for (std::size_t i = 0; i < count; ++i) {
      groups[kGroupOf[static_cast<std::size_t>(keys[from + i].addr_type)]].add(i);
    }
    if (groups[0].size != 0) Kernel::template hash<kSipWordsIpv4>(key, groups[0]);
    if (groups[1].size != 0) Kernel::template hash<kSipWordsIpv6>(key, groups[1]);
    if (groups[2].size != 0) Kernel::template hash<kSipWordsOther>(key, groups[2]);
  }
}

}  // namespace netrx::wire
