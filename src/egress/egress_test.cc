// SPDX-License-Identifier: Apache-2.0
#include "netrx/egress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "egress/prepare.h"
#include "netrx/devices.h"
#include "netrx/ethertype.h"
#include "netrx/executor.h"
#include "netrx/packet_bytes.h"
#include "wire/frame_builder.h"

namespace netrx {
namespace {

using FrameBytes = std::vector<std::uint8_t>;

/// A device that keeps what it is sent. It may be slow: then it gives packets back only later, and is full meanwhile.
class KeepingDevice final : public NetDevice {
 public:
  struct Options {
    std::size_t queues = 1;
    TxFeatures features{};
    std::size_t holds = 0;  ///< packets it keeps back; 0: it gives all back at once
    std::size_t room = 64;  ///< packets it takes in all while it holds them
    bool link = true;
  };
  explicit KeepingDevice(const Options& options) : options_(options) {
    for (std::size_t i = 0; i < options.queues; ++i) queues_.push_back(std::make_unique<Queue>(options_));
  }

  std::string_view name() const override { return "keeping"; }
  std::size_t queue_count() const override { return 0; }
  RxQueue& queue(std::size_t) override { std::abort(); }
  bool has_link_header() const override { return options_.link; }
  std::size_t tx_queue_count() const override { return queues_.size(); }
  TxQueue& tx_queue(std::size_t index) override { return *queues_[index]; }
  TxFeatures tx_features() const override { return options_.features; }

  const std::vector<FrameBytes>& frames(std::size_t queue = 0) const { return queues_[queue]->frames; }
  std::size_t kicks(std::size_t queue = 0) const { return queues_[queue]->kicks; }

 private:
  struct Queue final : TxQueue {
    explicit Queue(const Options& with) : options(with) {}
    std::size_t xmit(std::span<Packet* const> packets) override {
      const std::size_t n = std::min(packets.size(), options.room - std::min(options.room, held.size()));
      for (Packet* packet : packets.first(n)) {
        held.push_back(packet);
        frames.emplace_back(packet->len);
        copy_bits(*packet, 0, frames.back());
      }
      RxQueueStats::add(stats_.tx_packets, n);
      if (n < packets.size()) RxQueueStats::add(stats_.tx_busy);
      return n;
    }
    void xmit_kick() override { ++kicks; }
    std::size_t xmit_done(PacketBatch& done) override {
      std::size_t n = 0;
      for (; done.room() != 0 && held.size() > options.holds; ++n) {
        done.push_back(held.front());
        held.erase(held.begin());
      }
      return n;
    }
    const Options& options;
    std::vector<Packet*> held;
    std::vector<FrameBytes> frames;
    std::size_t kicks = 0;
  };

  const Options options_;
  std::vector<std::unique_ptr<Queue>> queues_;
};

std::vector<FrameBytes> frames_of(const std::string& spec) {
  std::vector<FrameBytes> frames;
  const auto pool = PacketPool::create(0, 256, 2048).value();
  const auto device = open_device(spec).value();
  while (!device->queue(0).exhausted()) {
    PacketBatch batch;
    PollContext context{Nanos{1}, *pool};
    device->queue(0).poll(context, batch, 64);
    for (const Packet* packet : batch) {
      frames.emplace_back(packet->len);
      copy_bits(*packet, 0, frames.back());
    }
    pool->put(batch.packets());
    batch.released();
  }
  return frames;
}

/// Runs a device's frames through an engine to `egress`'s device; what the engine counted.
EngineStats forward(const std::string& spec, NetDevice& to, const std::vector<std::uint16_t>& cpus,
                    EgressStats* egress_stats = nullptr) {
  auto engine = Engine::create({.cpus = cpus}).value();
  EXPECT_TRUE(engine->attach(open_device(spec).value()));
  const std::string mask = cpus.size() > 1 ? "3" : "0";
  EXPECT_TRUE(engine->write("/sys/class/net/gen0/queues/rx-0/rps_cpus", mask));
  EXPECT_TRUE(engine->write("net.core.netdev_max_backlog", "100000"));
  const auto egress = Egress::create(to, cpus).value();
  EXPECT_TRUE(engine->add_handler(kEthPAll, *egress));
  {
    ThreadExecutor threads(*engine, {.pin = false});
    EXPECT_TRUE(threads.start());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!engine->drained() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(engine->drained());
  }
  EXPECT_TRUE(engine->remove_handler(*egress));
  const auto application = engine->open_application();
  egress->settle(*application);
  if (egress_stats != nullptr) *egress_stats = egress->stats();
  const EngineStats stats = engine->stats();
  EXPECT_TRUE(stats.conservation.holds());
  return stats;
}

std::vector<FrameBytes> sorted(std::vector<FrameBytes> frames) {
  std::ranges::sort(frames);
  return frames;
}

constexpr const char* kTraffic = "gen:count=4000,proto=mix,ipv6=40,vlan=7,burst=16,size=64-1500,flows=20,zipf=0";

TEST(Egress, WhatItCutsIsWhatCameIn) {
  KeepingDevice to({.features = {.scatter = true}});
  EgressStats sum;
  const EngineStats stats = forward(kTraffic, to, {0}, &sum);
  EXPECT_GT(stats.conservation.merged, 500u) << "or nothing was there to be cut";
  EXPECT_EQ(sorted(to.frames()), sorted(frames_of(kTraffic)));
  EXPECT_EQ(sum.packets, sum.whole + sum.cut);
  EXPECT_EQ(sum.whole + sum.segments, 4000u);
  EXPECT_EQ(stats.conservation.packets_out, 0u);
}

TEST(Egress, KeepsAFlowInOrderAndKicksOnceADelivery) {
  KeepingDevice to({.features = {.scatter = true}});
  const std::string one_flow = "gen:count=3000,flows=1,proto=tcp,size=1000";
  forward(one_flow, to, {0});
  EXPECT_EQ(to.frames(), frames_of(one_flow));
  EXPECT_LT(to.kicks(), 3000u / 8);
}

TEST(Egress, ADeviceThatCutsIsGivenThemWhole) {
  KeepingDevice to({.features = {.checksum = true, .scatter = true, .tcp_segmentation = true}});
  EgressStats sum;
  forward("gen:count=2000,flows=1,proto=tcp,size=1500", to, {0}, &sum);
  EXPECT_EQ(sum.cut, 0u);
  EXPECT_LT(sum.whole, 500u);
}

TEST(Egress, WithoutScatterBytesAreInOnePiece) {
  KeepingDevice to({});
  forward(kTraffic, to, {0});
  EXPECT_EQ(sorted(to.frames()), sorted(frames_of(kTraffic)));
}

TEST(Egress, EachCpuSendsByAQueueOfItsOwn) {
  KeepingDevice to({.queues = 2, .features = {.scatter = true}});
  forward(kTraffic, to, {0, 1});
  EXPECT_FALSE(to.frames(0).empty());
  EXPECT_FALSE(to.frames(1).empty());
  std::vector<FrameBytes> both = to.frames(0);
  both.insert(both.end(), to.frames(1).begin(), to.frames(1).end());
  EXPECT_EQ(sorted(both), sorted(frames_of(kTraffic)));
}

TEST(Egress, CpusThatShareAQueueTakeTurns) {
  KeepingDevice to({.features = {.scatter = true}});
  forward(kTraffic, to, {0, 1});
  EXPECT_EQ(sorted(to.frames()), sorted(frames_of(kTraffic)));
}

TEST(Egress, PacketsThatTheDeviceKeepsComeHome) {
  KeepingDevice to({.features = {.scatter = true}, .holds = 30, .room = 200});
  const EngineStats stats = forward(kTraffic, to, {0});
  EXPECT_EQ(sorted(to.frames()), sorted(frames_of(kTraffic)));
  EXPECT_LE(stats.conservation.packets_out, 30u) << "what the device has still";
}

TEST(Egress, AFullDeviceCostsPacketsAndTheyAreCounted) {
  KeepingDevice to({.features = {.scatter = true}, .holds = 10, .room = 10});
  EgressStats sum;
  const EngineStats stats = forward("gen:count=500,flows=20,size=100", to, {0}, &sum);
  EXPECT_EQ(to.frames().size(), 10u);
  EXPECT_EQ(sum.dropped, 490u);
  EXPECT_EQ(stats.cpus[0].drops[static_cast<std::size_t>(DropReason::kFullRing)], 490u);
  EXPECT_EQ(stats.conservation.delivered, 10u);
}

TEST(Egress, ADeviceWithoutALinkHeaderGetsIpPackets) {
  KeepingDevice to({.features = {.scatter = true}, .link = false});
  forward(kTraffic, to, {0});
  std::vector<FrameBytes> expected = frames_of(kTraffic);
  for (FrameBytes& frame : expected) frame.erase(frame.begin(), frame.begin() + 18);
  EXPECT_EQ(sorted(to.frames()), sorted(expected));
}

TEST(Egress, NeedsADeviceThatSends) {
  const auto lo = open_device("lo").value();
  const auto egress = Egress::create(*lo, std::vector<std::uint16_t>{0});
  ASSERT_FALSE(egress);
  EXPECT_EQ(egress.error().code, EOPNOTSUPP);
}

TEST(Egress, CompletesAChecksumOverAllPieces) {
  for (const std::size_t first : {60u, 61u, 100u}) {
    wire::Frame frame = wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload(301).build();
    const FrameBytes right = frame.bytes;
    const std::uint32_t pseudo = wire::csum_pseudo_header(std::span(right).subspan(26, 8), 6, 321);
    const Be16 not_inverted{static_cast<std::uint16_t>(~static_cast<std::uint16_t>(wire::csum_fold(pseudo)))};
    std::memcpy(frame.bytes.data() + 50, &not_inverted, 2);
    Packet packet, rest;
    packet.head = packet.data = frame.bytes.data();
    packet.buffer_size = packet.len = static_cast<std::uint32_t>(first);
    rest.head = rest.data = frame.bytes.data() + first;
    rest.len = static_cast<std::uint32_t>(frame.bytes.size() - first);
    Packet* last = nullptr;
    append_frag(packet, last, rest);
    packet.ip_summed = IpSummed::partial;
    packet.csum = 34u | 16u << 16;
    complete_checksum(packet);
    EXPECT_EQ(frame.bytes, right) << first;
    EXPECT_EQ(packet.ip_summed, IpSummed::none);
  }
}

TEST(Egress, PutsBackATagThatTheDeviceTookOutAndLeavesOneThatIsThere) {
  FrameBytes bytes(64);
  Packet packet;
  packet.head = bytes.data();
  packet.protocol = kEthPIp;
  packet.vlan_proto = kEthP8021q;
  packet.vlan_tci = 5;
  packet.mac_header = 10;
  packet.network_header = 24;
  packet.data = packet.head + packet.network_header;
  packet.len = 40;
  ASSERT_TRUE(restore_frame(packet, true));
  EXPECT_TRUE(packet.vlan_present);
  EXPECT_EQ(packet.headroom(), 10u);
  EXPECT_EQ(packet.len, 54u);

  packet.network_header = 28;  // the tag was read from the frame
  packet.data = packet.head + packet.network_header;
  packet.len = 36;
  ASSERT_TRUE(restore_frame(packet, true));
  EXPECT_FALSE(packet.vlan_present);
  EXPECT_EQ(packet.len, 54u);

  packet.network_header = packet.mac_header;
  EXPECT_FALSE(restore_frame(packet, true)) << "no link header to give";
}

}  // namespace
}  // namespace netrx
