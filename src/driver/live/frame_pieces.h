// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "netrx/packet_bytes.h"
#include "netrx/virtio_net_hdr.h"

namespace netrx {

/// What stands in front of or inside a frame that is sent in pieces and is not in the packet's memory. Lives until the
/// pieces are sent.
struct FrameExtras {
  VirtioNetHdr header;
  std::array<std::uint8_t, 4> tag{};
};

/// How a file wants frames.
struct FrameFormat {
  bool ethernet;  ///< from the link header on; only then a VLAN tag in the packet's fields is put back
  bool vnet_hdr;  ///< a virtio_net_hdr in front
};

/// More pieces than any packet of the path has.
inline constexpr std::size_t kMostFramePieces = 300;

namespace internal {

inline constexpr std::size_t kAddresses = 12, kTag = 4;

inline bool puts_tag_back(const Packet& packet, const FrameFormat& format) {
  return format.ethernet && packet.vlan_present && packet.headlen() >= kAddresses;
}

/// The header of a packet sent so: offsets count from the frame's first byte, the tag included. Kernel:
/// virtio_net_hdr_from_skb, vlan_hlen.
inline bool describe(const Packet& packet, const FrameFormat& format, VirtioNetHdr& header) {
  if (!virtio_net_hdr_from_packet(packet, header)) return false;
  if (!puts_tag_back(packet, format)) return true;
  if (header.hdr_len != 0) header.hdr_len = static_cast<std::uint16_t>(header.hdr_len + kTag);
  if (header.flags == VirtioNetHdr::kNeedsCsum)
    header.csum_start = static_cast<std::uint16_t>(header.csum_start + kTag);
  return true;
}

}  // namespace internal

/// Fills in the pieces of memory that make up the packet as a frame, and returns how many; 0: the header can't describe
/// it, or there is no room for them all.
inline std::size_t frame_pieces(const Packet& packet, const FrameFormat& format, FrameExtras& extras,
                                std::span<iovec> room) {
  std::size_t count = 0;
  const auto add = [&](std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) return;
    if (count < room.size()) room[count] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    ++count;
  };
  if (format.vnet_hdr) {
    if (!internal::describe(packet, format, extras.header)) return 0;
    add({reinterpret_cast<const std::uint8_t*>(&extras.header), sizeof extras.header});
  }
  if (internal::puts_tag_back(packet, format)) {
    const Be16 tci = to_be16(packet.vlan_tci);
    std::memcpy(extras.tag.data(), &packet.vlan_proto, 2);
    std::memcpy(extras.tag.data() + 2, &tci, 2);
    add(packet.linear().first(internal::kAddresses));
    add(extras.tag);
    add(packet.linear().subspan(internal::kAddresses));
  } else {
    add(packet.linear());
  }
  for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) add(frag->linear());
  return count <= room.size() ? count : 0;
}

}  // namespace netrx
