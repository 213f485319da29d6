// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softnet/softnet.h"

namespace netrx {

/// What a CPU's executor learns from one round.
struct Round {
  bool busy;        ///< NET_RX ran; there may be more
  Nanos attention;  ///< if not busy: when the next timer or arrival is due, kNever if none is known
};

/// One round of a CPU: interrupts, then softirqs. Both executors run exactly this; they differ in what time is and in
/// how a CPU waits.
Round run_cpu_round(Softnet& net, SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

/// A CPU that somebody else occupies for a while (the control plane, a busy-polling application): on leaving, the CPU's
/// own thread is told if there is work for it now.
class NETRX_SCOPED_CAPABILITY GuestGuard {
 public:
  GuestGuard(Softnet& net, SoftnetData& sd, Actor& guest) NETRX_ACQUIRE(sd.cpu);
  ~GuestGuard() NETRX_RELEASE();
  GuestGuard(const GuestGuard&) = delete;
  GuestGuard& operator=(const GuestGuard&) = delete;

 private:
  SoftnetData& sd_;
  Actor& guest_;
};

}  // namespace netrx
