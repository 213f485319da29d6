// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/check.h"
#include "cpu/actor.h"
#include "cpu/turnstile.h"
#include "netrx/thread_safety.h"

namespace netrx {

/// An execution place: the right to touch one CPU's local state. Whoever occupies a Cpu *is* that CPU, in the
/// kernel's sense of "running there with bottom halves off": the pinned thread that runs its softirqs, an application
/// thread that busy polls, the control plane that flushes its queues.
///
/// Thread safety: occupation is a turn at a fair lock, so a control thread gets its turn between two rounds of a busy
/// softirq thread. Everything done in one occupation happens before the next one. That also makes a grace period:
/// once every Cpu has been entered and left, nothing read earlier under any of them is still in use (Published).
class NETRX_CAPABILITY("cpu") Cpu {
 public:
  explicit Cpu(std::uint16_t id) : id_(id) {}
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;

  std::uint16_t id() const { return id_; }

  void enter(Actor& actor) NETRX_ACQUIRE() {
    actor.at(Site::enter_cpu);
    turnstile_.enter(actor);
    occupant_ = &actor;
  }

  void leave() NETRX_RELEASE() {
    Actor& actor = *occupant_;
    occupant_ = nullptr;
    turnstile_.leave();
    actor.at(Site::leave_cpu);
  }

  /// True when someone waits to enter: a reason to end a long round early.
  bool wanted() const { return turnstile_.wanted(); }

  /// True when someone runs here; only a look from outside, for checks.
  bool occupied() const { return occupant_ != nullptr; }

  /// Who runs here now.
  Actor& actor() NETRX_REQUIRES(this) { return *occupant_; }

  void at(Site site, std::uint32_t n = 1) NETRX_REQUIRES(this) { occupant_->at(site, n); }

 private:
  const std::uint16_t id_;
  Actor* occupant_ = nullptr;
  Turnstile turnstile_;
};

/// Occupies a Cpu for a scope.
class NETRX_SCOPED_CAPABILITY CpuGuard {
 public:
  CpuGuard(Cpu& cpu, Actor& actor) NETRX_ACQUIRE(cpu) : cpu_(cpu) { cpu_.enter(actor); }
  ~CpuGuard() NETRX_RELEASE() { cpu_.leave(); }
  CpuGuard(const CpuGuard&) = delete;
  CpuGuard& operator=(const CpuGuard&) = delete;

 private:
  Cpu& cpu_;
};

}  // namespace netrx
