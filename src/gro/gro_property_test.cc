// SPDX-License-Identifier: Apache-2.0
// What holds of any traffic: nothing is merged that a naive twin would not merge, every byte comes out again, cutting
// gives the frames back, and the result does not depend on when lists are taken up.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "base/prng.h"
#include "gro/gro_fixture.h"
#include "gro/naive_gro.h"
#include "netrx/gso.h"

namespace netrx {
namespace {

/// Streams of several flows, mostly well-behaved.
class Traffic {
 public:
  explicit Traffic(std::uint64_t seed) : prng_(seed), flows_(prng_.between(1, 12)) {
    for (Flow& flow : flows_) draw(flow);
  }

  std::vector<Frame> frames(std::size_t n) {
    std::vector<Frame> all;
    while (all.size() < n) {
      Flow& flow = flows_[prng_.below(flows_.size())];
      for (std::uint64_t run = prng_.between(1, 6); run > 0; --run) {
        all.push_back(next(flow));
        if (flow.tcp && one_in(60)) all.push_back(all.back());  // a duplicate; of UDP it would pass for a fixed id
        if (one_in(60) && all.size() > 1) std::swap(all.back(), all[all.size() - 2]);  // reordered
      }
    }
    all.resize(n);
    return all;
  }

 private:
  enum class Wrap { none, tag, ip, gre, vxlan };
  struct Flow {
    Family family;
    Wrap wrap;
    bool tcp;
    std::size_t mss;
    Segment next;
    std::uint16_t outer_id;
    bool counting_ids;
  };

  bool one_in(std::uint64_t n) { return prng_.below(n) == 0; }

  void draw(Flow& flow) {
    flow.family = one_in(2) ? Family::ipv4 : Family::ipv6;
    flow.wrap = static_cast<Wrap>(one_in(2) ? 0 : prng_.below(5));
    flow.tcp = &flow == flows_.data() || !one_in(4);
    flow.mss = prng_.between(1, 1400);
    flow.next.port = static_cast<std::uint16_t>(prng_.between(1, 8));
    flow.next.at = static_cast<std::uint32_t>(prng_.next());
    flow.next.df = one_in(2);
    // Cut UDP always counts: nothing in a packet says that its datagrams did not.
    flow.counting_ids = !flow.next.df || !flow.tcp || one_in(2);
    if (one_in(2)) flow.next.options = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    flow.next.flow_label = one_in(2) ? 0 : 77;
    flow.outer_id = static_cast<std::uint16_t>(prng_.next());
  }

  Frame next(Flow& flow) {
    Segment s = flow.next;
    s.size = one_in(12) ? prng_.below(flow.mss + 2) : flow.mss;
    if (one_in(15)) s.flags |= TcpView::kPsh;
    if (one_in(80)) s.flags |= static_cast<std::uint8_t>(1u << prng_.below(8));
    if (one_in(60)) flow.next.ack += 10;
    if (one_in(80)) flow.next.window += 1;
    if (one_in(100)) flow.next.ttl -= 1;
    if (one_in(100)) flow.next.tos ^= 3;
    if (one_in(60)) flow.next.at += 100;  // a gap
    if (one_in(60)) flow.next.id += 7;
    if (!s.options.empty() && one_in(40)) flow.next.options.back() ^= 1;
    flow.next.at += static_cast<std::uint32_t>(s.size);
    if (flow.counting_ids) ++flow.next.id;
    Frame built = build(flow, s);
    if (one_in(80)) built.bytes.back() ^= 0x10;  // a wrong checksum
    return built;
  }

  Frame build(Flow& flow, const Segment& s) {
    FrameBuilder frame;
    frame.eth();
    if (flow.wrap == Wrap::tag) frame.vlan(7);
    if (flow.wrap >= Wrap::ip) ip(frame, Family::ipv4, {.df = false, .id = flow.outer_id++});
    if (flow.wrap == Wrap::gre) frame.gre({.key = 5});
    if (flow.wrap == Wrap::vxlan) frame.udp(999, wire::VxlanView::kPort).vxlan(3).eth();
    ip(frame, flow.family, s);
    if (flow.tcp) return tcp(frame, s).build();
    std::vector<std::uint8_t> payload(s.size, static_cast<std::uint8_t>(s.at));
    return frame.udp(s.port, 443).raw(payload).build();
  }

  Prng prng_;
  std::vector<Flow> flows_;
};

class GroProperty : public GroTest, public testing::WithParamInterface<int> {
 protected:
  GroProperty() : prng(static_cast<std::uint64_t>(GetParam())) {
    listen({{GroEndpoint::Kind::vxlan, wire::VxlanView::kPort}});
    rules.udp_forwarding = prng.below(2) == 0;
    rules.flow_buckets = prng.below(2) == 0 ? 0 : 64;
    rules.in_order = prng.below(2) == 0;
    rules.max_skb_frags = static_cast<std::uint8_t>(prng.between(1, 17));
    if (prng.below(3) == 0) rules.gro_max_size = rules.gro_ipv4_max_size = 524280;
    frames = Traffic(prng.next()).frames(400);
  }

  /// Everything through GRO, flushed now and then.
  void run_all() {
    for (const Frame& frame : frames) {
      receive(frame);
      if (prng.below(40) == 0) flush();
    }
    flush();
  }
  /// The frames a packet was made of.
  std::vector<std::size_t> parts(const Packet& packet) const {
    std::vector<std::size_t> all{packet.rx_seq};
    for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) all.push_back(frag->rx_seq);
    return all;
  }

  Prng prng;
  std::vector<Frame> frames;
};
INSTANTIATE_TEST_SUITE_P(Seeds, GroProperty, testing::Range(0, 20));

TEST_P(GroProperty, NothingIsMergedThatTheNaiveTwinWouldNot) {
  run_all();
  std::size_t merged = 0;
  for (const Packet* packet : up) {
    const std::vector<std::size_t> from = parts(*packet);
    std::vector<NaiveFrame> naive;
    for (const std::size_t i : from) naive.emplace_back(frames[i].bytes);
    for (std::size_t n = 1; n < naive.size(); ++n) {
      const std::string refusal = naive_refusal(naive, n);
      ASSERT_EQ(refusal, "") << "frame " << from[n] << " behind " << from[0];
    }
    merged += from.size() - 1;
  }
  EXPECT_GT(merged, 20u) << "the traffic is not worth the test";
}

TEST_P(GroProperty, EveryFrameComesOutOnceAndCuttingGivesItBack) {
  run_all();
  std::vector<int> seen(frames.size());
  for (const Packet* packet : up) {
    const std::vector<std::size_t> from = parts(*packet);
    for (const std::size_t i : from) ++seen[i];
    if (from.size() == 1) {
      ASSERT_EQ(bytes_of(*packet), frames[from[0]].bytes);
      continue;
    }
    Result<Segmenter> cut = Segmenter::create(*packet);
    ASSERT_TRUE(cut) << cut.error().text;
    ASSERT_EQ(cut->segments(), from.size());
    for (const std::size_t i : from) {
      std::vector<std::uint8_t> frame(cut->max_size());
      frame.resize(cut->next(frame));
      ASSERT_EQ(frame, frames[i].bytes) << i;
    }
  }
  EXPECT_TRUE(std::ranges::all_of(seen, [](int times) { return times == 1; }));
}

TEST_P(GroProperty, InOrderNothingOvertakesItsFlow) {
  rules.in_order = true;
  run_all();
  std::map<std::vector<std::uint8_t>, std::size_t> newest;
  for (const Packet* packet : up) {
    for (const std::size_t i : parts(*packet)) {
      const NaiveFrame naive(frames[i].bytes);
      std::vector<std::uint8_t> flow;
      for (const char* name : {"addresses", "addresses'", "ports", "ports'"})
        if (naive.bytes.contains(name))
          flow.insert(flow.end(), naive.bytes.at(name).begin(), naive.bytes.at(name).end());
      flow.push_back(naive.tcp);
      const auto [at, first] = newest.emplace(flow, i);
      ASSERT_TRUE(first || at->second < i) << "frame " << i << " came after " << at->second;
      at->second = i;
    }
  }
}

TEST_P(GroProperty, TheResultDoesNotDependOnWhenListsAreTakenUp) {
  const auto outcome = [&](std::uint64_t taken_every) {
    GroNode node;
    node.make_room();
    PacketMaker packets;
    std::vector<std::vector<std::uint8_t>> result;
    const auto take_up = [&] {
      for (const Packet* packet : node.rx_list.packets()) result.push_back(bytes_of(*packet));
      node.rx_list.released();
      node.rx_count = 0;
    };
    std::uint64_t n = 0;
    for (const Frame& frame : frames) {
      Packet& packet = packets.make(frame);
      while (!gro_receive(node, rules, packet)) take_up();
      if (++n % taken_every == 0) take_up();
    }
    while (!gro_flush(node, rules, false)) take_up();
    take_up();
    return result;
  };
  const auto once = outcome(1);
  for (const std::uint64_t every : {2u, 7u, 64u, 1000u}) EXPECT_EQ(outcome(every), once);
}

}  // namespace
}  // namespace netrx
