// SPDX-License-Identifier: Apache-2.0
#include "gro_scenario.h"

#include <algorithm>
#include <deque>
#include <span>
#include <utility>

#include "kernel.h"
#include "kernel_records.h"
#include "netrx/packet_bytes.h"
#include "wire/eth_type_trans.h"

namespace netrx::conformance {

namespace {

constexpr std::size_t kRoom = 256;  // in front and behind, for what GRO may want there

constexpr std::uint32_t kSplitAt = 30;  // within the headers of any packet that merges

/// A packet on a buffer of its own.
struct OwnPacket {
  explicit OwnPacket(const Arrival& arrival) : buffer(kRoom + arrival.frame.size() + kRoom) {
    std::ranges::copy(arrival.frame.bytes, buffer.begin() + kRoom);
    packet.head = buffer.data();
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.data = packet.head + kRoom + wire::EthernetView::kSize;
    packet.len = static_cast<std::uint32_t>(arrival.frame.size() - wire::EthernetView::kSize);
    packet.mac_header = kRoom;
    packet.network_header = packet.transport_header = kRoom + wire::EthernetView::kSize;
    packet.protocol = wire::eth_type_trans(arrival.frame.bytes, wire::kTestMac).protocol;
    packet.hash = arrival.hash;
    packet.vlan_present = arrival.vlan_proto != Be16{};
    packet.vlan_proto = arrival.vlan_proto;
    packet.vlan_tci = arrival.vlan_tci;
  }
  /// Leaves the first bytes where they are and puts the others into a buffer of their own.
  void split(std::uint32_t headlen) {
    if (packet.len <= headlen) return;
    rest_buffer.assign(packet.data + headlen, packet.data + packet.len);
    rest.head = rest.data = rest_buffer.data();
    rest.buffer_size = rest.len = static_cast<std::uint32_t>(rest_buffer.size());
    packet.len = headlen;
    Packet* last = nullptr;
    append_frag(packet, last, rest);
    packet.nr_frags = 1;
  }
  std::vector<std::uint8_t> buffer, rest_buffer;
  Packet packet, rest;
};

std::set<std::string> gso_names(std::uint32_t gso_type) {
  static constexpr std::pair<std::uint32_t, const char*> kNames[] = {
      {kGsoTcpv4, "TCPV4"},      {kGsoDodgy, "DODGY"},   {kGsoTcpEcn, "TCP_ECN"},
      {kGsoTcpv6, "TCPV6"},      {kGsoGre, "GRE"},       {kGsoTcpFixedId, "TCP_FIXEDID"},
      {kGsoIpxip4, "IPXIP4"},    {kGsoIpxip6, "IPXIP6"}, {kGsoUdpTunnel, "UDP_TUNNEL"},
      {kGsoUdp, "UDP"},          {kGsoUdpL4, "UDP_L4"},  {kGsoUdpTunnelCsum, "UDP_TUNNEL_CSUM"},
      {kGsoFraglist, "FRAGLIST"}};
  std::set<std::string> names;
  for (const auto& [bit, name] : kNames) {
    if ((gso_type & bit) != 0) names.insert(name);
    gso_type &= ~bit;
  }
  if (gso_type != 0) names.insert("a bit without a name");
  return names;
}

Handed handed(const Packet& packet) {
  Handed h;
  h.link_header.assign(packet.mac(), packet.mac() + NETRX_LINK_HEADER);
  for_each_piece(packet, [&](auto piece) { h.bytes.insert(h.bytes.end(), piece.begin(), piece.end()); });
  h.bytes.resize(std::min<std::size_t>(h.bytes.size(), NETRX_MAX_SEEN_BYTES));
  h.len = packet.len;
  h.protocol = packet.protocol;
  h.vlan_proto = packet.vlan_present ? packet.vlan_proto : Be16{};
  h.vlan_tci = packet.vlan_present ? packet.vlan_tci : std::uint16_t{0};
  h.hash = packet.hash;
  h.ip_summed = packet.ip_summed;
  if (packet.ip_summed == IpSummed::unnecessary) h.csum_level = packet.csum_level;
  if (packet.ip_summed == IpSummed::partial) {
    h.csum_start = (packet.csum & 0xffff) - packet.headroom();
    h.csum_offset = packet.csum >> 16;
  }
  h.gso_size = packet.gso_size;
  h.gso_segs = packet.gso_segs;
  h.gso_type = gso_names(packet.gso_type);
  h.encapsulation = packet.encapsulation;
  if (packet.encapsulation) {
    h.inner_network = packet.inner_network_header - packet.headroom();
    if (packet.inner_transport_header != 0) h.inner_transport = packet.inner_transport_header - packet.headroom();
  }
  return h;
}

}  // namespace

Result<std::vector<Handed>> kernel_gro(Kernel& kernel, const GroScenario& scenario) {
  kernel.set_feature("rx-gro-list", scenario.settings.fraglist);
  kernel.set_feature("rx-udp-gro-forwarding", scenario.settings.udp_forwarding);
  // Up to 64 KiB it is IPv4's bound too, above only IPv6's.
  if (scenario.settings.gro_max_size > 65536) kernel.set_link("gro_max_size", 65536);
  kernel.set_link("gro_max_size", scenario.settings.gro_max_size);
  if (!kernel.set_vxlan(scenario.settings.vxlan)) return fail(EOPNOTSUPP, "skipped: this kernel has no VXLAN");
  kernel.set_udp_sockets(scenario.settings.sockets);
  kernel.set_feature("gro", true);
  const Result<std::vector<Seen>> seen = kernel.receive(scenario.poll);
  if (!seen) return std::unexpected(seen.error());
  std::vector<Handed> up;
  for (const Seen& one : *seen) up.push_back(one.handed);
  return up;
}

std::vector<Handed> netrx_gro(const GroScenario& scenario, Buffers buffers) {
  GroOptions options{.fraglist = scenario.settings.fraglist,
                     .udp_forwarding = scenario.settings.udp_forwarding,
                     .gro_max_size = scenario.settings.gro_max_size,
                     .gro_ipv4_max_size = std::min(scenario.settings.gro_max_size, 65536u),
                     .endpoints = scenario.settings.sockets};
  if (scenario.settings.vxlan) options.endpoints.push_back({GroEndpoint::Kind::vxlan, wire::VxlanView::kPort});
  const auto gro = std::move(Gro::create(options).value());
  std::deque<OwnPacket> packets;
  for (const Arrival& arrival : scenario.poll) {
    OwnPacket& one = packets.emplace_back(arrival);
    if (buffers == Buffers::two) one.split(kSplitAt);
    gro->receive(one.packet);
  }
  gro->flush();
  std::vector<Handed> up;
  for (const Packet* packet : gro->take()) up.push_back(handed(*packet));
  return up;
}

}  // namespace netrx::conformance
