// SPDX-License-Identifier: Apache-2.0
#include "gro/gro_headers.h"

#include <algorithm>
#include <cstring>

#include "gro/plain_headers.h"
#include "netrx/ethertype.h"
#include "netrx/packet_bytes.h"
#include "packet/csum_level.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {

namespace {

using enum GroRefusal;

constexpr std::uint32_t kRecursionLimit = 15;  // Kernel: GRO_RECURSION_LIMIT
constexpr std::uint32_t kMaxHeaders = 0xffff;  // bytes; offsets have 16 bits

/// What is known of the bytes that have not been read yet. Kernel: csum_cnt, csum_valid and csum of napi_gro_cb.
struct CsumState {
  std::uint8_t verified = 0;  ///< so many checksums, from the outside in, are known to be right
  bool summed = false;        ///< `sum` is that of everything from the reader's place on
  std::uint32_t sum = 0;
};

/// Sums the packet's bytes from `offset` on.
std::uint32_t sum_from(const Packet& packet, std::uint32_t offset) {
  std::uint32_t sum = 0;
  std::size_t at = 0;
  for_each_piece(packet, [&](std::span<const std::uint8_t> piece) {
    const std::size_t skipped = std::min<std::size_t>(offset, piece.size());
    offset -= static_cast<std::uint32_t>(skipped);
    piece = piece.subspan(skipped);
    sum = wire::csum_block_add(sum, wire::csum_partial(piece), at);
    at += piece.size();
  });
  return sum;
}

/// Walks the headers, each layer calling what is inside it.
class HeaderReader {
 public:
  HeaderReader(Packet& packet, const GroRules& rules, GroHeaders& headers)
      : packet_(packet), rules_(rules), headers_(headers) {
    if (packet.ip_summed == IpSummed::complete) csum_ = {.summed = true, .sum = packet.csum};
    if (packet.ip_summed == IpSummed::unnecessary) csum_.verified = static_cast<std::uint8_t>(packet.csum_level + 1);
  }

  GroRefusal ether(Be16 type) {
    if (too_deep()) return kTooDeep;
    if (type == kEthPIp) return ipv4();
    if (type == kEthPIpv6) return ipv6();
    if (is_vlan(type)) return vlan();
    if (type == kEthPTeb) return ethernet();
    return kNotOffloaded;
  }

 private:
  /// `n` bytes from here on, contiguous; null: the frame ends before.
  const std::uint8_t* peek(std::uint32_t n) {
    const std::uint32_t end = at_ + n;
    if (end > packet_.headlen() && (end > kMaxHeaders || !may_pull(packet_, end))) return nullptr;
    return packet_.data + at_;
  }
  std::uint32_t left() const { return packet_.len - at_; }
  /// One more handler. The first is not called by another, and does not count.
  bool too_deep() { return ++depth_ > kRecursionLimit; }

  /// Goes past a header. Kernel: skb_gro_pull, skb_gro_postpull_rcsum.
  void pass(std::uint32_t n) {
    if (csum_.summed) csum_.sum = wire::csum_sub(csum_.sum, wire::csum_partial({packet_.data + at_, n}));
    at_ += n;
  }

  void flush(GroRefusal why) {
    if (headers_.flush == kNone) headers_.flush = why;
  }
  bool flushed() const { return headers_.flush != kNone; }

  void add_layer(GroLayer::Kind kind, std::uint32_t at, std::uint32_t size) {
    headers_.layers[headers_.layer_count++] = {kind, static_cast<std::uint16_t>(at), static_cast<std::uint16_t>(size)};
  }

  GroRefusal vlan() {
    const std::uint8_t* header = peek(wire::VlanView::kSize);
    if (header == nullptr) return kHeaderCut;
    add_layer(GroLayer::Kind::vlan, at_, wire::VlanView::kSize);
    const Be16 type = wire::VlanView{header}.ether_type();
    pass(wire::VlanView::kSize);
    return ether(type);
  }

  GroRefusal ethernet() {
    const std::uint8_t* header = peek(wire::EthernetView::kSize);
    if (header == nullptr) return kHeaderCut;
    add_layer(GroLayer::Kind::ethernet, at_, wire::EthernetView::kSize);
    const Be16 type = wire::EthernetView{header}.ether_type();
    pass(wire::EthernetView::kSize);
    return ether(type);
  }

  // -- IP

  GroNetwork& network() { return headers_.network[headers_.encapsulated()]; }

  GroRefusal ipv4() {
    const std::uint8_t* header = peek(wire::Ipv4View::kSize);
    if (header == nullptr) return kHeaderCut;
    const wire::Ipv4View ip{header};
    if (!offloaded(ip.protocol())) return kNotOffloaded;
    headers_.protocol = ip.protocol();
    if (header[0] != 0x45) return kIpOptions;
    if (ip.is_fragment()) return kFragment;
    if (wire::ip_fast_csum(header) != Be16{}) return kIpChecksum;
    if (ip.total_length() != static_cast<std::uint16_t>(left())) flush(kIpLength);
    if ((header[6] & 0x80) != 0) flush(kIpReserved);
    network() = GroNetwork::ipv4(ip.ttl(), ip.tos(), ip.dont_fragment(), ip.id());
    ip_at_ = at_;
    at_ += wire::Ipv4View::kSize;  // sums to nothing
    return transport(ip.protocol());
  }

  GroRefusal ipv6() {
    const std::uint8_t* header = peek(wire::Ipv6View::kSize);
    if (header == nullptr) return kHeaderCut;
    const wire::Ipv6View ip{header};
    if (ip.payload_length() != left() - wire::Ipv6View::kSize) flush(kIpLength);
    network() = GroNetwork::ipv6(ip.hop_limit(), ip.traffic_class());
    ip_at_ = at_;
    std::uint8_t protocol = ip.next_header();
    pass(wire::Ipv6View::kSize);
    if (!offloaded(protocol)) {
      const GroRefusal refusal = ipv6_options(protocol);
      if (refusal != kNone) return refusal;
    }
    return transport(protocol);
  }

  /// Goes past hop-by-hop, routing and destination options; `protocol` is what follows them.
  GroRefusal ipv6_options(std::uint8_t& protocol) {
    const std::uint32_t begin = at_;
    while (protocol == wire::kIpProtoHopByHop || protocol == wire::kIpProtoRouting ||
           protocol == wire::kIpProtoDestOpts) {
      const std::uint8_t* header = peek(8);
      if (header == nullptr) return kHeaderCut;
      const wire::Ipv6OptionView option{header};
      if (peek(option.header_size()) == nullptr) return kHeaderCut;
      protocol = option.next_header();
      pass(option.header_size());
    }
    if (protocol == wire::kIpProtoFragment) return kFragment;
    if (!offloaded(protocol)) return kNotOffloaded;
    // The header says what its first option is, which the key does not.
    add_layer(GroLayer::Kind::ipv6, ip_at_, wire::Ipv6View::kSize);
    add_layer(GroLayer::Kind::ipv6_options, begin, at_ - begin);
    return kNone;
  }

  static bool offloaded(std::uint8_t protocol) {
    return protocol == wire::kIpProtoTcp || protocol == wire::kIpProtoUdp || protocol == wire::kIpProtoGre ||
           protocol == wire::kIpProtoIpip || protocol == wire::kIpProtoIpv6;
  }

  bool in_ipv4() { return network().is_ipv4(); }
  std::span<const std::uint8_t> addresses() {
    return in_ipv4() ? std::span(wire::Ipv4View{packet_.data + ip_at_}.addresses(), 8)
                     : std::span(wire::Ipv6View{packet_.data + ip_at_}.addresses(), 32);
  }

  GroRefusal transport(std::uint8_t protocol) {
    if (too_deep()) return kTooDeep;
    headers_.protocol = protocol;
    if (protocol == wire::kIpProtoTcp) return tcp();
    if (protocol == wire::kIpProtoUdp) return udp();
    if (headers_.encapsulated()) return kTunnelNested;
    enter_tunnel(protocol == wire::kIpProtoGre ? GroTunnel::gre : GroTunnel::ip);
    if (protocol == wire::kIpProtoGre) return gre();
    return protocol == wire::kIpProtoIpip ? ipv4() : ipv6();
  }

  // -- tunnels

  /// What was the innermost IP header is the outer one from here on.
  void enter_tunnel(GroTunnel tunnel) {
    if (!in_ipv4())
      add_layer(GroLayer::Kind::ipv6, ip_at_, wire::Ipv6View::kSize);
    else
      add_layer(GroLayer::Kind::ipv4, ip_at_, wire::Ipv4View::kSize);
    headers_.tunnel = tunnel;
  }

  GroRefusal gre() {
    const std::uint8_t* header = peek(wire::GreView::kSize);
    if (header == nullptr) return kHeaderCut;
    const wire::GreView gre{header};
    if ((gre.flags() & ~(wire::GreView::kKey | wire::GreView::kCsum)) != 0) return kGreFlags;
    const Be16 type = gre.protocol();
    if (!(type == kEthPIp || type == kEthPIpv6 || type == kEthPTeb || is_vlan(type))) return kNotOffloaded;
    header = peek(gre.header_size());
    if (header == nullptr) return kHeaderCut;
    if ((wire::GreView{header}.flags() & wire::GreView::kCsum) != 0 && !flushed()) {
      if (!checksum_ok(wire::kIpProtoGre)) return kL4Checksum;
      convert(0);
    }
    const std::uint32_t size = wire::GreView{header}.header_size();
    add_layer(GroLayer::Kind::gre, at_, size);
    pass(size);
    return ether(type);
  }

  /// A UDP header in front of a tunnel that ends here. Kernel: udp_gro_receive with a tunnel's socket.
  GroRefusal udp_tunnel(GroTunnel tunnel, std::uint16_t check) {
    if (headers_.encapsulated()) return kTunnelNested;
    if (too_deep()) return kTooDeep;
    if (check != 0 && packet_.ip_summed != IpSummed::partial && csum_.verified == 0 && !csum_.summed)
      return kTunnelCsum;
    enter_tunnel(tunnel);
    add_layer(GroLayer::Kind::udp, at_, wire::UdpView::kSize);
    pass(wire::UdpView::kSize);
    return tunnel == GroTunnel::vxlan ? vxlan() : geneve();
  }

  GroRefusal vxlan() {
    if (peek(wire::VxlanView::kSize) == nullptr) return kHeaderCut;
    add_layer(GroLayer::Kind::vxlan, at_, wire::VxlanView::kSize);
    pass(wire::VxlanView::kSize);
    return ether(kEthPTeb);
  }

  GroRefusal geneve() {
    const std::uint8_t* header = peek(wire::GeneveView::kSize);
    if (header == nullptr) return kHeaderCut;
    const wire::GeneveView geneve{header};
    if (geneve.version() != 0 || geneve.oam()) return kNotOffloaded;
    const std::uint32_t size = geneve.header_size();
    const Be16 type = geneve.protocol();
    if (peek(size) == nullptr) return kHeaderCut;
    add_layer(GroLayer::Kind::geneve, at_, size);
    pass(size);
    return ether(type);
  }

  // -- checksums

  /// GRE has none.
  std::uint32_t pseudo_header(std::uint8_t protocol) {
    return protocol == wire::kIpProtoGre ? 0 : wire::csum_pseudo_header(addresses(), protocol, left());
  }

  /// Whether the checksum from here to the end is right, with the pseudo header of `protocol`; `check` is what stands
  /// in the header where 0 means that there is none. Kernel: __skb_gro_checksum_validate.
  bool checksum_ok(std::uint8_t protocol, std::uint16_t check = 1) {
    const std::uint32_t partial_start = (packet_.csum & 0xffff) - packet_.headroom();
    const bool partial = packet_.ip_summed == IpSummed::partial && partial_start >= at_;
    if (!partial && csum_.verified == 0 && check != 0 && !sum_ok(pseudo_header(protocol))) return false;
    if (csum_.verified > 0)
      --csum_.verified;
    else
      note_verified_checksum(packet_);
    return true;
  }

  bool sum_ok(std::uint32_t pseudo) {
    if (csum_.summed && wire::csum_fold(wire::csum_add(pseudo, csum_.sum)) == Be16{}) return true;
    csum_.sum = sum_from(packet_, at_);
    csum_.summed = true;
    return wire::csum_fold(wire::csum_add(pseudo, csum_.sum)) == Be16{};
  }

  /// A verified checksum tells the sum of all that it covers, so that an inner one needs no second look at the bytes.
  /// Kernel: skb_gro_checksum_try_convert.
  void convert(std::uint32_t pseudo) {
    if (csum_.verified == 0 && !csum_.summed) csum_ = {.summed = true, .sum = ~pseudo};
  }

  // -- transport

  void finish(std::uint8_t protocol, std::uint32_t header_size);

  GroRefusal tcp() {
    const std::uint8_t* header = peek(wire::TcpView::kSize);
    // The order is the kernel's: a checksum nobody verified is computed before the header is looked at.
    if (!flushed() && !checksum_ok(wire::kIpProtoTcp)) return kL4Checksum;
    if (header == nullptr) return kHeaderCut;
    const std::uint32_t size = wire::TcpView{header}.header_size();
    if (size < wire::TcpView::kSize) return kTcpHeader;
    header = peek(size);
    if (header == nullptr) return kHeaderCut;
    const wire::TcpView tcp{header};
    headers_.tcp = true;
    headers_.seq = tcp.seq();
    headers_.ack = load_unaligned<std::uint32_t>(header + 8);
    headers_.flag_word = load_unaligned<std::uint32_t>(header + 12);
    headers_.fraglist = rules_.fraglist && !rules_.has(GroEndpoint::Kind::tcp, tcp.dst_port());
    finish(wire::kIpProtoTcp, size);
    return kNone;
  }

  bool may_be_wanted() const { return rules_.udp_forwarding || rules_.fraglist || rules_.endpoints != nullptr; }

  GroRefusal udp() {
    const std::uint8_t* header = peek(wire::UdpView::kSize);
    if (header == nullptr) return kHeaderCut;
    const wire::UdpView udp{header};
    const std::uint16_t check = udp.checksum();
    // Linux verifies the checksum also where nobody will want the datagrams merged; whoever reads them does it then.
    if (!flushed() && may_be_wanted()) {
      if (!checksum_ok(wire::kIpProtoUdp, check)) return kL4Checksum;
      if (check != 0) convert(pseudo_header(wire::kIpProtoUdp));
    }
    using Kind = GroEndpoint::Kind;
    if (rules_.has(Kind::vxlan, udp.dst_port())) return udp_tunnel(GroTunnel::vxlan, check);
    if (rules_.has(Kind::geneve, udp.dst_port())) return udp_tunnel(GroTunnel::geneve, check);
    if (packet_.encapsulation) return kUdpOff;
    const bool asked = rules_.has(Kind::udp_gro, udp.dst_port());
    headers_.fraglist = rules_.fraglist && !asked;
    const bool forwarded = rules_.udp_forwarding && !rules_.has(Kind::udp, udp.dst_port());
    if (!asked && !forwarded && !headers_.fraglist) return kUdpOff;
    if (too_deep()) return kTooDeep;
    if (check == 0) return kUdpNoCsum;
    if (udp.length() <= wire::UdpView::kSize || udp.length() != left()) return kUdpLength;
    finish(wire::kIpProtoUdp, wire::UdpView::kSize);
    return kNone;
  }

  Packet& packet_;
  const GroRules& rules_;
  GroHeaders& headers_;
  CsumState csum_;
  std::uint32_t at_ = 0;     ///< the header that comes next, counted from the packet's data
  std::uint32_t ip_at_ = 0;  ///< the last IP header
  std::uint32_t depth_ = 0;
};

/// The transport header has been read and is `header_size` bytes long: what the flow's identity is, is known now.
void HeaderReader::finish(std::uint8_t protocol, std::uint32_t header_size) {
  const std::uint8_t* ip = packet_.data + ip_at_;
  headers_.l4_at = at_;
  headers_.payload_at = at_ + header_size;
  headers_.payload = left() - header_size;
  const std::uint32_t label = in_ipv4() ? 4u << 28 : wire::host32(ip) & 0xf00fffff;
  set_flow(headers_, packet_, addresses().data(), label | std::uint32_t{protocol} << 20);
}

}  // namespace

bool transport_checksum_ok(const Packet& packet, std::span<const std::uint8_t> addresses, std::uint8_t protocol,
                           std::uint32_t at) {
  const std::span<const std::uint8_t> segment = packet.linear().subspan(at);
  return wire::csum_ok(segment,
                       wire::csum_pseudo_header(addresses, protocol, static_cast<std::uint32_t>(segment.size())));
}

GroRefusal read_gro_headers(Packet& packet, const GroRules& rules, GroHeaders& headers) {
  return HeaderReader(packet, rules, headers).ether(packet.protocol);
}

}  // namespace netrx
