// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>

#include "gro/gro_headers.h"
#include "netrx/ethertype.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {

/// The first and the last bytes of a link header, as GroKey has them. `network` is where it ends.
struct LinkWords {
  std::uint64_t front = 0, back = 0;
};
inline LinkWords link_words(const std::uint8_t* network, std::size_t size) {
  if (size == wire::EthernetView::kSize) [[likely]]
    return {load_unaligned<std::uint64_t>(network - 14), load_unaligned<std::uint64_t>(network - 8) >> 16};
  std::array<std::uint8_t, 16> padded{};
  std::memcpy(padded.data(), network - size, std::min<std::size_t>(size, wire::EthernetView::kSize));
  return {load_unaligned<std::uint64_t>(padded.data()), load_unaligned<std::uint64_t>(padded.data() + 8)};
}

/// Sets what tells the segment's flow from others. Its transport header has been found; `addresses` are those of its
/// innermost IP header.
[[gnu::always_inline]] inline void set_flow(GroSegment& segment, const Packet& packet, const std::uint8_t* addresses,
                                            std::uint32_t label) {
  const LinkWords link = link_words(packet.data, packet.mac_len());
  GroKey& key = segment.key;
  key.link_front = link.front;
  key.link_back = link.back;
  key.network = packet.hash | std::uint64_t{label} << 32;
  const std::uint32_t ports = load_unaligned<std::uint32_t>(packet.data + segment.l4_at);
  key.transport = ports | std::uint64_t{segment.l4_at} << 48;
  if (packet.vlan_present) {
    key.link_back |= std::uint64_t{packet.vlan_tci} << 48;
    key.transport |= std::uint64_t{static_cast<std::uint16_t>(packet.vlan_proto)} << 32;
  }
  const auto word = [&](std::size_t i) { return load_unaligned<std::uint64_t>(addresses + 8 * i); };
  std::uint64_t mixed = (std::uint64_t{ports} << 32 | label) ^ word(0);
  if (label >> 28 == 4) {
    key.address = {word(0), 0, 0, 0};
  } else {
    key.address = {word(0), word(1), word(2), word(3)};
    mixed ^= std::rotl(word(1), 13) ^ std::rotl(word(2), 26) ^ std::rotl(word(3), 39);
  }
  segment.tag = static_cast<std::uint32_t>((mixed * 0x9e3779b97f4a7c15u) >> 32);
}

/// Verifies the checksum of everything from the transport header on.
[[gnu::noinline]] bool transport_checksum_ok(const Packet& packet, std::span<const std::uint8_t> addresses,
                                             std::uint8_t protocol, std::uint32_t at);

/// The short cut for most packets there are: TCP or UDP directly behind an IP header without options, in one piece,
/// with lengths and checksums that are right, where no fraglists are made. read() is true when that is so: `segment`
/// and refusal() are then what read_gro_headers would say. False: something is unusual, nothing was changed, and
/// read_gro_headers must find out.
class PlainHeaders {
 public:
  PlainHeaders(Packet& packet, const GroRules& rules, GroSegment& segment)
      : packet_(packet), rules_(rules), segment_(segment) {}

  GroRefusal refusal() const { return refusal_; }

  [[gnu::always_inline]] bool read() {
    const bool usual = packet_.data_len == 0 && !packet_.has_frags && packet_.gso_size == 0 &&
                       (packet_.ip_summed == IpSummed::unnecessary || packet_.ip_summed == IpSummed::none);
    if (!usual) return false;
    if (packet_.protocol == kEthPIp) return ipv4();
    return packet_.protocol == kEthPIpv6 && ipv6();
  }

 private:
  [[gnu::always_inline]] bool ipv4() {
    const wire::Ipv4View ip{packet_.data};
    if (packet_.len < wire::Ipv4View::kSize || ip.at[0] != 0x45) return false;
    const std::uint16_t fragment = wire::host16(ip.at + 6);
    if ((fragment & ~0x4000) != 0 || ip.total_length() != packet_.len) return false;
    if (wire::ip_fast_csum(ip.at) != Be16{}) return false;
    if (!transport(ip.protocol(), {ip.addresses(), 8}, 4u << 28, wire::Ipv4View::kSize)) return false;
    if (refusal_ == GroRefusal::kNone)
      segment_.network = {GroNetwork::ipv4(ip.ttl(), ip.tos(), fragment != 0, ip.id()), GroNetwork{}};
    return true;
  }

  [[gnu::always_inline]] bool ipv6() {
    const wire::Ipv6View ip{packet_.data};
    if (packet_.len < wire::Ipv6View::kSize || ip.payload_length() != packet_.len - wire::Ipv6View::kSize) return false;
    const std::uint32_t label = wire::host32(ip.at) & 0xf00fffff;
    if (!transport(ip.next_header(), {ip.addresses(), 32}, label, wire::Ipv6View::kSize)) return false;
    if (refusal_ == GroRefusal::kNone)
      segment_.network = {GroNetwork::ipv6(ip.hop_limit(), ip.traffic_class()), GroNetwork{}};
    return true;
  }

  [[gnu::always_inline]] bool transport(std::uint8_t protocol, std::span<const std::uint8_t> addresses,
                                        std::uint32_t label, std::uint32_t at) {
    std::uint32_t size = 0;
    if (protocol == wire::kIpProtoTcp) [[likely]]
      size = tcp_header(at);
    else if (protocol == wire::kIpProtoUdp)
      size = udp_header(at);
    if (size == 0) return false;
    if (refusal_ != GroRefusal::kNone) return true;
    if (packet_.ip_summed == IpSummed::none) {
      if (!transport_checksum_ok(packet_, addresses, protocol, at)) return false;
      packet_.ip_summed = IpSummed::unnecessary;
      packet_.csum_level = 0;
    }
    segment_.flush = GroRefusal::kNone;
    segment_.protocol = protocol;
    segment_.tcp = protocol == wire::kIpProtoTcp;
    segment_.fraglist = false;
    segment_.tunnel = GroTunnel::none;
    segment_.l4_at = at;
    segment_.payload_at = at + size;
    segment_.payload = packet_.len - at - size;
    set_flow(segment_, packet_, addresses.data(), label | std::uint32_t{protocol} << 20);
    return true;
  }

  /// The header's size; 0: not a usual one.
  [[gnu::always_inline]] std::uint32_t tcp_header(std::uint32_t at) {
    if (packet_.len < at + wire::TcpView::kSize) return 0;
    const wire::TcpView tcp{packet_.data + at};
    const std::uint32_t size = tcp.header_size();
    if (size < wire::TcpView::kSize || packet_.len < at + size) return 0;
    segment_.seq = tcp.seq();
    segment_.ack = load_unaligned<std::uint32_t>(tcp.at + 8);
    segment_.flag_word = load_unaligned<std::uint32_t>(tcp.at + 12);
    return size;
  }

  [[gnu::always_inline]] std::uint32_t udp_header(std::uint32_t at) {
    if (packet_.len < at + wire::UdpView::kSize || rules_.endpoints != nullptr || packet_.encapsulation) return 0;
    if (!rules_.udp_forwarding) {
      refusal_ = GroRefusal::kUdpOff;
      return wire::UdpView::kSize;
    }
    const wire::UdpView udp{packet_.data + at};
    segment_.seq = segment_.ack = segment_.flag_word = 0;
    const bool usual = udp.checksum() != 0 && udp.length() > wire::UdpView::kSize && udp.length() == packet_.len - at;
    return usual ? wire::UdpView::kSize : 0;
  }

  Packet& packet_;
  const GroRules& rules_;
  GroSegment& segment_;
  GroRefusal refusal_ = GroRefusal::kNone;
};

}  // namespace netrx
