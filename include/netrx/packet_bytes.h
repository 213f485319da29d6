// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "netrx/packet.h"

/// The bytes of a packet wherever they are: its linear part, then its frags.
namespace netrx {

/// Calls `use(span)` for each piece of the packet's bytes, in order; a piece may be empty.
template <class Use>
void for_each_piece(const Packet& packet, Use use) {
  use(packet.linear());
  for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) use(frag->linear());
}

/// Copies bytes from `offset` (counted from data) on into `to`; returns how many there were. Kernel: skb_copy_bits.
std::size_t copy_bits(const Packet& packet, std::size_t offset, std::span<std::uint8_t> to);

/// Makes at least the first `n` bytes linear by copying them from the frags. False, and nothing changed, when the
/// packet is shorter, or its buffer has no room behind its linear part. A frag that gave all its bytes stays, empty: it
/// ends with the packet. Kernel: pskb_may_pull.
bool may_pull(Packet& packet, std::uint32_t n);

/// Puts `frag` behind the packet's other bytes. `last` is the packet's last frag, null when it has none, and is `frag`
/// afterwards. The frag belongs to the packet then.
inline void append_frag(Packet& packet, Packet*& last, Packet& frag) {
  frag.next = nullptr;
  (last == nullptr ? packet.frags : last->next) = &frag;
  last = &frag;
  packet.has_frags = true;
  packet.len += frag.len;
  packet.data_len += frag.len;
}

}  // namespace netrx
