// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/link_type.h"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>

#include "netrx/ethertype.h"
#include "wire/headers.h"

namespace netrx {

namespace {

using Bytes = std::span<const std::uint8_t>;
using Header = std::optional<LinkHeader>;

/// The frame is an IP packet and says itself which version.
Header read_raw(Bytes frame) {
  if (frame.empty()) return {};
  return LinkHeader{.protocol = frame[0] >> 4 == 6 ? kEthPIpv6 : kEthPIp};
}

Header read_ipv4(Bytes) { return LinkHeader{.protocol = kEthPIp}; }
Header read_ipv6(Bytes) { return LinkHeader{.protocol = kEthPIpv6}; }
Header read_mpls(Bytes) { return LinkHeader{.protocol = kEthPMplsUc}; }

/// The address family as the capturing machine numbers it, in its byte order (NULL) or big-endian (LOOP). All known
/// families are below 256, so the one byte that is not 0 tells, whatever the order.
Header read_null(Bytes frame) {
  if (frame.size() < 4) return {};
  const std::uint8_t family = frame[0] | frame[3];
  constexpr std::array<std::uint8_t, 4> kInet6{10, 24, 28, 30};  // Linux, NetBSD and OpenBSD, FreeBSD, macOS
  LinkHeader header{.size = 4};
  if (family == 2) header.protocol = kEthPIp;
  if (std::ranges::find(kInet6, family) != kInet6.end()) header.protocol = kEthPIpv6;
  return header;
}

/// As PACKET_* counts them; what this machine sent itself was for another.
PacketKind cooked_kind(unsigned type) {
  constexpr std::array<PacketKind, 4> kKinds{PacketKind::host, PacketKind::broadcast, PacketKind::multicast,
                                             PacketKind::otherhost};
  return type < kKinds.size() ? kKinds[type] : PacketKind::otherhost;
}

Header read_sll(Bytes frame) {
  if (frame.size() < 16) return {};
  return LinkHeader{
      .size = 16, .protocol = load_unaligned<Be16>(&frame[14]), .kind = cooked_kind(wire::host16(frame.data()))};
}

Header read_sll2(Bytes frame) {
  if (frame.size() < 20) return {};
  return LinkHeader{.size = 20, .protocol = load_unaligned<Be16>(frame.data()), .kind = cooked_kind(frame[10])};
}

/// Cisco HDLC: address, control, EtherType.
Header read_chdlc(Bytes frame) {
  if (frame.size() < 4) return {};
  return LinkHeader{.size = 4, .protocol = load_unaligned<Be16>(&frame[2])};
}

/// With address and control field, or without where the peers agreed to leave them out; the protocol number has one
/// byte when that byte is odd.
Header read_ppp(Bytes frame) {
  std::uint32_t at = frame.size() >= 2 && frame[1] == 0x03 && (frame[0] == 0xff || frame[0] <= 1) ? 2 : 0;
  if (frame.size() < at + 1) return {};
  std::uint16_t protocol = frame[at++];
  if ((protocol & 1) == 0) {
    if (frame.size() < at + 1) return {};
    protocol = static_cast<std::uint16_t>(protocol << 8 | frame[at++]);
  }
  LinkHeader header{.size = at};
  if (protocol == wire::kPppIp) header.protocol = kEthPIp;
  if (protocol == wire::kPppIpv6) header.protocol = kEthPIpv6;
  if (protocol == wire::kPppMplsUc) header.protocol = kEthPMplsUc;
  if (protocol == wire::kPppMplsMc) header.protocol = kEthPMplsMc;
  return header;
}

/// PPP, or Cisco HDLC on the same line: its addresses are 0x0f and 0x8f.
Header read_ppp_serial(Bytes frame) {
  return !frame.empty() && (frame[0] == 0x0f || frame[0] == 0x8f) ? read_chdlc(frame) : read_ppp(frame);
}

/// PPPoE without its Ethernet header: a session's frames (code 0) are what the dissector knows as 0x8864.
Header read_pppoe(Bytes frame) {
  constexpr Be16 kEthPPppDisc{to_be16(0x8863)};
  if (frame.size() < 6) return {};
  return LinkHeader{.protocol = frame[1] == 0 ? kEthPPppSes : kEthPPppDisc};
}

/// IP over FireWire: two addresses of eight bytes, EtherType.
Header read_firewire(Bytes frame) {
  if (frame.size() < 18) return {};
  return LinkHeader{.size = 18, .protocol = load_unaligned<Be16>(&frame[16])};
}

struct LinkType {
  int dlt;
  Header (*read)(Bytes frame);
};

constexpr std::array kLinkTypes{
    LinkType{DLT_EN10MB, nullptr},
    LinkType{DLT_RAW, read_raw},
    LinkType{DLT_IPV4, read_ipv4},
    LinkType{DLT_IPV6, read_ipv6},
    LinkType{DLT_NULL, read_null},
    LinkType{DLT_LOOP, read_null},
    LinkType{DLT_LINUX_SLL, read_sll},
    LinkType{DLT_LINUX_SLL2, read_sll2},
    LinkType{DLT_PPP, read_ppp},
    LinkType{DLT_PPP_SERIAL, read_ppp_serial},
    LinkType{DLT_PPP_PPPD, read_ppp},
    LinkType{DLT_PPP_ETHER, read_pppoe},
    LinkType{DLT_C_HDLC, read_chdlc},
    LinkType{DLT_MPLS, read_mpls},
    LinkType{DLT_APPLE_IP_OVER_IEEE1394, read_firewire},
};
static_assert(kLinkTypes[0].dlt == kLinkEthernet);

const LinkType* find(int dlt) {
  const auto at = std::ranges::find(kLinkTypes, dlt, &LinkType::dlt);
  return at == kLinkTypes.end() ? nullptr : &*at;
}

}  // namespace

bool link_type_handled(int dlt) { return find(dlt) != nullptr; }

std::optional<LinkHeader> read_link_header(int dlt, std::span<const std::uint8_t> frame) {
  return find(dlt)->read(frame);
}

std::string link_type_name(int dlt) {
  const char* name = pcap_datalink_val_to_name(dlt);
  return std::string(name == nullptr ? "unnamed" : name) + " (" + std::to_string(dlt) + ")";
}

std::string handled_link_types() {
  std::string text;
  for (const LinkType& type : kLinkTypes) text += (text.empty() ? "" : ", ") + link_type_name(type.dlt);
  return text;
}

}  // namespace netrx
