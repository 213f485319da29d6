// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "netrx/packet.h"

namespace netrx {

/// What virtio_net devices, TUN/TAP with IFF_VNET_HDR and AF_PACKET with PACKET_VNET_HDR put in front of a frame:
/// little-endian, no padding. Devices that merge receive buffers append num_buffers (12 bytes), those that report
/// hashes two more words (20 bytes); the others have 10 bytes. Kernel: struct virtio_net_hdr, _v1, _v1_hash.
struct VirtioNetHdr {
  static constexpr std::uint8_t kNeedsCsum = 1, kDataValid = 2, kRscInfo = 4;  // flags
  static constexpr std::uint8_t kGsoNone = 0, kGsoTcpv4 = 1, kGsoUdp = 3, kGsoTcpv6 = 4, kGsoUdpL4 = 5;
  static constexpr std::uint8_t kGsoEcn = 0x80;  // ORed to the two of TCP

  std::uint8_t flags = 0;
  std::uint8_t gso_type = kGsoNone;
  std::uint16_t hdr_len = 0;      ///< a hint: link, network and transport header together
  std::uint16_t gso_size = 0;     ///< payload bytes of each segment
  std::uint16_t csum_start = 0;   ///< from the frame's first byte
  std::uint16_t csum_offset = 0;  ///< from csum_start
};
static_assert(sizeof(VirtioNetHdr) == 10);

/// Sets the packet's checksum and segmentation fields by what a device says of its frame; `data` stands at the frame's
/// first byte. Pulls what must be linear. False: the header is wrong or contradicts the frame; the packet must be
/// dropped, and counts as rx_frame_errors. Kernel: virtio_net_hdr_to_skb, and virtio_net's DATA_VALID.
[[nodiscard]] bool virtio_net_hdr_to_packet(const VirtioNetHdr& header, Packet& packet);

/// The header that tells a device or a reader what the packet's fields say; `data` stands at the frame's first byte.
/// False: the packet is a GSO packet of a kind that the header can't name. Kernel: virtio_net_hdr_from_skb.
[[nodiscard]] bool virtio_net_hdr_from_packet(const Packet& packet, VirtioNetHdr& header);

}  // namespace netrx
