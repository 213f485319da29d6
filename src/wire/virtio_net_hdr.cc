// SPDX-License-Identifier: Apache-2.0
#include "netrx/virtio_net_hdr.h"

#include <algorithm>

#include "netrx/packet_bytes.h"
#include "wire/headers.h"

namespace netrx {

namespace {

constexpr std::uint32_t kTcpMinGsoSize = 8;     // Kernel: TCP_MIN_GSO_SIZE
constexpr std::uint32_t kGsoByFrags = 0xffff;   // Kernel: GSO_BY_FRAGS
constexpr std::uint32_t kUdpMaxSegments = 128;  // Kernel: UDP_MAX_SEGMENTS
constexpr std::uint32_t kTcpCheckOffset = 16, kUdpCheckOffset = 6;

/// One kind of segmentation that a header can name.
struct GsoKind {
  std::uint8_t wire;
  std::uint32_t type;
  std::uint32_t network_min;  ///< the least the headers in front of the transport header measure
  std::uint32_t transport_min;
};
constexpr GsoKind kGsoKinds[] = {
    {VirtioNetHdr::kGsoTcpv4, kGsoTcpv4, wire::Ipv4View::kSize, wire::TcpView::kSize},
    {VirtioNetHdr::kGsoTcpv6, kGsoTcpv6, wire::Ipv6View::kSize, wire::TcpView::kSize},
    {VirtioNetHdr::kGsoUdp, kGsoUdp, wire::Ipv4View::kSize, wire::UdpView::kSize},
    {VirtioNetHdr::kGsoUdpL4, kGsoUdpL4, wire::Ipv4View::kSize, wire::UdpView::kSize},
};

const GsoKind* gso_kind(std::uint8_t wire) {
  const auto* found = std::ranges::find(kGsoKinds, wire & ~VirtioNetHdr::kGsoEcn, &GsoKind::wire);
  return found == std::end(kGsoKinds) ? nullptr : found;
}

/// What is certain about the headers before anything is set: nothing, or a kind of segmentation's least sizes.
constexpr GsoKind kNoGso{VirtioNetHdr::kGsoNone, 0, wire::Ipv4View::kSize, 0};

/// Makes the packet CHECKSUM_PARTIAL. Kernel: skb_partial_csum_set.
bool set_partial(Packet& packet, const VirtioNetHdr& header, const GsoKind& kind) {
  const std::uint32_t start = header.csum_start, offset = header.csum_offset;
  if (start < kind.network_min) return false;
  if (!may_pull(packet, start + std::max(kind.transport_min, offset + 2))) return false;
  const std::uint32_t from_head = packet.headroom() + start;
  if (from_head >= 0xffff) return false;
  packet.ip_summed = IpSummed::partial;
  packet.csum = from_head | offset << 16;
  packet.transport_header = static_cast<std::uint16_t>(from_head);
  return true;
}

/// Whether `header` may announce segments of this kind; `payload` bytes follow the transport header's least size.
bool may_segment(const VirtioNetHdr& header, const GsoKind& kind, std::uint32_t payload) {
  if (header.gso_size == kGsoByFrags) return false;
  const bool partial = (header.flags & VirtioNetHdr::kNeedsCsum) != 0;
  if (kind.type == kGsoUdpL4)
    return partial && header.csum_offset == kUdpCheckOffset && (header.gso_type & VirtioNetHdr::kGsoEcn) == 0 &&
           payload <= kUdpMaxSegments * header.gso_size;
  return kind.type == kGsoUdp || !partial || header.csum_offset == kTcpCheckOffset;
}

}  // namespace

bool virtio_net_hdr_to_packet(const VirtioNetHdr& header, Packet& packet) {
  const bool gso = header.gso_type != VirtioNetHdr::kGsoNone;
  const GsoKind* kind = gso ? gso_kind(header.gso_type) : &kNoGso;
  if (kind == nullptr || (gso && header.gso_size == 0)) return false;

  if ((header.flags & VirtioNetHdr::kDataValid) != 0) {
    packet.ip_summed = IpSummed::unnecessary;
    packet.csum_level = 0;
  }
  std::uint32_t transport = kind->network_min;
  if ((header.flags & VirtioNetHdr::kNeedsCsum) != 0) {
    if (!set_partial(packet, header, *kind)) return false;
    transport = header.csum_start;
  }
  if (!gso) return true;
  const std::uint32_t headers = transport + kind->transport_min;
  if (!may_pull(packet, headers)) return false;
  if (!may_segment(header, *kind, packet.len - headers)) return false;
  const std::uint32_t size = kind->transport_min == wire::TcpView::kSize
                                 ? std::max<std::uint32_t>(header.gso_size, kTcpMinGsoSize)
                                 : header.gso_size;
  // A packet that fits one segment is an ordinary one. UFO counts the UDP header to its fragments.
  if (packet.len - (kind->type == kGsoUdp ? transport : headers) <= size) return true;
  packet.gso_size = static_cast<std::uint16_t>(size);
  packet.gso_type = kind->type | kGsoDodgy;
  if ((header.gso_type & VirtioNetHdr::kGsoEcn) != 0) packet.gso_type |= kGsoTcpEcn;
  packet.gso_segs = 0;
  return true;
}

bool virtio_net_hdr_from_packet(const Packet& packet, VirtioNetHdr& header) {
  header = {};
  if (packet.gso_size != 0) {
    const auto* kind =
        std::ranges::find_if(kGsoKinds, [&](const GsoKind& one) { return (packet.gso_type & one.type) != 0; });
    constexpr std::uint32_t kUnnamed = kGsoFraglist | kGsoTunnels;
    if (kind == std::end(kGsoKinds) || (packet.gso_type & kUnnamed) != 0) return false;
    header.gso_type = kind->wire;
    if ((packet.gso_type & kGsoTcpEcn) != 0) header.gso_type |= VirtioNetHdr::kGsoEcn;
    header.gso_size = packet.gso_size;
    const std::uint32_t transport = packet.transport_header - packet.headroom();
    const bool tcp = kind->transport_min == wire::TcpView::kSize;
    header.hdr_len = static_cast<std::uint16_t>(
        transport + (tcp ? wire::TcpView{packet.data + transport}.header_size() : kind->transport_min));
  }
  if (packet.ip_summed == IpSummed::partial) {
    header.flags = VirtioNetHdr::kNeedsCsum;
    header.csum_start = static_cast<std::uint16_t>((packet.csum & 0xffff) - packet.headroom());
    header.csum_offset = static_cast<std::uint16_t>(packet.csum >> 16);
  } else if (packet.ip_summed == IpSummed::unnecessary) {
    header.flags = VirtioNetHdr::kDataValid;
  }
  return true;
}

}  // namespace netrx
