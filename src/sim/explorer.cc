// SPDX-License-Identifier: Apache-2.0
#include "sim/explorer.h"

#include <algorithm>

#include "base/check.h"

namespace netrx {

namespace {

constexpr Nanos kStep{100};
constexpr std::uint32_t kMaxVainTurns = 1000;  // of waiting loops while nobody does anything: a livelock

}  // namespace

bool Explorer::next() {
  while (!path_.empty() && path_.back().taken + 1 == path_.back().options) path_.pop_back();
  depth_ = 0;
  used_ = 0;
  vain_turns_ = 0;
  clock_ = Nanos{0};
  preempting_ = nullptr;
  if (path_.empty()) return false;
  ++path_.back().taken;
  ++schedules_;
  return true;
}

std::size_t Explorer::choose(std::size_t options) {
  if (options == 1) return 0;
  if (depth_ == path_.size()) path_.push_back({static_cast<std::uint8_t>(options), 0});
  const Choice& choice = path_[depth_++];
  NETRX_CHECK(choice.options == options);  // else the world is not the same again
  return choice.taken;
}

void Explorer::collect_runnable(SimMachine& machine, const SimTask* but) {
  runnable_.clear();
  for (const auto& task : machine.tasks())
    if (task->state == SimTask::State::ready && !task->yielded && task.get() != but) runnable_.push_back(task.get());
}

SimTask* Explorer::run(SimTask* task) {
  task->yielded = false;
  clock_ = std::max(clock_, task->state == SimTask::State::asleep ? task->time : clock_);
  task->time = clock_;
  return task;
}

bool Explorer::at(SimMachine& machine, SimTask& me, Site, std::uint32_t) {
  clock_ += kStep;
  me.time = clock_;
  vain_turns_ = 0;
  for (const auto& task : machine.tasks()) task->yielded = false;
  if (used_ == preemptions_) return false;
  collect_runnable(machine, &me);
  const std::size_t taken = choose(1 + runnable_.size());
  if (taken == 0) return false;
  ++used_;
  preempting_ = runnable_[taken - 1];
  return true;
}

void Explorer::relax(SimMachine&, SimTask& me) {
  clock_ += kStep;
  me.time = clock_;
  me.yielded = true;
}

void Explorer::wake(SimMachine&, SimTask*, SimTask& sleeper) { sleeper.time = clock_; }

SimTask* Explorer::next_alarm(SimMachine& machine) {
  SimTask* first = nullptr;
  for (const auto& task : machine.tasks())
    if (task->state == SimTask::State::asleep && task->time != kNever && (first == nullptr || task->time < first->time))
      first = task.get();
  return first;
}

SimTask* Explorer::pick(SimMachine& machine) {
  if (SimTask* task = preempting_) {
    preempting_ = nullptr;
    return run(task);
  }
  collect_runnable(machine, nullptr);
  if (!runnable_.empty()) return run(runnable_[choose(runnable_.size())]);
  if (SimTask* sleeper = next_alarm(machine)) return run(sleeper);
  for (const auto& task : machine.tasks()) task->yielded = false;
  collect_runnable(machine, nullptr);
  if (runnable_.empty() || ++vain_turns_ > kMaxVainTurns) return nullptr;
  return run(runnable_[vain_turns_ % runnable_.size()]);
}

}  // namespace netrx
