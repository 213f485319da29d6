// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softnet/softnet.h"

namespace netrx {

// Getting polled: what drivers' interrupts, the backlog and timers all end in.

/// Marks NET_RX pending on this CPU. Kernel: __raise_softirq_irqoff(NET_RX_SOFTIRQ).
void raise_net_rx(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// Puts an owned NAPI where it will be polled: its thread's hands in threaded mode, else the end of this CPU's
/// poll_list. The caller owns `napi` (schedule_prep said true). Kernel: __napi_schedule.
void schedule_owned(Softnet& net, SoftnetData& sd, NapiStruct& napi) NETRX_REQUIRES(sd.cpu);

}  // namespace netrx
