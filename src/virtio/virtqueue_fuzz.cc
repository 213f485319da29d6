// SPDX-License-Identifier: Apache-2.0
// Both ends of a receive and of a transmit queue over memory that the input writes into at will, between any two of
// their steps: a device that lies to the driver, a driver that lies to the device. Whatever happens, nobody reads or
// writes beyond the memory, hangs, or loses a packet of the pool; and every byte of what is received can be read.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fuzz_input.h"
#include "netrx/packet_bytes.h"
#include "packet/packet_parts.h"
#include "virtio/net_backend.h"
#include "virtio/net_rx.h"
#include "virtio/net_tx.h"
#include "virtio/ring_pair_test_support.h"

namespace {

using namespace netrx;
using namespace netrx::virtio;

RingSetup setup_of(std::uint8_t bits) {
  return {.kind = (bits & 1) != 0 ? RingKind::packed : RingKind::split,
          .size = static_cast<std::uint16_t>((bits & 1) != 0 ? 11 : 8),
          .event_idx = (bits & 2) != 0,
          .indirect = (bits & 4) != 0,
          .in_order = (bits & 8) != 0,
          .max_chain = 4};
}

Features features_of(std::uint8_t bits) {
  return Features{}
      .with(kVersion1)
      .with(kGuestCsum)
      .with(kCsum, (bits & 1) != 0)
      .with(kMrgRxbuf, (bits & 2) != 0)
      .with(kHashReport, (bits & 4) != 0)
      .with(kGuestTso4, (bits & 8) != 0)
      .with(kHostTso4, (bits & 8) != 0);
}

class World {
 public:
  World(const RingSetup& setup, Features features)
      : geometry_(RxGeometry::of(features, setup.size, 0)),
        rx_rings_(setup, geometry_.bytes(setup.size)),
        tx_rings_(setup, NetTx::bytes(setup.size)),
        pool_(PacketPool::create(0, 64, 512).value()),
        rx_(*rx_rings_.driver, geometry_, {rx_rings_.memory.frames(), rx_rings_.memory.frames_address()}, rx_stats_,
            queue_stats_),
        tx_(*tx_rings_.driver, features, {tx_rings_.memory.frames(), tx_rings_.memory.frames_address()}, tx_stats_),
        filler_(*rx_rings_.device, features),
        drainer_(*tx_rings_.device, features),
        ring_bytes_(ring_layout(setup).bytes) {
    rx_.fill();
  }

  void step(FuzzInput& input) {
    const std::uint8_t what = input.byte();
    switch (what & 15) {
      case 0:
      case 1:
      case 2: return corrupt(rx_rings_, input);
      case 3:
      case 4: return corrupt(tx_rings_, input);
      case 5:
      case 6: return poll(1u + (what >> 4));
      case 7: return rx_.ring().disable_cb();
      case 8: (void)rx_.ring().poll(rx_.ring().enable_cb_prepare()); return;
      case 9: return send(input);
      case 10: return tx_.reclaim();
      case 11: (void)tx_.kick(); return;
      case 12:
      case 13: return put(input);
      case 14: return drain(what >> 4);
      default:
        (void)filler_.call();
        (void)drainer_.call();
        (void)rx_rings_.device->enable_kicks();
        (void)tx_rings_.driver->enable_cb_delayed();
    }
  }

  void end() {
    for (int i = 0; i < 4; ++i) poll(64);
    tx_.reclaim();
    fuzz_check(pool_->idle() == pool_->capacity(), "a packet leaked");
    fuzz_check(tx_.free_buffers() <= tx_.ring().setup().size, "a buffer was given back twice");
  }

 private:
  /// Writes one word, mostly into the rings: where they begin the damage is greatest.
  void corrupt(RingPair& rings, FuzzInput& input) {
    const std::uint16_t at = input.word(), value = input.word();
    std::uint8_t* base = rings.memory.ring().descriptors;
    const std::size_t reach = (at & 0x8000) != 0 ? ring_bytes_ + 2 * RxGeometry::kPage : ring_bytes_;
    std::memcpy(base + at % (reach - 2), &value, 2);
  }

  void poll(std::size_t budget) {
    PacketBatch batch;
    PollContext context{Nanos{1}, *pool_};
    const NetRx::Outcome outcome = rx_.poll(context, batch, budget, seq_);
    fuzz_check(outcome.got == batch.size() && outcome.got <= budget, "the budget was not kept");
    for (Packet* packet : batch) {
      std::uint32_t bytes = 0, sum = 0;
      for_each_piece(*packet, [&](std::span<const std::uint8_t> piece) {
        bytes += static_cast<std::uint32_t>(piece.size());
        for (const std::uint8_t byte : piece) sum += byte;
      });
      fuzz_check(bytes == packet->len && sum <= bytes * 255, "a packet's pieces do not add up");
      for_each_part(packet, [this](Packet* part) { pool_->put({&part, 1}); });
    }
    batch.released();
  }

  void send(FuzzInput& input) {
    std::array<std::uint8_t, 10000> bytes{};
    Packet packet;
    packet.head = packet.data = bytes.data();
    packet.len = packet.buffer_size = 14u + input.word() % 9000u;
    if ((input.byte() & 1) != 0) {
      packet.ip_summed = IpSummed::partial;
      packet.csum = input.word() | std::uint32_t{input.byte()} << 16;
    }
    packet.vlan_present = (input.byte() & 1) != 0;
    (void)tx_.send(packet);
  }

  void put(FuzzInput& input) {
    std::array<std::uint8_t, 6000> bytes{};
    NetHeader header;
    header.base.flags = input.byte();
    header.base.gso_type = input.byte();
    header.base.gso_size = input.word();
    header.base.csum_start = input.byte();
    header.base.csum_offset = input.byte();
    Packet packet;
    packet.head = packet.data = bytes.data();
    packet.len = packet.buffer_size = input.word() % 6000u;
    (void)filler_.put(header, packet);
  }

  void drain(std::size_t limit) {
    (void)drainer_.drain(limit, [](const NetHeader&, std::span<const std::uint8_t> frame) {
      std::uint32_t sum = 0;
      for (const std::uint8_t byte : frame) sum += byte;
      fuzz_check(sum <= frame.size() * 255, "a frame can't be read");
    });
  }

  const RxGeometry geometry_;
  RingPair rx_rings_, tx_rings_;
  std::unique_ptr<PacketPool> pool_;
  NetRxStats rx_stats_;
  RxQueueStats queue_stats_;
  NetTxStats tx_stats_;
  NetRx rx_;
  NetTx tx_;
  NetFiller filler_;
  NetDrainer drainer_;
  const std::size_t ring_bytes_;
  std::uint64_t seq_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const RingSetup setup = setup_of(input.byte());
  World world(setup, features_of(input.byte()));
  for (int i = 0; i < 2000 && !input.empty(); ++i) world.step(input);
  world.end();
  return 0;
}
