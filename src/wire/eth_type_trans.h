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

inline std::uint64_t mac_number(const std::uint8_t* address) {
  return load_unaligned<std::uint32_t>(address) | std::uint64_t{load_unaligned<std::uint16_t>(address + 4)} << 32;
}

/// Reads the Ethernet header of a frame that came in on the device with address `device`. `frame` holds at least
/// EthernetView::kSize bytes: drivers drop shorter frames. Kernel: net/ethernet/eth.c:eth_type_trans
inline EtherResult eth_type_trans(std::span<const std::uint8_t> frame, const MacAddress& device) {
  constexpr std::uint64_t kBroadcast = 0xffffffffffff;
  constexpr std::uint16_t kSmallestEtherType = 0x0600;
  const EthernetView ethernet{frame.data()};
  EtherResult result{.protocol = ethernet.ether_type()};

  // As a number: bytes put into an array one way and taken out another make the CPU wait for its own stores.
  const std::uint64_t dst = mac_number(ethernet.at);
  if (dst != mac_number(device.data())) {
    const bool group = (ethernet.at[0] & 1) != 0;
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
