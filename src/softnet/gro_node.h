// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "cpu/counter.h"
#include "netrx/byte_order.h"
#include "netrx/packet.h"

namespace netrx {

/// What two packets of one flow have in common: all that the kernel compares before it looks at sequence numbers,
/// except for what stands between link header and innermost IP header (GroHeaders::layers). Eight words, made in
/// registers and compared there. Kernel: gro_list_prepare and the protocols' same_flow.
struct GroKey {
  std::uint64_t link_front;              ///< the link header's first 8 bytes; 0 where the device has none
  std::uint64_t link_back;               ///< its other 6, and above them the TCI of a tag in the packet's fields
  std::uint64_t network;                 ///< the device's hash (Kernel: skb_get_hash_raw); above it the label
  std::array<std::uint64_t, 4> address;  ///< innermost source and destination; IPv4: one word, the others 0
  std::uint64_t transport;               ///< ports, TPID of a tag << 32, where the header stands in the packet << 48

  std::uint32_t hash() const { return static_cast<std::uint32_t>(network); }
  /// IP version << 28 | transport protocol << 20 | flow label.
  std::uint32_t label() const { return static_cast<std::uint32_t>(network >> 32); }
  std::uint8_t protocol() const { return (label() >> 20) & 0xff; }
  std::uint32_t ports() const { return static_cast<std::uint32_t>(transport); }

  bool operator==(const GroKey& other) const {
    const std::uint64_t addresses_differ = (address[0] ^ other.address[0]) | (address[1] ^ other.address[1]) |
                                           (address[2] ^ other.address[2]) | (address[3] ^ other.address[3]);
    return (addresses_differ | (link_front ^ other.link_front) | (link_back ^ other.link_back) |
            (network ^ other.network) | (transport ^ other.transport)) == 0;
  }
};
static_assert(sizeof(GroKey) == 64);

/// The fields of one IP header that the next segment must continue.
struct GroNetwork {
  static constexpr std::uint32_t kTtl = 0xff00, kTos = 0xff;  ///< TTL or hop limit, TOS or traffic class
  static constexpr std::uint32_t kDf = 1u << 16, kIpv4 = 1u << 17;

  std::uint32_t fields;  ///< the bits above
  std::uint32_t id;      ///< IPv4 only, as is kDf

  static GroNetwork ipv4(std::uint8_t ttl, std::uint8_t tos, bool df, std::uint16_t id) {
    return {.fields = std::uint32_t{ttl} << 8 | tos | (df ? kDf : 0) | kIpv4, .id = id};
  }
  static GroNetwork ipv6(std::uint8_t hop_limit, std::uint8_t traffic_class) {
    return {.fields = std::uint32_t{hop_limit} << 8 | traffic_class, .id = 0};
  }
  bool is_ipv4() const { return (fields & kIpv4) != 0; }
  bool df() const { return (fields & kDf) != 0; }
};

/// Which tunnel stands between the outer and the inner IP header.
enum class GroTunnel : std::uint8_t { none, ip, gre, vxlan, geneve };

/// A held packet and what has been merged into it. Kernel: a packet of napi_struct.gro_hash with its napi_gro_cb.
struct alignas(64) GroHeld {
  GroKey key{};
  Packet* packet = nullptr;
  Packet* last = nullptr;        ///< the last of its frags; null: it has none
  std::uint32_t next_seq = 0;    ///< TCP: where the next segment must begin
  std::uint32_t ack = 0;         ///< TCP, as it stands in the frame
  std::uint32_t flag_word = 0;   ///< TCP: offset, flags and window of the first segment, as they stand in the frame
  std::uint32_t payload_at = 0;  ///< counted from the packet's data
  std::array<GroNetwork, 2> network{};  ///< outermost; innermost
  std::uint32_t age = 0;                ///< the tick in which it was first held
  std::uint16_t count = 0;              ///< segments
  std::uint16_t parts = 0;              ///< frags of `packet`
  std::uint8_t late_flags = 0;          ///< TCP: FIN and PSH of merged segments, still to be written to the header
  std::uint8_t last_nr_frags = 0;  ///< frags of the packet the kernel would append to: this one, or its frag_list's end
  GroTunnel tunnel = GroTunnel::none;
  bool last_is_head : 1 = true;  ///< last_nr_frags is that of `packet` itself
  bool fixed_id : 1 = false;     ///< TCP with DF: the ids do not count up. Kernel: ip_fixedid
  bool fraglist : 1 = false;     ///< Kernel: is_flist
};
static_assert(sizeof(GroHeld) == 128);

/// Some held packets, oldest first. Kernel: struct gro_list.
struct GroBucket {
  static constexpr std::uint32_t kCapacity = 8;  ///< Kernel: MAX_GRO_SKBS

  std::uint32_t count = 0;
  std::array<std::uint32_t, kCapacity> tags{};  ///< a hash over each flow's key: what a look-up compares first
  std::array<std::uint8_t, kCapacity> slots{0, 1, 2, 3, 4, 5, 6, 7};  ///< which GroHeld; behind `count`: free ones
};

/// The GRO stage's state of one NAPI. Kernel: napi_struct.gro_hash, gro_bitmask, rx_list, rx_count.
///
/// Ownership: whoever holds SCHED of the NAPI; the two counters are read by anyone.
struct GroNode {
  static constexpr std::uint32_t kKernelBuckets = 8;  ///< Kernel: GRO_HASH_BUCKETS
  static constexpr std::uint32_t kMaxBuckets = 64;

  PacketBatch rx_list;             ///< finished packets, in the order in which they go up
  std::uint32_t rx_count = 0;      ///< segments in rx_list
  std::uint32_t flow_buckets = 0;  ///< as the setting was when nothing was held; 0: the kernel's, by device hash
  std::uint64_t bitmask = 0;       ///< buckets that are not empty
  std::array<GroBucket, kMaxBuckets> bucket;
  std::unique_ptr<std::array<GroHeld, kMaxBuckets * GroBucket::kCapacity>>
      held;  ///< null: a backlog, which never holds

  /// Before the first packet.
  void make_room() { held = std::make_unique<std::array<GroHeld, kMaxBuckets * GroBucket::kCapacity>>(); }

  Counter held_in, held_out;    ///< packets that were held, and that are no longer: their difference waits here
  Counter parts_in, parts_out;  ///< the same of their frags
};

}  // namespace netrx
