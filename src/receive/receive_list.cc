// SPDX-License-Identifier: Apache-2.0
#include "deliver/deliver.h"
#include "receive/receive.h"
#include "receive/steer_list.h"

namespace netrx {

void receive_list(Softnet& net, SoftnetData& sd, PacketBatch& list) {
  if (list.empty()) return;
  if (net.tracer != nullptr)
    for (const Packet* packet : list.packets()) net.tracer->netif_receive_skb_entry(sd.cpu.id(), *packet);
  if (net.rps_needed.load(std::memory_order_relaxed) > 0)
    steer_list(net, sd, list, Unsteered::stay_in_list);
  else
    sd.rules[static_cast<std::size_t>(RpsRule::kNotAsked)].add(list.size());
  if (!list.empty()) deliver_packets(net, sd, list.packets());
  list.released();
}

void netif_rx(Softnet& net, SoftnetData& sd, PacketBatch& packets) {
  sd.received.add(packets.size());
  const bool stamp = net.tunables.netdev_tstamp_prequeue.read() != 0;
  for (Packet* packet : packets) {
    if (net.tracer != nullptr) net.tracer->netif_rx_entry(sd.cpu.id(), *packet);
    if (net.tracer != nullptr) net.tracer->netif_rx(sd.cpu.id(), *packet);
    if (stamp && packet->tstamp == Nanos{0}) packet->tstamp = sd.now;
  }
  steer_list(net, sd, packets, Unsteered::to_own_backlog);
}

}  // namespace netrx
