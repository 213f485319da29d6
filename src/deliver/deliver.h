// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "netrx/deliver.h"
#include "softnet/softnet.h"

namespace netrx {

/// Core receive: hands packets up on this CPU, in order; runs of the same device and protocol go up in one call. No
/// GRO and no steering any more. Every packet has ended, or belongs to its handler, when this returns. Kernel:
/// __netif_receive_skb_list_core.
void deliver_packets(Softnet& net, SoftnetData& sd, std::span<Packet*> packets) NETRX_REQUIRES(sd.cpu);

}  // namespace netrx
