// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace netrx::bench {

/// Nanoseconds on CLOCK_MONOTONIC, the same on every CPU.
std::int64_t now_ns();

/// Where the host had put our two CPUs during a run.
enum class Placement : std::uint8_t {
  single,   ///< one CPU only
  near,     ///< they share a cache: a line crosses in less than 60 ns
  far,      ///< they don't: more than 80 ns
  unclear,  ///< in between, or it changed
  discarded,
};
inline constexpr std::size_t kPlacements = 4;  ///< those a row can have
const char* name(Placement placement);

/// How long something took, and how often another program had a CPU of ours meanwhile.
struct Timing {
  double ns = 0;
  std::uint64_t preemptions = 0;
};

/// How often the calling thread was preempted so far.
std::uint64_t preemptions();

/// Two CPUs this process may use. The calling thread is the first's.
class TwoCpus {
 public:
  /// The first two of the calling thread's affinity mask; `second` is -1 if there is only one.
  TwoCpus();

  bool both() const { return second_ >= 0; }

  /// Makes the calling thread the first CPU's; `ahead`: of ordinary programs, where that is allowed. Threads it starts
  /// later are, too. (The kernel leaves the others 5 % of each second.)
  void take_first(bool ahead) const;

  /// Runs `mine` on the first CPU and `other` on the second, from the same moment on, until both have ended.
  Timing together(const std::function<void()>& mine, const std::function<void()>& other) const;

  /// How long one cache line takes from one CPU to the other, one way: the best of a few thousand round trips.
  double probe_ns() const;

  /// What each CPU computes in a nanosecond, of additions that don't wait for each other. A host may run somebody
  /// else's work on the other half of a core: that one then computes some 40 % less, whatever the clock says.
  struct Speeds {
    double first, second;
  };
  Speeds speeds() const;

 private:
  int first_ = 0;
  int second_ = -1;
};

Placement placement_of(double probe_before_ns, double probe_after_ns);

/// Ends the process with a word if one run takes longer than any run can: what another's code does in a worker thread
/// can't be interrupted from outside.
class Watchdog {
 public:
  /// `last_words` runs before the process ends.
  explicit Watchdog(std::function<void()> last_words);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// A run begins: the clock starts anew.
  void feed();

 private:
  struct State;
  State* state_;
};

}  // namespace netrx::bench
