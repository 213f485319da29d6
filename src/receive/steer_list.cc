// SPDX-License-Identifier: Apache-2.0
#include "receive/steer_list.h"

#include "backlog/backlog.h"
#include "softnet/free_packets.h"
#include "steer/get_rps_cpu.h"

namespace netrx {

namespace {

void put_in_outbox(SoftnetData& sd, std::uint16_t cpu, Packet* packet, RpsDevFlow* flow) NETRX_REQUIRES(sd.cpu) {
  Outbox& box = sd.outbox[cpu];
  if (box.packets.empty()) sd.outbox_used.push_back(cpu);
  box.flows[box.packets.size()] = flow;
  box.packets.push_back(packet);
}

void drop_refused(Softnet& net, SoftnetData& sd, PacketBatch& refused, DropReason reason) NETRX_REQUIRES(sd.cpu) {
  for (const Packet* packet : refused) packet->dev->rx_dropped.add();
  drop_packets(net, sd, refused.packets(), reason);
  refused.released();
}

void send_outboxes(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu) {
  Refused refused;
  for (const std::uint16_t cpu : sd.outbox_used) {
    enqueue_to_backlog(net, sd, net.of(cpu), sd.outbox[cpu], refused);
    if (!refused.backlog_full.empty()) drop_refused(net, sd, refused.backlog_full, DropReason::kCpuBacklog);
    if (!refused.device_down.empty()) drop_refused(net, sd, refused.device_down, DropReason::kDevReady);
  }
  sd.outbox_used.clear();
}

/// Puts packets of one list where they were decided to go.
struct Sorter {
  // Not left to the compiler, which would fill `pending` with zeros.
  Sorter(PacketBatch& packets, int unsteered) : list(packets), otherwise(unsteered) {}

  PacketBatch& list;  ///< the first `kept` of it stay
  int otherwise;      ///< the CPU for packets that steering has none for; -1: they stay in the list
  std::size_t kept = 0;
  PendingFlows pending;  ///< slots of packets decided on and still in an outbox

  void put(SoftnetData& sd, Packet* packet, const RpsDecision& decision) NETRX_REQUIRES(sd.cpu) {
    const int cpu = decision.cpu >= 0 ? decision.cpu : otherwise;
    if (cpu >= 0)
      put_in_outbox(sd, static_cast<std::uint16_t>(cpu), packet, decision.flow);
    else
      list.begin()[kept++] = packet;
  }
};

void note_decision(Softnet& net, SoftnetData& sd, const Packet& packet, const RpsDecision& decision)
    NETRX_REQUIRES(sd.cpu) {
  sd.rules[static_cast<std::size_t>(decision.rule)].add();
  if (net.tracer != nullptr) net.tracer->get_rps_cpu(sd.cpu.id(), packet, decision.cpu, decision.rule);
}

/// Any run: asks get_rps_cpu about every packet.
void steer_each(Softnet& net, SoftnetData& sd, const SteerTables& tables, std::span<Packet* const> run, Sorter& sorter)
    NETRX_REQUIRES(sd.cpu) {
  for (Packet* packet : run) {
    RpsDecision decision{.rule = tables.why_not};
    if (tables.steers()) decision = get_rps_cpu(net, sd, tables, *packet, sorter.pending);
    note_decision(net, sd, *packet, decision);
    sorter.pending.add(decision.flow);
    sorter.put(sd, packet, decision);
  }
}

/// A run that no flow table has a say in: the same decisions, counted once a run instead of once a packet.
void steer_by_map(Softnet& net, SoftnetData& sd, const RpsMap& map, std::span<Packet* const> run, Sorter& sorter)
    NETRX_REQUIRES(sd.cpu) {
  std::size_t steered = 0, unhashed = 0;
  for (Packet* packet : run) {
    const RpsDecision decision = decide_by_map(net, map, packet->hash);
    if (net.tracer != nullptr) net.tracer->get_rps_cpu(sd.cpu.id(), *packet, decision.cpu, decision.rule);
    sorter.put(sd, packet, decision);
    steered += decision.rule == RpsRule::kMap ? 1 : 0;
    unhashed += decision.rule == RpsRule::kNoHash ? 1 : 0;
  }
  const auto count = [&rules = sd.rules](RpsRule rule, std::size_t n) { rules[static_cast<std::size_t>(rule)].add(n); };
  count(RpsRule::kMap, steered);
  count(RpsRule::kNoHash, unhashed);
  count(RpsRule::kLocal, run.size() - steered - unhashed);
}

/// How many packets from `from` on came by the same queue of the same device.
std::size_t run_length(std::span<Packet* const> packets, std::size_t from) {
  std::size_t end = from + 1;
  while (end < packets.size() && packets[end]->dev == packets[from]->dev &&
         packets[end]->queue_mapping == packets[from]->queue_mapping)
    ++end;
  return end - from;
}

}  // namespace

void steer_list(Softnet& net, SoftnetData& sd, PacketBatch& list, Unsteered unsteered) {
  const std::span<Packet*> packets = list.packets();
  Sorter sorter(list, unsteered == Unsteered::to_own_backlog ? sd.cpu.id() : -1);
  for (std::size_t i = 0; i < packets.size();) {
    const std::span<Packet*> run = packets.subspan(i, run_length(packets, i));
    const SteerTables tables = steer_tables(net, *packets[i]);
    if (tables.steers()) skb_get_hash(sd, run);
    sd.cpu.at(Site::steer, static_cast<std::uint32_t>(run.size()));
    if (tables.only_map())
      steer_by_map(net, sd, *tables.map, run, sorter);
    else
      steer_each(net, sd, tables, run, sorter);
    i += run.size();
  }
  list.truncate(sorter.kept);
  send_outboxes(net, sd);
}

}  // namespace netrx
