// SPDX-License-Identifier: Apache-2.0
#include "base/prng.h"
#include "gro/gro_fixture.h"
#include "gro_scenarios.h"
#include "kernel_records.h"

namespace netrx::conformance {

namespace {

/// A stream of one flow, and how the next packet of it would look if nothing strange happened.
struct Flow {
  enum class Wrap { none, ip, gre, vxlan };
  Family family = Family::ipv4;
  Family outer = Family::ipv4;
  Wrap wrap = Wrap::none;
  bool tcp = true;
  std::size_t mss = 1000;
  Segment next;
  bool counting = true;  ///< its IPv4 ids count
  std::uint16_t outer_id = 0;
  std::uint32_t hash = 0;
  Be16 vlan_proto{};
  std::uint16_t vlan_tci = 0;
};

/// Keeps away from what gro_differences.cc lists: CWR, ids that stay the same without DF or in a tunnel, outer ids that
/// jump, tags in frames, a tunnelled flow's ports outside the tunnel, tunnels where more than 64 KiB may merge.
/// Everything else may happen.
class RandomPoll {
 public:
  RandomPoll(std::uint64_t seed, bool tunnels) : prng_(seed), flows_(prng_.between(1, 12)), tunnels_(tunnels) {
    hashes_ = one_in(2);
    tags_ = one_in(4);
    for (Flow& flow : flows_) draw(flow);
  }

  std::vector<Arrival> arrivals() {
    std::vector<Arrival> poll;
    const std::size_t n = prng_.between(2, NETRX_MAX_ARRIVALS);
    while (poll.size() < n) {
      Flow& flow = flows_[prng_.below(flows_.size())];
      for (std::uint64_t run = prng_.between(1, 9); run > 0; --run) {
        poll.push_back(next(flow));
        // A duplicate; of UDP, and of VXLAN that is only UDP here, it would have the same id.
        if (flow.tcp && flow.wrap != Flow::Wrap::vxlan && one_in(60)) poll.push_back(poll.back());
        if (one_in(60) && poll.size() > 1) std::swap(poll.back(), poll[poll.size() - 2]);
      }
    }
    poll.resize(n);
    return poll;
  }

 private:
  bool one_in(std::uint64_t n) { return prng_.below(n) == 0; }

  void draw(Flow& flow) {
    flow.family = one_in(2) ? Family::ipv4 : Family::ipv6;
    flow.outer = one_in(2) ? Family::ipv4 : Family::ipv6;
    flow.wrap = static_cast<Flow::Wrap>(one_in(2) || !tunnels_ ? 0 : prng_.below(4));
    flow.tcp = !one_in(3);
    flow.mss = one_in(8) ? prng_.between(1, 8000) : prng_.between(1, 1400);
    flow.next.port = static_cast<std::uint16_t>(10 * static_cast<unsigned>(flow.wrap) + prng_.between(1, 8));
    flow.next.at = static_cast<std::uint32_t>(prng_.next());
    flow.next.df = one_in(2);
    flow.counting = !flow.next.df || flow.wrap != Flow::Wrap::none || one_in(2);
    if (one_in(2)) flow.next.options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    flow.next.flow_label = one_in(2) ? 0 : 77;
    flow.next.id = static_cast<std::uint16_t>(prng_.next());
    flow.outer_id = static_cast<std::uint16_t>(prng_.next());
    if (hashes_) flow.hash = static_cast<std::uint32_t>(prng_.between(1, 20));
    if (tags_ && one_in(2)) {
      flow.vlan_proto = one_in(2) ? kEthP8021q : kEthP8021ad;
      flow.vlan_tci = static_cast<std::uint16_t>(prng_.below(3));
    }
  }

  Arrival next(Flow& flow) {
    Segment s = flow.next;
    s.size = one_in(12) ? prng_.below(flow.mss + 2) : flow.mss;
    if (one_in(15)) s.flags |= TcpView::kPsh;
    if (one_in(60)) s.flags |= static_cast<std::uint8_t>(1u << prng_.below(7));  // any but CWR
    if (one_in(60)) flow.next.ack += 10;
    if (one_in(80)) flow.next.window += 1;
    if (one_in(100)) flow.next.ttl -= 1;
    if (one_in(100)) flow.next.tos ^= 3;
    if (one_in(100)) flow.next.flow_label ^= 5;
    if (one_in(60)) flow.next.at += 100;
    if (flow.counting && one_in(60)) flow.next.id += 7;
    if (!s.options.empty() && one_in(40)) flow.next.options.back() ^= 1;
    flow.next.at += static_cast<std::uint32_t>(s.size);
    if (flow.counting) ++flow.next.id;
    Arrival arrival{
        .frame = build(flow, s), .hash = flow.hash, .vlan_proto = flow.vlan_proto, .vlan_tci = flow.vlan_tci};
    damage(flow, arrival.frame);
    if (tags_ && one_in(60)) arrival.vlan_tci ^= 1;
    return arrival;
  }

  Frame build(Flow& flow, const Segment& s) {
    FrameBuilder frame;
    frame.eth();
    if (flow.wrap != Flow::Wrap::none) ip(frame, flow.outer, {.df = false, .id = flow.outer_id++});
    if (flow.wrap == Flow::Wrap::gre) frame.gre({.key = 5});
    if (flow.wrap == Flow::Wrap::vxlan) frame.udp(999, wire::VxlanView::kPort).vxlan(3).eth();
    ip(frame, flow.family, s);
    if (flow.tcp) return tcp(frame, s).build();
    const std::vector<std::uint8_t> payload(s.size, static_cast<std::uint8_t>(s.at));
    return frame.udp(s.port, 443).raw(payload).build();
  }

  /// A changed byte, bytes too many, bytes missing. Of the innermost headers and the payload only, so that ids stay
  /// what they are.
  void damage(const Flow& flow, Frame& frame) {
    if (one_in(60)) frame.bytes.back() ^= 0x10;
    if (one_in(100)) frame.bytes.resize(frame.size() + prng_.between(1, 8));
    if (one_in(150)) frame = frame.cut(prng_.between(wire::EthernetView::kSize, frame.size()));
    if (flow.wrap == Flow::Wrap::none && one_in(60))
      frame.bytes[prng_.below(std::min<std::size_t>(frame.size(), 14))] ^= 2;  // the link header
  }

  Prng prng_;
  std::vector<Flow> flows_;
  bool tunnels_;
  bool hashes_ = false, tags_ = false;
};

}  // namespace

GroScenario random_scenario(std::uint64_t seed) {
  // Settings cost more than packets, so that seeds come in groups of one.
  constexpr std::uint64_t kGroup = 100;
  Prng prng(seed / kGroup);
  GroScenario scenario{"seed " + std::to_string(seed), {}, {}};
  scenario.settings.fraglist = prng.below(4) == 0;
  scenario.settings.udp_forwarding = prng.below(2) == 0;
  scenario.settings.vxlan = prng.below(2) == 0;
  if (prng.below(4) == 0) scenario.settings.sockets = {{GroEndpoint::Kind::udp_gro, 443}};
  constexpr std::uint32_t kMaxSizes[] = {65536, 65536, 65536, 6000, 100000};
  scenario.settings.gro_max_size = kMaxSizes[prng.below(std::size(kMaxSizes))];
  scenario.poll = RandomPoll(seed, scenario.settings.gro_max_size <= 65536).arrivals();
  return scenario;
}

}  // namespace netrx::conformance
