// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "netrx/drop_reason.h"
#include "softnet/softnet.h"

namespace netrx {

// The end of every packet's life. Packets of this CPU's pool go straight back to it; others go to the defer_list of the
// CPU they came from, many at a time, and that CPU takes them in when it next runs NET_RX. Kernel:
// skb_attempt_defer_free and skb_defer_free_flush.

/// Ends delivered packets.
void consume_packets(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) NETRX_REQUIRES(sd.cpu);

/// Ends packets that were not delivered, each counted under its reason.
void drop_packets(Softnet& net, SoftnetData& sd, std::span<Packet*> packets, DropReason reason) NETRX_REQUIRES(sd.cpu);

/// Ends packets that an application thread had; `actor` is that thread.
void consume_packets_from_application(Softnet& net, Actor& actor, std::span<Packet*> packets);

/// Takes in what others left on this CPU's defer_list; one load when there is nothing.
void flush_deferred(SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Rings `bells` at `target`, waking it if it sleeps. True if it had to be woken.
bool ring_doorbell(SoftnetData& target, Actor& actor, std::uint32_t bells);

}  // namespace netrx
