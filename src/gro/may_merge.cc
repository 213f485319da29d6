// SPDX-License-Identifier: Apache-2.0
#include "gro/may_merge.h"

#include <cstring>

#include "netrx/ethertype.h"
#include "wire/headers.h"

namespace netrx {

namespace {

using enum GroRefusal;

constexpr std::uint32_t kJumboHeader = 8;    // Kernel: sizeof(struct hop_jumbo_hdr)
constexpr std::uint16_t kUdpGroCntMax = 64;  // Kernel: UDP_GRO_CNT_MAX

/// A bit of the fourth word of a TCP header, as the word stands in the frame.
constexpr std::uint32_t in_flag_word(std::uint8_t flag) { return std::uint32_t{flag} << 8; }
constexpr std::uint32_t kCwrBit = in_flag_word(wire::TcpView::kCwr);
constexpr std::uint32_t kMayDiffer = kCwrBit | in_flag_word(wire::TcpView::kFin) | in_flag_word(wire::TcpView::kPsh);

bool same(const std::uint8_t* a, const std::uint8_t* b, std::uint32_t from, std::uint32_t to) {
  return std::memcmp(a + from, b + from, to - from) == 0;
}

bool same_layer(const GroLayer& layer, const std::uint8_t* a, const std::uint8_t* b) {
  switch (layer.kind) {
    case GroLayer::Kind::vlan:
    case GroLayer::Kind::ethernet:
    case GroLayer::Kind::ipv6_options:
    case GroLayer::Kind::vxlan:
    case GroLayer::Kind::geneve: return same(a, b, 0, layer.size);
    case GroLayer::Kind::ipv4: return same(a, b, 9, 10) && same(a, b, 12, 20);
    case GroLayer::Kind::ipv6:
      return ((wire::host32(a) ^ wire::host32(b)) & 0xf00fffff) == 0 && same(a, b, 6, 7) && same(a, b, 8, 40);
    // Behind flags and protocol the kernel compares one word when there is a key, whatever word stands there.
    case GroLayer::Kind::gre:
      return same(a, b, 0, 4) && ((wire::GreView{a}.flags() & wire::GreView::kKey) == 0 || same(a, b, 4, 8));
    case GroLayer::Kind::udp:
      return same(a, b, 0, 4) && (wire::UdpView{a}.checksum() == 0) == (wire::UdpView{b}.checksum() == 0);
  }
  return false;
}

/// Whether one IP header continues another. `fixed_id` is the flow's state, and changes when this packet decides it.
/// Kernel: inet_gro_flush, ipv6_gro_flush.
GroRefusal continues(const GroNetwork& held, const GroNetwork& now, bool outer, std::uint16_t count, bool& fixed_id) {
  const std::uint32_t differ = held.fields ^ now.fields;
  if ((differ & GroNetwork::kTtl) != 0) return kTtl;
  if ((differ & GroNetwork::kTos) != 0) return kTos;
  if (!now.is_ipv4()) return kNone;
  if ((differ & GroNetwork::kDf) != 0) return kDf;
  if (outer && now.df()) return kNone;
  const std::uint16_t step = static_cast<std::uint16_t>(now.id - held.id);
  if (count == 1 && now.df() && step == 0) fixed_id = true;
  return step == (fixed_id ? 0 : count) ? kNone : kIpId;
}

GroRefusal network_continues(const GroHeld& held, const GroSegment& segment, bool& fixed_id) {
  const bool tunnel = segment.encapsulated();
  const GroRefusal outer = continues(held.network[0], segment.network[0], tunnel, held.count, fixed_id);
  if (!tunnel) return outer;
  const GroRefusal inner = continues(held.network[1], segment.network[1], false, held.count, fixed_id);
  return outer != kNone ? outer : inner;
}

bool same_options(const GroHeld& held, const Packet& packet, const GroSegment& segment) {
  const std::uint32_t from = segment.l4_at + wire::TcpView::kSize;
  return from == segment.payload_at || same(held.packet->data, packet.data, from, segment.payload_at);
}

/// Whether the aggregate can grow by this packet. Kernel: skb_gro_receive's own refusals.
GroRefusal fits(const GroHeld& held, const Packet& packet, const GroSegment& segment, const GroRules& rules) {
  const Packet& aggregate = *held.packet;
  // Kernel: skb_gro_receive_list, which counts the headers too and does not ask whether the packet shall be flushed.
  if (held.fraglist) return aggregate.len + packet.len >= kGroLegacyMaxSize ? kMaxSize : kNone;
  const std::uint32_t size = aggregate.len + segment.payload;
  const bool ipv6 = aggregate.protocol == kEthPIpv6;
  if (size >= (ipv6 ? rules.gro_max_size : rules.gro_ipv4_max_size)) return kMaxSize;
  if (size < kGroLegacyMaxSize) return kNone;
  const bool describable = segment.tcp && !segment.encapsulated() && !aggregate.encapsulation &&
                           (aggregate.protocol == kEthPIp || aggregate.mac_header >= kJumboHeader);
  return describable ? kNone : kMaxSize;
}

GroRefusal tcp_continues(const GroHeld& held, const Packet& packet, const GroSegment& segment, bool& fixed_id) {
  const std::uint32_t mss = held.packet->gso_size;
  // The order in which reasons are named; whether it merges does not depend on it.
  const GroRefusal network = network_continues(held, segment, fixed_id);
  if ((segment.flag_word & kCwrBit) != 0) return kCwr;
  if (((segment.flag_word ^ held.flag_word) & ~kMayDiffer) != 0) return kFlagsOrWindow;
  if (segment.ack != held.ack) return kAck;
  if (!same_options(held, packet, segment)) return kOptions;
  if (network != kNone) return network;
  if (packet.gso_size != 0 && packet.gso_size != mss) return kGsoSize;
  if (packet.gso_size == 0 && segment.payload == 0) return kEmpty;
  if (packet.gso_size == 0 && segment.payload > mss) return kLonger;
  if (segment.seq != held.next_seq) return kSequence;
  if (!held.fraglist) return kNone;
  if (segment.flag_word != held.flag_word) return kFlagsOrWindow;
  if (packet.ip_summed != held.packet->ip_summed || packet.csum_level != held.packet->csum_level) return kCsumState;
  return held.count >= kUdpGroCntMax ? kSegments : kNone;
}

GroRefusal udp_continues(const GroHeld& held, const Packet& packet, const GroSegment& segment, bool& fixed_id) {
  if (segment.fraglist != held.fraglist) return kMode;
  const GroRefusal network = network_continues(held, segment, fixed_id);
  if (segment.payload > held.packet->gso_size) return kLonger;
  if (network != kNone) return network;
  const bool same_state = packet.ip_summed == held.packet->ip_summed && packet.csum_level == held.packet->csum_level;
  return held.fraglist && !same_state ? kCsumState : kNone;
}

}  // namespace

bool same_layers(const GroHeld& held, const Packet& packet, const GroHeaders& headers) {
  if (held.tunnel != headers.tunnel) return false;
  for (std::size_t i = 0; i < headers.layer_count; ++i) {
    const GroLayer& layer = headers.layers[i];
    if (!same_layer(layer, held.packet->data + layer.at, packet.data + layer.at)) return false;
  }
  return true;
}

GroVerdict may_merge(const GroHeld& held, const Packet& packet, const GroSegment& segment, const GroRules& rules) {
  GroVerdict verdict{.why_not = kNone, .fixed_id = held.fixed_id};
  verdict.why_not = segment.tcp ? tcp_continues(held, packet, segment, verdict.fixed_id)
                                : udp_continues(held, packet, segment, verdict.fixed_id);
  // What was wrong with the packet by itself is the reason, if it is one.
  if (segment.flush != kNone && !held.fraglist) verdict.why_not = segment.flush;
  if (verdict.why_not == kNone) verdict.why_not = fits(held, packet, segment, rules);
  return verdict;
}

}  // namespace netrx
