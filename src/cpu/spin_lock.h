// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "cpu/actor.h"
#include "netrx/thread_safety.h"

namespace netrx {

/// A test-and-test-and-set lock for short critical sections between cpus. Unlock releases, lock acquires. Not
/// recursive, not fair.
template <template <class> class Atomic = std::atomic>
class NETRX_CAPABILITY("spin lock") BasicSpinLock {
 public:
  void lock(Actor& actor) NETRX_ACQUIRE() {
    actor.at(Site::lock);
    while (locked_.exchange(true, std::memory_order_acquire)) {
      while (locked_.load(std::memory_order_relaxed)) actor.relax();
    }
  }

  void unlock(Actor& actor) NETRX_RELEASE() {
    locked_.store(false, std::memory_order_release);
    actor.at(Site::unlock);
  }

 private:
  Atomic<bool> locked_{false};
};

/// Holds a spin lock for a scope.
template <class Lock>
class NETRX_SCOPED_CAPABILITY BasicSpinGuard {
 public:
  BasicSpinGuard(Lock& lock, Actor& actor) NETRX_ACQUIRE(lock) : lock_(lock), actor_(actor) { lock_.lock(actor_); }
  ~BasicSpinGuard() NETRX_RELEASE() { lock_.unlock(actor_); }
  BasicSpinGuard(const BasicSpinGuard&) = delete;
  BasicSpinGuard& operator=(const BasicSpinGuard&) = delete;

 private:
  Lock& lock_;
  Actor& actor_;
};

using SpinLock = BasicSpinLock<>;
using SpinGuard = BasicSpinGuard<SpinLock>;

}  // namespace netrx
