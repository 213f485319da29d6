// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sequences of frames through the GRO stage, and what came of them as one line of text. Tests only.

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "gro/gro.h"
#include "gro/gro_headers.h"
#include "netrx/packet_bytes.h"
#include "wire/frame_builder.h"

namespace netrx {

using wire::Frame;
using wire::FrameBuilder;
using wire::TcpView;

/// One TCP segment of the flow that most tests talk about, and what is special about it.
struct Segment {
  std::uint32_t at = 0;     ///< its first byte in the stream
  std::size_t size = 1000;  ///< payload bytes
  std::uint8_t flags = TcpView::kAck;
  std::uint32_t ack = 77;
  std::uint16_t window = 500;
  std::vector<std::uint8_t> options = {};
  std::uint16_t port = 1000;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
  bool df = true;
  std::uint16_t id = 0;
  std::uint32_t flow_label = 0;
};

/// Which IP version a test runs over.
enum class Family { ipv4, ipv6 };

inline FrameBuilder& ip(FrameBuilder& frame, Family family, const Segment& s = {}) {
  if (family == Family::ipv4)
    return frame.ipv4("10.0.0.1", "10.0.0.2", {.tos = s.tos, .id = s.id, .dont_fragment = s.df, .ttl = s.ttl});
  return frame.ipv6("fd00::1", "fd00::2", {.traffic_class = s.tos, .flow_label = s.flow_label, .hop_limit = s.ttl});
}

inline FrameBuilder& tcp(FrameBuilder& frame, const Segment& s) {
  constexpr std::uint32_t kIsn = 0xffffff00;  // so that sequence numbers wrap
  frame.tcp(s.port, 80, {.seq = kIsn + s.at, .ack = s.ack, .flags = s.flags, .window = s.window, .options = s.options});
  std::vector<std::uint8_t> payload(s.size);
  for (std::size_t i = 0; i < s.size; ++i) payload[i] = static_cast<std::uint8_t>((s.at + i) * 7 >> 3);
  return frame.raw(payload);
}

inline Frame tcp(Family family, const Segment& s) {
  FrameBuilder frame;
  return tcp(ip(frame.eth(), family, s), s).build();
}

inline Frame udp(Family family, std::size_t size, std::uint16_t port = 1000) {
  FrameBuilder frame;
  return ip(frame.eth(), family).udp(port, 443).payload(size).build();
}

/// Packets on buffers of their own, as the path hands them to the GRO stage.
class PacketMaker {
 public:
  static constexpr std::size_t kHeadroom = 64, kTailroom = 64;

  Packet& make(const Frame& frame) {
    std::vector<std::uint8_t>& buffer = buffers_.emplace_back(kHeadroom + frame.size() + kTailroom);
    std::memcpy(buffer.data() + kHeadroom, frame.data(), frame.size());
    Packet& packet = packets_.emplace_back();
    packet.head = buffer.data();
    packet.buffer_size = static_cast<std::uint32_t>(buffer.size());
    packet.data = packet.head + kHeadroom;
    packet.mac_header = kHeadroom;
    packet.len = static_cast<std::uint32_t>(frame.size());
    packet.protocol = wire::eth_type_trans(frame.bytes, wire::kTestMac).protocol;
    packet.data += wire::EthernetView::kSize;
    packet.len -= wire::EthernetView::kSize;
    packet.network_header = packet.transport_header = static_cast<std::uint16_t>(packet.headroom());
    packet.rx_seq = next_seq_++;
    return packet;
  }

 private:
  std::deque<std::vector<std::uint8_t>> buffers_;
  std::deque<Packet> packets_;
  std::uint64_t next_seq_ = 0;
};

/// The frame a packet has become, from its link header on.
inline std::vector<std::uint8_t> bytes_of(const Packet& packet) {
  std::vector<std::uint8_t> bytes(packet.head + packet.mac_header, packet.data);
  for_each_piece(packet, [&](auto piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  return bytes;
}

class GroTest : public testing::Test {
 protected:
  GroTest() { gro.make_room(); }
  ~GroTest() override {
    gro.rx_list.released();
    while (gro_holds_packets(gro)) {
      PacketBatch rest;
      gro_give_up(gro, rest);
      rest.released();
    }
  }

  Packet& packet(const Frame& frame) { return maker.make(frame); }

  GroStep receive(Packet& packet) {
    GroStep step = gro_receive(gro, rules, packet);
    while (!step) {
      collect();
      step = gro_receive(gro, rules, packet);
    }
    last = step;
    static constexpr const char* kLetters[] = {"m", "M", "H", "N", "C"};
    say(kLetters[static_cast<int>(step.result())]);
    collect();
    return step;
  }
  GroStep receive(const Frame& frame) { return receive(packet(frame)); }

  void flush(bool only_old = false) {
    say("|");
    while (!gro_flush(gro, rules, only_old)) collect();
    collect();
  }

  /// What came of a sequence, e.g. "H M M 3/2500 H | 1/1000": for each packet H(eld), M(erged), m (merged, chained) or
  /// N(ormal), then what it made go up as segments/payload bytes; behind | what the flush at the end brought.
  std::string run(std::initializer_list<Frame> frames) {
    line.clear();
    for (const Frame& frame : frames) receive(frame);
    flush();
    return line;
  }
  std::string run(const std::vector<Frame>& frames) {
    line.clear();
    for (const Frame& frame : frames) receive(frame);
    flush();
    return line;
  }
  std::string run(Family family, std::initializer_list<Segment> segments) {
    line.clear();
    for (const Segment& segment : segments) receive(tcp(family, segment));
    flush();
    return line;
  }

  /// Local ports that GRO asks for.
  void listen(const std::vector<GroEndpoint>& ports) {
    endpoints_ = std::make_unique<GroEndpoints>(ports);
    rules.endpoints = endpoints_.get();
  }

  /// What was handed up, in order.
  std::vector<Packet*> up;
  GroStep last = GroStep::list_full();
  std::string line;
  PacketMaker maker;
  GroRules rules;
  GroNode gro;

 private:
  std::unique_ptr<GroEndpoints> endpoints_;

  void say(const std::string& word) { line += (line.empty() ? "" : " ") + word; }
  void collect() {
    std::uint32_t segments = 0;
    for (Packet* one : gro.rx_list.packets()) {
      const std::uint32_t count = one->gso_segs != 0 ? one->gso_segs : 1;
      const std::uint32_t payload = payload_of(*one);
      say(std::to_string(count) + "/" + std::to_string(payload));
      segments += count;
      up.push_back(one);
    }
    EXPECT_EQ(gro.rx_count, segments);
    gro.rx_list.released();
    gro.rx_count = 0;
  }
  /// Bytes behind the transport header, or behind the link header where GRO does not read that far.
  std::uint32_t payload_of(const Packet& one) const {
    Packet copy = one;
    GroHeaders headers;
    return read_gro_headers(copy, rules, headers) == GroRefusal::kNone ? headers.payload : one.len;
  }
};

}  // namespace netrx
