// SPDX-License-Identifier: Apache-2.0
#include "netrx/consumer.h"

#include <algorithm>
#include <array>

#include "base/ring_index.h"
#include "cpu/doorbell.h"
#include "host/event_waker.h"
#include "packet/packet_ring.h"
#include "softnet/netif.h"

namespace netrx {

struct Consumer::State {
  explicit State(std::uint32_t capacity) : ring(capacity) {}
  PacketRing ring;
  Doorbell doorbell;
  EventWaker waker;
  Actor own_actor;
};

Consumer::Consumer(std::uint32_t capacity) : state_(std::make_unique<State>(capacity)) {}
Consumer::~Consumer() = default;

std::size_t Consumer::put(Actor& actor, std::span<Packet* const> packets) {
  PacketRing& ring = state_->ring;
  std::size_t fits = 0;
  {
    SpinGuard guard(ring.lock(), actor);
    fits = std::min<std::size_t>(packets.size(), ring.room(static_cast<std::uint32_t>(packets.size())));
    ring.append(packets.first(fits));
  }
  if (fits != 0) wake();
  return fits;
}

std::size_t Consumer::receive(PacketBatch& batch) { return receive(state_->own_actor, batch); }

std::size_t Consumer::receive(Actor& actor, PacketBatch& batch) {
  PacketRing& ring = state_->ring;
  if (ring.process_len() == 0) {
    if (ring.input_len() == 0) return 0;
    SpinGuard guard(ring.lock(), actor);
    ring.splice();
  }
  const std::span<Packet*> packets = ring.take(static_cast<std::uint32_t>(batch.room()));
  std::copy(packets.begin(), packets.end(), batch.extend(packets.size()).begin());
  ring.finish();
  return packets.size();
}

bool Consumer::wait(std::chrono::nanoseconds at_most) {
  if (waiting() == 0 && state_->doorbell.prepare_sleep()) {
    state_->waker.sleep(at_most);
    state_->doorbell.awake();
  }
  return state_->doorbell.collect() != 0 || waiting() != 0;
}

void Consumer::wake() {
  if (state_->doorbell.ring(kBellKick)) state_->waker.wake();
}

std::size_t Consumer::waiting() const { return state_->ring.input_len() + state_->ring.process_len(); }

FlowFanout::FlowFanout(std::vector<Consumer*> consumers) : consumers_(std::move(consumers)) {}

std::size_t FlowFanout::consumer_of(std::uint32_t hash) const {
  return reciprocal_scale(hash * 0x61c88647u, static_cast<std::uint32_t>(consumers_.size()));
}

namespace {

/// The packet's hash, computed now if steering had no use for it.
std::uint32_t flow_hash(Packet& packet) {
  if (packet.l4_hash || packet.sw_hash) return packet.hash;
  const FlowHash hash = packet.dev->hasher.hash(FlowInput::of(packet));
  packet.hash = hash.hash;
  packet.l4_hash = hash.l4;
  packet.sw_hash = true;
  return packet.hash;
}

}  // namespace

// Neighbours for the same consumer go in together, under one lock and one wake-up.
void FlowFanout::receive(Delivery& delivery) {
  const std::span<Packet* const> packets = delivery.packets();
  for (std::size_t i = 0; i < packets.size();) {
    const std::size_t consumer = consumer_of(flow_hash(*packets[i]));
    std::size_t end = i + 1;
    while (end < packets.size() && consumer_of(flow_hash(*packets[end])) == consumer) ++end;
    std::size_t fits = consumers_[consumer]->put(delivery.actor(), packets.subspan(i, end - i));
    for (; i < end; ++i, fits -= fits != 0) {
      if (fits != 0)
        delivery.keep(i);
      else
        delivery.drop(i, DropReason::kSocketRcvbuff);
    }
  }
}

}  // namespace netrx
