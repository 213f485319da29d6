// SPDX-License-Identifier: Apache-2.0
#include "engine/cpu_round.h"

#include <algorithm>

#include "netrx/device.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"

namespace netrx {

namespace {

Nanos next_attention(SoftnetData& sd) NETRX_REQUIRES(sd.cpu) {
  Nanos attention = kNever;
  for (const NapiStruct* napi : sd.irq_napis) {
    const Nanos timer{napi->timer_deadline.load(std::memory_order_seq_cst)};
    attention = std::min({attention, timer, napi->queue->next_attention(sd.now)});
  }
  return attention;
}

}  // namespace

Round run_cpu_round(Softnet& net, SoftnetData& sd) {
  sd.now = net.clock->now();
  take_interrupts(net, sd);
  if (sd.net_rx_pending) {
    do_softirq(net, sd);
    return {.busy = true, .attention = sd.now};
  }
  // Not in the kernel: too few for a kick, deferred packets would wait for the next NET_RX here, and a queue may be
  // waiting for exactly these frames.
  flush_deferred(sd);
  return {.busy = false, .attention = next_attention(sd)};
}

GuestGuard::GuestGuard(Softnet& net, SoftnetData& sd, Actor& guest) : sd_(sd), guest_(guest) {
  sd.cpu.enter(guest);
  sd.now = net.clock->now();
}

GuestGuard::~GuestGuard() {
  const bool work = sd_.net_rx_pending;
  sd_.cpu.leave();
  if (work) ring_doorbell(sd_, guest_, kBellKick);
}

}  // namespace netrx
