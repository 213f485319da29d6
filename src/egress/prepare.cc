// SPDX-License-Identifier: Apache-2.0
#include "egress/prepare.h"

#include <cstring>

#include "netrx/ethertype.h"
#include "netrx/packet_bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {

bool restore_frame(Packet& packet, bool with_link_header) {
  const std::uint16_t link = packet.mac_len();
  if (!with_link_header) return packet.protocol == kEthPIp || packet.protocol == kEthPIpv6;
  if (link < wire::EthernetView::kSize) return false;
  packet.data = packet.head + packet.mac_header;
  packet.len += link;
  // A tag that stood in the frame is there still, in front of the network header. One that a device took out is not:
  // delivery has looked at it and cleared its mark, and it goes back.
  packet.vlan_present = link == wire::EthernetView::kSize && is_vlan(packet.vlan_proto);
  return true;
}

void complete_checksum(Packet& packet) {
  const std::uint32_t start = (packet.csum & 0xffff) - packet.headroom();
  const std::uint32_t field = start + (packet.csum >> 16);
  packet.ip_summed = IpSummed::none;
  if (packet.headlen() < field + 2) return;
  std::uint32_t sum = 0;
  std::size_t at = 0;
  for_each_piece(packet, [&](std::span<const std::uint8_t> piece) {
    const std::span<const std::uint8_t> covered = at == 0 ? piece.subspan(start) : piece;
    sum = wire::csum_block_add(sum, wire::csum_partial(covered), at == 0 ? 0 : at - start);
    at += piece.size();
  });
  Be16 folded = wire::csum_fold(sum);
  if (folded == Be16{}) folded = Be16{0xffff};  // 0 would say that there is none
  std::memcpy(packet.data + field, &folded, sizeof folded);
}

namespace {

/// Whether the device cuts this GSO packet by itself.
bool device_cuts(const Packet& packet, const TxFeatures& features) {
  constexpr std::uint32_t kNoMatter = kGsoDodgy | kGsoTcpEcn | kGsoTcpFixedId;
  constexpr std::uint32_t kLongest = 65535;  // from the network header on
  const std::uint32_t type = packet.gso_type & ~kNoMatter;
  if (packet.ip_summed != IpSummed::partial || packet.len > kLongest) return false;
  if (packet.data_len != 0 && !features.scatter) return false;
  if (type == kGsoTcpv4 || type == kGsoTcpv6) return features.tcp_segmentation;
  return type == kGsoUdpL4 && features.udp_segmentation;
}

}  // namespace

Egressing make_sendable(Packet& packet, const TxFeatures& features) {
  if (packet.gso_size != 0) return device_cuts(packet, features) ? Egressing::whole : Egressing::cut;
  if (packet.ip_summed == IpSummed::partial && !features.checksum) complete_checksum(packet);
  return packet.data_len != 0 && !features.scatter ? Egressing::copied : Egressing::whole;
}

}  // namespace netrx
