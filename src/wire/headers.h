// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "netrx/byte_order.h"
#include "netrx/ethertype.h"

/// Read-only views of protocol headers as they stand in a frame. A view is one pointer; it judges nothing and checks no
/// length: the caller has made sure that kSize bytes are there. Fields come out in host order, except EtherTypes (Be16)
/// and addresses, which are compared and copied as they stand. Any alignment.
namespace netrx::wire {

inline std::uint16_t host16(const std::uint8_t* at) { return to_host(load_unaligned<Be16>(at)); }
inline std::uint32_t host32(const std::uint8_t* at) { return to_host(load_unaligned<Be32>(at)); }

using MacAddress = std::array<std::uint8_t, 6>;

/// IP protocol numbers the path looks at. Kernel: IPPROTO_*.
inline constexpr std::uint8_t kIpProtoHopByHop = 0;
inline constexpr std::uint8_t kIpProtoIcmp = 1;
inline constexpr std::uint8_t kIpProtoIpip = 4;
inline constexpr std::uint8_t kIpProtoTcp = 6;
inline constexpr std::uint8_t kIpProtoUdp = 17;
inline constexpr std::uint8_t kIpProtoDccp = 33;
inline constexpr std::uint8_t kIpProtoIpv6 = 41;
inline constexpr std::uint8_t kIpProtoRouting = 43;
inline constexpr std::uint8_t kIpProtoFragment = 44;
inline constexpr std::uint8_t kIpProtoGre = 47;
inline constexpr std::uint8_t kIpProtoEsp = 50;
inline constexpr std::uint8_t kIpProtoAh = 51;
inline constexpr std::uint8_t kIpProtoIcmpv6 = 58;
inline constexpr std::uint8_t kIpProtoNoNext = 59;
inline constexpr std::uint8_t kIpProtoDestOpts = 60;
inline constexpr std::uint8_t kIpProtoL2tp = 115;
inline constexpr std::uint8_t kIpProtoSctp = 132;
inline constexpr std::uint8_t kIpProtoUdpLite = 136;
inline constexpr std::uint8_t kIpProtoMpls = 137;

struct EthernetView {
  static constexpr std::uint32_t kSize = 14;
  const std::uint8_t* at;
  MacAddress dst() const { return load_unaligned<MacAddress>(at); }
  MacAddress src() const { return load_unaligned<MacAddress>(at + 6); }
  Be16 ether_type() const { return load_unaligned<Be16>(at + 12); }
};

/// The four bytes behind a TPID.
struct VlanView {
  static constexpr std::uint32_t kSize = 4;
  const std::uint8_t* at;
  std::uint16_t tci() const { return host16(at); }
  Be16 ether_type() const { return load_unaligned<Be16>(at + 2); }
};

struct Ipv4View {
  static constexpr std::uint32_t kSize = 20;  ///< without options
  const std::uint8_t* at;
  std::uint8_t version() const { return at[0] >> 4; }
  std::uint32_t header_size() const { return (at[0] & 0xfu) * 4; }
  std::uint8_t tos() const { return at[1]; }
  std::uint16_t total_length() const { return host16(at + 2); }
  std::uint16_t id() const { return host16(at + 4); }
  bool dont_fragment() const { return (at[6] & 0x40) != 0; }
  bool more_fragments() const { return (at[6] & 0x20) != 0; }
  std::uint16_t fragment_offset() const { return host16(at + 6) & 0x1fff; }  ///< units of 8 bytes
  bool is_fragment() const { return (host16(at + 6) & 0x3fff) != 0; }
  std::uint8_t ttl() const { return at[8]; }
  std::uint8_t protocol() const { return at[9]; }
  std::uint16_t checksum() const { return host16(at + 10); }
  const std::uint8_t* addresses() const { return at + 12; }  ///< source, destination: 8 bytes
  Be32 src() const { return load_unaligned<Be32>(at + 12); }
  Be32 dst() const { return load_unaligned<Be32>(at + 16); }
};

struct Ipv6View {
  static constexpr std::uint32_t kSize = 40;
  const std::uint8_t* at;
  std::uint8_t version() const { return at[0] >> 4; }
  std::uint8_t traffic_class() const { return static_cast<std::uint8_t>(host16(at) >> 4); }
  std::uint32_t flow_label() const { return host32(at) & 0xfffff; }
  std::uint16_t payload_length() const { return host16(at + 4); }
  std::uint8_t next_header() const { return at[6]; }
  std::uint8_t hop_limit() const { return at[7]; }
  const std::uint8_t* addresses() const { return at + 8; }  ///< source, destination: 32 bytes
};

/// Hop-by-hop, routing or destination options: the part all three share.
struct Ipv6OptionView {
  static constexpr std::uint32_t kSize = 2;
  const std::uint8_t* at;
  std::uint8_t next_header() const { return at[0]; }
  std::uint32_t header_size() const { return (at[1] + 1u) * 8; }
};

struct Ipv6FragmentView {
  static constexpr std::uint32_t kSize = 8;
  const std::uint8_t* at;
  std::uint8_t next_header() const { return at[0]; }
  std::uint16_t fragment_offset() const { return host16(at + 2) >> 3; }  ///< units of 8 bytes
  bool more_fragments() const { return (at[3] & 1) != 0; }
  std::uint32_t id() const { return host32(at + 4); }
};

struct TcpView {
  static constexpr std::uint32_t kSize = 20;  ///< without options
  static constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08;
  static constexpr std::uint8_t kAck = 0x10, kUrg = 0x20, kEce = 0x40, kCwr = 0x80;
  const std::uint8_t* at;
  std::uint16_t src_port() const { return host16(at); }
  std::uint16_t dst_port() const { return host16(at + 2); }
  std::uint32_t seq() const { return host32(at + 4); }
  std::uint32_t ack() const { return host32(at + 8); }
  std::uint32_t header_size() const { return (at[12] >> 4) * 4u; }
  std::uint8_t flags() const { return at[13]; }
  std::uint16_t window() const { return host16(at + 14); }
  std::uint16_t checksum() const { return host16(at + 16); }
  std::uint16_t urgent() const { return host16(at + 18); }
};

struct UdpView {
  static constexpr std::uint32_t kSize = 8;
  const std::uint8_t* at;
  std::uint16_t src_port() const { return host16(at); }
  std::uint16_t dst_port() const { return host16(at + 2); }
  std::uint16_t length() const { return host16(at + 4); }
  std::uint16_t checksum() const { return host16(at + 6); }
};

/// The fixed first word. Optional words follow in this order: checksum (kCsum), key (kKey), sequence (kSeq),
/// acknowledgment (kAck, version 1).
struct GreView {
  static constexpr std::uint32_t kSize = 4;
  static constexpr std::uint16_t kCsum = 0x8000, kRouting = 0x4000, kKey = 0x2000, kSeq = 0x1000, kAck = 0x0080;
  const std::uint8_t* at;
  std::uint16_t flags() const { return host16(at); }
  std::uint16_t version() const { return flags() & 7; }
  Be16 protocol() const { return load_unaligned<Be16>(at + 2); }
  /// With its optional words.
  std::uint32_t header_size() const {
    const std::uint32_t f = flags();
    return kSize +
           4 * (std::uint32_t{(f & kCsum) != 0} + std::uint32_t{(f & kKey) != 0} + std::uint32_t{(f & kSeq) != 0});
  }
};

/// Behind UDP. An Ethernet frame follows.
struct VxlanView {
  static constexpr std::uint32_t kSize = 8;
  static constexpr std::uint16_t kPort = 4789;
  const std::uint8_t* at;
};

/// Behind UDP, without its options.
struct GeneveView {
  static constexpr std::uint32_t kSize = 8;
  static constexpr std::uint16_t kPort = 6081;
  const std::uint8_t* at;
  std::uint8_t version() const { return at[0] >> 6; }
  std::uint32_t header_size() const { return kSize + (at[0] & 0x3fu) * 4; }
  bool oam() const { return (at[1] & 0x80) != 0; }
  Be16 protocol() const { return load_unaligned<Be16>(at + 2); }
};

/// What GRE version 1 carries. Kernel: GRE_PROTO_PPP
inline constexpr Be16 kGreProtoPpp{to_be16(0x880b)};

/// PPP protocol numbers. Kernel: PPP_*.
inline constexpr std::uint16_t kPppIp = 0x0021;
inline constexpr std::uint16_t kPppIpv6 = 0x0057;
inline constexpr std::uint16_t kPppMplsUc = 0x0281;
inline constexpr std::uint16_t kPppMplsMc = 0x0283;

/// Address, control and protocol, uncompressed.
struct PppView {
  static constexpr std::uint32_t kSize = 4;
  const std::uint8_t* at;
  std::uint16_t protocol() const { return host16(at + 2); }
};

/// A PPPoE session header and the PPP protocol number behind it.
struct PppoeView {
  static constexpr std::uint32_t kSize = 8;
  const std::uint8_t* at;
  std::uint8_t version() const { return at[0] >> 4; }
  std::uint8_t type() const { return at[0] & 0xf; }
  std::uint8_t code() const { return at[1]; }
  std::uint16_t ppp_protocol() const { return host16(at + 6); }
};

/// The four words every TIPC message starts with.
struct TipcView {
  static constexpr std::uint32_t kSize = 16;
  const std::uint8_t* at;
  /// Link protocol message (user 7) with the probe bit: sent on idle links.
  bool is_keepalive_probe() const { return (host32(at) & 0x0e080000) == 0x0e080000; }
  Be32 source_node() const { return load_unaligned<Be32>(at + 12); }
};

/// A BATMAN-adv unicast header and the Ethernet header it carries.
struct BatmanView {
  static constexpr std::uint32_t kSize = 10 + EthernetView::kSize;
  static constexpr std::uint8_t kUnicast = 0x40, kVersion = 15;
  const std::uint8_t* at;
  std::uint8_t packet_type() const { return at[0]; }
  std::uint8_t version() const { return at[1]; }
  EthernetView inner() const { return {at + 10}; }
};

/// The HSR tag, used for PRP too.
struct HsrView {
  static constexpr std::uint32_t kSize = 6;
  const std::uint8_t* at;
  Be16 ether_type() const { return load_unaligned<Be16>(at + 4); }
};

inline constexpr std::uint32_t kFcoeHeaderSize = 38;
inline constexpr std::uint32_t kPtpHeaderSize = 34;

}  // namespace netrx::wire
