// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softnet/softnet.h"

namespace netrx {

// A CPU's input queue and its two rules of waking.
//
//   Producer, under the target's lock: was the queue empty and is SCHED clear? Then set SCHED and kick, in the same
//   critical section as the append.
//   Consumer, under the same lock: is the queue empty? Then clear SCHED, in the same critical section.
//
// So one side always sees the other: a packet appended before the consumer's look is found by it, one appended after
// finds SCHED clear and kicks. Clearing SCHED outside the lock would lose the packets that came in between.

/// Packets the backlog did not take.
struct Refused {
  PacketBatch backlog_full;  ///< queue or flow limit: CPU_BACKLOG
  PacketBatch device_down;   ///< DEV_READY
};

/// Appends the outbox's packets to `target`'s input_pkt_queue, each judged by the limits as if it came alone, and
/// stores every flow's new tail. Empties the outbox; what was refused is the caller's to drop. Kernel:
/// enqueue_to_backlog.
void enqueue_to_backlog(Softnet& net, SoftnetData& sd, SoftnetData& target, Outbox& box, Refused& refused)
    NETRX_REQUIRES(sd.cpu);

/// Rings the CPUs whose backlogs got their first packet from here. Kernel: net_rps_action_and_irq_enable.
void send_rps_doorbells(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// What this CPU does when its doorbell was rung. Kernel: rps_trigger_softirq, trigger_rx_softirq.
void answer_doorbell(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Looks at input_pkt_queue under its lock: moves everything to process_queue (true), or, if it is empty, ends the
/// backlog's turn by clearing SCHED (false).
bool splice_or_idle(SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Says that everything taken was handed up: input_queue_head advances to it.
void publish_head(SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Takes the packets of a device that goes away out of this CPU's backlog and drops them. Kernel: flush_backlog.
void flush_backlog(Softnet& net, SoftnetData& sd, const Netif& netif) NETRX_REQUIRES(sd.cpu);

}  // namespace netrx
