// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "netrx/packet.h"
#include "wire/headers.h"

namespace netrx::wire {

/// What the Ethernet header says. The caller then moves its packet on by EthernetView::kSize.
struct EtherResult {
  Be16 protocol{};  ///< the EtherType; kEthP8023 or kEthP8022 when the field is a length
  PacketKind kind = PacketKind::host;
};

/// Reads the Ethernet header of a frame that came in on the device with address `device`. `frame` holds at least
/// EthernetView::kSize bytes: drivers drop shorter frames. Kernel: net/ethernet/eth.c:eth_type_trans
inline EtherResult eth_type_trans(std::span<const std::uint8_t> frame, const MacAddress& device) {
  constexpr MacAddress kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  constexpr std::uint16_t kSmallestEtherType = 0x0600;
  const EthernetView ethernet{frame.data()};
  EtherResult result{.protocol = ethernet.ether_type()};

  const MacAddress dst = ethernet.dst();
  if (dst != device) {
    const bool group = (dst[0] & 1) != 0;
    result.kind = dst == kBroadcast ? PacketKind::broadcast : group ? PacketKind::multicast : PacketKind::otherhost;
  }
  if (to_host(result.protocol) < kSmallestEtherType) {
    // Novell put IPX right behind the length, and IPX starts with an unused checksum of all ones.
    const std::span<const std::uint8_t> payload = frame.subspan(EthernetView::kSize);
    const bool raw = payload.size() >= 2 && payload[0] == 0xff && payload[1] == 0xff;
    result.protocol = raw ? kEthP8023 : kEthP8022;
  }
  return result;
}

}  // namespace netrx::wire
