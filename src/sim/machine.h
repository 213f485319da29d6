// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cpu/actor.h"
#include "cpu/clock.h"
#include "host/fiber.h"
#include "netrx/sim.h"
#include "netrx/time.h"

namespace netrx {

class SimMachine;

/// One actor of a simulated machine: a CPU's loop, a NAPI's thread, an application, the control plane.
struct SimTask {
  enum class State : std::uint8_t {
    ready,   ///< goes on when its time comes
    asleep,  ///< goes on when `time` comes, or woken
    ended,
  };

  SimTask(SimMachine& of, std::string called, std::uint16_t core_number, bool is_daemon);

  SimMachine& machine;
  const std::string name;
  const std::uint16_t core;  ///< whose time it uses; SimExecutor::kOwnCore: its own
  const bool daemon;         ///< the run does not wait for its end
  std::uint32_t index = 0;
  Actor actor;
  std::unique_ptr<Fiber> fiber;
  State state = State::ready;
  Nanos time{0};        ///< its clock; asleep: when it wakes by itself, kNever if not
  Nanos alarm{kNever};  ///< for when it set that, last
  bool woken = false;
  std::uint32_t relaxed = 0;  ///< turns of a waiting loop since its last step
  bool yielded = false;       ///< for schedulers: waits until somebody else makes a step
};

/// Decides who runs, and what time it is.
class SimScheduler {
 public:
  virtual ~SimScheduler() = default;
  /// `me` passes a site. True: another task shall run now.
  virtual bool at(SimMachine& machine, SimTask& me, Site site, std::uint32_t n) = 0;
  /// `me` can't go on until another one does something.
  virtual void relax(SimMachine& machine, SimTask& me) = 0;
  /// `me` has just woken `sleeper`; sets its time.
  virtual void wake(SimMachine& machine, SimTask* me, SimTask& sleeper) = 0;
  /// Who runs next; null: nobody ever again.
  virtual SimTask* pick(SimMachine& machine) = 0;
};

/// Looks on, and judges.
class SimObserver {
 public:
  virtual ~SimObserver() = default;
  /// Before `task` pays for a site.
  virtual void step(const SimTask& /*task*/, Site, std::uint32_t /*n*/) {}
  /// Nobody is ready: whatever happens next waits for its time. What should have happened by now never will.
  virtual void idle() {}
  /// Nobody will ever run again, and not everyone has ended.
  virtual void stalled() {}
};

/// The tasks of one simulated machine and the switch between them. What is fair, random or exhaustive about the order
/// is the scheduler's.
class SimMachine : public Interleaver, public Clock {
 public:
  /// `stacks` and `scheduler` outlive the machine.
  SimMachine(FiberStacks& stacks, SimScheduler& scheduler, std::uint64_t max_steps);
  ~SimMachine() override;
  SimMachine(const SimMachine&) = delete;
  SimMachine& operator=(const SimMachine&) = delete;

  SimTask& spawn(std::string name, std::uint16_t core, bool daemon, std::function<void(SimTask&)> body);

  SimEnd run();
  /// Ends run() from inside of it: never returns there. Outside it only notes the reason.
  void fail(std::string why);
  const std::string& why() const { return why_; }

  /// The running task sleeps. True: woken, or it was before it slept.
  bool sleep(Nanos until);
  void wake(SimTask& task);
  /// The running task lets `duration` of virtual time pass.
  void work(Nanos duration);

  void at(Actor&, Site site, std::uint32_t n) override { step(site, n); }
  void relax(Actor&) override;
  /// Never goes back, whoever asks.
  Nanos now() override;

  void observe(SimObserver* observer) { observer_ = observer; }
  /// Mixes something that happened into the digest of the run.
  void note(std::uint64_t event) { digest_ = (digest_ ^ event) * 0x9e3779b97f4a7c15u + (digest_ >> 29); }

  SimTask* current() { return current_; }
  const std::vector<std::unique_ptr<SimTask>>& tasks() const { return tasks_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t digest() const { return digest_; }

 private:
  void step(Site site, std::uint32_t n);
  void reschedule();
  Fiber& leave_for_good(SimTask& task);
  void stop(SimEnd end);
  void report_idle(const SimTask& next);

  FiberStacks& stacks_;
  SimScheduler& scheduler_;
  const std::uint64_t max_steps_;
  Fiber thread_;
  std::vector<std::unique_ptr<SimTask>> tasks_;
  std::size_t live_ = 0;  // tasks that run() waits for
  SimTask* current_ = nullptr;
  SimObserver* observer_ = nullptr;
  SimEnd end_ = SimEnd::finished;
  std::string why_;
  Nanos now_{0};
  std::uint64_t steps_ = 0;
  std::uint64_t digest_ = 0xcbf29ce484222325u;
};

}  // namespace netrx
