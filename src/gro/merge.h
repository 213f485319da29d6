// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gro/gro_headers.h"
#include "gro/gro_rules.h"
#include "netrx/packet_bytes.h"
#include "softnet/gro_node.h"
#include "wire/headers.h"

namespace netrx {

/// Where the data of one more packet would go in the kernel: into the frags of the packet at the aggregate's end, or
/// behind it as a packet of its own. True: the latter.
inline bool place_frags(GroHeld& held, const Packet& packet, const GroRules& rules) {
  if (held.fraglist) return true;
  const std::uint32_t own = packet.nr_frags + std::uint32_t{packet.headlen() != 0};
  if (held.last_nr_frags + own <= rules.max_skb_frags) {
    held.last_nr_frags = static_cast<std::uint8_t>(held.last_nr_frags + own);
    if (held.last_is_head) held.packet->nr_frags = held.last_nr_frags;
    return false;
  }
  held.last_is_head = false;
  held.last_nr_frags = packet.nr_frags;
  return true;
}

/// Starts an aggregate of this one packet. Kernel: the end of dev_gro_receive.
void hold(GroHeld& held, Packet& packet, const GroSegment& segment, const GroRules& rules);

/// Puts the packet's payload behind what is held; the packet is a frag from then on. True: the kernel would chain it
/// as a packet of its own instead of keeping just its data. Kernel: skb_gro_receive, skb_gro_receive_list.
bool append(GroHeld& held, Packet& packet, const GroSegment& segment, const GroRules& rules);

/// The same for a packet in one piece, its headers not told to the aggregate's but for the flags.
[[gnu::always_inline]] inline bool append_plainly(GroHeld& held, Packet& packet, const GroSegment& segment,
                                                  const GroRules& rules) {
  packet.data += segment.payload_at;
  packet.len = segment.payload;
  const bool chained = place_frags(held, packet, rules);
  packet.nr_frags = 0;
  append_frag(*held.packet, held.last, packet);
  ++held.parts;
  ++held.count;
  held.next_seq += segment.payload;
  held.late_flags |= static_cast<std::uint8_t>(segment.flag_word >> 8) & (wire::TcpView::kFin | wire::TcpView::kPsh);
  return chained;
}

/// Makes the headers say what the packet has become; returns it. Kernel: napi_gro_complete and the protocols'
/// gro_complete.
Packet* complete(GroHeld& held);

}  // namespace netrx
