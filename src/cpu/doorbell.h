// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace netrx {

/// Wakes the sleeping owner of a doorbell: an eventfd live, a fiber made runnable in the simulator. The only step of
/// the protocol that costs a system call.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
};

/// What one CPU asks of another; the role of an IPI.
enum Bell : std::uint32_t {
  kBellRps = 1u << 0,    ///< your backlog has packets and you don't know. Kernel: rps_trigger_softirq
  kBellDefer = 1u << 1,  ///< your deferred frees are half full. Kernel: trigger_rx_softirq
  kBellKick = 1u << 2,   ///< look around: timers, stop flag, settings
};

/// The doorbell of one CPU.
///
/// One word holds both the requests and the owner's sleep flag, so that no fence pairs are needed: a ringer's
/// fetch_or either lands before the owner's compare-exchange to kSleeping, which then fails, or after it, and then
/// returns the flag and the ringer wakes. There is no third order, so no request sleeps (doorbell_relacy_test runs
/// every interleaving under the C++ memory model).
///
/// Thread safety: ring() from anywhere; collect(), prepare_sleep() and awake() from the owner only. What the ringer
/// wrote before ring() is visible to the owner after collect() returned its bit.
template <template <class> class Atomic = std::atomic>
class BasicDoorbell {
 public:
  static constexpr std::uint32_t kSleeping = 1u << 31;

  /// Leaves `bells` for the owner. True: the owner sleeps and the caller, and nobody else, must wake it.
  [[nodiscard]] bool ring(std::uint32_t bells) {
    const std::uint32_t before = word_.fetch_or(bells, std::memory_order_acq_rel);
    if ((before & kSleeping) == 0) return false;
    // Of several ringers one takes the flag away; it is the one that wakes.
    return (word_.fetch_and(~kSleeping, std::memory_order_acq_rel) & kSleeping) != 0;
  }

  /// Takes all requests and leaves the sleep flag, which is the sleeper's; costs one load when there are none.
  std::uint32_t collect() {
    if (word_.load(std::memory_order_relaxed) == 0) return 0;
    return word_.fetch_and(kSleeping, std::memory_order_acq_rel) & ~kSleeping;
  }

  /// Announces sleep. False: requests came in, don't sleep.
  [[nodiscard]] bool prepare_sleep() {
    std::uint32_t idle = 0;
    return word_.compare_exchange_strong(idle, kSleeping, std::memory_order_acq_rel, std::memory_order_acquire);
  }

  /// Takes the announcement back, woken or not.
  void awake() { word_.fetch_and(~kSleeping, std::memory_order_acq_rel); }

 private:
  Atomic<std::uint32_t> word_{0};
};

using Doorbell = BasicDoorbell<>;

}  // namespace netrx
