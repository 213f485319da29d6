// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <variant>

#include "netrx/byte_order.h"
#include "netrx/error.h"
#include "netrx/packet.h"

/// Which flow does a frame belong to? This header answers in three steps, each usable alone:
///
///   dissect()        bytes of one frame  -> FlowKeys (addresses, ports, tags)
///   consistentify()  FlowKeys            -> the same keys for both directions of a flow
///   SipHash          FlowKeys            -> 32 bits, bit for bit the kernel's skb->hash under the same secret key
///   Toeplitz         outermost addresses -> 32 bits, bit for bit what an RSS network card computes
///
/// FlowHasher does all of them, for one frame or for many at once:
///
///   FlowHasher hasher{SipHash{key}};
///   FlowInput in{.data = l3, .len = bytes_left, .protocol = kEthPIp};
///   FlowHash h = hasher.hash(in);
///
/// Threads: everything here is a pure function or an object that is constant after construction; any number of threads
/// may use one object. Nothing allocates, locks, throws or reads a clock or the environment. No function reads a byte
/// outside [data, data + len); the bytes may be hostile.
namespace netrx {

// ---- dissecting

/// One received frame, from the network header on. The link header has been taken off (eth_type_trans).
struct FlowInput {
  const std::uint8_t* data = nullptr;  ///< the network header; any alignment
  std::uint32_t len = 0;               ///< readable bytes at `data`
  Be16 protocol{};                     ///< EtherType that says what stands at `data`. Kernel: skb->protocol
  bool vlan_present = false;           ///< the device took a VLAN tag out of the frame
  Be16 vlan_proto{};                   ///< that tag's TPID (kEthP8021q or kEthP8021ad)
  std::uint16_t vlan_tci = 0;          ///< that tag's control information, host order
  /// Length of a switch (DSA) tag that the frame came in with, 0 for none. The tag's first two bytes stand where the
  /// EtherType would be, so the real EtherType is the two bytes before data + dsa_tag_len.
  std::uint8_t dsa_tag_len = 0;
  /// What to use as the key of a TIPC keep-alive probe. The kernel draws a random number for each, to spread them over
  /// the CPUs; here randomness is the caller's.
  std::uint32_t tipc_probe_key = 0;

  /// A packet whose `data` stands at its network header.
  static FlowInput of(const Packet& packet) {
    return {.data = packet.data,
            .len = packet.headlen(),
            .protocol = packet.protocol,
            .vlan_present = packet.vlan_present,
            .vlan_proto = packet.vlan_proto,
            .vlan_tci = packet.vlan_tci};
  }
};

/// Which addresses FlowKeys::addrs holds. Decides the hashed length.
enum class FlowAddrType : std::uint16_t { none, ipv4, ipv6, tipc };

/// Bits of FlowKeys::flags. Kernel: FLOW_DIS_*.
inline constexpr std::uint32_t kFlowIsFragment = 1;     ///< an IP fragment, the first one included: no ports
inline constexpr std::uint32_t kFlowFirstFragment = 2;  ///< its offset is 0
inline constexpr std::uint32_t kFlowEncapsulation = 4;  ///< the walk entered a tunnel

/// A VLAN tag as it is hashed. Kernel: struct flow_dissector_key_vlan.
struct FlowVlan {
  std::uint16_t id_and_priority;  ///< id in bits 0-11, priority in bits 13-15, bit 12 (DEI) always 0; host order
  Be16 tpid;
  Be16 eth_type;  ///< what follows the tag
  std::uint16_t padding;
};

/// What a frame is hashed by. Byte for byte the kernel's layout, because the bytes from kHashStart on *are* the hash
/// input, padding included. Kernel: struct flow_keys.
struct alignas(8) FlowKeys {
  static constexpr std::size_t kHashStart = 8;

  // Not hashed.
  std::uint16_t
      thoff;  ///< where the walk stopped, from FlowInput::data: the transport header if there is one; at most len
  FlowAddrType addr_type;
  std::uint32_t flags;  ///< kFlow*

  // Hashed.
  Be16 n_proto;  ///< innermost EtherType reached
  std::uint8_t ip_proto;
  std::uint8_t padding;
  std::uint32_t flow_label;  ///< IPv6 flow label, host order
  FlowVlan vlan;             ///< outermost tag, whether the device took it out or not
  FlowVlan cvlan;            ///< never filled: the kernel does not ask for it when it hashes
  Be32 keyid;                ///< GRE key
  Be16 src_port;             ///< first two bytes of the transport header (or of an ESP/AH SPI)
  Be16 dst_port;
  std::uint32_t icmp;  ///< never filled: all echo traffic between two hosts is one flow
  /// ipv4: source, destination, 4 bytes each; ipv6: source, destination, 16 bytes each; tipc: 4 bytes. What an outer
  /// header wrote beyond an inner one's addresses stays, as in the kernel, and 4 bytes of it are hashed.
  std::array<std::uint8_t, 32> addrs;
  std::uint32_t tail_padding;

  Be32 ipv4_src() const { return load_unaligned<Be32>(addrs.data()); }
  Be32 ipv4_dst() const { return load_unaligned<Be32>(addrs.data() + 4); }
  std::span<const std::uint8_t, 16> ipv6_src() const { return std::span(addrs).first<16>(); }
  std::span<const std::uint8_t, 16> ipv6_dst() const { return std::span(addrs).last<16>(); }
  Be32 tipc_key() const { return load_unaligned<Be32>(addrs.data()); }

  /// Kernel: include/net/flow_dissector.h:flow_keys_have_l4
  bool have_l4() const { return src_port != Be16{} || dst_port != Be16{} || flow_label != 0; }

  /// Bytes hashed from kHashStart on: ipv4 48, ipv6 72, tipc 44, no address 40.
  /// Kernel: net/core/flow_dissector.c:flow_keys_hash_length
  std::size_t hash_length() const {
    constexpr std::array<std::uint8_t, 4> kLength{40, 48, 72, 44};
    return kLength[static_cast<std::uint16_t>(addr_type)];
  }

  std::span<const std::uint8_t> hashed_bytes() const {
    return {reinterpret_cast<const std::uint8_t*>(this) + kHashStart, hash_length()};
  }
};
static_assert(std::is_trivially_copyable_v<FlowKeys> && std::is_standard_layout_v<FlowKeys>);
static_assert(sizeof(FlowKeys) == 80);
static_assert(offsetof(FlowKeys, n_proto) == FlowKeys::kHashStart);
static_assert(offsetof(FlowKeys, ip_proto) == 10);
static_assert(offsetof(FlowKeys, flow_label) == 12);
static_assert(offsetof(FlowKeys, vlan) == 16);
static_assert(offsetof(FlowKeys, cvlan) == 24);
static_assert(offsetof(FlowKeys, keyid) == 32);
static_assert(offsetof(FlowKeys, src_port) == 36);
static_assert(offsetof(FlowKeys, dst_port) == 38);
static_assert(offsetof(FlowKeys, icmp) == 40);
static_assert(offsetof(FlowKeys, addrs) == 44);
static_assert(offsetof(FlowKeys, tail_padding) == 76);

/// good: the walk reached an end the kernel calls a success. bad: it met a damaged, cut off or unknown header. Either
/// way the keys hold what was collected, and that is what gets hashed.
enum class Dissected : std::uint8_t { good, bad };

/// Walks the headers of one frame, tunnels included, and overwrites `keys` with what it finds.
/// Kernel: net/core/flow_dissector.c:__skb_flow_dissect with the keys and flags that skb_get_hash uses.
Dissected dissect(const FlowInput& in, FlowKeys& keys);

/// Puts addresses and ports into an order that does not depend on direction: addresses among themselves, ports among
/// themselves. Kernel: net/core/flow_dissector.c:__flow_hash_consistentify
void consistentify(FlowKeys& keys);

// ---- vector units

/// Which of the CPU's vector units a batch may use. Results never depend on it.
enum class SimdLevel : std::uint8_t {
  scalar,
  avx2,
  avx512,  ///< AVX-512 F, BW, DQ, VL, VBMI and GFNI (Ice Lake, Zen 4 and later)
};

/// The highest level this CPU and operating system can run.
SimdLevel best_simd_level();

// ---- hashing

struct FlowHash {
  std::uint32_t hash = 0;
  bool l4 = false;  ///< the hash covers ports (or a flow label), not only addresses

  friend bool operator==(const FlowHash&, const FlowHash&) = default;
};

struct SipHashKey {
  std::uint64_t k0 = 0;  ///< key bytes 0-7, little-endian
  std::uint64_t k1 = 0;  ///< key bytes 8-15

  friend bool operator==(const SipHashKey&, const SipHashKey&) = default;
};

/// SipHash-2-4 of any bytes.
std::uint64_t siphash_2_4(std::span<const std::uint8_t> bytes, SipHashKey key);

/// The kernel's hash of flow keys: SipHash-2-4 of hashed_bytes(), truncated to 32 bits, 0 made 1.
/// Kernel: net/core/flow_dissector.c:__flow_hash_from_keys, without its consistentify step.
class SipHash {
 public:
  /// A `level` the CPU cannot run is lowered to the best it can.
  explicit SipHash(SipHashKey key, SimdLevel level = best_simd_level());

  /// Never 0.
  std::uint32_t hash(const FlowKeys& keys) const;

  /// out[i] = hash(keys[i]) for any number of keys of any mix of address types. out.size() >= keys.size().
  void hash_batch(std::span<const FlowKeys> keys, std::span<std::uint32_t> out) const;

  SipHashKey key() const { return key_; }
  SimdLevel level() const { return level_; }

 private:
  using Batch = void (*)(SipHashKey, std::span<const FlowKeys>, std::uint32_t*);

  SipHashKey key_;
  SimdLevel level_;
  Batch batch_;
};

/// dissect, consistentify, hash: what skb_get_hash() computes for a packet that has no hash yet.
/// Kernel: net/core/flow_dissector.c:___skb_get_hash
FlowHash skb_get_hash(const FlowInput& in, SipHashKey key);

/// What a network card feeds to Toeplitz, as the bytes stand in the frame. Ports are 0 when only the addresses count,
/// which hashes to the same value as leaving them out.
struct RssTuple4 {
  std::array<std::uint8_t, 4> src{};
  std::array<std::uint8_t, 4> dst{};
  std::array<std::uint8_t, 2> src_port{};
  std::array<std::uint8_t, 2> dst_port{};
};
struct RssTuple6 {
  std::array<std::uint8_t, 16> src{};
  std::array<std::uint8_t, 16> dst{};
  std::array<std::uint8_t, 2> src_port{};
  std::array<std::uint8_t, 2> dst_port{};
};
static_assert(sizeof(RssTuple4) == 12 && sizeof(RssTuple6) == 36);

enum class RssKind : std::uint8_t { none, ipv4, ipv4_ports, ipv6, ipv6_ports };

/// What RSS sees in one frame. none: not IP (or cut off), `v4` and `v6` untouched; ipv4*: `v4` is filled; ipv6*: `v6`
/// is.
struct RssInput {
  RssKind kind = RssKind::none;
  union {
    RssTuple4 v4;
    RssTuple6 v6;
  };
  RssInput() : v6{} {}

  bool l4() const { return kind == RssKind::ipv4_ports || kind == RssKind::ipv6_ports; }
};

/// Reads the outermost IP header, behind any VLAN tags: addresses, and ports for TCP and UDP that are not fragments.
/// IPv6 hop-by-hop, routing and destination options are skipped. Unlike dissect() it enters no tunnel and ignores the
/// flow label, as cards do.
RssInput rss_input(const FlowInput& in);

/// The Toeplitz hash of receive-side scaling. What its key amounts to is worked out at construction (some 50 us); the
/// object is about 14 KB and is meant to be made once a device.
class Toeplitz {
 public:
  static constexpr std::size_t kMinKey = 40;             ///< bytes; enough for an IPv6 4-tuple
  static constexpr std::size_t kMaxKey = 64;             ///< cards use 40 or 52
  static constexpr std::size_t kMaxInput = kMaxKey - 4;  ///< bytes
  /// The key of the published verification suite, and many drivers' default.
  static constexpr std::array<std::uint8_t, 40> kMicrosoftKey{
      0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
      0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
      0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

  /// With kMicrosoftKey.
  explicit Toeplitz(SimdLevel level = best_simd_level());

  /// EINVAL when the key is not kMinKey to kMaxKey bytes long.
  static Result<Toeplitz> create(std::span<const std::uint8_t> key, SimdLevel level = best_simd_level());

  /// Any bytes, at most key().size() - 4 of them; what goes beyond is ignored.
  std::uint32_t hash(std::span<const std::uint8_t> bytes) const;
  std::uint32_t hash(const RssTuple4& tuple) const;
  std::uint32_t hash(const RssTuple6& tuple) const;
  /// RssKind::none hashes to 0.
  std::uint32_t hash(const RssInput& input) const;

  /// out[i] = hash(in[i]), any count. out.size() >= in.size().
  void hash_batch(std::span<const RssTuple4> in, std::span<std::uint32_t> out) const;
  void hash_batch(std::span<const RssTuple6> in, std::span<std::uint32_t> out) const;

  std::span<const std::uint8_t> key() const { return std::span(key_).first(key_size_); }
  SimdLevel level() const { return level_; }

  /// Everything derived from the key. For the batch functions of each level, not for users.
  struct Tables {
    /// Contribution of one nibble: [2 * byte + (0 high, 1 low)][value].
    std::array<std::array<std::uint32_t, 16>, 2 * kMaxInput> nibble;
    /// The same by byte of the hash, least significant first, for byte-wise look-up: [byte][0 high, 1 low][of
    /// hash][value].
    std::array<std::array<std::array<std::array<std::uint8_t, 16>, 4>, 2>, sizeof(RssTuple6)> shuffle;
    /// For each byte of the hash, eight 8x8 bit matrices: what eight input bytes contribute to it.
    using Matrices = std::array<std::array<std::uint64_t, 8>, 4>;
    std::array<Matrices, 2> ipv4;  ///< addresses; ports, twice
    std::array<Matrices, 5> ipv6;  ///< addresses, in the order in which 32 bytes get interleaved; ports, twice
  };

 private:
  using Batch4 = void (*)(const Tables&, const RssTuple4*, std::size_t, std::uint32_t*);
  using Batch6 = void (*)(const Tables&, const RssTuple6*, std::size_t, std::uint32_t*);

  Toeplitz(std::span<const std::uint8_t> key, SimdLevel level);

  std::array<std::uint8_t, kMaxKey> key_{};
  std::size_t key_size_ = 0;
  SimdLevel level_;
  Batch4 batch4_;
  Batch6 batch6_;
  Tables tables_;
};

// ---- one choice of hash

enum class FlowHashKind : std::uint8_t { siphash, toeplitz };

/// The flow hash a device uses, frame in, hash out.
class FlowHasher {
 public:
  /// Software hash: the kernel's skb_get_hash(). Never 0; tunnels are hashed on their innermost IP header.
  explicit FlowHasher(SipHash hash) : hash_(hash) {}
  /// Card's hash: RSS over the outermost IP header. 0 without l4 for a frame that is not IP: a card gives no hash then.
  explicit FlowHasher(const Toeplitz& hash) : hash_(hash) {}

  FlowHash hash(const FlowInput& in) const;

  /// out[i] = hash(in[i]) for any count; works in groups of 64. out.size() >= in.size(). The frames' bytes are
  /// prefetched.
  void hash_batch(std::span<const FlowInput> in, std::span<FlowHash> out) const;

  FlowHashKind kind() const { return hash_.index() == 0 ? FlowHashKind::siphash : FlowHashKind::toeplitz; }

 private:
  std::variant<SipHash, Toeplitz> hash_;
};

}  // namespace netrx
