// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "sim/machine.h"

namespace netrx {

/// Every schedule of a small machine, one after the other, depth first: at each site the running task goes on or
/// another one preempts it, at most `preemptions` times a schedule; where a task waits, each of the others may go on.
/// Most wrong orders need very few preemptions, so that small bounds find them, and find them all.
///
///   Explorer explorer(2);
///   do { SimMachine machine(stacks, explorer, ...); ...the same world again...; machine.run(); } while
///   (explorer.next());
///
/// Time passes by a fixed amount a step, and jumps to the next alarm when nobody can go on.
class Explorer : public SimScheduler {
 public:
  explicit Explorer(std::uint32_t preemptions) : preemptions_(preemptions) {}

  /// Goes to the next schedule; false: that was the last one.
  bool next();
  std::uint64_t schedules() const { return schedules_; }

  bool at(SimMachine& machine, SimTask& me, Site site, std::uint32_t n) override;
  void relax(SimMachine& machine, SimTask& me) override;
  void wake(SimMachine& machine, SimTask* me, SimTask& sleeper) override;
  SimTask* pick(SimMachine& machine) override;

 private:
  struct Choice {
    std::uint8_t options;
    std::uint8_t taken;
  };

  std::size_t choose(std::size_t options);
  void collect_runnable(SimMachine& machine, const SimTask* but);
  SimTask* next_alarm(SimMachine& machine);
  SimTask* run(SimTask* task);

  const std::uint32_t preemptions_;
  std::vector<Choice> path_;
  std::size_t depth_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t vain_turns_ = 0;
  std::uint64_t schedules_ = 1;
  Nanos clock_{0};
  SimTask* preempting_ = nullptr;
  std::vector<SimTask*> runnable_;
};

}  // namespace netrx
