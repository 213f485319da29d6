// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "netrx/flow.h"
#include "wire/checksum.h"
#include "wire/eth_type_trans.h"
#include "wire/headers.h"

/// Frames for tests, written as they are stacked:
///
///   Frame f = FrameBuilder().eth().vlan(5).ipv4("10.0.0.1", "10.0.0.2").udp(1234, 53).payload(100).build();
///
/// Each layer tells the one before it what it is (EtherType, IP protocol, GRE or PPP protocol); build() fills in
/// lengths and correct checksums. What a test wants wrong it overrides with ether_type(), ip_proto(), raw(), or by
/// changing Frame::bytes.
namespace netrx::wire {

struct Ip4 {
  std::array<std::uint8_t, 4> bytes{};

  constexpr Ip4(const char* text) : Ip4(std::string_view(text)) {}
  constexpr explicit Ip4(std::string_view text) {
    std::size_t part = 0;
    for (char c : text) {
      if (c == '.') {
        ++part;
      } else {
        bytes[part] = static_cast<std::uint8_t>(bytes[part] * 10 + (c - '0'));
      }
    }
  }
  /// Host order, for loops over addresses.
  constexpr explicit Ip4(std::uint32_t host) {
    for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(host >> (24 - 8 * i));
  }
};

struct Ip6 {
  std::array<std::uint8_t, 16> bytes{};

  constexpr Ip6(const char* text) : Ip6(std::string_view(text)) {}
  /// Groups of hexadecimal digits, with or without one "::".
  constexpr explicit Ip6(std::string_view text) {
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) {
      parse(text, 0);
    } else {
      parse(text.substr(0, gap), 0);
      const std::string_view rest = text.substr(gap + 2);
      if (!rest.empty()) parse(rest, 7 - static_cast<std::size_t>(std::ranges::count(rest, ':')));
    }
  }
  /// prefix with its last four bytes replaced, for loops over addresses.
  constexpr Ip6(Ip6 prefix, std::uint32_t host) : bytes(prefix.bytes) {
    for (std::size_t i = 0; i < 4; ++i) bytes[12 + i] = static_cast<std::uint8_t>(host >> (24 - 8 * i));
  }

 private:
  constexpr void parse(std::string_view text, std::size_t group) {
    std::uint32_t value = 0;
    for (char c : text) {
      if (c == ':') {
        store(group++, value);
        value = 0;
      } else {
        value = value * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
      }
    }
    if (!text.empty()) store(group, value);
  }
  constexpr void store(std::size_t group, std::uint32_t value) {
    bytes[2 * group] = static_cast<std::uint8_t>(value >> 8);
    bytes[2 * group + 1] = static_cast<std::uint8_t>(value);
  }
};

/// The receiving device's address in tests: frames go to it unless told otherwise.
inline constexpr MacAddress kTestMac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr MacAddress kTestPeerMac{0x02, 0, 0, 0, 0, 0x02};

/// A finished frame.
struct Frame {
  std::vector<std::uint8_t> bytes;

  std::size_t size() const { return bytes.size(); }
  std::uint8_t* data() { return bytes.data(); }
  const std::uint8_t* data() const { return bytes.data(); }

  /// The frame cut to its first `size` bytes.
  Frame cut(std::size_t size) const {
    return {{bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(size, bytes.size()))}};
  }

  /// As a device that leaves tags in the frame hands it on. Points into `bytes`. Less than an Ethernet header: all of
  /// it is taken for payload of an unknown type.
  FlowInput flow_input() const {
    if (bytes.size() < EthernetView::kSize) {
      return {.data = bytes.data(), .len = static_cast<std::uint32_t>(bytes.size())};
    }
    return {.data = bytes.data() + EthernetView::kSize,
            .len = static_cast<std::uint32_t>(bytes.size() - EthernetView::kSize),
            .protocol = eth_type_trans(bytes, kTestMac).protocol};
  }

  /// As a device that takes the outermost VLAN tag out of the frame hands it on. A frame without a tag: same as
  /// flow_input().
  FlowInput untagged_input() const {
    FlowInput in = flow_input();
    if (!is_vlan(in.protocol) || in.len < VlanView::kSize) return in;
    const VlanView tag{in.data};
    in.vlan_present = true;
    in.vlan_proto = in.protocol;
    in.vlan_tci = tag.tci();
    in.protocol = tag.ether_type();
    in.data += VlanView::kSize;
    in.len -= VlanView::kSize;
    return in;
  }
};

struct Ipv4Fields {
  std::uint8_t tos = 0;
  std::uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  ///< units of 8 bytes
  std::uint8_t ttl = 64;
  std::vector<std::uint8_t> options = {};  ///< padded to words with zeros
};

struct Ipv6Fields {
  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;
  std::uint8_t hop_limit = 64;
};

struct TcpFields {
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint8_t flags = TcpView::kAck;
  std::uint16_t window = 0xffff;
  std::uint16_t urgent = 0;
  std::vector<std::uint8_t> options = {};  ///< padded to words with zeros
};

/// Optional words are there when their value is not negative; the flag word comes out accordingly.
struct GreFields {
  bool csum = false;
  std::int64_t key = -1;
  std::int64_t seq = -1;
  std::int64_t ack = -1;         ///< version 1 only
  std::uint16_t more_flags = 0;  ///< ORed in: GreView::kRouting, a version
};

class FrameBuilder {
 public:
  // ---- link layer
  FrameBuilder& eth(const MacAddress& dst = kTestMac, const MacAddress& src = kTestPeerMac) {
    announce(kEthPTeb);
    add(dst);
    add(src);
    return add_type_field();
  }
  FrameBuilder& vlan(unsigned id, unsigned priority = 0, Be16 tpid = kEthP8021q) {
    announce(tpid);
    add16(priority << 13 | id);
    return add_type_field();
  }
  FrameBuilder& mpls(std::uint32_t label, bool bottom = true) {
    announce(kEthPMplsUc, kIpProtoMpls, kPppMplsUc);
    return add32(label << 12 | (bottom ? 0x100u : 0) | 64);
  }
  FrameBuilder& pppoe(unsigned session = 1) {
    announce(kEthPPppSes);
    begin(Layer::Kind::pppoe);
    add16(0x1100).add16(session).add16(0);
    type_ = {TypeField::Kind::ppp, at()};
    return add16(0);
  }
  /// Address and control of uncompressed PPP, as in GRE version 1.
  FrameBuilder& ppp() {
    announce(kGreProtoPpp);
    add16(0xff03);
    type_ = {TypeField::Kind::ppp, at()};
    return add16(0);
  }
  /// A mesh unicast header. An eth() follows.
  FrameBuilder& batman(std::uint8_t type = BatmanView::kUnicast, std::uint8_t version = BatmanView::kVersion) {
    announce(kEthPBatman);
    add({type, version, 50, 0});
    return add(kTestMac);
  }
  FrameBuilder& hsr(Be16 ether_type = kEthPHsr) {
    announce(ether_type);
    add32(0x00010002);
    return add_type_field();
  }

  // ---- network layer
  FrameBuilder& ipv4(Ip4 src, Ip4 dst, const Ipv4Fields& f = {}) {
    announce(kEthPIp, kIpProtoIpip, kPppIp);
    begin(Layer::Kind::ipv4);
    const std::size_t option_words = (f.options.size() + 3) / 4;
    add({static_cast<std::uint8_t>(0x45 + option_words), f.tos});
    add16(0).add16(f.id);
    add16((f.dont_fragment ? 0x4000u : 0) | (f.more_fragments ? 0x2000u : 0) | f.fragment_offset);
    add({f.ttl});
    type_ = {TypeField::Kind::ip, at()};
    add({0xff}).add16(0);
    add(src.bytes).add(dst.bytes).add(f.options);
    return fill(option_words * 4 - f.options.size(), 0);
  }
  FrameBuilder& ipv6(const Ip6& src, const Ip6& dst, const Ipv6Fields& f = {}) {
    announce(kEthPIpv6, kIpProtoIpv6, kPppIpv6);
    begin(Layer::Kind::ipv6);
    add32(6u << 28 | std::uint32_t{f.traffic_class} << 20 | f.flow_label);
    add16(0);
    type_ = {TypeField::Kind::ip, at()};
    add({kIpProtoNoNext, f.hop_limit});
    return add(src.bytes).add(dst.bytes);
  }
  /// `more` is the length field: the header has 8 + 8 * more bytes.
  FrameBuilder& hop_by_hop(std::uint8_t more = 0) { return ipv6_option(kIpProtoHopByHop, more); }
  FrameBuilder& routing(std::uint8_t more = 0) { return ipv6_option(kIpProtoRouting, more); }
  FrameBuilder& dest_opts(std::uint8_t more = 0) { return ipv6_option(kIpProtoDestOpts, more); }
  FrameBuilder& ipv6_fragment(unsigned offset, bool more_fragments, std::uint32_t id = 1) {
    announce_ip(kIpProtoFragment);
    type_ = {TypeField::Kind::ip, at()};
    return add({kIpProtoNoNext, 0}).add16(offset << 3 | (more_fragments ? 1u : 0)).add32(id);
  }
  FrameBuilder& arp(Ip4 sender, Ip4 target, unsigned operation = 1) {
    announce(kEthPArp);
    add16(1).add16(0x0800).add({6, 4}).add16(operation);
    return add(kTestPeerMac).add(sender.bytes).add(MacAddress{}).add(target.bytes);
  }
  /// The four words every message starts with. A keep-alive probe is what idle links send.
  FrameBuilder& tipc(std::uint32_t source_node, bool keepalive_probe = false) {
    announce(kEthPTipc);
    return add32(0x54000018 | (keepalive_probe ? 0x0e080000u : 0)).add32(0).add32(0).add32(source_node);
  }

  // ---- transport layer
  FrameBuilder& tcp(unsigned src_port, unsigned dst_port, const TcpFields& f = {}) {
    announce_ip(kIpProtoTcp);
    begin(Layer::Kind::tcp);
    const std::size_t option_words = (f.options.size() + 3) / 4;
    add16(src_port).add16(dst_port).add32(f.seq).add32(f.ack);
    add({static_cast<std::uint8_t>((5 + option_words) << 4), f.flags});
    add16(f.window).add16(0).add16(f.urgent).add(f.options);
    return fill(option_words * 4 - f.options.size(), 0);
  }
  FrameBuilder& udp(unsigned src_port, unsigned dst_port) {
    announce_ip(kIpProtoUdp);
    begin(Layer::Kind::udp);
    return add16(src_port).add16(dst_port).add16(0).add16(0);
  }
  /// A transport header that starts with ports and is told by its number alone: DCCP, SCTP, UDP-Lite.
  FrameBuilder& ports(std::uint8_t protocol, unsigned src_port, unsigned dst_port) {
    announce_ip(protocol);
    return add16(src_port).add16(dst_port).fill(8, 0);
  }
  FrameBuilder& esp(std::uint32_t spi, std::uint32_t seq = 1) {
    announce_ip(kIpProtoEsp);
    return add32(spi).add32(seq);
  }
  FrameBuilder& ah(std::uint32_t spi, std::uint32_t seq = 1) {
    announce_ip(kIpProtoAh);
    type_ = {TypeField::Kind::ip, at()};
    return add({kIpProtoNoNext, 4}).add16(0).add32(spi).add32(seq).fill(12, 0);
  }
  FrameBuilder& icmp(std::uint8_t type = 8, std::uint8_t code = 0, unsigned id = 1, unsigned seq = 1) {
    announce_ip(in_ipv6() ? kIpProtoIcmpv6 : kIpProtoIcmp);
    return add({type, code}).add16(0).add16(id).add16(seq);
  }

  // ---- tunnels
  FrameBuilder& gre(const GreFields& f = {}) {
    announce_ip(kIpProtoGre);
    add16((f.csum ? GreView::kCsum : 0u) | (f.key >= 0 ? GreView::kKey : 0u) | (f.seq >= 0 ? GreView::kSeq : 0u) |
          (f.ack >= 0 ? GreView::kAck : 0u) | f.more_flags);
    type_ = {TypeField::Kind::ether, at()};
    add16(0);
    if (f.csum) add32(0);
    for (std::int64_t word : {f.key, f.seq, f.ack}) {
      if (word >= 0) add32(static_cast<std::uint32_t>(word));
    }
    return *this;
  }
  /// Behind udp(x, 4789). An eth() follows.
  FrameBuilder& vxlan(std::uint32_t network) {
    type_ = {};
    return add32(0x08000000).add32(network << 8);
  }
  /// Behind udp(x, 6081). An eth() or an IP header follows.
  FrameBuilder& geneve(std::uint32_t network) {
    add16(0);
    type_ = {TypeField::Kind::ether, at()};
    return add16(0).add32(network << 8);
  }

  // ---- the rest
  /// Sets the EtherType (or GRE protocol) field that is still open, against what the next layer says.
  FrameBuilder& ether_type(Be16 type) {
    announce(type);
    return *this;
  }
  /// Sets the IP protocol (or next header) field that is still open, against what the next layer says.
  FrameBuilder& ip_proto(std::uint8_t protocol) {
    announce_ip(protocol);
    return *this;
  }
  /// Sets the PPP protocol field that is still open.
  FrameBuilder& ppp_proto(std::uint16_t protocol) {
    put16(type_.at, protocol);
    type_ = {};
    return *this;
  }
  FrameBuilder& raw(std::initializer_list<std::uint8_t> bytes) { return add(bytes); }
  FrameBuilder& raw(std::span<const std::uint8_t> bytes) { return add(bytes); }
  /// `size` bytes that count up, so that merged or reordered payloads show.
  FrameBuilder& payload(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) bytes_.push_back(static_cast<std::uint8_t>(i));
    return *this;
  }
  /// Zeros up to the shortest frame a wire carries (60 bytes, without the frame check sequence). The IP lengths do not
  /// count them.
  FrameBuilder& pad(std::size_t size = 60) {
    padding_ = size;
    return *this;
  }

  Frame build() const {
    Frame frame{bytes_};
    for (std::size_t i = layers_.size(); i-- > 0;) finish(frame.bytes, i);
    frame.bytes.resize(std::max(frame.bytes.size(), padding_));
    return frame;
  }

 private:
  /// A header whose length or checksum waits for what follows it.
  struct Layer {
    enum class Kind { ipv4, ipv6, tcp, udp, pppoe } kind;
    std::size_t at;
  };
  /// The field in which the next layer says what it is.
  struct TypeField {
    enum class Kind { none, ether, ip, ppp } kind = Kind::none;
    std::size_t at = 0;
  };

  std::size_t at() const { return bytes_.size(); }
  void begin(Layer::Kind kind) { layers_.push_back({kind, at()}); }
  bool in_ipv6() const {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      if (layers_[i].kind == Layer::Kind::ipv4) return false;
      if (layers_[i].kind == Layer::Kind::ipv6) return true;
    }
    return false;
  }

  void announce(Be16 ether_type, int ip_protocol = -1, int ppp_protocol = -1) {
    if (type_.kind == TypeField::Kind::ether) put16(type_.at, to_host(ether_type));
    if (type_.kind == TypeField::Kind::ip && ip_protocol >= 0)
      bytes_[type_.at] = static_cast<std::uint8_t>(ip_protocol);
    if (type_.kind == TypeField::Kind::ppp && ppp_protocol >= 0)
      put16(type_.at, static_cast<std::uint32_t>(ppp_protocol));
    type_ = {};
  }
  void announce_ip(std::uint8_t protocol) {
    if (type_.kind == TypeField::Kind::ip) bytes_[type_.at] = protocol;
    type_ = {};
  }
  FrameBuilder& add_type_field() {
    type_ = {TypeField::Kind::ether, at()};
    return add16(0);
  }
  FrameBuilder& ipv6_option(std::uint8_t protocol, std::uint8_t more) {
    announce_ip(protocol);
    type_ = {TypeField::Kind::ip, at()};
    return add({kIpProtoNoNext, more, 1, 4}).fill(4 + 8u * more, 0);  // one PadN option of 4 bytes, then zeros
  }

  FrameBuilder& add(std::span<const std::uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  FrameBuilder& add(std::initializer_list<std::uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes);
    return *this;
  }
  FrameBuilder& fill(std::size_t size, std::uint8_t value) {
    bytes_.insert(bytes_.end(), size, value);
    return *this;
  }
  FrameBuilder& add16(std::uint32_t host) {
    return add({static_cast<std::uint8_t>(host >> 8), static_cast<std::uint8_t>(host)});
  }
  FrameBuilder& add32(std::uint32_t host) { return add16(host >> 16).add16(host); }
  void put16(std::size_t where, std::uint32_t host) { put16(bytes_, where, host); }

  static void put16(std::vector<std::uint8_t>& bytes, std::size_t where, std::size_t host) {
    bytes[where] = static_cast<std::uint8_t>(host >> 8);
    bytes[where + 1] = static_cast<std::uint8_t>(host);
  }
  static void put_checksum(std::vector<std::uint8_t>& bytes, std::size_t where, Be16 checksum) {
    std::memcpy(&bytes[where], &checksum, sizeof checksum);
  }

  void finish(std::vector<std::uint8_t>& bytes, std::size_t index) const {
    const Layer layer = layers_[index];
    const std::size_t size = bytes.size() - layer.at;
    switch (layer.kind) {
      case Layer::Kind::ipv4:
        put16(bytes, layer.at + 2, size);
        put_checksum(bytes, layer.at + 10, Be16{});
        put_checksum(
            bytes, layer.at + 10,
            csum_fold(csum_partial(std::span(bytes).subspan(layer.at, Ipv4View{&bytes[layer.at]}.header_size()))));
        break;
      case Layer::Kind::ipv6: put16(bytes, layer.at + 4, size - Ipv6View::kSize); break;
      case Layer::Kind::tcp: put_checksum(bytes, layer.at + 16, transport_checksum(bytes, index, kIpProtoTcp)); break;
      case Layer::Kind::udp: {
        put16(bytes, layer.at + 4, size);
        const Be16 checksum = transport_checksum(bytes, index, kIpProtoUdp);
        put_checksum(bytes, layer.at + 6, checksum == Be16{} ? Be16{0xffff} : checksum);
        break;
      }
      case Layer::Kind::pppoe: put16(bytes, layer.at + 4, size - 6); break;
    }
  }

  /// 0 when no IP header precedes it.
  Be16 transport_checksum(const std::vector<std::uint8_t>& bytes, std::size_t index, std::uint8_t protocol) const {
    if (index == 0) return Be16{};
    const Layer ip = layers_[index - 1];
    const std::span<const std::uint8_t> segment = std::span(bytes).subspan(layers_[index].at);
    std::span<const std::uint8_t> addresses = std::span(bytes).subspan(ip.at);
    if (ip.kind == Layer::Kind::ipv4) {
      addresses = addresses.subspan(12, 8);
    } else if (ip.kind == Layer::Kind::ipv6) {
      addresses = addresses.subspan(8, 32);
    } else {
      return Be16{};
    }
    return csum_fold(
        csum_partial(segment, csum_pseudo_header(addresses, protocol, static_cast<std::uint32_t>(segment.size()))));
  }

  std::vector<std::uint8_t> bytes_;
  std::vector<Layer> layers_;
  TypeField type_;
  std::size_t padding_ = 0;
};

}  // namespace netrx::wire
