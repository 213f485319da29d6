// SPDX-License-Identifier: Apache-2.0
// Receive and transmit queues of the driver against the device's side of the same rings.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>

#include "base/prng.h"
#include "netrx/packet_bytes.h"
#include "packet/packet_parts.h"
#include "virtio/net_backend.h"
#include "virtio/net_rx.h"
#include "virtio/net_tx.h"
#include "virtio/ring_pair_test_support.h"
#include "virtio/shared_memory.h"
#include "wire/frame_builder.h"

namespace netrx::virtio {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr Features kModern = Features{}.with(kVersion1);
constexpr Features kMergeable = kModern.with(kMrgRxbuf).with(kGuestCsum);

/// A packet around bytes of the test's own.
struct LoosePacket {
  explicit LoosePacket(Bytes frame) : bytes(std::move(frame)) {
    packet.head = packet.data = bytes.data();
    packet.len = packet.buffer_size = static_cast<std::uint32_t>(bytes.size());
  }
  Bytes bytes;
  Packet packet;
};

Bytes random_frame(Prng& prng, std::size_t size) {
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
  return bytes;
}

Bytes bytes_of(const Packet& packet) {
  Bytes bytes(packet.len);
  EXPECT_EQ(copy_bits(packet, 0, bytes), packet.len);
  return bytes;
}

/// One receive queue, both sides.
struct RxWorld {
  RxWorld(const RingSetup& setup, Features with, std::uint32_t mtu = 0, std::size_t frame_size = 2048)
      : features(with),
        geometry(RxGeometry::of(with, setup.size, mtu)),
        rings(setup, geometry.bytes(setup.size)),
        pool(PacketPool::create(0, 256, frame_size).value()),
        rx(*rings.driver, geometry, {rings.memory.frames(), rings.memory.frames_address()}, stats, queue_stats),
        filler(*rings.device, with) {
    rx.fill();
  }
  ~RxWorld() { EXPECT_EQ(pool->idle(), pool->capacity()) << "a packet leaked"; }

  /// Polls once; the frames received.
  std::vector<Bytes> poll(std::size_t budget = 64) {
    PacketBatch batch;
    PollContext context{Nanos{1}, *pool};
    outcome = rx.poll(context, batch, budget, rx_seq);
    std::vector<Bytes> frames;
    for (Packet* packet : batch) {
      EXPECT_EQ(packet->rx_seq, next_seq++);
      frames.push_back(bytes_of(*packet));
      if (on_packet) on_packet(*packet);
      for_each_part(packet, [&](Packet* part) { pool->put({&part, 1}); });
    }
    batch.released();
    return frames;
  }

  NetFiller::Put put(const Bytes& frame, NetHeader header = {}) {
    const LoosePacket loose(frame);
    return filler.put(header, loose.packet);
  }
  /// A chain as a device that does what it likes fills it.
  void raw(const Bytes& bytes, std::uint32_t length) {
    Chain chain;
    ASSERT_TRUE(rings.device->take(chain));
    std::copy_n(bytes.begin(), std::min<std::size_t>(bytes.size(), chain.segments[0].length), chain.segments[0].data);
    rings.device->complete(chain, length);
  }
  /// The same with a header that says so many buffers.
  void raw_head(std::uint16_t num_buffers, std::uint32_t length) {
    NetHeader header;
    header.num_buffers = num_buffers;
    Bytes bytes(geometry.header);
    std::memcpy(bytes.data(), &header, bytes.size());
    raw(bytes, length);
  }
  std::uint64_t length_errors() const { return queue_stats.rx_length_errors.load(); }

  const Features features;
  const RxGeometry geometry;
  RingPair rings;
  std::unique_ptr<PacketPool> pool;
  NetRxStats stats;
  struct Stats : RxQueueStats {
  } queue_stats;
  NetRx rx;
  NetFiller filler;
  NetRx::Outcome outcome;
  std::uint64_t rx_seq = 0, next_seq = 0;
  std::function<void(Packet&)> on_packet;
};

TEST(RxGeometry, FollowsTheKernelsSizes) {
  EXPECT_EQ(RxGeometry::of(Features{}, 256, 0).header, 10u);
  const RxGeometry small = RxGeometry::of(kModern, 256, 0);
  EXPECT_EQ(small.mode, RxMode::small);
  EXPECT_EQ(small.posted, 12u + 1518);
  EXPECT_EQ(RxGeometry::of(kModern, 256, 1500).mode, RxMode::small);
  const RxGeometry jumbo = RxGeometry::of(kModern, 256, 9000);
  EXPECT_EQ(jumbo.mode, RxMode::big);
  EXPECT_EQ(jumbo.largest, 4u * 4096 - 32);
  const RxGeometry gso = RxGeometry::of(kModern.with(kGuestTso4), 256, 0);
  EXPECT_EQ(gso.mode, RxMode::big);
  EXPECT_EQ(gso.largest, 18u * 4096 - 32);
  const RxGeometry merge = RxGeometry::of(kMergeable.with(kGuestTso4), 256, 0);
  EXPECT_EQ(merge.mode, RxMode::mergeable);
  EXPECT_EQ(merge.posted, 1536u);
  EXPECT_EQ(RxGeometry::of(kMergeable.with(kGuestTso4), 16, 0).shortest_body, (12u + 65553 + 15) / 16 - 12);
  EXPECT_EQ(RxGeometry::of(kMergeable.with(kHashReport), 256, 0).header, 20u);
}

TEST(NetRx, ADescriptorKeepsItsBufferAndIsNotWrittenAgain) {
  RxWorld world({.size = 8}, kModern);
  Prng prng(7);
  const auto* table = reinterpret_cast<const SplitDescriptor*>(world.rings.memory.ring().descriptors);
  std::array<SplitDescriptor, 8> before;
  std::copy_n(table, before.size(), before.begin());
  // Another chain length each time, so that ids come back in every position of the ring.
  for (std::size_t round = 1; round < 40; ++round) {
    std::vector<Bytes> sent;
    for (std::size_t i = 0; i < round % 8 + 1; ++i) sent.push_back(random_frame(prng, 60 + prng.below(1400)));
    for (const Bytes& frame : sent) ASSERT_EQ(world.put(frame), NetFiller::Put::done);
    (void)world.rings.device->call_prepare();
    ASSERT_EQ(world.poll(8), sent);
    (void)world.poll(0);
    ASSERT_EQ(world.rings.driver->free_descriptors(), 0u) << "all are posted again";
    ASSERT_EQ(std::memcmp(table, before.data(), sizeof before), 0) << "in round " << round;
  }
}

TEST(PacketLengthAverage, IsTheKernelsFormula) {
  PacketLengthAverage average;
  EXPECT_EQ(average.read(), 0u);
  average.add(1000);
  EXPECT_EQ(average.read(), 1000u);
  average.add(2000);
  EXPECT_EQ(average.read(), (64u * 1000 - 1000 + 2000) >> 6);
}

struct QueueCase {
  RingSetup setup;
  Features features;
  std::uint32_t mtu;
  std::size_t largest;
};

class NetQueues : public testing::TestWithParam<QueueCase> {};

TEST_P(NetQueues, GiveEveryFrameInOrderWhateverTheBudget) {
  const QueueCase& with = GetParam();
  RxWorld world(with.setup, with.features, with.mtu);
  Prng prng(7);
  std::deque<Bytes> sent;
  std::uint64_t received = 0, bytes = 0;
  while (received < 3000) {
    for (std::uint64_t i = prng.below(40); i > 0; --i) {
      const std::size_t size = prng.below(10) == 0 ? prng.between(14, with.largest) : prng.between(14, 1518);
      const Bytes frame = random_frame(prng, std::min(size, with.largest));
      if (world.put(frame) != NetFiller::Put::done) break;
      sent.push_back(frame);
    }
    (void)world.filler.call();
    for (const Bytes& frame : world.poll(prng.between(1, 64))) {
      ASSERT_FALSE(sent.empty());
      ASSERT_EQ(frame, sent.front()) << "frame " << received;
      bytes += frame.size();
      sent.pop_front();
      ++received;
    }
  }
  EXPECT_EQ(world.stats.packets.read(), received);
  EXPECT_EQ(world.stats.bytes.read(), bytes);
  EXPECT_EQ(world.queue_stats.rx_packets.load(), received);
  EXPECT_EQ(world.queue_stats.rx_bytes.load(), bytes);
  EXPECT_EQ(world.stats.drops.read() + world.queue_stats.rx_frame_errors.load() + world.length_errors(), 0u);
  EXPECT_EQ(world.rings.driver->fault(), RingFault::none);
  EXPECT_EQ(world.rings.device->fault(), RingFault::none);
}

TEST_P(NetQueues, SendEveryFrameAndGetTheBuffersBack) {
  const QueueCase& with = GetParam();
  RingSetup setup = with.setup;
  setup.max_chain = NetTx::kMaxChain;
  RingPair rings(setup, NetTx::bytes(setup.size));
  NetTxStats stats;
  NetTx tx(*rings.driver, with.features, {rings.memory.frames(), rings.memory.frames_address()}, stats);
  NetDrainer drainer(*rings.device, with.features);
  Prng prng(9);
  std::deque<Bytes> sent;
  std::uint64_t received = 0, refused = 0;
  const std::size_t largest = std::min<std::size_t>(65536, std::size_t{setup.size} * NetTx::kBuffer - 12);
  while (received < 3000) {
    for (std::uint64_t i = prng.below(40); i > 0; --i) {
      const LoosePacket loose(random_frame(prng, prng.below(10) == 0 ? prng.between(14, largest) : 60));
      if (tx.send(loose.packet) != NetTx::Sent::yes) {
        ++refused;
        break;
      }
      sent.push_back(loose.bytes);
    }
    (void)tx.kick();
    received += drainer.drain(prng.below(50), [&](const NetHeader& header, std::span<const std::uint8_t> frame) {
      EXPECT_EQ(header.base.flags, 0);
      ASSERT_FALSE(sent.empty());
      ASSERT_TRUE(std::ranges::equal(frame, sent.front()));
      sent.pop_front();
    });
    (void)drainer.call();
  }
  EXPECT_GT(refused, 0u) << "the ring was never full";
  (void)drainer.drain(1000, [](const NetHeader&, std::span<const std::uint8_t>) {});
  (void)drainer.call();
  tx.reclaim();
  EXPECT_EQ(tx.free_buffers(), setup.size);
  EXPECT_EQ(rings.driver->in_flight(), 0u);
  EXPECT_EQ(drainer.malformed(), 0u);
}

std::vector<QueueCase> cases() {
  std::vector<QueueCase> all;
  for (const RingSetup& setup : every_setup({64, 100})) {
    all.push_back({setup, kModern, 0, 1518});
    all.push_back({setup, kModern, 9000, 16352});
    all.push_back({setup, kMergeable, 0, 60000});
  }
  all.push_back({{.size = 256}, kMergeable.with(kGuestTso4), 0, 65550});
  return all;
}
std::string case_name(const testing::TestParamInfo<QueueCase>& one) {
  const RxGeometry geometry = RxGeometry::of(one.param.features, one.param.setup.size, one.param.mtu);
  const std::string mode =
      geometry.mode == RxMode::small ? "small" : (geometry.mode == RxMode::big ? "big" : "mergeable");
  return name_of(one.param.setup) + "_" + mode + std::to_string(one.index);
}
INSTANTIATE_TEST_SUITE_P(Cases, NetQueues, testing::ValuesIn(cases()), case_name);

TEST(NetRx, BuffersBecomeFrags) {
  RxWorld world({.size = 64}, kMergeable, 0, 512);
  Prng prng(1);
  const Bytes frame = random_frame(prng, 4000);
  ASSERT_EQ(world.put(frame), NetFiller::Put::done);
  (void)world.filler.call();
  world.on_packet = [](Packet& packet) {
    EXPECT_EQ(packet.headlen(), 512u);
    EXPECT_EQ(packet.nr_frags, 7u);
    EXPECT_EQ(packet.data_len, 4000u - 512);
  };
  EXPECT_EQ(world.poll().size(), 1u);
}

TEST(NetRx, PostsBuffersOfTheAverageLength) {
  RxWorld world({.size = 16}, kMergeable);
  EXPECT_EQ(world.rx.mergeable_length(), 1536u);
  Prng prng(1);
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(world.put(random_frame(prng, 3000)), NetFiller::Put::done);
    (void)world.filler.call();
    ASSERT_EQ(world.poll().size(), 1u);
  }
  EXPECT_NEAR(world.rx.average(), 3000, 70);
  EXPECT_GT(world.rx.mergeable_length(), 2900u);
  ASSERT_EQ(world.put(random_frame(prng, 2900)), NetFiller::Put::done);
  (void)world.filler.call();
  world.on_packet = [](Packet& packet) { EXPECT_EQ(packet.len, 2900u); };
  EXPECT_EQ(world.poll().size(), 1u);
}

TEST(NetRx, RefillsWhenHalfOfTheBudgetIsFree) {
  RxWorld world({.size = 64}, kModern);
  Prng prng(1);
  for (int i = 0; i < 64; ++i) ASSERT_EQ(world.put(random_frame(prng, 60)), NetFiller::Put::done);
  (void)world.filler.call();
  EXPECT_EQ(world.poll(8).size(), 8u);
  EXPECT_EQ(world.rings.driver->free_descriptors(), 56u) << "the ring's window is taken at once; the idle are posted";
  EXPECT_EQ(world.rings.driver->in_flight(), 8u);
}

TEST(NetRx, ADryPoolLosesNothing) {
  RxWorld world({.size = 64}, kMergeable);
  Prng prng(1);
  std::vector<Bytes> sent;
  for (int i = 0; i < 10; ++i) {
    sent.push_back(random_frame(prng, 1000 + 900 * static_cast<std::size_t>(i)));
    ASSERT_EQ(world.put(sent.back()), NetFiller::Put::done);
  }
  (void)world.filler.call();
  std::vector<Packet*> kept(253);
  ASSERT_EQ(world.pool->alloc(kept), 253u);  // three are left: a frame of seven buffers' worth can't be had
  std::vector<Bytes> got = world.poll();
  EXPECT_TRUE(world.outcome.dry);
  EXPECT_TRUE(world.rx.has_work());
  EXPECT_GT(world.queue_stats.rx_alloc_fail.load(), 0u);
  for (int i = 0; i < 3; ++i) {
    for (Bytes& frame : world.poll()) got.push_back(std::move(frame));
  }
  EXPECT_LT(got.size(), 10u);
  world.pool->put(kept);
  for (Bytes& frame : world.poll()) got.push_back(std::move(frame));
  EXPECT_EQ(got, sent);
  EXPECT_EQ(world.stats.bytes.read(), world.queue_stats.rx_bytes.load()) << "nothing is counted twice";
  EXPECT_EQ(world.stats.packets.read(), 10u);
}

TEST(NetRx, WhatNoPoolCouldHoldIsDropped) {
  RxWorld world({.size = 256}, kMergeable, 0, 64);
  Prng prng(1);
  ASSERT_EQ(world.put(random_frame(prng, 40000)), NetFiller::Put::done);
  ASSERT_EQ(world.put(random_frame(prng, 100)), NetFiller::Put::done);
  (void)world.filler.call();
  EXPECT_EQ(world.poll().size(), 1u);
  EXPECT_EQ(world.stats.drops.read(), 1u);
}

TEST(NetRxErrors, Small) {
  RxWorld world({.size = 64}, kModern);
  world.raw({}, 12 + 13);
  world.raw({}, 0);
  world.raw({}, 12 + 1519);
  world.raw({}, 0xffffffff);
  ASSERT_EQ(world.put(Bytes(60, 1)), NetFiller::Put::done);
  (void)world.filler.call();
  EXPECT_EQ(world.poll().size(), 1u);
  EXPECT_EQ(world.length_errors(), 4u);
  EXPECT_EQ(world.stats.drops.read(), 2u) << "short ones are not counted as drops";
  EXPECT_EQ(world.stats.packets.read(), 5u);
}

TEST(NetRxErrors, Big) {
  RxWorld world({.size = 16}, kModern, 9000);
  world.raw({}, 12 + 4 * 4096 - 32 + 1);
  world.raw({}, 20);
  ASSERT_EQ(world.put(Bytes(60, 1)), NetFiller::Put::done);
  (void)world.filler.call();
  EXPECT_EQ(world.poll().size(), 1u);
  EXPECT_EQ(world.length_errors(), 1u);
  EXPECT_EQ(world.stats.drops.read(), 1u);
}

TEST(NetRxErrors, MergeableDropsTheRestOfABadChain) {
  RxWorld world({.size = 64}, kMergeable);
  const auto good = [&] {
    ASSERT_EQ(world.put(Bytes(60, 1)), NetFiller::Put::done);
    (void)world.filler.call();
    EXPECT_EQ(world.poll().size(), 1u) << "out of step";
  };
  world.raw_head(3, 20);  // too short, and two more belong to it
  world.raw({}, 100);
  world.raw({}, 100);
  good();
  EXPECT_EQ(world.length_errors(), 1u);
  EXPECT_EQ(world.stats.drops.read(), 0u);
  world.raw_head(2, 5000);  // longer than the buffer
  world.raw({}, 100);
  good();
  EXPECT_EQ(world.stats.drops.read(), 1u);
  world.raw_head(2, 100);
  world.raw({}, 1537);
  good();
  EXPECT_EQ(world.stats.drops.read(), 2u);
  EXPECT_EQ(world.length_errors(), 3u);
  world.raw_head(0, 100);  // the countdown would pass zero
  good();
  EXPECT_EQ(world.length_errors(), 4u);
}

TEST(NetRxErrors, MergeableBuffersThatNeverCome) {
  for (const std::uint16_t claimed : {std::uint16_t{3}, std::uint16_t{0xffff}}) {
    RxWorld world({.size = 64}, kMergeable);
    world.raw_head(claimed, 100);
    world.raw({}, 100);
    (void)world.filler.call();
    EXPECT_TRUE(world.poll().empty());
    EXPECT_EQ(world.length_errors(), 1u);
    EXPECT_EQ(world.stats.drops.read(), 1u);
    ASSERT_EQ(world.put(Bytes(60, 1)), NetFiller::Put::done);
    (void)world.filler.call();
    EXPECT_EQ(world.poll().size(), 1u);
  }
}

TEST(NetRxErrors, ARingOfRubbishDoesNotHoldThePoll) {
  RxWorld world({.size = 64}, kModern);
  for (int i = 0; i < 64; ++i) world.raw({}, 0);
  (void)world.filler.call();
  EXPECT_TRUE(world.poll(16).empty());
  EXPECT_EQ(world.length_errors(), 16u);
  EXPECT_TRUE(world.rx.has_leftover());
}

TEST(NetRxErrors, ABrokenRingIsSilent) {
  for (const RingKind kind : {RingKind::split, RingKind::packed}) {
    RxWorld world({.kind = kind, .size = 64}, kModern);
    ASSERT_EQ(world.put(Bytes(60, 1)), NetFiller::Put::done);
    (void)world.filler.call();
    Chain chain;
    ASSERT_TRUE(world.rings.device->take(chain));
    chain.id = 999;
    world.rings.device->complete(chain, 72);
    (void)world.rings.device->call_prepare();
    EXPECT_EQ(world.poll().size(), 1u) << "what came before";
    EXPECT_TRUE(world.poll().empty());
    EXPECT_EQ(world.rings.driver->fault(), RingFault::used_id_range);
    EXPECT_FALSE(world.rx.has_work()) << "or somebody spins on it";
    EXPECT_FALSE(world.rings.driver->poll(0));
  }
}

TEST(NetRxHeader, SetsChecksumSegmentationAndHash) {
  RxWorld world({.size = 64}, kMergeable.with(kHashReport).with(kGuestTso4));
  const wire::Frame frame = wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload(3000).build();
  NetHeader header;
  header.base = {.flags = VirtioNetHdr::kNeedsCsum,
                 .gso_type = VirtioNetHdr::kGsoTcpv4,
                 .hdr_len = 54,
                 .gso_size = 1000,
                 .csum_start = 34,
                 .csum_offset = 16};
  header.hash_value = 0x12345678;
  header.hash_report = 2;  // TCP over IPv4
  ASSERT_EQ(world.put(frame.bytes, header), NetFiller::Put::done);
  (void)world.filler.call();
  world.on_packet = [](Packet& packet) {
    EXPECT_EQ(packet.ip_summed, IpSummed::partial);
    EXPECT_EQ(packet.gso_size, 1000u);
    EXPECT_EQ(packet.gso_type, kGsoTcpv4 | kGsoDodgy);
    EXPECT_EQ(packet.hash, 0x12345678u);
    EXPECT_TRUE(packet.l4_hash);
  };
  EXPECT_EQ(world.poll().size(), 1u);
  world.on_packet = [](Packet& packet) { EXPECT_FALSE(packet.l4_hash); };
  for (const int report : {0, 1, 4, 7, 10}) {
    header.hash_report = static_cast<std::uint16_t>(report);
    ASSERT_EQ(world.put(frame.bytes, header), NetFiller::Put::done);
    (void)world.filler.call();
    EXPECT_EQ(world.poll().size(), 1u);
  }
}

TEST(NetRxHeader, ContradictionsAreFrameErrors) {
  RxWorld world({.size = 64}, kMergeable);
  NetHeader header;
  header.base.gso_type = 77;
  ASSERT_EQ(world.put(Bytes(60, 1), header), NetFiller::Put::done);
  header.base = {.flags = VirtioNetHdr::kNeedsCsum, .csum_start = 5000};
  ASSERT_EQ(world.put(Bytes(60, 1), header), NetFiller::Put::done);
  header.base = {.gso_type = VirtioNetHdr::kGsoTcpv4, .gso_size = 0};
  ASSERT_EQ(world.put(Bytes(60, 1), header), NetFiller::Put::done);
  (void)world.filler.call();
  EXPECT_TRUE(world.poll().empty());
  EXPECT_EQ(world.queue_stats.rx_frame_errors.load(), 3u);
  EXPECT_EQ(world.stats.drops.read(), 0u);
}

/// One transmit queue, both sides.
struct TxWorld {
  explicit TxWorld(Features with)
      : rings({.size = 64}, NetTx::bytes(64)),
        tx(*rings.driver, with, {rings.memory.frames(), rings.memory.frames_address()}, stats),
        drainer(*rings.device, with) {}

  Bytes sent_frame(const Packet& packet, NetHeader& header) {
    EXPECT_EQ(tx.send(packet), NetTx::Sent::yes);
    (void)tx.kick();
    Bytes frame;
    EXPECT_EQ(drainer.drain(2,
                            [&](const NetHeader& seen, std::span<const std::uint8_t> bytes) {
                              header = seen;
                              frame.assign(bytes.begin(), bytes.end());
                            }),
              1u);
    return frame;
  }

  RingPair rings;
  NetTxStats stats;
  NetTx tx;
  NetDrainer drainer;
};

LoosePacket partial_udp(std::size_t payload) {
  wire::Frame frame = wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(payload).build();
  const std::uint32_t pseudo =
      wire::csum_pseudo_header(std::span(frame.bytes).subspan(26, 8), 17, static_cast<std::uint32_t>(8 + payload));
  const auto unfolded = static_cast<std::uint16_t>(~static_cast<std::uint16_t>(wire::csum_fold(pseudo)));
  std::memcpy(frame.bytes.data() + 40, &unfolded, 2);
  LoosePacket loose(frame.bytes);
  loose.packet.ip_summed = IpSummed::partial;
  loose.packet.csum = 34 | 6u << 16;
  loose.packet.transport_header = 34;
  return loose;
}

TEST(NetTx, ChecksumsAreTheDevicesWhereItAgreed) {
  TxWorld world(kModern.with(kCsum));
  NetHeader header;
  const LoosePacket loose = partial_udp(100);
  EXPECT_EQ(world.sent_frame(loose.packet, header), loose.bytes);
  EXPECT_EQ(header.base.flags, VirtioNetHdr::kNeedsCsum);
  EXPECT_EQ(header.base.csum_start, 34);
  EXPECT_EQ(header.base.csum_offset, 6);
}

TEST(NetTx, AndOursWhereItDidNot) {
  for (const std::size_t payload : {1, 100, 1401, 5000, 9001}) {
    TxWorld world(kModern);
    NetHeader header;
    const LoosePacket loose = partial_udp(payload);
    const wire::Frame want = wire::FrameBuilder().eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(payload).build();
    EXPECT_EQ(world.sent_frame(loose.packet, header), want.bytes) << payload;
    EXPECT_EQ(header.base.flags, 0);
  }
}

TEST(NetTx, PutsTheTagBackAndMovesTheChecksum) {
  TxWorld world(kModern.with(kCsum));
  NetHeader header;
  LoosePacket loose = partial_udp(100);
  loose.packet.vlan_present = true;
  loose.packet.vlan_proto = to_be16(0x8100);
  loose.packet.vlan_tci = 0x2345;
  Bytes want = loose.bytes;
  const std::uint8_t tag[] = {0x81, 0x00, 0x23, 0x45};
  want.insert(want.begin() + 12, std::begin(tag), std::end(tag));
  EXPECT_EQ(world.sent_frame(loose.packet, header), want);
  EXPECT_EQ(header.base.csum_start, 38);
}

TEST(NetTx, RefusesWhatTheDeviceCanNotBeTold) {
  TxWorld world(kModern.with(kCsum));
  LoosePacket loose = partial_udp(100);
  loose.packet.gso_size = 50;
  loose.packet.gso_type = kGsoUdpL4;
  EXPECT_EQ(world.tx.send(loose.packet), NetTx::Sent::refused);
  const LoosePacket huge(Bytes(100'000, 1));
  EXPECT_EQ(world.tx.send(huge.packet), NetTx::Sent::refused);
  EXPECT_EQ(world.rings.driver->in_flight(), 0u);
  EXPECT_TRUE(NetTx::features(kModern.with(kHostTso4).with(kHostTso6)).tcp_segmentation);
  EXPECT_FALSE(NetTx::features(kModern.with(kHostTso4)).tcp_segmentation);
}

TEST(NetTx, OneKickForManyFrames) {
  TxWorld world(kModern);
  const LoosePacket loose(Bytes(60, 1));
  ASSERT_FALSE(world.rings.device->enable_kicks());
  for (int i = 0; i < 20; ++i) ASSERT_EQ(world.tx.send(loose.packet), NetTx::Sent::yes);
  EXPECT_TRUE(world.tx.kick());
  EXPECT_FALSE(world.tx.kick());
  EXPECT_EQ(world.stats.kicks.read(), 1u);
}

TEST(NetDrainer, CountsChainsWithoutAFrame) {
  RingPair rings({.size = 8});
  NetDrainer drainer(*rings.device, kModern);
  const Buffer only_header{rings.memory.frames_address(), 12};
  ASSERT_TRUE(rings.driver->add({&only_header, 1}, {}, 0));
  const Buffer writable{rings.memory.frames_address(), 100};
  ASSERT_TRUE(rings.driver->add({}, {&writable, 1}, 1));
  (void)rings.driver->kick_prepare();
  EXPECT_EQ(drainer.drain(9, [](const NetHeader&, std::span<const std::uint8_t>) { ADD_FAILURE(); }), 2u);
  EXPECT_EQ(drainer.malformed(), 2u);
}

}  // namespace
}  // namespace netrx::virtio
