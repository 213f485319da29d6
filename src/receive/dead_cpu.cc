// SPDX-License-Identifier: Apache-2.0
#include "backlog/backlog.h"
#include "napi/napi.h"
#include "receive/receive.h"
#include "receive/steer_list.h"
#include "softnet/free_packets.h"

namespace netrx {

namespace {

void adopt_napis(Softnet& net, SoftnetData& sd, SoftnetData& dead) NETRX_REQUIRES(sd.cpu, dead.cpu) {
  while (!dead.poll_list.empty()) {
    NapiStruct& napi = dead.poll_list.pop_front();
    if (&napi != &dead.backlog) schedule_owned(net, sd, napi);
  }
  for (NapiStruct* napi : dead.irq_napis) {
    napi->irq_cpu.store(sd.cpu.id(), std::memory_order_seq_cst);
    sd.irq_napis.push_back(napi);
  }
  dead.irq_napis.clear();
}

/// Steers everything queued for the dead CPU anew, oldest first, so that each flow keeps its order.
void resteer_backlog(Softnet& net, SoftnetData& sd, SoftnetData& dead) NETRX_REQUIRES(sd.cpu, dead.cpu) {
  PacketBatch batch;
  for (;;) {
    const std::span<Packet*> packets = dead.input.take(PacketBatch::kCapacity);
    if (packets.empty()) {
      SpinGuard guard(dead.input.lock(), sd.cpu.actor());
      if (dead.input.splice() != 0) continue;
      // Also when the backlog was only linked on somebody's doorbell list: that ring is skipped for an offline CPU.
      dead.backlog.state.overwrite_keeping_threaded();
      return;
    }
    for (Packet* packet : packets) batch.push_back(packet);
    steer_list(net, sd, batch, Unsteered::to_own_backlog);
    dead.input.finish();
  }
}

}  // namespace

void take_over_dead_cpu(Softnet& net, SoftnetData& sd, SoftnetData& dead) {
  adopt_napis(net, sd, dead);
  send_rps_doorbells(net, dead);
  dead.net_rx_pending = dead.in_net_rx_action = false;
  (void)dead.doorbell.collect();  // what it asked for is done here
  dead.defer.ipi_scheduled.store(false, std::memory_order_release);
  resteer_backlog(net, sd, dead);
  flush_deferred(dead);
}

}  // namespace netrx
