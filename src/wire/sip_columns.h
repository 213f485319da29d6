// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "netrx/flow.h"

namespace netrx::wire {

/// The hash inputs of up to 64 flows of one kind, word by word: words of one number stand side by side, as vector units
/// take them. Word 0 is the first that is hashed; the last, the length, is the same for all and not kept.
template <std::size_t kWordCount>
struct SipColumns {
  static constexpr std::size_t kWords = kWordCount;
  static constexpr std::size_t kCapacity = 64;
  static constexpr std::size_t kLanes = 16;  ///< a hash function may take so many flows at a time

  alignas(64) std::array<std::array<std::uint64_t, kCapacity>, kWords> word;
  alignas(64) std::array<std::uint32_t, kCapacity> hash;  ///< the results, up to the next multiple of kLanes
  std::array<std::uint8_t, kCapacity> position;           ///< the caller's: whose flow it is
  std::size_t size = 0;

  void add(std::size_t at) { position[size++] = static_cast<std::uint8_t>(at); }
  /// Gives lanes without a flow something to chew.
  void pad() {
    const std::size_t end = (size + kLanes - 1) / kLanes * kLanes;
    for (auto& column : word) std::fill(column.begin() + size, column.begin() + end, 0);
  }
};

/// The words of the flow that will be added next, numbered as those of FlowKeys; see KeyWords in flow_dissect.cc.
template <std::size_t kWords>
class ColumnWords {
 public:
  explicit ColumnWords(SipColumns<kWords>& columns) : first_(columns.word[0].data() + columns.size) {}
  std::uint64_t get(std::size_t word) const { return first_[(word - 1) * SipColumns<kWords>::kCapacity]; }
  /// What is not hashed is not kept.
  void put(std::size_t word, std::uint64_t value) const {
    if (word >= 1 && word <= kWords) first_[(word - 1) * SipColumns<kWords>::kCapacity] = value;
  }

 private:
  std::uint64_t* first_;
};

/// Whole 64-bit words hashed before the last, by kind of addresses.
inline constexpr std::size_t kSipWordsIpv4 = 6;
inline constexpr std::size_t kSipWordsIpv6 = 9;

/// dissect() and consistentify() for frames whose flow keys need no walk: TCP or UDP straight in an unfragmented IP
/// header, behind at most one VLAN tag. Appends what is to be hashed, as flow `at`, to the columns of its kind and sets
/// `l4`. False, with nothing appended: it is not such a frame.
bool add_plain_flow(const FlowInput& in, std::size_t at, SipColumns<kSipWordsIpv4>& v4, SipColumns<kSipWordsIpv6>& v6,
                    bool& l4);

/// Hashes columns, at the level that `hash` has. Overwrites their unused lanes.
void hash_columns(const SipHash& hash, SipColumns<kSipWordsIpv4>& flows);
void hash_columns(const SipHash& hash, SipColumns<kSipWordsIpv6>& flows);

}  // namespace netrx::wire
