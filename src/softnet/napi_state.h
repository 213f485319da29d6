// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace netrx {

/// Bits of a NAPI's state. Kernel: NAPI_STATE_*, same numbers.
enum NapiBit : std::uint32_t {
  kNapiSched = 1u << 0,    ///< owned: on a poll list, being polled, thread- or busy-poll-owned, or disabled
  kNapiMissed = 1u << 1,   ///< an event came while owned; completion keeps ownership and polls again
  kNapiDisable = 1u << 2,  ///< disable pending
  kNapiNpsvc = 1u << 3,    ///< disabled: must not leave poll_list
  kNapiListed = 1u << 4,   ///< attached to a device
  kNapiNoBusyPoll = 1u << 5,
  kNapiInBusyPoll = 1u << 6,      ///< a busy-poll loop owns it
  kNapiPreferBusyPoll = 1u << 7,  ///< busy poll preferred, softirq yields
  kNapiThreaded = 1u << 8,        ///< polled by its own thread
  kNapiSchedThreaded = 1u << 9,   ///< the thread, not the softirq, was given ownership
};

/// Who owns a NAPI, and whether it missed something: one word, changed by compare-exchange.
///
/// The rule that loses no event: an interrupt that finds SCHED set leaves MISSED behind; completion clears SCHED only
/// if MISSED is clear, in the same step. "Test, then clear" in two steps would drop the interrupt between them.
///
/// Thread safety: every function from anywhere, unless it says otherwise. Ownership passes with acquire/release: what
/// the last owner did is visible to the next.
template <template <class> class Atomic = std::atomic>
class BasicNapiState {
 public:
  explicit BasicNapiState(std::uint32_t initial) : bits_(initial) {}

  std::uint32_t bits() const { return bits_.load(std::memory_order_acquire); }
  bool test(std::uint32_t bits) const { return (bits_.load(std::memory_order_acquire) & bits) != 0; }
  void set(std::uint32_t bits) { bits_.fetch_or(bits, std::memory_order_acq_rel); }
  void clear(std::uint32_t bits) { bits_.fetch_and(~bits, std::memory_order_acq_rel); }

  /// Takes ownership or leaves MISSED. True: the caller owns the NAPI now, and must mask its interrupt and schedule it.
  /// Kernel: napi_schedule_prep.
  [[nodiscard]] bool schedule_prep() {
    std::uint32_t old = bits_.load(std::memory_order_relaxed);
    std::uint32_t next;
    do {
      if (old & kNapiDisable) return false;
      next = old | kNapiSched;
      if (old & kNapiSched) next |= kNapiMissed;
    } while (!bits_.compare_exchange_weak(old, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    return (old & kNapiSched) == 0;
  }

  /// Gives ownership up unless an event was missed. True: given up. False: MISSED was set, it is cleared, and the
  /// caller still owns the NAPI and must schedule it again. Owner only. Kernel: the loop in napi_complete_done.
  [[nodiscard]] bool complete() {
    std::uint32_t old = bits_.load(std::memory_order_relaxed);
    std::uint32_t next;
    do {
      next = old & ~(kNapiMissed | kNapiSched | kNapiSchedThreaded | kNapiPreferBusyPoll);
      if (old & kNapiMissed) next |= kNapiSched;
    } while (!bits_.compare_exchange_weak(old, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    return (old & kNapiMissed) == 0;
  }

  /// Takes ownership for a busy-poll loop; false when someone owns it or it is being disabled.
  [[nodiscard]] bool begin_busy_poll() {
    std::uint32_t old = bits_.load(std::memory_order_relaxed);
    do {
      if (old & (kNapiDisable | kNapiSched | kNapiInBusyPoll)) return false;
    } while (!bits_.compare_exchange_weak(old, old | kNapiInBusyPoll | kNapiSched, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return true;
  }

  /// Takes ownership only if nobody has it; leaves no MISSED. The watchdog timer's way in.
  [[nodiscard]] bool try_own() {
    std::uint32_t old = bits_.load(std::memory_order_relaxed);
    do {
      if (old & (kNapiDisable | kNapiSched)) return false;
    } while (!bits_.compare_exchange_weak(old, old | kNapiSched, std::memory_order_acq_rel, std::memory_order_relaxed));
    return true;
  }

  /// Takes both SCHED and NPSVC, which only works while neither is set; clears the thread and busy-poll modes. The last
  /// step of napi_disable.
  [[nodiscard]] bool try_disable() {
    std::uint32_t old = bits_.load(std::memory_order_relaxed);
    std::uint32_t next;
    do {
      if (old & (kNapiSched | kNapiNpsvc)) return false;
      next = (old | kNapiSched | kNapiNpsvc) & ~(kNapiThreaded | kNapiPreferBusyPoll);
    } while (!bits_.compare_exchange_weak(old, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    return true;
  }

  /// Forgets everything but THREADED. Only for the backlog, whose setters all hold the lock the caller holds.
  void overwrite_keeping_threaded() {
    bits_.store(bits_.load(std::memory_order_relaxed) & kNapiThreaded, std::memory_order_release);
  }

 private:
  Atomic<std::uint32_t> bits_;
};

using NapiState = BasicNapiState<>;

}  // namespace netrx
