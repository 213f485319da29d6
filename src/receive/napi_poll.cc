// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backlog/backlog.h"
#include "deliver/deliver.h"
#include "gro/gro.h"
#include "napi/napi.h"
#include "netrx/device.h"
#include "netrx/packet_bytes.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"
#include "wire/eth_type_trans.h"

namespace netrx {

namespace {

/// What the poll itself knows of its packets.
struct Arrival {
  Netif* dev;
  std::uint32_t napi_id;
  std::uint16_t queue_mapping;
  Nanos tstamp;  ///< 0: they are stamped later

  void mark(Packet& packet) const {
    packet.dev = dev;
    packet.napi_id = napi_id;
    packet.queue_mapping = queue_mapping;
    if (packet.tstamp == Nanos{0}) packet.tstamp = tstamp;
  }
};

/// Kernel: netdev_tstamp_prequeue, skb_record_rx_queue, skb_mark_napi_id.
Arrival arrival(const Softnet& net, SoftnetData& sd, const NapiStruct& napi) NETRX_REQUIRES(sd.cpu) {
  const bool stamp = net.tunables.netdev_tstamp_prequeue.read() != 0;
  return {.dev = napi.netif,
          .napi_id = napi.napi_id,
          .queue_mapping = static_cast<std::uint16_t>(napi.queue_index + 1),
          .tstamp = stamp ? sd.now : Nanos{0}};
}

/// What came in several buffers shows the path its headers in one piece, if its first buffer has room for them.
void pull_headers(Packet& packet) {
  constexpr std::uint32_t kHeaders = 192;
  if (packet.data_len != 0) (void)may_pull(packet, std::min(packet.len, kHeaders));
}

/// Kernel: eth_type_trans. False: the packet is too short to have a link header.
bool take_link_header(Packet& packet, const wire::MacAddress& address) {
  if (packet.headlen() < wire::EthernetView::kSize) return false;
  const wire::EtherResult link = wire::eth_type_trans(packet.linear(), address);
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  packet.protocol = link.protocol;
  packet.pkt_type = link.kind;
  packet.data += wire::EthernetView::kSize;
  packet.len -= wire::EthernetView::kSize;
  packet.network_header = packet.transport_header = static_cast<std::uint16_t>(packet.headroom());
  return true;
}

/// Makes what the driver gave ready for the path; what has no link header where it should is dropped. (A function of
/// its own, as the next, so that each loop has the registers to itself.)
[[gnu::noinline]] void take_in(Softnet& net, SoftnetData& sd, const NapiStruct& napi, const Arrival& arrival,
                               PacketBatch& batch) NETRX_REQUIRES(sd.cpu) {
  const NetDevice& device = napi.netif->device;
  const bool linked = device.has_link_header();
  const wire::MacAddress address = device.address();
  const std::span<Packet*> packets = batch.packets();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    Packet* const packet = packets[i];
    if (i + 4 < packets.size()) __builtin_prefetch(packets[i + 4]->data);
    arrival.mark(*packet);
    pull_headers(*packet);
    if (!linked || take_link_header(*packet, address))
      packets[kept++] = packet;
    else
      drop_packets(net, sd, packets.subspan(i, 1), DropReason::kPktTooSmall);
  }
  batch.truncate(kept);
}

/// The GRO stage's lists go up from here. Kernel: gro_normal_list.
void gro_normal_list(Softnet& net, SoftnetData& sd, NapiStruct& napi) NETRX_REQUIRES(sd.cpu) {
  receive_list(net, sd, napi.gro.rx_list);
  napi.gro.rx_count = 0;
}

/// What the GRO stage goes by during this poll.
GroRules gro_rules(const Softnet& net, SoftnetData& sd, const Netif& netif) NETRX_REQUIRES(sd.cpu) {
  const auto now = [](const auto& setting) { return setting.load(std::memory_order_relaxed); };
  return {.on = now(netif.rx_gro),
          .fraglist = now(netif.rx_gro_list),
          .udp_forwarding = now(netif.rx_udp_gro_forwarding),
          .in_order = net.tunables.gro_in_order.read() != 0,
          .max_skb_frags = static_cast<std::uint8_t>(net.tunables.max_skb_frags.read()),
          .flow_buckets = static_cast<std::uint32_t>(net.tunables.gro_flow_buckets.read()),
          .gro_max_size = now(netif.gro_max_size),
          .gro_ipv4_max_size = now(netif.gro_ipv4_max_size),
          .endpoints = net.gro_endpoints.read(),
          .jiffies = static_cast<std::uint32_t>(net.tick.jiffies(sd.now))};
}

[[gnu::noinline]] void napi_gro_receive(Softnet& net, SoftnetData& sd, NapiStruct& napi, PacketBatch& batch)
    NETRX_REQUIRES(sd.cpu) {
  const GroRules rules = gro_rules(net, sd, *napi.netif);
  const int normal_batch = net.tunables.gro_normal_batch.read();
  sd.cpu.at(Site::gro, static_cast<std::uint32_t>(batch.size()));
  Tracer* const tracer = net.tracer;
  std::size_t merged = 0;
  for (Packet* packet : batch) {
    if (tracer != nullptr) tracer->napi_gro_receive_entry(sd.cpu.id(), *packet);
    GroStep step = gro_receive(napi.gro, rules, *packet);
    while (!step) {
      gro_normal_list(net, sd, napi);
      step = gro_receive(napi.gro, rules, *packet);
    }
    merged += step.result() <= GroResult::merged_free;
    if (step.why_not() != GroRefusal::kNone) sd.gro_refusals[static_cast<std::size_t>(step.why_not())].add();
    if (tracer != nullptr) tracer->napi_gro_receive_exit(sd.cpu.id(), step.result());
    if (gro_list_due(napi.gro, normal_batch)) gro_normal_list(net, sd, napi);
  }
  sd.merged.add(merged);
  batch.released();
}

/// What GRO holds goes up, all or what is old. Kernel: gro_flush, gro_normal_list.
void flush_gro(Softnet& net, SoftnetData& sd, NapiStruct& napi, bool only_old) NETRX_REQUIRES(sd.cpu) {
  const GroRules rules = gro_rules(net, sd, *napi.netif);
  while (!gro_flush(napi.gro, rules, only_old)) gro_normal_list(net, sd, napi);
  gro_normal_list(net, sd, napi);
}

/// A poll that used its weight may come again within a tick; only where ticks are short are young packets kept for it.
bool keeps_young_packets(const Softnet& net) { return net.tick.hz >= 1000; }

/// Kernel: napi_complete_done. True: the driver may unmask.
bool napi_complete_done(Softnet& net, SoftnetData& sd, NapiStruct& napi, int work) NETRX_REQUIRES(sd.cpu) {
  const Completion completion = begin_complete(napi, work, gro_holds_packets(napi.gro));
  if (completion.refused) return false;
  flush_gro(net, sd, napi, completion.timeout > Nanos{0});
  return finish_complete(net, sd, napi, completion);
}

/// The end of a poll that found less than it could have taken. Interrupts are unmasked, and the queue is looked at once
/// more, while the NAPI is still owned: what came before the unmasking is seen by that look, what comes after it by an
/// interrupt, and either leaves MISSED, with which ownership does not go. From then on others may poll, mask and
/// unmask: nothing here touches the queue any more. Kernel: virtqueue_napi_complete, which looks after ownership went.
void complete_device_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi, int work) NETRX_REQUIRES(sd.cpu) {
  const Completion completion = begin_complete(napi, work, gro_holds_packets(napi.gro));
  if (completion.refused) return;
  RxQueue& queue = *napi.queue;
  if (completion.unmask && queue.irq_missed(queue.irq_unmask())) napi.state.set(kNapiMissed);
  flush_gro(net, sd, napi, completion.timeout > Nanos{0});
  (void)finish_complete(net, sd, napi, completion);
}

/// What a poll of a device's queue came to.
struct DevicePoll {
  int received;
  bool completed;  ///< ownership was given up, or tried to; else there may be more
};

DevicePoll poll_device(Softnet& net, SoftnetData& sd, NapiStruct& napi, int budget) NETRX_REQUIRES(sd.cpu) {
  const Arrival arrived = arrival(net, sd, napi);
  const std::atomic<std::uint64_t>& alloc_fail = napi.queue->stats().rx_alloc_fail;
  const std::uint64_t fails_before = alloc_fail.load(std::memory_order_relaxed);
  PollContext context{sd.now, *sd.pool};
  PacketBatch batch;
  int work = 0;
  while (work < budget) {
    const std::size_t wanted = std::min<std::size_t>(static_cast<std::size_t>(budget - work), batch.kCapacity);
    const std::size_t got = napi.queue->poll(context, batch, wanted);
    work += static_cast<int>(got);
    sd.received.add(got);
    sd.cpu.at(Site::packet, static_cast<std::uint32_t>(got));
    take_in(net, sd, napi, arrived, batch);
    napi_gro_receive(net, sd, napi, batch);
    if (got < wanted) break;
  }
  // Without packets to receive into, it is not the queue that is empty: keep it and be polled again, as newer Linux
  // (7.0) does. Completing would find the queue not empty and reschedule within the same net_rx_action, whose budget
  // such polls never use up, and lock everyone else out of this CPU for two ticks.
  const bool starved = alloc_fail.load(std::memory_order_relaxed) != fails_before;
  if (work == budget || starved) return {work, false};
  complete_device_poll(net, sd, napi, work);
  return {work, true};
}

/// Kernel: net/core/dev.c:process_backlog.
int poll_backlog(Softnet& net, SoftnetData& sd, int quota) NETRX_REQUIRES(sd.cpu) {
  if (sd.rps_ipi_list != nullptr) send_rps_doorbells(net, sd);  // before work of our own delays others
  sd.backlog.weight = net.tunables.dev_rx_weight.read();        // holds from the next poll on
  int work = 0;
  do {
    for (;;) {
      const std::span<Packet*> packets = sd.input.take(static_cast<std::uint32_t>(quota - work));
      if (packets.empty()) break;
      work += static_cast<int>(packets.size());
      sd.backlogged.add(packets.size());
      deliver_packets(net, sd, packets);
    }
  } while (work < quota && splice_or_idle(sd));
  publish_head(sd);
  return work;
}

}  // namespace

PollStep napi_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi) {
  const int weight = napi.weight;
  int work = 0;
  bool completed = true;
  if (napi.state.test(kNapiSched)) {
    sd.now = net.clock->now();
    sd.cpu.at(Site::poll);
    if (napi.is_backlog()) {
      work = poll_backlog(net, sd, weight);
      completed = work < weight;
    } else {
      const DevicePoll poll = poll_device(net, sd, napi, weight);
      work = poll.received;
      completed = poll.completed;
    }
    sd.polls.add();
    if (work == 0) sd.empty_polls.add();
    if (net.tracer != nullptr) net.tracer->napi_poll(sd.cpu.id(), napi.napi_id, work, weight);
  }
  if (completed) return {work, false};  // the NAPI may be another CPU's by now

  if (napi.state.test(kNapiDisable)) {
    napi_complete_done(net, sd, napi, 0);
    return {work, false};
  }
  if (napi.state.test(kNapiPreferBusyPoll)) {
    if (napi_complete_done(net, sd, napi, work)) napi_schedule(net, sd, napi);
    return {work, false};
  }
  if (!napi.is_backlog()) flush_gro(net, sd, napi, keeps_young_packets(net));
  return {work, !napi.linked()};
}

bool napi_threaded_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi) {
  sd.in_napi_threaded_poll = true;
  const PollStep step = napi_poll(net, sd, napi);
  sd.in_napi_threaded_poll = false;
  if (sd.rps_ipi_list != nullptr) send_rps_doorbells(net, sd);
  flush_deferred(sd);
  return step.repoll;
}

int napi_busy_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi, const BusyPoll& how, bool& owned) {
  if (!owned) {
    sd.cpu.at(Site::napi_state);
    if (!napi.state.begin_busy_poll()) {
      if (how.prefer) napi.state.set(kNapiPreferBusyPoll);
      return -1;
    }
    owned = true;
    napi.queue->irq_mask();
  }
  sd.now = net.clock->now();
  const int work = poll_device(net, sd, napi, how.budget).received;
  if (net.tracer != nullptr) net.tracer->napi_poll(sd.cpu.id(), napi.napi_id, work, how.budget);
  gro_normal_list(net, sd, napi);
  if (sd.rps_ipi_list != nullptr) send_rps_doorbells(net, sd);
  flush_deferred(sd);
  return work;
}

void napi_busy_poll_end(Softnet& net, SoftnetData& sd, NapiStruct& napi, const BusyPoll& how) {
  sd.cpu.at(Site::napi_state);
  // MISSED goes first, IN_BUSY_POLL before the last poll: otherwise the completion inside that poll is refused, and the
  // interrupt stays masked for good.
  napi.state.clear(kNapiMissed);
  napi.state.clear(kNapiInBusyPoll);
  Nanos deferral{0};
  if (how.prefer) {
    napi.defer_hard_irqs_count = napi.netif->napi_defer_hard_irqs.load(std::memory_order_relaxed);
    if (napi.defer_hard_irqs_count > 0) deferral = Nanos{napi.netif->gro_flush_timeout.load(std::memory_order_relaxed)};
  }
  sd.now = net.clock->now();
  if (!poll_device(net, sd, napi, how.budget).completed) {
    gro_normal_list(net, sd, napi);
    if (deferral > Nanos{0}) {
      flush_gro(net, sd, napi, keeps_young_packets(net));
      // Only now: a watchdog that fired during the poll would find the NAPI owned and give up, and nothing would ever
      // look at it again. Linux arms it before the poll up to 7.0, and after it since.
      napi.state.clear(kNapiSched);
      arm_napi_timer(net, sd, napi, deferral);
    } else {
      schedule_owned(net, sd, napi);
    }
  }
  if (sd.rps_ipi_list != nullptr) send_rps_doorbells(net, sd);
}

}  // namespace netrx
