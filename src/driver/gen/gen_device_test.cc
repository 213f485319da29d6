// SPDX-License-Identifier: Apache-2.0
#include "driver/gen/gen_device.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "driver/gen/gen_flows.h"
#include "driver/queue_runner_test_support.h"
#include "driver/rss.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {
namespace {

struct Received {
  FrameBytes bytes;
  std::uint32_t hash;
  bool l4_hash;
};

/// Every queue's frames, taken in virtual time.
std::vector<std::vector<Received>> receive(const std::string& spec, std::size_t pool_frame = 2048) {
  const auto device = open_device(spec).value();
  const auto pool = test_pool(1024, pool_frame);
  std::vector<std::vector<Received>> queues(device->queue_count());
  for (std::size_t i = 0; i < queues.size(); ++i) {
    QueueRunner runner(device->queue(i), *pool, 1);
    runner.on_batch = [&](PacketBatch& batch) {
      for (const Packet* p : batch) queues[i].push_back({{p->data, p->data + p->len}, p->hash, p->l4_hash});
    };
    EXPECT_TRUE(runner.run());
  }
  return queues;
}

std::vector<FrameBytes> frames_of(const std::string& spec) {
  std::vector<FrameBytes> frames;
  for (auto& queue : receive(spec))
    for (auto& frame : queue) frames.push_back(std::move(frame.bytes));
  return frames;
}

/// A generated frame, taken apart; every length and checksum is checked on the way.
struct Parsed {
  bool ipv6 = false, tcp = false;
  std::uint16_t vlan = 0;
  std::uint32_t tcp_sequence = 0, payload_size = 0;
  std::uint32_t sequence = 0, flow = 0;
  std::string key;  ///< addresses and ports
};

void parse_transport(std::span<const std::uint8_t> segment, std::span<const std::uint8_t> addresses, Parsed& parsed) {
  const std::uint8_t protocol = parsed.tcp ? wire::kIpProtoTcp : wire::kIpProtoUdp;
  EXPECT_TRUE(wire::csum_ok(segment,
                            wire::csum_pseudo_header(addresses, protocol, static_cast<std::uint32_t>(segment.size()))));
  parsed.key.assign(addresses.begin(), addresses.end());
  parsed.key.append(segment.begin(), segment.begin() + 4);
  std::size_t header = wire::UdpView::kSize;
  if (parsed.tcp) {
    const wire::TcpView tcp{segment.data()};
    header = tcp.header_size();
    parsed.tcp_sequence = tcp.seq();
    EXPECT_EQ(tcp.flags(), wire::TcpView::kAck);
  } else {
    EXPECT_EQ(wire::UdpView{segment.data()}.length(), segment.size());
    EXPECT_NE(wire::UdpView{segment.data()}.checksum(), 0);
  }
  const std::span<const std::uint8_t> payload = segment.subspan(header);
  parsed.payload_size = static_cast<std::uint32_t>(payload.size());
  ASSERT_GE(payload.size(), sizeof(GenPayload));
  const auto start = load_unaligned<GenPayload>(payload.data());
  parsed.sequence = to_host(start.sequence);
  parsed.flow = to_host(start.flow);
}

Parsed parse(const FrameBytes& frame) {
  Parsed parsed;
  EXPECT_GE(frame.size(), 60u);
  EXPECT_EQ(wire::EthernetView{frame.data()}.dst(), kGenAddress);
  std::span<const std::uint8_t> rest = std::span(frame).subspan(14);
  Be16 type = wire::EthernetView{frame.data()}.ether_type();
  if (type == kEthP8021q) {
    parsed.vlan = wire::VlanView{rest.data()}.tci();
    type = wire::VlanView{rest.data()}.ether_type();
    rest = rest.subspan(4);
  }
  parsed.ipv6 = type == kEthPIpv6;
  if (parsed.ipv6) {
    const wire::Ipv6View ip{rest.data()};
    EXPECT_EQ(ip.version(), 6);
    EXPECT_EQ(ip.payload_length(), rest.size() - 40);
    parsed.tcp = ip.next_header() == wire::kIpProtoTcp;
    parse_transport(rest.subspan(40), {ip.addresses(), 32}, parsed);
  } else {
    EXPECT_EQ(type, kEthPIp);
    const wire::Ipv4View ip{rest.data()};
    EXPECT_EQ(ip.version(), 4);
    EXPECT_EQ(ip.total_length(), rest.size());
    EXPECT_TRUE(wire::csum_ok(rest.first(20)));
    parsed.tcp = ip.protocol() == wire::kIpProtoTcp;
    parse_transport(rest.subspan(20), {ip.addresses(), 8}, parsed);
  }
  return parsed;
}

TEST(Gen, FramesAreValidAndCountUpPerFlow) {
  std::map<std::uint32_t, Parsed> last;
  bool seen[2][2] = {};
  for (const FrameBytes& frame :
       frames_of("gen:count=20000,flows=50,size=60-1514,proto=mix,ipv6=50,vlan=17,queues=3,seed=9")) {
    const Parsed now = parse(frame);
    EXPECT_EQ(now.vlan, 17);
    seen[now.ipv6][now.tcp] = true;
    const auto before = last.find(now.flow);
    if (before == last.end()) {
      EXPECT_EQ(now.sequence, 0u);
    } else {
      EXPECT_EQ(now.sequence, before->second.sequence + 1);
      EXPECT_EQ(now.key, before->second.key);
      if (now.tcp) {
        EXPECT_EQ(now.tcp_sequence, before->second.tcp_sequence + before->second.payload_size);
      }
    }
    last[now.flow] = now;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_TRUE(seen[0][0] && seen[0][1] && seen[1][0] && seen[1][1]);
}

TEST(Gen, TheSameSeedMeansTheSameFramesAndAnotherSeedOthers) {
  const std::string spec = "gen:count=3000,flows=64,size=imix,proto=mix,ipv6=30,queues=2,rate=1M,seed=";
  EXPECT_EQ(frames_of(spec + "5"), frames_of(spec + "5"));
  EXPECT_NE(frames_of(spec + "5"), frames_of(spec + "6"));
}

TEST(Gen, PinsItsFrames) {
  // Recorded captures, failing seeds and benchmarks refer to these bytes: they change only on purpose.
  std::uint64_t digest = 0;
  for (const FrameBytes& frame : frames_of("gen:count=2000,flows=100,size=imix,proto=mix,ipv6=30,queues=2,seed=3"))
    for (const std::uint8_t byte : frame) digest = (digest ^ byte) * 0x100000001b3u;
  EXPECT_EQ(digest, 2087667933097255405u);
}

TEST(Gen, FramesDoNotDependOnHowTheyArePolledOrPaced) {
  EXPECT_EQ(frames_of("gen:count=2000,size=64-1500"), frames_of("gen:count=2000,size=64-1500,rate=2M"));
}

TEST(Gen, FlowsFollowZipfsLaw) {
  constexpr double kFrames = 200'000;
  std::map<std::uint32_t, double> count;
  for (const FrameBytes& frame : frames_of("gen:count=200000,flows=100,zipf=1.0")) ++count[parse(frame).flow];
  double harmonic = 0;
  for (int i = 1; i <= 100; ++i) harmonic += 1.0 / i;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const double expected = kFrames / ((i + 1) * harmonic);
    EXPECT_NEAR(count[i], expected, 6 * std::sqrt(expected)) << "flow " << i;
  }
}

TEST(Gen, ZipfZeroTreatsAllFlowsAlike) {
  std::map<std::uint32_t, double> count;
  for (const FrameBytes& frame : frames_of("gen:count=100000,flows=20,zipf=0,queues=4")) ++count[parse(frame).flow];
  for (const auto& [flow, n] : count) EXPECT_NEAR(n, 5000, 500) << flow;
  EXPECT_EQ(count.size(), 20u);
}

TEST(Gen, AFlowBelongsToTheQueueRssPicksAndCarriesItsHashWhenAsked) {
  const Rss rss(4);
  std::set<std::size_t> used;
  const auto queues = receive("gen:count=5000,flows=200,queues=4,proto=mix,ipv6=50,rxhash=on");
  for (std::size_t i = 0; i < queues.size(); ++i)
    for (const Received& frame : queues[i]) {
      const RssChoice choice = rss.choose_ethernet(frame.bytes);
      ASSERT_EQ(choice.queue, i);
      ASSERT_EQ(choice.hash, (FlowHash{frame.hash, frame.l4_hash}));
      used.insert(i);
    }
  EXPECT_EQ(used.size(), 4u);
  for (const auto& queue : receive("gen:count=100"))
    for (const Received& frame : queue) ASSERT_TRUE(frame.hash == 0 && !frame.l4_hash) << "off unless asked for";
}

TEST(Gen, FlowsAreDistinctAndAsManyAsAsked) {
  const GenOptions options{.queue = {.name = "g"}, .flows = 5000, .proto = GenOptions::Proto::mix, .ipv6_percent = 30};
  std::set<FrameBytes> headers;
  int ipv6 = 0;
  for (const GenFlow& flow : make_gen_flows(options)) {
    headers.insert(FrameBytes(flow.header.begin() + flow.l3, flow.header.begin() + flow.header_size));
    ipv6 += flow.ipv6 ? 1 : 0;
  }
  EXPECT_EQ(headers.size(), 5000u);
  EXPECT_EQ(ipv6, 1500) << "exactly the share asked for";
}

TEST(Gen, SizesAreWhatWasAskedFor) {
  for (const FrameBytes& frame : frames_of("gen:count=300,size=200")) EXPECT_EQ(frame.size(), 200u);
  std::set<std::size_t> sizes;
  for (const FrameBytes& frame : frames_of("gen:count=3000,size=100-110")) sizes.insert(frame.size());
  EXPECT_EQ(sizes.size(), 11u);
  EXPECT_EQ(*sizes.begin(), 100u);
  std::map<std::size_t, int> imix;
  for (const FrameBytes& frame : frames_of("gen:count=12000,size=imix")) ++imix[frame.size()];
  ASSERT_EQ(imix.size(), 3u);
  EXPECT_NEAR(imix[60], 7000, 400);
  EXPECT_NEAR(imix[590], 4000, 400);
  EXPECT_NEAR(imix[1514], 1000, 300);
}

TEST(Gen, AFrameHasRoomForItsHeadersWhateverSizeWasAskedFor) {
  for (const FrameBytes& frame : frames_of("gen:count=100,size=60,proto=tcp,ipv6=100,vlan=1")) {
    EXPECT_EQ(frame.size(), 14u + 4 + 40 + 20 + 8);
    parse(frame);
  }
}

TEST(Gen, JumboFramesFitThroughThePoolsOfTheUsualSize) {
  const auto frames = frames_of("gen:count=500,size=9216");
  EXPECT_EQ(frames.size(), 500u);
  for (const FrameBytes& frame : frames) parse(frame);
}

TEST(Gen, BurstsAreOfOneFlowAndComeTogether) {
  const auto device = open_device("gen:count=400,flows=1000,zipf=0,burst=8,rate=1M").value();
  const auto pool = test_pool();
  QueueRunner runner(device->queue(0), *pool, 1);
  std::vector<std::uint32_t> flows;
  runner.on_batch = [&](PacketBatch& batch) {
    for (const Packet* p : batch) flows.push_back(parse({p->data, p->data + p->len}).flow);
  };
  PollContext context{Nanos{0}, *pool};
  PacketBatch first;
  EXPECT_EQ(device->queue(0).poll(context, first, 64), 8u) << "all of it is there at its moment";
  EXPECT_EQ(device->queue(0).next_attention(Nanos{0}), std::chrono::microseconds(8)) << "the rate stays what it was";
  end_packets(*pool, first);
  ASSERT_TRUE(runner.run());
  for (std::size_t i = 0; i < flows.size(); i += 8)
    for (std::size_t j = 1; j < 8; ++j) EXPECT_EQ(flows[i + j], flows[i]);
}

TEST(Gen, RateAndTimeSayHowManyFramesThereAre) {
  EXPECT_EQ(frames_of("gen:rate=10k,time=100ms").size(), 1000u);
  EXPECT_EQ(frames_of("gen:rate=10k,time=100ms,count=50").size(), 50u);
  const auto shared = frames_of("gen:rate=10k,time=100ms,queues=4,zipf=0");
  EXPECT_NEAR(static_cast<double>(shared.size()), 1000, 8);
}

TEST(Gen, AsFastAsPossibleEndsWithItsTime) {
  const auto device = open_device("gen:time=1ms").value();
  const auto pool = test_pool();
  RxQueue& queue = device->queue(0);
  PacketBatch batch;
  PollContext context{std::chrono::seconds(7), *pool};
  EXPECT_EQ(queue.poll(context, batch, 64), 64u);
  end_packets(*pool, batch);
  context.now += std::chrono::milliseconds(1);
  EXPECT_EQ(queue.poll(context, batch, 64), 0u);
  EXPECT_TRUE(queue.exhausted());
}

TEST(Gen, WhatAFullRingLosesLeavesAGapInItsFlow) {
  const auto device = open_device("gen:flows=1,rate=1M,ring=10,count=100").value();
  const auto pool = test_pool();
  RxQueue& queue = device->queue(0);
  std::vector<std::uint32_t> sequences;
  for (const Nanos now : {Nanos{0}, Nanos{std::chrono::microseconds(50)}, Nanos{std::chrono::seconds(1)}}) {
    PacketBatch batch;
    PollContext context{now, *pool};
    queue.poll(context, batch, 64);
    for (const Packet* p : batch) sequences.push_back(parse({p->data, p->data + p->len}).sequence);
    end_packets(*pool, batch);
  }
  ASSERT_EQ(sequences.size(), 21u);
  EXPECT_EQ(sequences[0], 0u);
  EXPECT_EQ(sequences[1], 1u);
  EXPECT_EQ(sequences[10], 10u);
  EXPECT_EQ(sequences[11], 51u);
  EXPECT_EQ(queue.stats().rx_missed_errors, 79u);
  EXPECT_TRUE(queue.exhausted());
}

}  // namespace
}  // namespace netrx
