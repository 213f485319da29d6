// SPDX-License-Identifier: Apache-2.0
#include "netrx/gro.h"

namespace netrx {

namespace {

struct Words {
  GroRefusal refusal;
  std::string_view name;
  std::string_view text;
};

using enum GroRefusal;
constexpr std::array<Words, kGroRefusals> kWords{{
    {kNone, "none", "nothing stood against it"},
    {kOff, "off", "the device's rx-gro is off"},
    {kNotOffloaded, "not_offloaded", "not TCP or UDP, nor a tunnel that GRO enters"},
    {kHeaderCut, "header_cut", "the frame ends inside a header"},
    {kIpOptions, "ip_options", "IPv4 options"},
    {kFragment, "fragment", "an IP fragment"},
    {kIpChecksum, "ip_checksum", "wrong IPv4 header checksum"},
    {kTcpHeader, "tcp_header", "impossible TCP header length"},
    {kL4Checksum, "l4_checksum", "wrong TCP, UDP or GRE checksum"},
    {kGreFlags, "gre_flags", "GRE with routing, sequence numbers or a version"},
    {kTunnelNested, "tunnel_nested", "a tunnel within a tunnel"},
    {kTunnelCsum, "tunnel_csum", "a UDP tunnel whose checksum nobody verified"},
    {kUdpOff, "udp_off", "nobody asked for UDP to be merged (rx-udp-gro-forwarding, UDP_GRO, rx-gro-list)"},
    {kUdpNoCsum, "udp_no_csum", "UDP without checksum"},
    {kUdpLength, "udp_length", "UDP length is not the datagram's"},
    {kTooDeep, "too_deep", "too many headers"},
    {kCsumState, "csum_state", "fraglist: another checksum state"},
    {kIpLength, "ip_length", "IP length is not the frame's: padding, or cut off"},
    {kIpReserved, "ip_reserved", "IPv4's reserved bit"},
    {kFraglist, "frag_list", "came in more buffers than a packet has frags"},
    {kGso, "gso", "a GSO packet whose making nobody checked, or not of TCP"},
    {kCwr, "cwr", "TCP CWR"},
    {kFlagsOrWindow, "flags_or_window", "other TCP flags, header length or window"},
    {kAck, "ack", "another TCP acknowledgment"},
    {kOptions, "options", "other TCP options or timestamps"},
    {kTtl, "ttl", "another TTL or hop limit"},
    {kTos, "tos", "another TOS, DSCP or ECN"},
    {kDf, "df", "another don't-fragment bit"},
    {kIpId, "ip_id", "IPv4 ids do not continue"},
    {kGsoSize, "gso_size", "a GSO packet of another segment size"},
    {kLonger, "longer", "longer than the first segment"},
    {kEmpty, "empty", "no TCP payload (a pure ACK)"},
    {kSequence, "sequence", "not the next TCP byte: a gap, or a duplicate"},
    {kMode, "mode", "one for a fraglist, the other not"},
    {kSegments, "segments", "64 segments are held already"},
    {kMaxSize, "max_size", "would reach gro_max_size"},
    {kFlags, "flags", "TCP flags (SYN, FIN, RST, PSH, URG) end what never began"},
}};

constexpr const Words& words(GroRefusal refusal) { return kWords[static_cast<std::size_t>(refusal)]; }

constexpr bool in_order() {
  for (std::size_t i = 0; i < kWords.size(); ++i)
    if (static_cast<std::size_t>(kWords[i].refusal) != i) return false;
  return true;
}
static_assert(in_order());

}  // namespace

std::string_view name(GroRefusal refusal) { return words(refusal).name; }
std::string_view text(GroRefusal refusal) { return words(refusal).text; }

}  // namespace netrx
