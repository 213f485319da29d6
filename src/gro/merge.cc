// SPDX-License-Identifier: Apache-2.0
#include "gro/merge.h"

#include <cstring>

#include "base/check.h"
#include "netrx/ethertype.h"
#include "netrx/packet_bytes.h"
#include "packet/csum_level.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {

namespace {

constexpr std::uint32_t kIpv6MaxPayload = 0xffff;  // Kernel: IPV6_MAXPLEN
constexpr std::uint32_t kJumboHeader = 8;

template <class T>
void store(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

/// Changes one 16-bit word of what a checksum covers. Kernel: csum_replace2.
void replace16(std::uint8_t* check, std::uint8_t* word, Be16 value) {
  const auto old = static_cast<std::uint16_t>(load_unaligned<Be16>(word));
  std::uint32_t sum = static_cast<std::uint16_t>(~static_cast<std::uint16_t>(load_unaligned<Be16>(check)));
  sum = wire::csum_add(wire::csum_add(sum, static_cast<std::uint16_t>(~old)), static_cast<std::uint16_t>(value));
  store(word, value);
  store(check, wire::csum_fold(sum));
}

/// Rewrites the headers of an aggregate from the outermost on. Kernel: the chain of gro_complete callbacks.
class Completion {
 public:
  explicit Completion(GroHeld& held) : held_(held), packet_(*held.packet) {}

  void run() {
    ether(packet_.protocol);
    packet_.gso_segs = held_.count;
  }

 private:
  std::uint8_t* here() const { return packet_.data + at_; }
  std::uint32_t size() const { return packet_.len - at_; }  ///< from this header on
  std::uint16_t from_head() const { return static_cast<std::uint16_t>(packet_.headroom() + at_); }

  void ether(Be16 type) {
    while (is_vlan(type) || type == kEthPTeb) {
      const bool tag = is_vlan(type);
      type = tag ? wire::VlanView{here()}.ether_type() : wire::EthernetView{here()}.ether_type();
      at_ += tag ? wire::VlanView::kSize : wire::EthernetView::kSize;
    }
    return type == kEthPIp ? ipv4() : ipv6();
  }

  void ipv4() {
    std::uint8_t* header = here();
    const std::uint8_t protocol = wire::Ipv4View{header}.protocol();
    addresses_ = {header + 12, 8};
    if (packet_.encapsulation) packet_.inner_network_header = from_head();
    // BIG TCP: a length that does not fit is 0.
    const std::uint32_t length = size() <= 0xffff ? size() : 0;
    replace16(header + 10, header + 2, to_be16(static_cast<std::uint16_t>(length)));
    at_ += wire::Ipv4View::kSize;
    transport(protocol, kGsoIpxip4, kGsoTcpv4);
  }

  void ipv6() {
    if (size() - wire::Ipv6View::kSize > kIpv6MaxPayload) insert_jumbo_header();
    std::uint8_t* header = here();
    const bool jumbo = size() - wire::Ipv6View::kSize > kIpv6MaxPayload;
    std::uint8_t protocol = wire::Ipv6View{header}.next_header();
    addresses_ = {header + 8, 32};
    if (packet_.encapsulation) packet_.inner_network_header = from_head();
    store(header + 4, to_be16(static_cast<std::uint16_t>(jumbo ? 0 : size() - wire::Ipv6View::kSize)));
    at_ += wire::Ipv6View::kSize;
    while (protocol == wire::kIpProtoHopByHop || protocol == wire::kIpProtoRouting ||
           protocol == wire::kIpProtoDestOpts) {
      const wire::Ipv6OptionView option{here()};
      protocol = option.next_header();
      at_ += option.header_size();
    }
    transport(protocol, kGsoIpxip6, kGsoTcpv6);
  }

  /// Makes room for a hop-by-hop header with a jumbo option and moves everything in front of it to the left. Kernel:
  /// ipv6_gro_complete, up to 6.18.
  void insert_jumbo_header() {
    NETRX_CHECK(packet_.mac_header >= kJumboHeader);
    const std::uint32_t payload = size() - wire::Ipv6View::kSize + kJumboHeader;
    std::uint8_t* from = packet_.head + packet_.mac_header;
    std::memmove(from - kJumboHeader, from, packet_.mac_len() + at_ + wire::Ipv6View::kSize);
    packet_.data -= kJumboHeader;
    packet_.len += kJumboHeader;
    packet_.mac_header = static_cast<std::uint16_t>(packet_.mac_header - kJumboHeader);
    packet_.network_header = static_cast<std::uint16_t>(packet_.network_header - kJumboHeader);
    std::uint8_t* jumbo = here() + wire::Ipv6View::kSize;
    jumbo[0] = here()[6];
    jumbo[1] = 0;
    jumbo[2] = 0xc2;  // Kernel: IPV6_TLV_JUMBO
    jumbo[3] = 4;
    store(jumbo + 4, to_be32(payload));
    here()[6] = wire::kIpProtoHopByHop;
  }

  void transport(std::uint8_t protocol, std::uint32_t ip_tunnel, std::uint32_t tcp_type) {
    switch (protocol) {
      case wire::kIpProtoTcp: return tcp(tcp_type);
      case wire::kIpProtoUdp: return udp();
      case wire::kIpProtoGre: return gre();
      default: enter(ip_tunnel); return protocol == wire::kIpProtoIpip ? ipv4() : ipv6();
    }
  }

  void enter(std::uint32_t type) {
    packet_.encapsulation = true;
    packet_.gso_type |= type;
  }

  void gre() {
    enter(kGsoGre);
    const wire::GreView gre{here()};
    const Be16 type = gre.protocol();
    at_ += gre.header_size();
    ether(type);
  }

  /// The checksum of what follows will be completed by whoever needs it. Kernel: CHECKSUM_PARTIAL.
  void partial(std::uint8_t protocol, std::uint32_t check_offset) {
    store(here() + check_offset, pseudo_sum(protocol));
    packet_.ip_summed = IpSummed::partial;
    packet_.csum = from_head() | check_offset << 16;
    if (packet_.encapsulation) packet_.inner_transport_header = packet_.transport_header;
  }

  /// The pseudo header's sum, folded and not inverted.
  std::uint16_t pseudo_sum(std::uint8_t protocol) const {
    return static_cast<std::uint16_t>(
        ~static_cast<std::uint16_t>(wire::csum_fold(wire::csum_pseudo_header(addresses_, protocol, size()))));
  }

  void tcp(std::uint32_t type) {
    packet_.transport_header = from_head();
    here()[13] = static_cast<std::uint8_t>(here()[13] | held_.late_flags);
    if (held_.fraglist) return chained(type);
    partial(wire::kIpProtoTcp, 16);
    packet_.gso_type |= type;
    if ((here()[13] & wire::TcpView::kCwr) != 0) packet_.gso_type |= kGsoTcpEcn;
    if (held_.fixed_id) packet_.gso_type |= kGsoTcpFixedId;
  }

  void udp() {
    std::uint8_t* header = here();
    const bool tunnel =
        !packet_.encapsulation && (held_.tunnel == GroTunnel::vxlan || held_.tunnel == GroTunnel::geneve);
    store(header + 4, to_be16(static_cast<std::uint16_t>(size())));
    if (!tunnel) {
      packet_.transport_header = from_head();
      // In IP or GRE it goes up as segments after all. Kernel: encap_mark in udp4_gro_complete.
      const bool in_ip = held_.tunnel == GroTunnel::ip || held_.tunnel == GroTunnel::gre;
      if (held_.fraglist && !in_ip) return chained(kGsoUdpL4);
      partial(wire::kIpProtoUdp, 6);
      packet_.gso_type |= kGsoUdpL4;
      return;
    }
    const bool summed = wire::UdpView{header}.checksum() != 0;
    if (summed) store(header + 6, pseudo_sum(wire::kIpProtoUdp));
    enter(summed ? kGsoUdpTunnelCsum : kGsoUdpTunnel);
    at_ += wire::UdpView::kSize;
    const wire::GeneveView geneve{here()};
    at_ += held_.tunnel == GroTunnel::vxlan ? wire::VxlanView::kSize : geneve.header_size();
    ether(held_.tunnel == GroTunnel::vxlan ? kEthPTeb : geneve.protocol());
  }

  /// Every packet of a fraglist keeps its own headers, and its own verified checksum.
  void chained(std::uint32_t type) {
    packet_.gso_type |= kGsoFraglist | type;
    note_verified_checksum(packet_);
  }

  GroHeld& held_;
  Packet& packet_;
  std::span<const std::uint8_t> addresses_;
  std::uint32_t at_ = 0;
};

std::uint16_t segments_of(const Packet& packet) { return packet.gso_size != 0 ? packet.gso_segs : 1; }

}  // namespace

void hold(GroHeld& held, Packet& packet, const GroSegment& segment, const GroRules& rules) {
  held = {.key = segment.key,
          .packet = &packet,
          .next_seq = segment.seq + segment.payload,
          .ack = segment.ack,
          .flag_word = segment.flag_word,
          .payload_at = segment.payload_at,
          .network = segment.network,
          .age = rules.jiffies,
          .count = segments_of(packet),
          .last_nr_frags = packet.nr_frags,
          .tunnel = segment.tunnel,
          .fraglist = segment.fraglist};
  for (Packet* frag = packet.frags; frag != nullptr; frag = frag->next) {
    held.last = frag;
    ++held.parts;
  }
  packet.gro_held = true;
  packet.transport_header = static_cast<std::uint16_t>(packet.headroom() + segment.l4_at);
  if (packet.gso_size == 0) packet.gso_size = static_cast<std::uint16_t>(segment.payload);
}

bool append(GroHeld& held, Packet& packet, const GroSegment& segment, const GroRules& rules) {
  packet.data += segment.payload_at;
  packet.len -= segment.payload_at;
  const bool chained = place_frags(held, packet, rules);
  held.count = static_cast<std::uint16_t>(held.count + segments_of(packet));
  held.next_seq += segment.payload;
  if (segment.tcp && !held.fraglist)
    held.late_flags |= static_cast<std::uint8_t>(segment.flag_word >> 8) & (wire::TcpView::kFin | wire::TcpView::kPsh);

  Packet* frag = packet.frags;
  packet.frags = nullptr;
  packet.has_frags = false;
  packet.len = packet.headlen();
  packet.data_len = 0;
  packet.nr_frags = 0;
  append_frag(*held.packet, held.last, packet);
  ++held.parts;
  while (frag != nullptr) {
    Packet* next = frag->next;
    append_frag(*held.packet, held.last, *frag);
    ++held.parts;
    frag = next;
  }
  return chained;
}

Packet* complete(GroHeld& held) {
  Packet* packet = held.packet;
  if (held.count == 1)
    packet->gso_size = 0;
  else
    Completion(held).run();
  return packet;
}

}  // namespace netrx
