// SPDX-License-Identifier: Apache-2.0
#include "backlog/backlog.h"

#include "backlog/flow_limit.h"
#include "softnet/free_packets.h"
#include "softnet/schedule.h"

namespace netrx {

namespace {

/// The limits as one enqueue reads them. Unsigned, so that a negative netdev_max_backlog means none.
struct Limits {
  std::uint32_t max;
  std::uint32_t half;
  FlowLimit* flows;
};

Limits read_limits(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu) {
  const int max = net.tunables.netdev_max_backlog.read();
  return {static_cast<std::uint32_t>(max), static_cast<std::uint32_t>(max >> 1), sd.flow_limit.read()};
}

bool all_running(std::span<Packet* const> packets) {
  const Netif* last = nullptr;
  for (const Packet* packet : packets) {
    if (packet->dev == last) continue;
    last = packet->dev;
    if (!last->running.load(std::memory_order_relaxed)) return false;
  }
  return true;
}

/// True when none of the limits can touch any of `n` packets, so that they need no look each.
bool unlimited(PacketRing& ring, const Limits& limits, std::uint32_t n) NETRX_REQUIRES(ring.lock()) {
  const std::uint32_t last = ring.input_len() + n - 1;  // the length that the last of them meets
  return last <= limits.max && (limits.flows == nullptr || last < limits.half) && ring.room(n) >= n;
}

/// Judges packets one by one and leaves those that may pass at the front of the outbox.
void sieve(PacketRing& ring, const Limits& limits, Outbox& box, Refused& refused) NETRX_REQUIRES(ring.lock()) {
  std::uint32_t length = ring.input_len();
  std::uint32_t passed = 0;
  for (std::size_t i = 0; i < box.packets.size(); ++i) {
    Packet* packet = box.packets[i];
    const bool limited = limits.flows != nullptr && length <= limits.max && length >= limits.half &&
                         flow_limit_exceeded(*limits.flows, packet->hash);
    if (length > limits.max || limited || ring.room(passed + 1) < passed + 1) {
      refused.backlog_full.push_back(packet);
    } else if (!packet->dev->running.load(std::memory_order_relaxed)) {
      refused.device_down.push_back(packet);
    } else {
      box.flows[passed] = box.flows[i];
      box.packets.packets()[passed++] = packet;
      ++length;
    }
  }
  box.packets.truncate(passed);
}

/// Hands the target its first work. It is linked on at most one list, because only who sets SCHED links it. Kernel:
/// napi_schedule_rps.
void napi_schedule_rps(Softnet& net, SoftnetData& sd, SoftnetData& target) NETRX_REQUIRES(sd.cpu) {
  if (&target == &sd) return schedule_owned(net, sd, sd.backlog);
  target.rps_ipi_next = sd.rps_ipi_list;
  sd.rps_ipi_list = &target;
  // Whoever runs net_rx_action or a thread's poll rings at its end; anyone else needs a run of its own.
  if (!sd.in_net_rx_action && !sd.in_napi_threaded_poll) raise_net_rx(net, sd);
}

/// Returns the tail before the first appended packet.
std::uint32_t append_and_kick(Softnet& net, SoftnetData& sd, SoftnetData& target, Outbox& box, Refused& refused)
    NETRX_REQUIRES(sd.cpu) {
  const Limits limits = read_limits(net, sd);
  PacketRing& ring = target.input;
  SpinGuard guard(ring.lock(), sd.cpu.actor());
  const bool pass_all =
      all_running(box.packets.packets()) && unlimited(ring, limits, static_cast<std::uint32_t>(box.packets.size()));
  if (!pass_all) sieve(ring, limits, box, refused);
  const std::uint32_t tail = ring.tail();
  if (box.packets.empty()) return tail;
  if (ring.input_len() == 0 && !target.backlog.state.test(kNapiSched)) {
    target.backlog.state.set(kNapiSched);
    napi_schedule_rps(net, sd, target);
  }
  ring.append(box.packets.packets());
  return tail;
}

}  // namespace

void enqueue_to_backlog(Softnet& net, SoftnetData& sd, SoftnetData& target, Outbox& box, Refused& refused) {
  sd.cpu.at(Site::enqueue, static_cast<std::uint32_t>(box.packets.size()));
  std::uint32_t tail = 0;
  if (target.input.input_len() > static_cast<std::uint32_t>(net.tunables.netdev_max_backlog.read())) {
    for (Packet* packet : box.packets) refused.backlog_full.push_back(packet);
    box.packets.released();
  } else {
    tail = append_and_kick(net, sd, target, box, refused);
  }
  if (!refused.backlog_full.empty()) target.dropped.add(refused.backlog_full.size());

  sd.cpu.at(Site::qtail);
  const std::size_t accepted = box.packets.size();
  for (std::size_t i = 0; i < accepted; ++i)
    if (box.flows[i] != nullptr)
      box.flows[i]->last_qtail.store(tail + static_cast<std::uint32_t>(i) + 1, std::memory_order_relaxed);
  box.sent.add(accepted);
  box.packets.released();
}

void send_rps_doorbells(Softnet& net, SoftnetData& sd) {
  SoftnetData* target = sd.rps_ipi_list;
  sd.rps_ipi_list = nullptr;
  while (target != nullptr) {
    SoftnetData* next = target->rps_ipi_next;  // once rung, the record may be linked elsewhere
    if (net.cpu_online(target->cpu.id())) {
      sd.doorbells.add();
      if (net.tracer != nullptr) net.tracer->doorbell(sd.cpu.id(), target->cpu.id());
      if (ring_doorbell(*target, sd.cpu.actor(), kBellRps)) sd.wakeups.add();
    }
    target = next;
  }
}

void answer_doorbell(Softnet& net, SoftnetData& sd) {
  sd.cpu.at(Site::doorbell_collect);
  const std::uint32_t bells = sd.doorbell.collect();
  if (bells & kBellRps) {
    sd.received_rps.add();
    NETRX_CHECK(sd.backlog.state.test(kNapiSched) && !sd.backlog.linked());
    schedule_owned(net, sd, sd.backlog);
  }
  if (bells & kBellDefer) {
    raise_net_rx(net, sd);
    sd.defer.ipi_scheduled.store(false, std::memory_order_release);
  }
}

bool splice_or_idle(SoftnetData& sd) {
  sd.cpu.at(Site::splice);
  SpinGuard guard(sd.input.lock(), sd.cpu.actor());
  if (sd.input.splice() != 0) return true;
  sd.backlog.state.overwrite_keeping_threaded();
  return false;
}

void publish_head(SoftnetData& sd) {
  sd.cpu.at(Site::head_publish);
  sd.input.finish();
}

void flush_backlog(Softnet& net, SoftnetData& sd, const Netif& netif) {
  std::vector<Packet*> gone;
  {
    SpinGuard guard(sd.input.lock(), sd.cpu.actor());
    sd.input.remove_if([&](Packet& packet) {
      if (packet.dev != &netif) return false;
      gone.push_back(&packet);
      return true;
    });
  }
  drop_packets(net, sd, gone, DropReason::kDevReady);
}

}  // namespace netrx
