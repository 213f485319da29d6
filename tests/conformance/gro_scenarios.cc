// SPDX-License-Identifier: Apache-2.0
#include "gro_scenarios.h"

#include <algorithm>
#include <functional>
#include <span>

#include "gro/gro_fixture.h"
#include "wire/checksum.h"

namespace netrx::conformance {

namespace {

using Segments = std::vector<Segment>;

constexpr std::uint8_t kTimestamps[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
constexpr std::size_t kIpAt = wire::EthernetView::kSize;

std::size_t transport_at(Family family) {
  return kIpAt + (family == Family::ipv4 ? wire::Ipv4View::kSize : wire::Ipv6View::kSize);
}

std::string named(const std::string& name, Family family) {
  return (family == Family::ipv4 ? "ipv4 " : "ipv6 ") + name;
}

/// Frames as they come, each changed by `change(i, frame)`.
using Change = std::function<void(std::size_t, Frame&)>;
std::vector<Arrival> arrivals(std::vector<Frame> frames, const Change& change = {}) {
  std::vector<Arrival> poll;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (change) change(i, frames[i]);
    poll.push_back({.frame = std::move(frames[i])});
  }
  return poll;
}

std::vector<Frame> tcp_frames(Family family, const Segments& segments) {
  std::vector<Frame> frames;
  for (const Segment& segment : segments) frames.push_back(tcp(family, segment));
  return frames;
}

/// `n` segments in order, with ids as Linux gives them.
Segments stream(std::size_t n, std::size_t size = 1000) {
  Segments segments;
  for (std::size_t i = 0; i < n; ++i)
    segments.push_back({.at = static_cast<std::uint32_t>(i * size), .size = size, .id = static_cast<std::uint16_t>(i)});
  return segments;
}

/// A stream in which segment `which` is special.
Segments stream_with(std::size_t which, const std::function<void(Segment&)>& special, std::size_t n = 4) {
  Segments segments = stream(n);
  special(segments[which]);
  return segments;
}

void fix_ipv4(Frame& frame) {
  std::memset(&frame.bytes[kIpAt + 10], 0, 2);
  const Be16 sum = wire::csum_fold(wire::csum_partial(std::span(frame.bytes).subspan(kIpAt, wire::Ipv4View::kSize)));
  std::memcpy(&frame.bytes[kIpAt + 10], &sum, sizeof sum);
}

void fix_tcp(Frame& frame, Family family) {
  const std::size_t at = transport_at(family);
  const std::span<const std::uint8_t> addresses = family == Family::ipv4
                                                      ? std::span(frame.bytes).subspan(kIpAt + 12, 8)
                                                      : std::span(frame.bytes).subspan(kIpAt + 8, 32);
  const std::span<const std::uint8_t> segment = std::span(frame.bytes).subspan(at);
  std::memset(&frame.bytes[at + 16], 0, 2);
  const Be16 sum = wire::csum_fold(wire::csum_partial(
      segment, wire::csum_pseudo_header(addresses, wire::kIpProtoTcp, static_cast<std::uint32_t>(segment.size()))));
  std::memcpy(&frame.bytes[at + 16], &sum, sizeof sum);
}

/// The same poll over both IP versions.
class Both {
 public:
  void tcp(const std::string& name, const Segments& segments,
           const std::function<void(std::size_t, Frame&, Family)>& change = {}) {
    for (const Family family : {Family::ipv4, Family::ipv6})
      all.push_back(
          {named(name, family), settings, arrivals(tcp_frames(family, segments), [&](std::size_t i, Frame& frame) {
             if (change) change(i, frame, family);
           })});
  }
  void special(const std::string& name, const std::function<void(Segment&)>& change) {
    tcp(name + " in the second", stream_with(1, change));
    tcp(name + " in the last", stream_with(3, change));
    tcp(name + " in the first", stream_with(0, change));
  }
  GroSettings settings;
  std::vector<GroScenario> all;
};

void add_tcp_orders(Both& both) {
  both.tcp("in order", stream(10));
  both.tcp("one segment", stream(1));
  both.tcp("short last", {{.at = 0}, {.at = 1000, .id = 1}, {.at = 2000, .size = 1, .id = 2}, {.at = 2001, .id = 3}});
  both.tcp("longer second", {{.size = 500}, {.at = 500, .id = 1}, {.at = 1500, .id = 2}});
  both.tcp("gap", {{}, {.at = 2000, .id = 1}, {.at = 3000, .id = 2}});
  both.tcp("duplicate", {{}, {}, {.at = 1000, .id = 1}});
  both.tcp("reordered", {{}, {.at = 2000, .id = 2}, {.at = 1000, .id = 1}, {.at = 3000, .id = 3}});
  both.tcp("overlap", {{}, {.at = 999, .id = 1}});
  both.tcp("pure ack behind data", {{}, {.at = 1000, .size = 0, .id = 1}, {.at = 1000, .id = 2}});
  both.tcp("pure acks", {{.size = 0}, {.size = 0, .id = 1}, {.size = 0, .ack = 99, .id = 2}});
  both.tcp("keep-alive", {{.at = 1000}, {.at = 999, .size = 1, .id = 1}});
  both.tcp("one byte each", stream(20, 1));
  both.tcp("two flows in turn", {{}, {.port = 2}, {.at = 1000, .id = 1}, {.at = 1000, .port = 2, .id = 1}});
}

std::vector<std::uint8_t> timestamps(std::uint8_t value) {
  std::vector<std::uint8_t> options(std::begin(kTimestamps), std::end(kTimestamps));
  options[7] = value;
  return options;
}

void add_tcp_headers(Both& both) {
  for (const auto& [name, flag] : {std::pair{"fin", TcpView::kFin},
                                   {"syn", TcpView::kSyn},
                                   {"rst", TcpView::kRst},
                                   {"psh", TcpView::kPsh},
                                   {"urg", TcpView::kUrg},
                                   {"ece", TcpView::kEce},
                                   {"cwr", TcpView::kCwr}})
    both.special(name, [bit = flag](Segment& s) { s.flags |= bit; });
  for (const auto& [name, flags] : {std::pair<const char*, unsigned>{"all with cwr", TcpView::kAck | TcpView::kCwr},
                                    {"all with ece", TcpView::kAck | TcpView::kEce},
                                    {"all with psh", TcpView::kAck | TcpView::kPsh},
                                    {"no ack", 0}}) {
    Segments segments = stream(4);
    for (Segment& s : segments) s.flags = static_cast<std::uint8_t>(flags);
    both.tcp(name, segments);
  }
  both.tcp("psh and fin", stream_with(3, [](Segment& s) { s.flags |= TcpView::kPsh | TcpView::kFin; }));
  both.special("other ack", [](Segment& s) { s.ack = 78; });
  both.special("other window", [](Segment& s) { s.window = 501; });
  Segments segments = stream(4);
  for (Segment& s : segments) s.options = timestamps(1);
  both.tcp("same timestamps", segments);
  segments[2].options = segments[3].options = timestamps(2);
  both.tcp("other timestamps", segments);
  both.special("options", [](Segment& s) { s.options = timestamps(1); });
  both.special("no-operations", [](Segment& s) { s.options = {1, 1, 1, 1}; });
  const auto header_byte = [&](const std::string& name, std::size_t at, std::uint8_t value) {
    both.tcp(name, stream(4), [=](std::size_t i, Frame& frame, Family family) {
      if (i != 1) return;
      frame.bytes[transport_at(family) + at] = value;
      fix_tcp(frame, family);
    });
  };
  header_byte("header length 4", 12, 0x40);
  header_byte("header length 15", 12, 0xf0);
  header_byte("accurate ecn bit", 12, 0x51);
  header_byte("reserved bit of tcp", 12, 0x58);
  header_byte("urgent pointer without urg", 19, 7);
}

void add_tcp_damage(Both& both) {
  for (const std::size_t which : {0u, 1u, 3u})
    both.tcp("wrong checksum in segment " + std::to_string(which), stream(4), [=](std::size_t i, Frame& frame, Family) {
      if (i == which) frame.bytes.back() ^= 1;
    });
  both.tcp("padding behind a segment", {{.size = 2}, {.at = 2, .size = 2, .id = 1}, {.at = 4, .size = 2, .id = 2}},
           [](std::size_t i, Frame& frame, Family) {
             if (i == 1) frame.bytes.resize(frame.size() + 6);
           });
  both.tcp("cut behind the ip header", stream(3), [](std::size_t i, Frame& frame, Family family) {
    if (i == 1) frame = frame.cut(transport_at(family) + 3);
  });
  both.tcp("cut in the ip header", stream(3), [](std::size_t i, Frame& frame, Family) {
    if (i == 1) frame = frame.cut(kIpAt + 11);
  });
  both.tcp("cut in the payload", stream(3), [](std::size_t i, Frame& frame, Family) {
    if (i == 1) frame = frame.cut(500);
  });
  both.tcp("link header only", stream(3), [](std::size_t i, Frame& frame, Family) {
    if (i == 1) frame = frame.cut(kIpAt);
  });
}

}  // namespace

std::vector<GroScenario> tcp_scenarios() {
  Both both;
  add_tcp_orders(both);
  add_tcp_headers(both);
  add_tcp_damage(both);
  return both.all;
}

namespace {

/// A poll of IPv4 TCP segments, 1000 bytes each, that differ in id and DF.
GroScenario ids(const std::string& name, bool df, std::vector<std::uint16_t> values) {
  Segments segments = stream(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    segments[i].df = df;
    segments[i].id = values[i];
  }
  return {std::string(df ? "ids with df " : "ids ") + name, {}, arrivals(tcp_frames(Family::ipv4, segments))};
}

void add_ids(std::vector<GroScenario>& all) {
  for (const bool df : {false, true}) {
    all.push_back(ids("counting", df, {10, 11, 12, 13}));
    all.push_back(ids("fixed", df, {10, 10, 10, 10}));
    all.push_back(ids("with a jump", df, {10, 11, 13, 14}));
    all.push_back(ids("that count late", df, {5, 5, 6, 7}));
    all.push_back(ids("that stop", df, {5, 6, 6, 6}));
    all.push_back(ids("that wrap", df, {65534, 65535, 0, 1}));
    all.push_back(ids("backwards", df, {4, 3, 2, 1}));
    all.push_back(ids("of 0", df, {0, 0, 0}));
    all.push_back(ids("swapped bytes", df, {0x0100, 0x0200, 0x0300}));
  }
  Segments mixed = stream(4);
  mixed[2].df = false;
  all.push_back({"df differs", {}, arrivals(tcp_frames(Family::ipv4, mixed))});
}

void add_ipv4_headers(std::vector<GroScenario>& all) {
  const auto changed = [&](const std::string& name, const std::function<void(Frame&)>& change, bool fix = true) {
    for (const std::size_t which : {0u, 1u})
      all.push_back({name + " in segment " + std::to_string(which),
                     {},
                     arrivals(tcp_frames(Family::ipv4, stream(3)), [&](std::size_t i, Frame& frame) {
                       if (i != which) return;
                       change(frame);
                       if (fix) fix_ipv4(frame);
                     })});
  };
  const auto byte = [&](const std::string& name, std::size_t at, std::uint8_t value) {
    changed(name, [=](Frame& frame) { frame.bytes[kIpAt + at] = value; });
  };
  byte("version 5", 0, 0x55);
  byte("header length 6", 0, 0x46);
  byte("header length 4", 0, 0x44);
  byte("total length too long", 2, 0x7f);
  byte("total length too short", 2, 0x01);
  byte("reserved bit", 6, 0xc0);
  byte("more fragments", 6, 0x20);
  byte("fragment offset", 7, 0x01);
  byte("protocol sctp", 9, 132);
  byte("protocol icmp", 9, 1);
  byte("protocol esp", 9, 50);
  byte("other source", 15, 9);
  byte("other destination", 19, 9);
  changed("wrong header checksum", [](Frame& frame) { frame.bytes[kIpAt + 10] ^= 0x40; }, false);
  std::vector<Frame> frames;
  for (std::uint32_t i = 0; i < 4; ++i) {
    FrameBuilder frame;
    frame.eth().ipv4("10.0.0.1", "10.0.0.2",
                     {.dont_fragment = true, .options = std::vector<std::uint8_t>(i == 1 ? 4 : 0, 1)});
    frames.push_back(tcp(frame, {.at = 1000 * i}).build());
  }
  all.push_back({"ipv4 options in segment 1", {}, arrivals(frames)});
}

/// Streams whose second segment carries `extra` between IPv6 and TCP; `every`: all of them do.
GroScenario ipv6_with(const std::string& name, const std::function<void(FrameBuilder&, std::uint32_t)>& extra,
                      bool every = false) {
  std::vector<Frame> frames;
  for (std::uint32_t i = 0; i < 4; ++i) {
    FrameBuilder frame;
    frame.eth().ipv6("fd00::1", "fd00::2");
    if (every || i == 1) extra(frame, i);
    frames.push_back(tcp(frame, {.at = 1000 * i}).build());
  }
  return {"ipv6 " + name + (every ? " in all" : " in segment 1"), {}, arrivals(frames)};
}

void add_ipv6_headers(std::vector<GroScenario>& all) {
  for (const bool every : {false, true}) {
    all.push_back(ipv6_with("hop-by-hop", [](FrameBuilder& f, std::uint32_t) { f.hop_by_hop(); }, every));
    all.push_back(ipv6_with("destination options", [](FrameBuilder& f, std::uint32_t) { f.dest_opts(1); }, every));
    all.push_back(ipv6_with("routing", [](FrameBuilder& f, std::uint32_t) { f.routing(); }, every));
    all.push_back(ipv6_with("two options", [](FrameBuilder& f, std::uint32_t) { f.hop_by_hop().dest_opts(2); }, every));
    all.push_back(ipv6_with("fragment", [](FrameBuilder& f, std::uint32_t) { f.ipv6_fragment(0, true); }, every));
    all.push_back(ipv6_with("unknown header", [](FrameBuilder& f, std::uint32_t) { f.ports(132, 1, 2); }, every));
  }
  all.push_back(ipv6_with(
      "options that differ", [](FrameBuilder& f, std::uint32_t i) { f.dest_opts(static_cast<std::uint8_t>(i == 2)); },
      true));
  Segments labels = stream(4);
  labels[2].flow_label = 5;
  all.push_back({"ipv6 flow label differs", {}, arrivals(tcp_frames(Family::ipv6, labels))});
  for (Segment& s : labels) s.flow_label = 0xfffff;
  all.push_back({"ipv6 flow label", {}, arrivals(tcp_frames(Family::ipv6, labels))});
  for (const auto& [name, at, value] : {std::tuple<const char*, std::size_t, int>{"version 5", 0, 0x50},
                                        {"payload length too long", 4, 0x7f},
                                        {"payload length too short", 4, 0x01},
                                        {"payload length 0", 4, 0},
                                        {"other source", 23, 9},
                                        {"other destination", 39, 9}})
    all.push_back(
        {std::string("ipv6 ") + name,
         {},
         arrivals(tcp_frames(Family::ipv6, stream(3)), [where = at, byte = value](std::size_t i, Frame& frame) {
           if (i != 1) return;
           frame.bytes[kIpAt + where] = static_cast<std::uint8_t>(byte);
           fix_tcp(frame, Family::ipv6);
         })});
}

/// What is never merged, between the segments of a stream that is.
void add_strangers(std::vector<GroScenario>& all) {
  const auto between = [&](const std::string& name, const Frame& stranger) {
    std::vector<Frame> frames = tcp_frames(Family::ipv4, stream(4));
    frames.insert(frames.begin() + 2, stranger);
    all.push_back({"between segments: " + name, {}, arrivals(frames)});
  };
  const auto v4 = [] { return FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2"); };
  between("arp", FrameBuilder().eth().arp("10.0.0.1", "10.0.0.2").build());
  between("ping", v4().icmp().payload(50).build());
  between("sctp", v4().ports(132, 1, 2).payload(50).build());
  between("udp", v4().udp(1000, 80).payload(50).build());
  between("esp", v4().esp(7).payload(50).build());
  between("mpls", FrameBuilder().eth().mpls(5).ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).payload(9).build());
  between("pppoe", FrameBuilder().eth().pppoe().ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).payload(9).build());
  between("802.2", FrameBuilder().eth().ether_type(to_be16(40)).payload(40).build());
  between("802.3", FrameBuilder().eth().ether_type(to_be16(40)).raw({0xff, 0xff}).payload(38).build());
  between("unknown type", FrameBuilder().eth().ether_type(to_be16(0x9999)).payload(40).build());
}

}  // namespace

std::vector<GroScenario> ip_scenarios() {
  Both both;
  both.special("other ttl", [](Segment& s) { s.ttl = 63; });
  both.special("other dscp", [](Segment& s) { s.tos = 0x20; });
  both.special("congestion experienced", [](Segment& s) { s.tos = 3; });
  both.special("ecn capable", [](Segment& s) { s.tos = 2; });
  add_ids(both.all);
  add_ipv4_headers(both.all);
  add_ipv6_headers(both.all);
  add_strangers(both.all);
  return both.all;
}

std::vector<GroScenario> limit_scenarios() {
  Both both;
  both.tcp("63 segments of 1448", stream(63, 1448));
  both.tcp("8 segments of 8948", stream(8, 8948));
  both.tcp("63 segments of 9000", stream(63, 9000));
  // With 1023 bytes a segment the 64th would just stay below 65536; with 9357 the 7th just reaches it.
  for (const std::size_t size : {1039u, 1040u, 1041u, 4095u, 4096u, 8187u, 8186u}) {
    both.tcp("segments of " + std::to_string(size) + " up to 64 KiB",
             stream(std::min<std::size_t>(63, 66000 / size + 2), size));
  }
  for (const std::uint32_t size : {8000u, 20000u, 200000u}) {
    both.settings.gro_max_size = size;
    both.tcp("gro_max_size " + std::to_string(size), stream(60, size > 65536 ? 9000 : 1000));
  }
  both.settings.gro_max_size = 65536;
  for (const std::size_t flows : {7u, 8u, 9u, 12u}) {
    Segments segments;
    for (std::uint32_t round = 0; round < 3; ++round)
      for (std::size_t flow = 0; flow < flows; ++flow)
        segments.push_back({.at = 1000 * round,
                            .port = static_cast<std::uint16_t>(flow + 1),
                            .id = static_cast<std::uint16_t>(round)});
    both.tcp(std::to_string(flows) + " flows", segments);
    for (GroScenario with_hash : {both.all[both.all.size() - 2], both.all.back()}) {
      with_hash.name += " with hashes";
      for (std::size_t i = 0; i < with_hash.poll.size(); ++i)
        with_hash.poll[i].hash = static_cast<std::uint32_t>(0x1230 + i % flows);
      both.all.push_back(with_hash);
    }
  }
  const auto hashed = [&](const std::string& name, std::vector<std::uint32_t> hashes) {
    GroScenario scenario{name, {}, arrivals(tcp_frames(Family::ipv4, stream(hashes.size())))};
    for (std::size_t i = 0; i < hashes.size(); ++i) scenario.poll[i].hash = hashes[i];
    both.all.push_back(scenario);
  };
  hashed("hash differs, same bucket", {0x10, 0x10, 0x18, 0x10});
  hashed("hash differs, other bucket", {0x10, 0x11, 0x10, 0x11});
  Segments many;
  for (std::uint16_t port = 0; port < 63; ++port) many.push_back({.port = port});
  both.tcp("63 flows", many);
  GroScenario buckets = both.all.back();
  buckets.name = "63 flows in 8 buckets";
  for (std::uint32_t i = 0; i < 63; ++i) buckets.poll[i].hash = 100 + i;
  both.all.push_back(buckets);
  return both.all;
}

std::vector<GroScenario> tag_scenarios() {
  std::vector<GroScenario> all;
  const auto tagged = [&](const std::string& name, const std::function<void(std::size_t, Arrival&)>& tag) {
    GroScenario scenario{name, {}, arrivals(tcp_frames(Family::ipv4, stream(4)))};
    for (std::size_t i = 0; i < scenario.poll.size(); ++i) tag(i, scenario.poll[i]);
    all.push_back(scenario);
  };
  const auto with = [](Arrival& arrival, Be16 proto, unsigned tci) {
    arrival.vlan_proto = proto;
    arrival.vlan_tci = static_cast<std::uint16_t>(tci);
  };
  tagged("tag taken out", [&](std::size_t, Arrival& a) { with(a, kEthP8021q, 5); });
  tagged("tag taken out, other id", [&](std::size_t i, Arrival& a) { with(a, kEthP8021q, i == 1 ? 6 : 5); });
  tagged("tag taken out, other priority", [&](std::size_t i, Arrival& a) { with(a, kEthP8021q, i == 1 ? 0x2005 : 5); });
  tagged("tag taken out, other protocol",
         [&](std::size_t i, Arrival& a) { with(a, i == 1 ? kEthP8021ad : kEthP8021q, 5); });
  tagged("tag taken out of one", [&](std::size_t i, Arrival& a) {
    if (i == 1) with(a, kEthP8021q, 5);
  });
  tagged("tag 0 taken out of one", [&](std::size_t i, Arrival& a) {
    if (i == 1) with(a, kEthP8021q, 0);
  });
  tagged("other link source", [&](std::size_t i, Arrival& a) {
    if (i == 1) a.frame.bytes[11] ^= 1;
  });
  tagged("other link destination", [&](std::size_t i, Arrival& a) {
    if (i == 1) a.frame.bytes[5] ^= 2;
  });
  const auto in_band = [&](const std::string& name, const std::function<void(FrameBuilder&, std::uint32_t)>& tag,
                           Be16 outer = Be16{}) {
    GroScenario scenario{name, {}, {}};
    for (std::uint32_t i = 0; i < 4; ++i) {
      FrameBuilder frame;
      frame.eth();
      tag(frame, i);
      scenario.poll.push_back({.frame = tcp(ip(frame, Family::ipv4), {.at = 1000 * i}).build()});
      if (outer != Be16{}) with(scenario.poll.back(), outer, 9);
    }
    all.push_back(scenario);
  };
  in_band("tag in the frame", [](FrameBuilder& f, std::uint32_t) { f.vlan(5); });
  in_band("tag in the frame, other id", [](FrameBuilder& f, std::uint32_t i) { f.vlan(i == 1 ? 6 : 5); });
  in_band("two tags in the frame", [](FrameBuilder& f, std::uint32_t) { f.vlan(7, 0, kEthP8021ad).vlan(5); });
  in_band("one tag taken out, one in the frame", [](FrameBuilder& f, std::uint32_t) { f.vlan(5); }, kEthP8021ad);
  return all;
}

namespace {

enum class Tunnel { ip, gre, gre_key, gre_csum, gre_seq, gre_ethernet, vxlan, vxlan_without_csum };
constexpr std::pair<const char*, Tunnel> kTunnels[] = {{"ip", Tunnel::ip},
                                                       {"gre", Tunnel::gre},
                                                       {"gre key", Tunnel::gre_key},
                                                       {"gre checksum", Tunnel::gre_csum},
                                                       {"gre ethernet", Tunnel::gre_ethernet},
                                                       {"vxlan", Tunnel::vxlan},
                                                       {"vxlan without checksum", Tunnel::vxlan_without_csum}};

/// One packet in a tunnel.
struct Inside {
  Tunnel tunnel;
  Family outer = Family::ipv4, inner = Family::ipv4;
  Segment outside{.df = false};  ///< what its outer IP header says
  std::uint32_t key = 5;         ///< GRE's key, VXLAN's network
  unsigned port = 999;           ///< VXLAN's source port
};

void fix_gre_checksum(Frame& frame, std::size_t at) {
  const Be16 sum = wire::csum_fold(wire::csum_partial(std::span(frame.bytes).subspan(at)));
  std::memcpy(&frame.bytes[at + 4], &sum, sizeof sum);
}

Frame tunnelled(const Inside& in, const Segment& segment) {
  FrameBuilder frame;
  ip(frame.eth(), in.outer, in.outside);
  switch (in.tunnel) {
    case Tunnel::ip: break;
    case Tunnel::gre: frame.gre(); break;
    case Tunnel::gre_key: frame.gre({.key = in.key}); break;
    case Tunnel::gre_csum: frame.gre({.csum = true}); break;
    case Tunnel::gre_seq: frame.gre({.seq = segment.at}); break;
    case Tunnel::gre_ethernet: frame.gre().eth(); break;
    case Tunnel::vxlan:
    case Tunnel::vxlan_without_csum: frame.udp(in.port, wire::VxlanView::kPort).vxlan(in.key).eth(); break;
  }
  Frame built = tcp(ip(frame, in.inner, segment), segment).build();
  if (in.tunnel == Tunnel::gre_csum) fix_gre_checksum(built, transport_at(in.outer));
  if (in.tunnel == Tunnel::vxlan_without_csum) std::memset(&built.bytes[transport_at(in.outer) + 6], 0, 2);
  return built;
}

/// Four segments in a tunnel; `change` sees the outside and the segment of each.
GroScenario in_tunnel(const std::string& name, const Inside& in,
                      const std::function<void(std::size_t, Inside&, Segment&)>& change) {
  GroScenario scenario{"tunnel " + name, {.vxlan = in.tunnel >= Tunnel::vxlan}, {}};
  for (std::uint32_t i = 0; i < 4; ++i) {
    Inside outside = in;
    outside.outside.id = static_cast<std::uint16_t>(i);
    Segment segment{.at = 1000 * i, .id = static_cast<std::uint16_t>(i)};
    change(i, outside, segment);
    scenario.poll.push_back({.frame = tunnelled(outside, segment)});
  }
  return scenario;
}

void add_tunnel(std::vector<GroScenario>& all, const std::string& name, const Inside& in) {
  const auto add = [&](const std::string& what, const std::function<void(std::size_t, Inside&, Segment&)>& change) {
    all.push_back(in_tunnel(name + ": " + what, in, change));
  };
  add("in order", [](std::size_t, Inside&, Segment&) {});
  add("outer df, ids count", [](std::size_t, Inside& o, Segment&) { o.outside.df = true; });
  add("outer df, ids fixed", [](std::size_t, Inside& o, Segment&) {
    o.outside.df = true;
    o.outside.id = 0;
  });
  add("outer df, ids jump", [](std::size_t i, Inside& o, Segment&) {
    o.outside.df = true;
    o.outside.id = static_cast<std::uint16_t>(7 * i);
  });
  add("outer ids fixed", [](std::size_t, Inside& o, Segment&) { o.outside.id = 0; });
  add("inner ids fixed", [](std::size_t, Inside&, Segment& s) { s.id = 0; });
  add("both fixed", [](std::size_t, Inside& o, Segment& s) {
    o.outside.df = true;
    o.outside.id = s.id = 0;
  });
  add("outer ttl", [](std::size_t i, Inside& o, Segment&) { o.outside.ttl = i == 2 ? 9 : 64; });
  add("outer congestion", [](std::size_t i, Inside& o, Segment&) { o.outside.tos = i == 2 ? 3 : 0; });
  add("inner ttl", [](std::size_t i, Inside&, Segment& s) { s.ttl = i == 2 ? 9 : 64; });
  add("inner gap", [](std::size_t i, Inside&, Segment& s) {
    if (i >= 2) s.at += 1;
  });
  add("inner fin", [](std::size_t i, Inside&, Segment& s) {
    if (i == 3) s.flags |= TcpView::kFin;
  });
  add("inner psh", [](std::size_t i, Inside&, Segment& s) {
    if (i == 2) s.flags |= TcpView::kPsh;
  });
  add("other key or port", [](std::size_t i, Inside& o, Segment&) {
    if (i == 2) o.key = o.port = 77;
  });
}

}  // namespace

std::vector<GroScenario> tunnel_scenarios() {
  std::vector<GroScenario> all;
  for (const auto& [name, tunnel] : kTunnels)
    for (const Family outer : {Family::ipv4, Family::ipv6})
      for (const Family inner : {Family::ipv4, Family::ipv6})
        add_tunnel(all, named(name, outer) + (inner == Family::ipv4 ? " with ipv4" : " with ipv6"),
                   {.tunnel = tunnel, .outer = outer, .inner = inner});
  // A tunnel in a tunnel, and a VXLAN port at which no tunnel ends.
  GroScenario nested{"tunnel in a tunnel", {}, {}};
  for (std::uint32_t i = 0; i < 3; ++i) {
    FrameBuilder frame;
    frame.eth().ipv4("1.0.0.1", "1.0.0.2").ipv4("2.0.0.1", "2.0.0.2");
    nested.poll.push_back({.frame = tcp(ip(frame, Family::ipv4), {.at = 1000 * i}).build()});
  }
  all.push_back(nested);
  all.push_back(
      in_tunnel("gre with sequence numbers", {.tunnel = Tunnel::gre_seq}, [](std::size_t, Inside&, Segment&) {}));
  GroScenario nobody =
      in_tunnel("vxlan that nobody ends", {.tunnel = Tunnel::vxlan}, [](std::size_t, Inside&, Segment&) {});
  nobody.settings.vxlan = false;
  all.push_back(nobody);
  for (const Family inner : {Family::ipv4, Family::ipv6}) {
    GroScenario large{named("in vxlan over ipv6 beyond 64 KiB", inner), {.gro_max_size = 100000, .vxlan = true}, {}};
    for (std::uint32_t i = 0; i < 12; ++i)
      large.poll.push_back({.frame = tunnelled({.tunnel = Tunnel::vxlan, .outer = Family::ipv6, .inner = inner},
                                               {.at = 6000 * i, .size = 6000, .id = static_cast<std::uint16_t>(i)})});
    all.push_back(large);
  }
  // A datagram in a tunnel, and one beside it with the same ports and the tunnel's addresses.
  for (const bool continues : {false, true}) {
    const auto inside = [](std::uint16_t id) {
      FrameBuilder frame;
      ip(frame.eth(), Family::ipv4, {.df = false, .id = id}).udp(999, wire::VxlanView::kPort).vxlan(3).eth();
      return ip(frame, Family::ipv4, {.df = false, .id = id}).udp(6, 443).payload(100).build();
    };
    FrameBuilder frame;
    ip(frame.eth(), Family::ipv4, {.df = false, .id = static_cast<std::uint16_t>(continues ? 2 : 77)}).udp(6, 443);
    all.push_back(
        {std::string("a tunnelled flow's ports beside the tunnel") + (continues ? ", as if it continued" : ""),
         {.udp_forwarding = true, .vxlan = true},
         arrivals({inside(1), frame.payload(100).build(), inside(2)})});
  }
  return all;
}

namespace {

/// One UDP datagram, and what is special about it.
struct Datagram {
  std::size_t size = 1000;
  std::uint8_t fill = 1;
  std::uint16_t port = 1000;
  Segment network = {.df = false};  ///< what its IP header says
};

Frame udp_frame(Family family, const Datagram& d) {
  FrameBuilder frame;
  const std::vector<std::uint8_t> payload(d.size, d.fill);
  return ip(frame.eth(), family, d.network).udp(d.port, 443).raw(payload).build();
}

using UdpChange = std::function<void(std::size_t, Frame&, Family)>;

class UdpPolls {
 public:
  void add(const std::string& name, std::vector<Datagram> datagrams, const UdpChange& change = {}) {
    for (const Family family : {Family::ipv4, Family::ipv6}) {
      std::vector<Frame> frames;
      for (std::size_t i = 0; i < datagrams.size(); ++i) {
        Datagram d = datagrams[i];
        d.network.id = static_cast<std::uint16_t>(d.network.id + i);
        d.fill = static_cast<std::uint8_t>(i);
        frames.push_back(udp_frame(family, d));
        if (change) change(i, frames.back(), family);
      }
      all.push_back({prefix + named(name, family), settings, arrivals(frames)});
    }
  }
  std::string prefix;
  GroSettings settings;
  std::vector<GroScenario> all;
};

void add_udp(UdpPolls& polls) {
  using Datagrams = std::vector<Datagram>;
  polls.add("in order", Datagrams(10));
  polls.add("short last", {{}, {}, {.size = 7}, {}});
  polls.add("longer", {{.size = 500}, {}, {}});
  polls.add("63", Datagrams(63));
  polls.add("63 of 9000", Datagrams(63, {.size = 9000}));
  polls.add("one byte each", Datagrams(5, {.size = 1}));
  polls.add("empty", {{}, {.size = 0}, {}});
  polls.add("two flows in turn", {{}, {.port = 2}, {}, {.port = 2}});
  polls.add("ttl", {{}, {}, {.network = {.ttl = 9, .df = false}}, {}});
  polls.add("congestion experienced", {{}, {}, {.network = {.tos = 3, .df = false}}, {}});
  polls.add("df", {{}, {}, {.network = {.df = true}}, {}});
  polls.add("ids with a jump", {{}, {}, {.network = {.df = false, .id = 5}}, {.network = {.df = false, .id = 5}}});
  polls.add("all with df", Datagrams(5, {.network = {.df = true}}));
  polls.add("nine flows", {{.port = 1},
                           {.port = 2},
                           {.port = 3},
                           {.port = 4},
                           {.port = 5},
                           {.port = 6},
                           {.port = 7},
                           {.port = 8},
                           {.port = 9},
                           {.port = 1}});
  const auto changed = [&](const std::string& name, const UdpChange& change) {
    for (const std::size_t which : {0u, 1u})
      polls.add(name + " in datagram " + std::to_string(which), Datagrams(3),
                [&](std::size_t i, Frame& frame, Family family) {
                  if (i == which) change(i, frame, family);
                });
  };
  changed("no checksum",
          [](std::size_t, Frame& f, Family family) { std::memset(&f.bytes[transport_at(family) + 6], 0, 2); });
  changed("wrong checksum", [](std::size_t, Frame& f, Family) { f.bytes.back() ^= 1; });
  changed("wrong length", [](std::size_t, Frame& f, Family family) { f.bytes[transport_at(family) + 5] ^= 1; });
  changed("padding", [](std::size_t, Frame& f, Family) { f.bytes.resize(f.size() + 4); });
  changed("cut", [](std::size_t, Frame& f, Family family) { f = f.cut(transport_at(family) + 5); });
}

}  // namespace

std::vector<GroScenario> udp_scenarios() {
  UdpPolls polls;
  polls.prefix = "udp not asked for: ";
  add_udp(polls);
  polls.prefix = "udp forwarded: ";
  polls.settings.udp_forwarding = true;
  add_udp(polls);
  polls.settings.udp_forwarding = false;
  polls.prefix = "socket with udp_gro: ";
  polls.settings.sockets = {{GroEndpoint::Kind::udp_gro, 443}};
  add_udp(polls);
  // Sockets are asked for at all only while some socket of the machine has UDP_GRO or ends a tunnel.
  for (const bool forwarding : {false, true}) {
    polls.prefix = forwarding ? "socket without udp_gro, forwarding: " : "socket without udp_gro: ";
    polls.settings.udp_forwarding = forwarding;
    polls.settings.sockets = {{GroEndpoint::Kind::udp, 443}, {GroEndpoint::Kind::udp_gro, 5}};
    polls.add("in order", std::vector<Datagram>(5));
  }
  return polls.all;
}

std::vector<GroScenario> fraglist_scenarios() {
  UdpPolls polls;
  polls.prefix = "udp in a fraglist: ";
  polls.settings.fraglist = true;
  add_udp(polls);
  polls.prefix = "udp, both switches: ";
  polls.settings.udp_forwarding = true;
  polls.add("in order", std::vector<Datagram>(5));
  polls.settings.udp_forwarding = false;
  for (const auto kind : {GroEndpoint::Kind::udp_gro, GroEndpoint::Kind::udp}) {
    polls.prefix = kind == GroEndpoint::Kind::udp ? "fraglist, socket: " : "fraglist, socket with udp_gro: ";
    polls.settings.sockets = {{kind, 443}, {GroEndpoint::Kind::udp_gro, 5}};
    polls.add("in order", std::vector<Datagram>(5));
  }
  for (std::vector<GroScenario> some : {tcp_scenarios(), ip_scenarios()})
    for (GroScenario& scenario : some) {
      scenario.name = "fraglist: " + scenario.name;
      scenario.settings.fraglist = true;
      polls.all.push_back(std::move(scenario));
    }
  return polls.all;
}

}  // namespace netrx::conformance
