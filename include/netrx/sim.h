// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "netrx/engine.h"
#include "netrx/executor.h"
#include "netrx/time.h"

namespace netrx {

class Actor;

/// What the steps of the path cost in virtual time, in nanoseconds. The defaults are measurements on a 2-CPU virtual
/// machine (docs/simulation.md).
struct SimCosts {
  std::uint32_t occupy = 5;  ///< entering or leaving a CPU
  std::uint32_t lock = 5;
  std::uint32_t relax = 100;   ///< one turn of a waiting loop
  std::uint32_t ring = 150;    ///< a doorbell whose owner is awake
  std::uint32_t wake = 7'000;  ///< what waking a sleeper costs the waker, on top
  std::uint32_t wake_latency = 20'000;
  std::uint32_t interrupt = 500;
  std::uint32_t poll = 50;    ///< a poll step, without its packets
  std::uint32_t packet = 60;  ///< taking a packet from a queue
  std::uint32_t gro = 10;
  std::uint32_t dissect = 20;
  std::uint32_t steer = 10;
  std::uint32_t enqueue = 9;
  std::uint32_t deliver = 40;
  std::uint32_t free_packet = 10;
  std::uint32_t publish = 500;  ///< a change by the control plane
  std::uint32_t step = 5;       ///< anything else
};

/// What disturbs the order of virtual time, so that what is unlikely happens too. Chances are in parts a million of
/// the steps at which a switch is possible.
struct SimDisturbance {
  Nanos slack{0};               ///< how far an actor runs ahead of the others before they get their turn
  std::uint32_t delay_ppm = 0;  ///< short delays, up to `delay`
  Nanos delay = std::chrono::microseconds(2);
  std::uint32_t stall_ppm = 0;  ///< the host takes the CPU away, for up to `stall`
  Nanos stall = std::chrono::microseconds(500);
  std::uint32_t hot_site_ppm = 0;  ///< stalls at one kind of step, which the seed chooses
};

struct SimOptions {
  std::uint64_t seed = 1;
  IdlePolicy idle = IdlePolicy::adaptive;
  Nanos spin = std::chrono::microseconds(50);  ///< how long adaptive spins
  SimCosts costs{};
  SimDisturbance disturbance{};
  std::uint64_t max_steps = 50'000'000;  ///< a run that takes more is a livelock
};

/// How SimExecutor::run ended.
enum class SimEnd : std::uint8_t {
  finished,  ///< every thread that was spawned has ended
  stalled,   ///< threads are left, and nobody will ever run again
  endless,   ///< max_steps passed
  failed,    ///< somebody called SimExecutor::fail
};

/// A thread of the simulated machine, as its own body sees it.
class SimThread {
 public:
  virtual ~SimThread() = default;
  virtual Nanos now() = 0;
  /// Lets this much virtual time pass, working.
  virtual void work(Nanos duration) = 0;
  /// Sleeps until woken (SimExecutor::wake) or the time is over. True: woken.
  virtual bool sleep(Nanos at_most) = 0;
  /// What this thread locks netrx's own queues as: Consumer::receive(thread.actor(), batch). Calls that block the real
  /// thread (Consumer::wait, Consumer::receive without an actor) would block the whole machine.
  virtual Actor& actor() = 0;
};

/// Runs an engine in virtual time: every CPU, every threaded NAPI and every thread spawned here is a fiber of one real
/// thread, each with a clock of its own. The one that is furthest behind runs; at each step where another one's action
/// could be observed it may have to give way. The seed decides everything: the same engine, options and bodies
/// give the same run, event by event.
///
/// Time here is also the engine's clock. While a SimExecutor exists the engine may be called from the bodies of its
/// threads, as from ordinary threads, and between two run() from the caller's.
///
/// Thread rules: one thread. The engine outlives the executor; Applications opened meanwhile end before it does.
class SimExecutor {
 public:
  SimExecutor(Engine& engine, const SimOptions& options);
  ~SimExecutor();
  SimExecutor(const SimExecutor&) = delete;
  SimExecutor& operator=(const SimExecutor&) = delete;

  static constexpr std::uint16_t kOwnCore = 0xffff;
  /// Adds a thread, which starts when run() does, or at once from inside. On `core` it shares the time of the CPU of
  /// that number; kOwnCore: nobody else's. Returns its number.
  std::size_t spawn(std::string name, std::uint16_t core, std::function<void(SimThread&)> body);
  /// Wakes a spawned thread from SimThread::sleep.
  void wake(std::size_t thread);

  /// Runs until every spawned thread has ended. Unless the end is `finished` the engine is stuck where it was and can
  /// only be left alone.
  SimEnd run();
  /// Ends the CPUs' fibers after their current round, as the destructor does; nothing runs after that.
  SimEnd stop();
  /// Ends the run from inside of it. Does not return to a thread's body.
  void fail(std::string why);
  /// Why the last run did not finish; one line.
  const std::string& why() const;

  Nanos now() const;
  std::uint64_t steps() const;
  /// A digest of every step so far: equal for equal runs.
  std::uint64_t digest() const;

  struct State;
  State& state() { return *state_; }  ///< for checkers

 private:
  std::unique_ptr<State> state_;
};

}  // namespace netrx
