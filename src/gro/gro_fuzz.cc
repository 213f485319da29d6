// SPDX-License-Identifier: Apache-2.0
// Bursts of frames, raw or made of instructions, through GRO and back. Whatever comes in goes out once; what merged
// with nothing is what it was; what merged can be cut into as many frames as it was made of, and no byte of payload is
// new.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#include "base/fuzz_input.h"
#include "netrx/ethertype.h"
#include "netrx/gro.h"
#include "netrx/gso.h"
#include "netrx/packet_bytes.h"
#include "wire/frame_builder.h"

namespace {

using namespace netrx;
using wire::Frame;
using wire::FrameBuilder;

GroOptions options(std::uint8_t bits) {
  GroOptions chosen;
  chosen.fraglist = (bits & 1) != 0;
  chosen.udp_forwarding = (bits & 2) != 0;
  chosen.in_order = (bits & 4) != 0;
  chosen.flow_buckets = (bits & 8) != 0 ? 64 : 0;
  chosen.max_skb_frags = (bits & 16) != 0 ? 1 : 17;
  if ((bits & 32) != 0) chosen.gro_max_size = chosen.gro_ipv4_max_size = 524280;
  if ((bits & 64) != 0)
    chosen.endpoints = {{GroEndpoint::Kind::vxlan, wire::VxlanView::kPort},
                        {GroEndpoint::Kind::geneve, wire::GeneveView::kPort},
                        {GroEndpoint::Kind::udp_gro, 443}};
  return chosen;
}

/// One of four streams goes on by an instruction: its low bits name the stream, the others what is special.
class Streams {
 public:
  Frame next(std::uint8_t instruction, FuzzInput& input) {
    const unsigned which = instruction & 3;
    Stream& s = streams_[which];
    const unsigned special = instruction >> 2;
    if (special == 1) s.tcp.flags = input.byte();
    if (special == 2) s.tcp.ack += input.byte();
    if (special == 3) s.tcp.window = input.byte();
    if (special == 4) s.tcp.seq += input.byte();
    if (special == 5) s.ttl = input.byte();
    if (special == 6) s.tos = input.byte();
    if (special == 7) s.id = static_cast<std::uint16_t>(s.id + input.byte());
    if (special == 8) s.df = !s.df;
    if (special == 9) s.tcp.options.assign(input.byte() % 41u, 1);
    if (special == 10) s.wrap = input.byte();
    if (special == 11) s.size = 1u + input.byte() * 5u;
    const std::size_t size = special == 12 ? input.byte() : s.size;
    Frame frame = build(which, s, size);
    if (special == 13) frame.bytes.resize(frame.size() - std::min<std::size_t>(frame.size(), input.byte()));
    if (special == 14) frame.bytes[input.byte() % frame.size()] ^= static_cast<std::uint8_t>(1u << (input.byte() & 7));
    if (special == 15) frame.bytes.resize(frame.size() + input.byte());
    s.tcp.seq += static_cast<std::uint32_t>(size);
    s.id = static_cast<std::uint16_t>(s.id + s.step);
    s.tcp.flags = wire::TcpView::kAck;
    return frame;
  }

 private:
  struct Stream {
    wire::TcpFields tcp{};
    std::size_t size = 100;
    std::uint16_t id = 0, step = 1;
    std::uint8_t ttl = 64, tos = 0, wrap = 0;
    bool df = true;
  };

  static Frame build(unsigned which, const Stream& s, std::size_t size) {
    FrameBuilder frame;
    frame.eth();
    if ((s.wrap & 1) != 0) frame.vlan(5);
    if ((s.wrap & 0x1e) != 0) frame.ipv4("10.1.0.1", "10.1.0.2", {.id = s.id});
    if ((s.wrap & 0x1e) == 4) frame.gre({.key = 3});
    if ((s.wrap & 0x1e) == 6) frame.udp(9, wire::VxlanView::kPort).vxlan(1).eth();
    if ((s.wrap & 0x1e) == 8) frame.udp(9, wire::GeneveView::kPort).geneve(1).eth();
    if ((which & 1) == 0)
      frame.ipv4("10.0.0.1", "10.0.0.2", {.tos = s.tos, .id = s.id, .dont_fragment = s.df, .ttl = s.ttl});
    else
      frame.ipv6("fd00::1", "fd00::2", {.traffic_class = s.tos, .hop_limit = s.ttl});
    if ((s.wrap & 0x20) != 0 && (which & 1) != 0) frame.hop_by_hop().dest_opts(1);
    if ((which & 2) == 0) return frame.tcp(1, 2, s.tcp).payload(size).build();
    return frame.udp(3, 443).payload(size).build();
  }

  Stream streams_[4];
};

struct Sent {
  static constexpr std::size_t kRoom = 64;
  Sent(const Frame& frame, std::size_t linear, IpSummed summed) : original(frame.bytes) {
    buffer.resize(kRoom + frame.size() + kRoom);
    std::memcpy(buffer.data() + kRoom, frame.data(), frame.size());
    packet.head = buffer.data();
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.data = packet.head + kRoom + wire::EthernetView::kSize;
    packet.len = static_cast<std::uint32_t>(frame.size() - wire::EthernetView::kSize);
    packet.mac_header = kRoom;
    packet.network_header = packet.transport_header = kRoom + wire::EthernetView::kSize;
    packet.protocol = wire::eth_type_trans(frame.bytes, wire::kTestMac).protocol;
    packet.ip_summed = summed;
    if (summed == IpSummed::complete) packet.csum = wire::csum_partial(packet.linear());
    if (linear >= packet.len) return;
    // The rest comes in a second buffer.
    rest.assign(packet.data + linear, packet.data + packet.len);
    tail.head = tail.data = rest.data();
    tail.len = tail.buffer_size = static_cast<std::uint32_t>(rest.size());
    packet.len = static_cast<std::uint32_t>(linear);
    Packet* last = nullptr;
    append_frag(packet, last, tail);
    packet.nr_frags = 1;
  }
  std::vector<std::uint8_t> original, buffer, rest;
  Packet packet, tail;
};

std::vector<std::uint8_t> bytes_of(const Packet& packet) {
  std::vector<std::uint8_t> bytes(packet.head + packet.mac_header, packet.data);
  for_each_piece(packet, [&](auto piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  return bytes;
}

/// How many of the packets given in became this one.
std::size_t account(const Packet& packet, std::deque<Sent>& sent) {
  std::size_t parts = 0;
  for (Sent& one : sent) {
    bool here = &one.packet == &packet;
    for (const Packet* frag = packet.frags; frag != nullptr && !here; frag = frag->next) here = frag == &one.packet;
    if (!here) continue;
    ++parts;
    if (parts == 1 && packet.gso_size == 0) fuzz_check(bytes_of(packet) == one.original, "a packet alone was changed");
  }
  if (packet.gso_size == 0) {
    fuzz_check(parts == 1, "merged and not a GSO packet");
    return parts;
  }
  fuzz_check(packet.gso_segs == parts, "another number of segments than of packets");
  Result<Segmenter> cut = Segmenter::create(packet);
  fuzz_check(cut.has_value(), "a merged packet cannot be cut");
  fuzz_check(cut->segments() == parts, "cut into another number than it was made of");
  std::vector<std::uint8_t> frame(cut->max_size() + 4096);
  for (; !cut->done();) fuzz_check(cut->next(frame) <= frame.size(), "a segment longer than it may be");
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const auto gro = std::move(*Gro::create(options(input.byte())));
  const std::uint8_t mode = input.byte();
  Streams streams;
  std::deque<Sent> sent;
  while (!input.empty() && sent.size() < 200) {
    Frame frame;
    if ((mode & 1) != 0)
      frame = streams.next(input.byte(), input);
    else
      frame.bytes = input.bytes(input.byte() | (input.byte() & 7u) << 8);
    if (frame.size() < wire::EthernetView::kSize) continue;
    const std::size_t linear = (mode & 2) != 0 ? input.byte() : SIZE_MAX;
    const IpSummed summed = (mode & 4) != 0 ? static_cast<IpSummed>(input.byte() % 3) : IpSummed::none;
    sent.emplace_back(frame, linear, summed);
    (void)gro->receive(sent.back().packet);
    gro->set_tick(static_cast<std::uint32_t>(sent.size() / 16));
    if ((mode & 8) != 0 && sent.size() % 16 == 0) gro->flush_older();
  }
  gro->flush();
  std::size_t seen = 0;
  for (const Packet* packet : gro->take()) seen += account(*packet, sent);
  fuzz_check(seen == sent.size(), "packets were lost or came twice");
  return 0;
}
