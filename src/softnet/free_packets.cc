// SPDX-License-Identifier: Apache-2.0
#include "softnet/free_packets.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/prefetch.h"

namespace netrx {

namespace {

/// Gives lent frames back to their lenders, one call for each run of frames of the same lender.
void return_frames(std::span<Packet* const> packets) {
  std::array<std::uint32_t, PacketBatch::kCapacity> ids;
  std::size_t n = 0;
  FrameHome* home = nullptr;
  const auto give = [&] {
    if (n != 0) home->frames_home({ids.data(), n});
    n = 0;
  };
  for (const Packet* packet : packets) {
    if (packet->frame_home == nullptr) continue;
    if (packet->frame_home != home || n == ids.size()) {
      give();
      home = packet->frame_home;
    }
    ids[n++] = packet->frame_id;
  }
  give();
}

void free_elsewhere(PacketPool& home, std::span<Packet*> packets) {
  return_frames(packets);
  home.give_back(packets);
}

/// Leaves as many packets as skb_defer_max allows with their home CPU; the rest goes straight to its pool.
void defer_or_free(Softnet& net, Actor& actor, SoftnetData& home, std::span<Packet*> packets) {
  const std::uint32_t max = static_cast<std::uint32_t>(net.tunables.skb_defer_max.read());
  const bool online = net.cpu_online(home.cpu.id());
  DeferList& list = home.defer;
  std::uint32_t taken = 0;
  bool kick = false;
  if (online && list.count.load(std::memory_order_relaxed) < max) {
    SpinGuard guard(list.lock, actor);
    const std::uint32_t count = list.count.load(std::memory_order_relaxed);
    const std::uint32_t limit = std::min<std::uint32_t>(max, static_cast<std::uint32_t>(list.slots.size()));
    taken = std::min(limit - std::min(limit, count), static_cast<std::uint32_t>(packets.size()));
    std::copy_n(packets.begin(), taken, list.slots.begin() + count);
    list.count.store(count + taken, std::memory_order_relaxed);
    kick = count <= max / 2 && max / 2 < count + taken;
  }
  if (kick && !list.ipi_scheduled.exchange(true, std::memory_order_acq_rel)) ring_doorbell(home, actor, kBellDefer);
  free_elsewhere(*home.pool, packets.subspan(taken));
}

/// Packets and all their frags, some at a time.
class Parts {
 public:
  explicit Parts(std::span<Packet*> packets) : packets_(packets) {}

  /// Empty at the end. What was given out may be given away.
  std::span<Packet*> next() {
    if (frag_ == nullptr && std::ranges::none_of(packets_, has_frags)) return std::exchange(packets_, {});
    std::size_t n = 0;
    while (n < parts_.size() && (frag_ != nullptr || !packets_.empty())) {
      Packet* part = frag_;
      if (part == nullptr) {
        part = packets_[0];
        packets_ = packets_.subspan(1);
        frag_ = part->frags;
      } else {
        frag_ = part->next;
      }
      parts_[n++] = part;
    }
    return {parts_.data(), n};
  }

 private:
  static bool has_frags(const Packet* packet) { return packet->has_frags; }

  std::span<Packet*> packets_;
  Packet* frag_ = nullptr;  // what comes next; null: the next packet
  std::array<Packet*, PacketBatch::kCapacity> parts_;
};

/// Splits off the longest run of packets with the same home CPU from the front of `packets`.
std::span<Packet*> next_run(std::span<Packet*>& packets) {
  std::size_t n = 1;
  while (n < packets.size() && packets[n]->alloc_cpu == packets[0]->alloc_cpu) ++n;
  const std::span<Packet*> run = packets.first(n);
  packets = packets.subspan(n);
  return run;
}

void send_parts_home(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) NETRX_REQUIRES(sd.cpu) {
  sd.cpu.at(Site::free_packet, static_cast<std::uint32_t>(packets.size()));
  while (!packets.empty()) {
    const std::span<Packet*> run = next_run(packets);
    if (run[0]->alloc_cpu == sd.cpu.id()) {
      return_frames(run);
      sd.pool->put(run);
    } else {
      defer_or_free(net, sd.cpu.actor(), net.of(run[0]->alloc_cpu), run);
    }
  }
}

/// Each is one buffer of this CPU's pool, and nothing else.
bool all_plain(const SoftnetData& sd, std::span<Packet* const> packets) NETRX_REQUIRES(sd.cpu) {
  const std::uint16_t here = sd.cpu.id();
  return std::ranges::all_of(packets, [here](const Packet* packet) {
    return packet->alloc_cpu == here && !packet->has_frags && packet->frame_home == nullptr;
  });
}

void send_home(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) NETRX_REQUIRES(sd.cpu) {
  if (packets.empty()) return;
  if (all_plain(sd, packets)) {
    sd.cpu.at(Site::free_packet, static_cast<std::uint32_t>(packets.size()));
    return sd.pool->put(packets);
  }
  Parts parts(packets);
  for (std::span<Packet*> some = parts.next(); !some.empty(); some = parts.next()) send_parts_home(net, sd, some);
}

}  // namespace

bool ring_doorbell(SoftnetData& target, Actor& actor, std::uint32_t bells) {
  actor.at(Site::doorbell_ring);
  if (!target.doorbell.ring(bells)) return false;
  target.waker->wake();
  return true;
}

void consume_packets(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) {
  if (net.tracer != nullptr)
    for (const Packet* packet : packets) net.tracer->consume_skb(sd.cpu.id(), *packet);
  send_home(net, sd, packets);
}

void drop_packets(Softnet& net, SoftnetData& sd, std::span<Packet*> packets, DropReason reason) {
  if (packets.empty()) return;
  sd.drops[static_cast<std::size_t>(reason)].add(packets.size());
  if (net.tracer != nullptr)
    for (const Packet* packet : packets) net.tracer->kfree_skb(sd.cpu.id(), *packet, reason);
  send_home(net, sd, packets);
}

void consume_packets_from_application(Softnet& net, Actor& actor, std::span<Packet*> packets) {
  actor.at(Site::free_packet, static_cast<std::uint32_t>(packets.size()));
  Parts parts(packets);
  for (std::span<Packet*> some = parts.next(); !some.empty(); some = parts.next()) {
    while (!some.empty()) {
      const std::span<Packet*> run = next_run(some);
      defer_or_free(net, actor, net.of(run[0]->alloc_cpu), run);
    }
  }
}

void flush_deferred(SoftnetData& sd) {
  DeferList& list = sd.defer;
  if (list.count.load(std::memory_order_relaxed) == 0) return;
  std::uint32_t count = 0;
  {
    SpinGuard guard(list.lock, sd.cpu.actor());
    list.slots.swap(list.spare);
    count = list.count.exchange(0, std::memory_order_relaxed);
  }
  const std::span<Packet*> packets{list.spare.data(), count};
  for (const Packet* packet : packets) prefetch_for_write(packet);  // the next to be allocated
  return_frames(packets);
  sd.pool->put(packets);
}

}  // namespace netrx
