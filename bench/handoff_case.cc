// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <memory>

#include "cases.h"
#include "packet/packet_ring.h"
#include "peers.h"

namespace netrx::bench {

namespace {

constexpr std::uint32_t kRing = 1024;
constexpr std::size_t kBatch = 32;
constexpr std::uint32_t kWeight = 64;  // what a backlog's poll takes at most

/// As enqueue_to_backlog does it.
void produce(PacketRing& ring, std::span<Packet* const> packets, std::uint64_t total) {
  Actor actor;
  std::size_t at = 0;
  for (std::uint64_t done = 0; done < total;) {
    bool sent = false;
    {
      SpinGuard guard(ring.lock(), actor);
      sent = ring.room(kBatch) >= kBatch;
      if (sent) ring.append(packets.subspan(at, kBatch));
    }
    if (!sent) {
      __builtin_ia32_pause();
      continue;
    }
    done += kBatch;
    at = at + kBatch == packets.size() ? 0 : at + kBatch;
  }
}

/// As process_backlog does it. An empty queue ends its turn, and then the doorbell is what it watches, not the lock:
/// the look at the queue's length stands for that.
std::uint64_t consume(PacketRing& ring, const Packet* base, std::uint64_t total) {
  Actor actor;
  std::uint64_t sum = 0;
  for (std::uint64_t got = 0; got < total;) {
    const std::span<Packet*> packets = ring.take(kWeight);
    if (!packets.empty()) {
      for (const Packet* packet : packets)
        sum += static_cast<std::uint64_t>(reinterpret_cast<const char*>(packet) - reinterpret_cast<const char*>(base));
      got += packets.size();
      ring.finish();
      continue;
    }
    if (ring.input_len() == 0) {
      __builtin_ia32_pause();
      continue;
    }
    SpinGuard guard(ring.lock(), actor);
    ring.splice();
  }
  return sum;
}

Trial trial(const TwoCpus& cpus, std::uint64_t total, const std::function<void()>& mine,
            const std::function<std::uint64_t()>& other) {
  Trial result;
  const Timing timing = cpus.together(mine, [&] { result.checksum = other(); });
  result.value = static_cast<double>(total) * 1e3 / timing.ns;
  result.preemptions = timing.preemptions;
  return result;
}

}  // namespace

void handoff_case(Harness& harness) {
  const char* name = "handoff/backlog-1024";
  if (!harness.wants(name) || !harness.cpus().both()) return;
  const std::unique_ptr<Packet[]> packets(new Packet[kRing]);
  std::array<Packet*, kRing> pointers;
  for (std::size_t i = 0; i < kRing; ++i) pointers[i] = &packets[i];
  const std::uint64_t total = static_cast<std::uint64_t>(2e6 * harness.options().scale) / kRing * kRing;

  Case what{.name = name, .unit = Unit::mega_items_s, .target = 1, .two_cpus = true, .ours = {}, .peer = {}};
  what.ours = [&] {
    PacketRing ring(kRing);
    return trial(
        harness.cpus(), total, [&] { produce(ring, pointers, total); },
        [&] { return consume(ring, packets.get(), total); });
  };
  if (harness.options().peers) {
    what.peer = [&] {
      peers::Ring ring(kRing);
      return trial(
          harness.cpus(), total,
          [&] { ring.produce(reinterpret_cast<void* const*>(pointers.data()), pointers.size(), total); },
          [&] { return ring.consume(total, packets.get()); });
    };
  }
  harness.run(what);
}

}  // namespace netrx::bench
