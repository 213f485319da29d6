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

/// A packet to be sent as the pieces of memory it lies in, its VLAN tag put back where it has one out of band. Points
/// into the packet and into itself.
class FramePieces {
 public:
  static constexpr std::size_t kMost = 300;

  /// `header`: what stands before the frame; may be empty. `ethernet`: the packet starts at its link header.
  FramePieces(const Packet& packet, std::span<const std::uint8_t> header, bool ethernet) {
    if (!header.empty()) add(header);
    if (puts_tag_back(packet, ethernet)) {
      const Be16 tci = to_be16(packet.vlan_tci);
      std::memcpy(tag_.data(), &packet.vlan_proto, 2);
      std::memcpy(tag_.data() + 2, &tci, 2);
      add(packet.linear().first(kAddresses));
      add(tag_);
      add(packet.linear().subspan(kAddresses));
    } else {
      add(packet.linear());
    }
    for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) add(frag->linear());
  }
  FramePieces(const FramePieces&) = delete;
  FramePieces& operator=(const FramePieces&) = delete;

  /// Empty when the packet lies in too many.
  std::span<iovec> pieces() { return {pieces_.data(), count_ <= kMost ? count_ : 0}; }

  /// The header for a packet sent so: offsets count from the frame's first byte, the tag included. False: the header
  /// can't describe it. Kernel: virtio_net_hdr_from_skb, vlan_hlen.
  [[nodiscard]] static bool describe(const Packet& packet, bool ethernet, VirtioNetHdr& header) {
    if (!virtio_net_hdr_from_packet(packet, header)) return false;
    if (!puts_tag_back(packet, ethernet)) return true;
    if (header.hdr_len != 0) header.hdr_len = static_cast<std::uint16_t>(header.hdr_len + kTag);
    if (header.flags == VirtioNetHdr::kNeedsCsum)
      header.csum_start = static_cast<std::uint16_t>(header.csum_start + kTag);
    return true;
  }

 private:
  static constexpr std::size_t kAddresses = 12, kTag = 4;

  static bool puts_tag_back(const Packet& packet, bool ethernet) {
    return ethernet && packet.vlan_present && packet.headlen() >= kAddresses;
  }

  void add(std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) return;
    if (count_ < kMost) pieces_[count_] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    ++count_;
  }

  std::array<std::uint8_t, kTag> tag_{};
  std::size_t count_ = 0;
  std::array<iovec, kMost> pieces_;
};

}  // namespace netrx
