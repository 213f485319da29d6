// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "netrx/flow.h"
#include "wire/rss_input.h"
#include "wire/sip_columns.h"

namespace netrx {
namespace {

/// Frames dissected before they are hashed together.
constexpr std::size_t kGroup = 64;
/// Frames ahead of the one being read whose first bytes are fetched: enough work between the two to hide a trip to
/// memory.
constexpr std::size_t kAhead = 8;

FlowHash hash_one(const SipHash& hash, const FlowInput& in) {
  FlowKeys keys;
  dissect(in, keys);
  consistentify(keys);
  return {hash.hash(keys), keys.have_l4()};
}

FlowHash hash_one(const Toeplitz& hash, const FlowInput& in) {
  const RssInput input = rss_input(in);
  return {hash.hash(input), input.l4()};
}

void prefetch(std::span<const FlowInput> in, std::size_t i) {
  if (i >= in.size()) return;
  // Addresses and ports of an untagged IPv6 frame may reach into a second cache line.
  __builtin_prefetch(in[i].data);
  __builtin_prefetch(in[i].data + (in[i].len > 43 ? 43 : 0));
}

template <class Columns>
void hash_into(const SipHash& hash, Columns& flows, FlowHash* out) {
  if (flows.size == 0) return;
  wire::hash_columns(hash, flows);
  for (std::size_t i = 0; i < flows.size; ++i) out[flows.position[i]].hash = flows.hash[i];
}

/// Flow keys of the frames that had to be walked, and where their hashes belong.
struct WalkedFlows {
  FlowKeys keys[kGroup];
  std::uint8_t position[kGroup];
  std::size_t size = 0;

  void add(const FlowInput& in, std::size_t at, bool& l4) {
    dissect(in, keys[size]);
    consistentify(keys[size]);
    l4 = keys[size].have_l4();
    position[size++] = static_cast<std::uint8_t>(at);
  }
  void hash_into(const SipHash& hash, FlowHash* out) const {
    std::uint32_t hashes[kGroup];
    hash.hash_batch(std::span(keys).first(size), hashes);
    for (std::size_t i = 0; i < size; ++i) out[position[i]].hash = hashes[i];
  }
};

void hash_group(const SipHash& hash, std::span<const FlowInput> in, FlowHash* out) {
  wire::SipColumns<wire::kSipWordsIpv4> v4;
  wire::SipColumns<wire::kSipWordsIpv6> v6;
  WalkedFlows walked;
  for (std::size_t i = 0; i < in.size(); ++i) {
    prefetch(in, i + kAhead);
    if (!wire::add_plain_flow(in[i], i, v4, v6, out[i].l4)) walked.add(in[i], i, out[i].l4);
  }
  hash_into(hash, v4, out);
  hash_into(hash, v6, out);
  if (walked.size != 0) walked.hash_into(hash, out);
}

/// Tuples of one kind, packed, and where their hashes belong.
template <class Tuple>
struct PackedTuples {
  // One more than can be kept: the next free place is always there to be written to.
  Tuple tuples[kGroup + 1];
  std::uint8_t position[kGroup + 1];
  std::size_t size = 0;

  void keep(bool wanted, std::size_t at) {
    position[size] = static_cast<std::uint8_t>(at);
    size += wanted ? 1 : 0;
  }
  void hash_into(const Toeplitz& hash, FlowHash* out) const {
    std::uint32_t hashes[kGroup];
    hash.hash_batch(std::span(tuples).first(size), hashes);
    for (std::size_t i = 0; i < size; ++i) out[position[i]].hash = hashes[i];
  }
};

void hash_group(const Toeplitz& hash, std::span<const FlowInput> in, FlowHash* out) {
  PackedTuples<RssTuple4> v4;
  PackedTuples<RssTuple6> v6;
  for (std::size_t i = 0; i < in.size(); ++i) {
    prefetch(in, i + kAhead);
    const RssKind kind = wire::read_rss_tuple(in[i], v4.tuples[v4.size], v6.tuples[v6.size]);
    v4.keep(kind == RssKind::ipv4 || kind == RssKind::ipv4_ports, i);
    v6.keep(kind == RssKind::ipv6 || kind == RssKind::ipv6_ports, i);
    out[i] = {.hash = 0, .l4 = kind == RssKind::ipv4_ports || kind == RssKind::ipv6_ports};
  }
  v4.hash_into(hash, out);
  v6.hash_into(hash, out);
}

}  // namespace

FlowHash skb_get_hash(const FlowInput& in, SipHashKey key) { return hash_one(SipHash(key, SimdLevel::scalar), in); }

FlowHash FlowHasher::hash(const FlowInput& in) const {
  return std::visit([&](const auto& hash) { return hash_one(hash, in); }, hash_);
}

void FlowHasher::hash_batch(std::span<const FlowInput> in, std::span<FlowHash> out) const {
  for (std::size_t from = 0; from < in.size(); from += kGroup) {
    const std::span<const FlowInput> group = in.subspan(from, std::min(kGroup, in.size() - from));
    std::visit([&](const auto& hash) { hash_group(hash, group, &out[from]); }, hash_);
  }
}

}  // namespace netrx
