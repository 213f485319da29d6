// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "gro/gro_headers.h"
#include "gro/gro_rules.h"
#include "netrx/ethertype.h"
#include "softnet/gro_node.h"
#include "wire/headers.h"

namespace netrx {

/// Whether the layers between link header and innermost IP header are those of the held packet. The keys are equal
/// already, so that all of `headers`' layers lie within the held packet's headers. Kernel: what the protocols'
/// gro_receive callbacks compare to clear same_flow.
bool same_layers(const GroHeld& held, const Packet& packet, const GroHeaders& headers);

/// May the packet follow what is held of its flow, and if not, why?
struct GroVerdict {
  GroRefusal why_not;  ///< kNone: it may
  bool fixed_id;       ///< by this packet the flow shows that its IPv4 ids stay the same
};
GroVerdict may_merge(const GroHeld& held, const Packet& packet, const GroSegment& segment, const GroRules& rules);

/// The short cut: true means that may_merge() and same_layers() would have nothing against it and change nothing;
/// false, that they must be asked. For the next segment of a plain TCP flow. Every difference is a bit, and they are
/// looked at all at once.
[[gnu::always_inline]] inline bool continues_plainly(const GroHeld& held, const Packet& packet,
                                                     const GroSegment& segment, const GroRules& rules) {
  // CWR; and all of the word but CWR, FIN and PSH, as it stands in the frame.
  constexpr std::uint32_t kCwr = std::uint32_t{wire::TcpView::kCwr} << 8;
  constexpr std::uint32_t kEqual =
      ~(std::uint32_t{wire::TcpView::kCwr | wire::TcpView::kFin | wire::TcpView::kPsh} << 8);
  const GroNetwork &then = held.network[0], &now = segment.network[0];
  const std::uint32_t step = static_cast<std::uint16_t>(now.id - then.id);
  std::uint32_t differ = ((segment.flag_word ^ held.flag_word) & kEqual) | (segment.flag_word & kCwr);
  differ |= segment.ack ^ held.ack;
  differ |= segment.seq ^ held.next_seq;
  differ |= now.fields ^ then.fields;
  differ |= now.is_ipv4() ? step ^ (held.fixed_id ? 0u : held.count) : 0u;
  differ |= static_cast<std::uint32_t>(held.tunnel) | static_cast<std::uint32_t>(held.fraglist);
  const std::uint32_t size = held.packet->len + segment.payload;
  const std::uint32_t most = now.is_ipv4() ? rules.gro_ipv4_max_size : rules.gro_max_size;
  const bool fits = size < std::min(most, kGroLegacyMaxSize) && segment.payload - 1 < held.packet->gso_size;
  if (differ != 0 || !fits || !segment.tcp) return false;
  const std::uint32_t options = segment.l4_at + wire::TcpView::kSize;
  return options == segment.payload_at ||
         std::memcmp(held.packet->data + options, packet.data + options, segment.payload_at - options) == 0;
}

}  // namespace netrx
