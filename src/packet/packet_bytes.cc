// SPDX-License-Identifier: Apache-2.0
#include "netrx/packet_bytes.h"

#include <algorithm>
#include <cstring>

namespace netrx {

std::size_t copy_bits(const Packet& packet, std::size_t offset, std::span<std::uint8_t> to) {
  std::size_t copied = 0;
  for_each_piece(packet, [&](std::span<const std::uint8_t> piece) {
    const std::size_t skipped = std::min(offset, piece.size());
    offset -= skipped;
    const std::size_t n = std::min(piece.size() - skipped, to.size() - copied);
    if (n != 0) std::memcpy(to.data() + copied, piece.data() + skipped, n);
    copied += n;
  });
  return copied;
}

bool may_pull(Packet& packet, std::uint32_t n) {
  if (n <= packet.headlen()) return true;
  if (n > packet.len || n - packet.headlen() > packet.tailroom()) return false;
  for (Packet* frag = packet.frags; n > packet.headlen(); frag = frag->next) {
    const std::uint32_t take = std::min(n - packet.headlen(), frag->len);
    if (take != 0) std::memcpy(packet.data + packet.headlen(), frag->data, take);
    frag->data += take;
    frag->len -= take;
    packet.data_len -= take;
  }
  return true;
}

}  // namespace netrx
