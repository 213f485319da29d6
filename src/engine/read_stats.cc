// SPDX-License-Identifier: Apache-2.0
#include "engine/read_stats.h"

#include <algorithm>

#include "cpu/cpu.h"

namespace netrx {

namespace {

using DelayCounts = std::array<std::uint64_t, Histogram::kBuckets>;

CpuStats read_cpu(const SoftnetData& sd, bool online, DelayCounts& all_delays) {
  CpuStats stats;
  stats.cpu = sd.cpu.id();
  stats.online = online;
  stats.processed = sd.processed.read();
  stats.dropped = sd.dropped.read();
  stats.time_squeeze = sd.time_squeeze.read();
  stats.received_rps = sd.received_rps.read();
  if (const FlowLimit* limit = sd.flow_limit.read())
    stats.flow_limit_count = limit->count.load(std::memory_order_relaxed);
  stats.input_queue_len = sd.input.input_len();
  stats.process_queue_len = sd.input.process_len();
  stats.received = sd.received.read();
  stats.delivered = sd.delivered.read();
  stats.merged = sd.merged.read();
  stats.backlogged = sd.backlogged.read();
  stats.doorbells = sd.doorbells.read();
  stats.wakeups = sd.wakeups.read();
  stats.softirqs = sd.softirqs.read();
  stats.ksoftirqd = sd.ksoftirqd.read();
  stats.polls = sd.polls.read();
  stats.empty_polls = sd.empty_polls.read();
  for (std::size_t i = 0; i < stats.drops.size(); ++i) stats.drops[i] = sd.drops[i].read();
  for (std::size_t i = 0; i < stats.rules.size(); ++i) stats.rules[i] = sd.rules[i].read();
  for (std::size_t i = 0; i < stats.gro_refusals.size(); ++i) stats.gro_refusals[i] = sd.gro_refusals[i].read();

  DelayCounts delays{};
  sd.queueing_delay.merge_into(delays);
  sd.queueing_delay.merge_into(all_delays);
  stats.delay_p50_ns = percentile(delays, 500);
  stats.delay_p99_ns = percentile(delays, 990);
  stats.delay_max_ns = percentile(delays, 1000);
  return stats;
}

/// What only an occupant may read. Between two occupations packets are held in backlogs and by GRO: outboxes and lists
/// to go up are empty when a round ends.
void read_local(SoftnetData& sd, CpuStats& stats, Conservation& sum, Actor& actor) {
  CpuGuard guard(sd.cpu, actor);
  for (const Outbox& box : sd.outbox) stats.sent_to.push_back(box.sent.read());
  SpinGuard ring_guard(sd.input.lock(), actor);
  sd.input.for_each([&](const Packet& packet) {
    ++sum.held;
    for (const Packet* frag = packet.frags; frag != nullptr; frag = frag->next) ++sum.held_frags;
  });
  sum.packets_out += sd.pool->capacity() - sd.pool->idle() - sd.defer.count.load(std::memory_order_relaxed);
}

void add_gro_held(const Netif& netif, Conservation& sum) {
  for (const auto& rxq : netif.rx_queues) {
    const GroNode& gro = rxq->napi->gro;
    sum.held += gro.held_in.read() - gro.held_out.read();
    sum.held_frags += gro.parts_in.read() - gro.parts_out.read();
  }
}

DeviceStats read_device(const Attached& attached) {
  DeviceStats stats;
  stats.name = attached.netif->name;
  stats.running = attached.netif->running.load(std::memory_order_relaxed);
  stats.rx_dropped = attached.netif->rx_dropped.read();
  stats.rx_nohandler = attached.netif->rx_nohandler.read();
  for (std::size_t i = 0; i < attached.device->queue_count(); ++i) {
    const RxQueueStats& queue = attached.device->queue(i).stats();
    stats.queues.push_back({queue.rx_packets.load(), queue.rx_bytes.load(), queue.rx_missed_errors.load(),
                            queue.rx_length_errors.load(), queue.rx_frame_errors.load(), queue.rx_alloc_fail.load()});
  }
  stats.remark = attached.device->remark();
  return stats;
}

void add_steered_in(std::vector<CpuStats>& cpus) {
  for (CpuStats& target : cpus)
    for (const CpuStats& source : cpus)
      if (&source != &target) target.steered_in += source.sent_to[target.cpu];
}

}  // namespace

EngineStats read_stats(const EngineCore& core) {
  EngineStats stats;
  DelayCounts delays{};
  Conservation& sum = stats.conservation;
  for (const auto& sd : core.net.cpus) {
    if (sd == nullptr) continue;
    CpuStats cpu = read_cpu(*sd, core.net.cpu_online(sd->cpu.id()), delays);
    read_local(*sd, cpu, sum, *core.control_actor);
    sum.received += cpu.received;
    sum.delivered += cpu.delivered;
    sum.merged += cpu.merged;
    for (const std::uint64_t drops : cpu.drops) sum.dropped += drops;
    stats.cpus.push_back(std::move(cpu));
  }
  add_steered_in(stats.cpus);
  for (const Attached& attached : core.devices) {
    stats.devices.push_back(read_device(attached));
    add_gro_held(*attached.netif, sum);
  }
  stats.delay_p50_ns = percentile(delays, 500);
  stats.delay_p99_ns = percentile(delays, 990);
  return stats;
}

bool nothing_in_flight(const EngineCore& core) {
  // A queue says "exhausted" inside a poll, and its packets are counted before that poll gives SCHED up; so: exhausted,
  // then not owned, then the counts.
  for (const Attached& attached : core.devices) {
    for (std::size_t i = 0; i < attached.device->queue_count(); ++i) {
      if (!attached.device->queue(i).exhausted()) return false;
      if (attached.netif->running.load() && attached.netif->rx_queues[i]->napi->state.test(kNapiSched)) return false;
    }
  }
  std::uint64_t ended = 0;
  std::uint64_t received = 0;
  for (const auto& sd : core.net.cpus) {
    if (sd == nullptr) continue;
    ended += sd->delivered.read() + sd->merged.read();
    for (const Counter& drops : sd->drops) ended += drops.read();
  }
  for (const auto& sd : core.net.cpus)
    if (sd != nullptr) received += sd->received.read();
  return ended == received;
}

}  // namespace netrx
