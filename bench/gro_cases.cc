// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "cases.h"
#include "gro/gro.h"
#include "peers.h"
#include "wire/checksum.h"
#include "wire/frame_builder.h"

namespace netrx::bench {

namespace {

constexpr std::size_t kBurst = 64;
constexpr std::size_t kBursts =
    40;  // some megabytes of buffers: hot in the outer caches, as behind a card that writes there
constexpr std::uint32_t kHeaders = 14 + 20 + 20;

/// What one burst is made of: `flows` flows, each with its segments in a row or taking turns.
struct Mix {
  const char* name;
  std::uint32_t flows;
  bool turns;
  std::uint32_t payload;
  bool udp = false;
};

std::vector<wire::Frame> frames_of(const Mix& mix) {
  std::vector<std::uint32_t> sent(mix.flows);
  std::vector<wire::Frame> frames;
  for (std::size_t i = 0; i < kBursts * kBurst; ++i) {
    const std::size_t in_burst = i % kBurst;
    const std::size_t flow = mix.turns ? in_burst % mix.flows : in_burst / (kBurst / mix.flows);
    const std::uint32_t n = sent[flow]++;
    wire::FrameBuilder frame;
    frame.eth().ipv4(wire::Ip4(0x0a000001 + static_cast<std::uint32_t>(flow)), "10.1.0.1",
                     {.id = static_cast<std::uint16_t>(n), .dont_fragment = true});
    const unsigned port = 1000 + static_cast<unsigned>(flow);
    if (mix.udp)
      frame.udp(port, 443);
    else
      frame.tcp(port, 80, {.seq = n * mix.payload, .ack = 1, .window = 500});
    frames.push_back(frame.payload(mix.payload).build());
  }
  return frames;
}

/// Packets on those frames, as a driver would have made them, and made anew after each run.
class Segments {
 public:
  explicit Segments(const std::vector<wire::Frame>& frames) : frames_(frames), packets_(frames.size()) {
    buffers_.resize(frames.size() * kStride);
    for (std::size_t i = 0; i < frames.size(); ++i)
      std::memcpy(buffer(i) + kHeadroom, frames[i].data(), frames[i].size());
  }

  void reset(IpSummed summed) {
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      Packet& packet = packets_[i] = Packet{};
      packet.head = buffer(i);
      packet.buffer_size = kStride;
      packet.data = packet.head + kHeadroom + wire::EthernetView::kSize;
      packet.mac_header = kHeadroom;
      packet.network_header = packet.transport_header = kHeadroom + wire::EthernetView::kSize;
      packet.len = static_cast<std::uint32_t>(frames_[i].size() - wire::EthernetView::kSize);
      packet.protocol = kEthPIp;
      packet.ip_summed = summed;
      std::memcpy(packet.head + kHeadroom, frames_[i].data(), kHeaders);
    }
  }
  std::span<Packet> burst(std::size_t n) { return std::span(packets_).subspan(n * kBurst, kBurst); }

 private:
  static constexpr std::uint32_t kHeadroom = 128, kStride = 2176;
  std::uint8_t* buffer(std::size_t i) { return buffers_.data() + i * kStride; }

  const std::vector<wire::Frame>& frames_;
  std::vector<Packet> packets_;
  std::vector<std::uint8_t> buffers_;
};

/// Every burst through GRO. The checksum is what went up: how many packets and how many bytes from the link header on,
/// so that a peer that merges less has another.
Trial gro_trial(Segments& segments, GroNode& node, const GroRules& rules, IpSummed summed) {
  segments.reset(summed);
  return timed(kBursts * kBurst, [&] {
    std::uint64_t packets = 0, bytes = 0;
    const auto take_up = [&] {
      packets += node.rx_list.size();
      for (const Packet* packet : node.rx_list.packets()) bytes += packet->len + wire::EthernetView::kSize;
      node.rx_list.released();
      node.rx_count = 0;
    };
    for (std::size_t n = 0; n < kBursts; ++n) {
      for (Packet& packet : segments.burst(n))
        while (!gro_receive(node, rules, packet)) take_up();
      while (!gro_flush(node, rules, false)) take_up();
      take_up();
    }
    return packets << 40 | bytes;
  });
}

void against_dpdk(Harness& harness, const Mix& mix) {
  if (!harness.wants(mix.name)) return;
  const std::vector<wire::Frame> frames = frames_of(mix);
  Segments segments(frames);
  GroNode node;
  node.make_room();
  const GroRules rules{.udp_forwarding = true, .flow_buckets = mix.flows > GroBucket::kCapacity ? 64u : 0u};
  Case what{
      .name = mix.name, .unit = Unit::ns, .target = mix.udp ? 0.0 : 1.0, .two_cpus = false, .ours = {}, .peer = {}};
  what.ours = [&] { return gro_trial(segments, node, rules, IpSummed::unnecessary); };
  std::vector<const std::uint8_t*> data;
  std::vector<std::uint32_t> sizes;
  for (const wire::Frame& frame : frames) {
    data.push_back(frame.data());
    sizes.push_back(static_cast<std::uint32_t>(frame.size()));
  }
  std::unique_ptr<peers::Gro> peer;
  if (harness.options().peers && !mix.udp) {
    peer = std::make_unique<peers::Gro>(peers::FrameList{data.data(), sizes.data(), frames.size()});
    what.peer = [&] {
      peer->reset();
      return timed(frames.size(), [&] { return peer->reassemble(kBurst); });
    };
  }
  harness.run(what);
}

/// A payload's checksum, by the vector unit and without, over and over the first `different` frames.
void checksum_case(Harness& harness, const char* name, std::size_t different, double target) {
  if (!harness.wants(name)) return;
  const std::vector<wire::Frame> frames = frames_of({.name = name, .flows = 4, .turns = true, .payload = 1460});
  const auto all = [&](auto sum) {
    return timed(frames.size(), [&] {
      std::uint64_t total = 0;
      for (std::size_t n = 0; n < frames.size(); n += different)
        for (const wire::Frame& frame : std::span(frames).first(different))
          total += static_cast<std::uint16_t>(wire::csum_fold(sum(std::span(frame.bytes).subspan(34), 0u)));
      return total;
    });
  };
  Case what{.name = name, .unit = Unit::ns, .target = target, .two_cpus = false, .ours = {}, .peer = {}};
  what.ours = [&] { return all([](auto bytes, std::uint32_t s) { return wire::csum_partial(bytes, s); }); };
  what.peer = [&] { return all([](auto bytes, std::uint32_t s) { return wire::csum_partial_scalar(bytes, s); }); };
  harness.run(what);
}

/// GRO that verifies every checksum, beside the scalar checksums of the same segments and nothing else.
void checked_case(Harness& harness, const char* name) {
  if (!harness.wants(name)) return;
  const std::vector<wire::Frame> frames = frames_of({.name = name, .flows = 4, .turns = true, .payload = 1460});
  Segments segments(frames);
  GroNode node;
  node.make_room();
  const GroRules rules;
  std::uint64_t went_up = 0;
  Case what{.name = name, .unit = Unit::ns, .target = 0, .two_cpus = false, .ours = {}, .peer = {}};
  what.ours = [&] {
    Trial trial = gro_trial(segments, node, rules, IpSummed::none);
    went_up = trial.checksum;
    return trial;
  };
  what.peer = [&] {
    segments.reset(IpSummed::none);
    Trial trial = timed(frames.size(), [&] {
      std::uint64_t right = 0;
      for (std::size_t n = 0; n < kBursts; ++n) {
        for (const Packet& packet : segments.burst(n)) {
          const auto segment = packet.linear().subspan(wire::Ipv4View::kSize);
          const std::span addresses(wire::Ipv4View{packet.data}.addresses(), 8);
          const auto size = static_cast<std::uint32_t>(segment.size());
          const std::uint32_t pseudo = wire::csum_pseudo_header(addresses, wire::kIpProtoTcp, size);
          right += wire::csum_fold(wire::csum_partial_scalar(segment, pseudo)) == Be16{};
        }
      }
      return right;
    });
    if (trial.checksum != frames.size()) trial.problem = "a checksum of the bench's own frames is wrong";
    trial.checksum = went_up;
    return trial;
  };
  harness.run(what);
}

}  // namespace

void gro_cases(Harness& harness) {
  for (const Mix& mix : {Mix{"gro/tcp-1-flow", 1, false, 1460}, Mix{"gro/tcp-4-flows-runs", 4, false, 1460},
                         Mix{"gro/tcp-4-flows-turns", 4, true, 1460}, Mix{"gro/tcp-16-flows-runs", 16, false, 1460},
                         Mix{"gro/tcp-16-flows-turns", 16, true, 1460}, Mix{"gro/tcp-64-flows", 64, true, 1460},
                         Mix{"gro/udp-4-flows-turns", 4, true, 1200, true}})
    against_dpdk(harness, mix);
  checksum_case(harness, "checksum/1480", 16, 4);
  checksum_case(harness, "checksum/1480-outer-cache", kBurst * kBursts, 0);
  checked_case(harness, "gro/tcp-4-flows-turns-checked");
}

}  // namespace netrx::bench
