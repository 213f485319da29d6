// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "softnet/softnet.h"

namespace netrx {

// The path, put together. Stages return and never call onwards; all the branching between them is in this folder:
//
//   do_softirq → net_rx_action → napi_poll ─┬─ poll_device   : driver → GRO → receive_list ─┬─ steered: backlog of the
//                                           │                                               │  chosen CPU, doorbell
//                                           └─ poll_backlog  : process_queue ─→ deliver     └─ here: deliver

/// Devices' interrupts and timers, and other CPUs' doorbells: what would interrupt a kernel anywhere happens here at
/// the start of each round and between polls.
void take_interrupts(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Runs NET_RX while it is pending, at most ten passes or 2 ms, as the softirq core does. False: work is left, and the
/// caller comes back soon (the role of ksoftirqd). Kernel: handle_softirqs.
bool do_softirq(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Polls what is scheduled, within budget and time. Kernel: net/core/dev.c:net_rx_action.
void net_rx_action(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// One poll step of a NAPI; returns the work done and whether it wants to be polled again. Kernel: __napi_poll.
struct PollStep {
  int work;
  bool repoll;
};
PollStep napi_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi) NETRX_REQUIRES(sd.cpu);

/// One step of a NAPI's own thread. True: call again. Kernel: one turn of napi_threaded_poll_loop.
bool napi_threaded_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi) NETRX_REQUIRES(sd.cpu);

/// Steers a list of packets from the GRO stage: to other CPUs' backlogs, or up on this CPU. Kernel:
/// netif_receive_skb_list_internal.
void receive_list(Softnet& net, SoftnetData& sd, PacketBatch& list) NETRX_REQUIRES(sd.cpu);

/// Puts packets that came by no NAPI on the backlog of the CPU that RPS chooses, or of this one: never straight up.
/// Each packet's `data` stands at its network header. Kernel: netif_rx.
void netif_rx(Softnet& net, SoftnetData& sd, PacketBatch& packets) NETRX_REQUIRES(sd.cpu);

/// An application's own polling of a queue it waits on.
struct BusyPoll {
  int budget = 8;       ///< packets a step. Kernel: BUSY_POLL_BUDGET
  bool prefer = false;  ///< keep interrupts off between busy polls. Kernel: SO_PREFER_BUSY_POLL
};
/// Polls `napi` once if nobody owns it; returns packets received, -1 when somebody else owns it. The ownership is kept
/// until napi_busy_poll_end. Kernel: one turn of napi_busy_loop.
int napi_busy_poll(Softnet& net, SoftnetData& sd, NapiStruct& napi, const BusyPoll& how, bool& owned)
    NETRX_REQUIRES(sd.cpu);
/// Gives the NAPI back: interrupts, or the deferral timer, take over. Kernel: busy_poll_stop.
void napi_busy_poll_end(Softnet& net, SoftnetData& sd, NapiStruct& napi, const BusyPoll& how) NETRX_REQUIRES(sd.cpu);

/// Takes over what a CPU left behind when it went offline: its NAPIs, its doorbell list, its backlog, which is steered
/// anew. Kernel: dev_cpu_dead.
void take_over_dead_cpu(Softnet& net, SoftnetData& sd, SoftnetData& dead) NETRX_REQUIRES(sd.cpu, dead.cpu);

}  // namespace netrx
