// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softnet/schedule.h"
#include "softnet/softnet.h"

namespace netrx {

// Who may poll a queue, when, and how ownership is given up without losing an event. The bits and the rule that
// loses nothing are in softnet/napi_state.h.

/// What an interrupt handler does: schedule_prep, and if that wins, mask and schedule. Kernel: napi_schedule, as
/// virtio_net's skb_recv_done uses it. True: scheduled by this call.
bool napi_schedule(Softnet& net, SoftnetData& sd, NapiStruct& napi) NETRX_REQUIRES(sd.cpu);

/// The first half of napi_complete_done: may ownership be given up, and does the interrupt stay deferred?
struct Completion {
  bool refused;      ///< netpoll or a busy-poll loop owns it: nothing was touched
  Nanos timeout{0};  ///< arm the watchdog for this long; also: flush only old GRO packets
  bool unmask;       ///< the driver may re-enable its interrupt
};
Completion begin_complete(NapiStruct& napi, int work, bool gro_holds_packets);

/// The second half, after the GRO stage was flushed: unlinks, releases unless an event was missed, arms the watchdog.
/// False: the NAPI was rescheduled, with its interrupt masked, or its interrupt stays deferred. Once it returns, the
/// queue is somebody else's: a caller that unmasks has done so before.
bool finish_complete(Softnet& net, SoftnetData& sd, NapiStruct& napi, const Completion& completion)
    NETRX_REQUIRES(sd.cpu);

/// Makes the watchdog fire `timeout` from now, and its CPU know. Nobody owns the NAPI, or its owner gives it up next.
void arm_napi_timer(Softnet& net, SoftnetData& sd, NapiStruct& napi, Nanos timeout) NETRX_REQUIRES(sd.cpu);

/// Runs the watchdog of deferred interrupts if it is due: takes the NAPI unless somebody has it, and schedules it. On
/// the CPU that the interrupt is bound to. Kernel: napi_watchdog.
void run_napi_timer(Softnet& net, SoftnetData& sd, NapiStruct& napi) NETRX_REQUIRES(sd.cpu);

/// Lets a disabled NAPI be scheduled. Control plane. Kernel: napi_enable.
void napi_enable(NapiStruct& napi, bool threaded);

/// Disabling, in steps, because its wait is the caller's: after begin_disable nobody new gets ownership, and the
/// owner completes instead of polling on; once try_disable says true, nobody owns the NAPI until napi_enable. Control
/// plane, occupying no Cpu. Kernel: napi_disable.
void begin_disable(NapiStruct& napi);
[[nodiscard]] bool try_disable(NapiStruct& napi);

}  // namespace netrx
