// SPDX-License-Identifier: Apache-2.0
#include "wire/rss_input.h"

#include "netrx/ethertype.h"
#include "netrx/flow.h"
#include "wire/headers.h"

namespace netrx {
namespace {

using namespace wire;

/// A read position that never passes the end.
struct Cursor {
  const std::uint8_t* at = nullptr;
  std::uint32_t left = 0;

  bool skip(std::uint32_t size) {
    if (size > left) return false;
    at += size;
    left -= size;
    return true;
  }
};

/// Both tuples are as the bytes stand in a frame: source and destination address, source and destination port.
template <class Tuple>
void put_addresses(Tuple& tuple, const std::uint8_t* addresses) {
  std::memcpy(tuple.src.data(), addresses, tuple.src.size());
  std::memcpy(tuple.dst.data(), addresses + tuple.src.size(), tuple.dst.size());
}

/// Ports that do not count are 0.
template <class Tuple>
bool put_ports(Tuple& tuple, const Cursor& transport, std::uint8_t protocol) {
  const bool found = (protocol == kIpProtoTcp || protocol == kIpProtoUdp) && transport.left >= 4;
  const std::uint32_t ports = found ? load_unaligned<std::uint32_t>(transport.at) : 0;
  std::memcpy(reinterpret_cast<std::uint8_t*>(&tuple) + offsetof(Tuple, src_port), &ports, sizeof ports);
  return found;
}

RssKind read_ipv4(Cursor cursor, RssTuple4& tuple) {
  const Ipv4View ip{cursor.at};
  if (cursor.left < Ipv4View::kSize || ip.header_size() < Ipv4View::kSize) return RssKind::none;
  put_addresses(tuple, ip.addresses());
  const bool whole = !ip.is_fragment() && cursor.skip(ip.header_size());
  return put_ports(tuple, whole ? cursor : Cursor{}, ip.protocol()) ? RssKind::ipv4_ports : RssKind::ipv4;
}

bool is_option(std::uint8_t protocol) {
  return protocol == kIpProtoHopByHop || protocol == kIpProtoRouting || protocol == kIpProtoDestOpts;
}

RssKind read_ipv6(Cursor cursor, RssTuple6& tuple) {
  const Ipv6View ip{cursor.at};
  if (!cursor.skip(Ipv6View::kSize)) return RssKind::none;
  put_addresses(tuple, ip.addresses());
  put_ports(tuple, {}, 0);
  std::uint8_t protocol = ip.next_header();
  while (is_option(protocol)) {
    const Ipv6OptionView option{cursor.at};
    if (cursor.left < Ipv6OptionView::kSize) return RssKind::ipv6;
    protocol = option.next_header();
    if (!cursor.skip(option.header_size())) return RssKind::ipv6;
  }
  return put_ports(tuple, cursor, protocol) ? RssKind::ipv6_ports : RssKind::ipv6;
}

}  // namespace

RssKind wire::read_rss_tuple(const FlowInput& in, RssTuple4& v4, RssTuple6& v6) {
  Cursor cursor{in.data, in.len};
  Be16 protocol = in.protocol;
  while (is_vlan(protocol)) {
    const VlanView tag{cursor.at};
    if (!cursor.skip(VlanView::kSize)) return RssKind::none;
    protocol = tag.ether_type();
  }
  if (protocol == kEthPIp) return read_ipv4(cursor, v4);
  if (protocol == kEthPIpv6) return read_ipv6(cursor, v6);
  return RssKind::none;
}

RssInput rss_input(const FlowInput& in) {
  RssTuple4 v4;
  RssInput result;
  result.kind = wire::read_rss_tuple(in, v4, result.v6);
  if (result.kind == RssKind::ipv4 || result.kind == RssKind::ipv4_ports) result.v4 = v4;
  return result;
}

}  // namespace netrx
