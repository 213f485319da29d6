// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/packet.h"

namespace netrx {

/// One more checksum of the packet, further inside than those known already, has been verified. Kernel:
/// __skb_incr_checksum_unnecessary.
inline void note_verified_checksum(Packet& packet) {
  constexpr std::uint8_t kMaxLevel = 3;  // Kernel: SKB_MAX_CSUM_LEVEL
  if (packet.ip_summed == IpSummed::unnecessary) {
    if (packet.csum_level < kMaxLevel) packet.csum_level = (packet.csum_level + 1) & 0xf;
  } else if (packet.ip_summed == IpSummed::none) {
    packet.ip_summed = IpSummed::unnecessary;
    packet.csum_level = 0;
  }
}

}  // namespace netrx
