// SPDX-License-Identifier: Apache-2.0
#include "sim/machine.h"

#include <algorithm>

#include "base/check.h"

namespace netrx {

SimTask::SimTask(SimMachine& of, std::string called, std::uint16_t core_number, bool is_daemon)
    : machine(of), name(std::move(called)), core(core_number), daemon(is_daemon), actor(&of) {}

SimMachine::SimMachine(FiberStacks& stacks, SimScheduler& scheduler, std::uint64_t max_steps)
    : stacks_(stacks), scheduler_(scheduler), max_steps_(max_steps) {}

SimMachine::~SimMachine() = default;

SimTask& SimMachine::spawn(std::string name, std::uint16_t core, bool daemon, std::function<void(SimTask&)> body) {
  tasks_.push_back(std::make_unique<SimTask>(*this, std::move(name), core, daemon));
  SimTask& task = *tasks_.back();
  task.index = static_cast<std::uint32_t>(tasks_.size() - 1);
  task.time = now_;
  if (!daemon) ++live_;
  task.fiber = std::make_unique<Fiber>(stacks_, [this, &task, body = std::move(body)]() -> Fiber& {
    body(task);
    return leave_for_good(task);
  });
  return task;
}

SimEnd SimMachine::run() {
  NETRX_CHECK(current_ == nullptr);
  end_ = SimEnd::finished;
  if (live_ == 0) return end_;
  current_ = scheduler_.pick(*this);
  NETRX_CHECK(current_ != nullptr);
  current_->state = SimTask::State::ready;
  thread_.switch_to(*current_->fiber);
  current_ = nullptr;
  return end_;
}

void SimMachine::stop(SimEnd end) {
  end_ = end;
  SimTask& me = *current_;
  me.fiber->switch_to(thread_);
}

void SimMachine::fail(std::string why) {
  if (why_.empty()) why_ = std::move(why);
  if (current_ == nullptr) return;
  stop(SimEnd::failed);
}

Fiber& SimMachine::leave_for_good(SimTask& task) {
  now_ = std::max(now_, task.time);
  task.state = SimTask::State::ended;
  if (!task.daemon && --live_ == 0) return thread_;
  SimTask* next = scheduler_.pick(*this);
  if (next == nullptr) {
    end_ = SimEnd::stalled;
    if (observer_ != nullptr) observer_->stalled();
    return thread_;
  }
  report_idle(*next);
  current_ = next;
  next->state = SimTask::State::ready;
  return *next->fiber;
}

void SimMachine::report_idle(const SimTask& next) {
  if (observer_ == nullptr || next.state != SimTask::State::asleep) return;
  for (const auto& task : tasks_)
    if (task->state == SimTask::State::ready) return;
  observer_->idle();
}

void SimMachine::reschedule() {
  SimTask& me = *current_;
  SimTask* next = scheduler_.pick(*this);
  if (next == nullptr) {
    if (observer_ != nullptr) observer_->stalled();
    return stop(SimEnd::stalled);
  }
  report_idle(*next);
  next->state = SimTask::State::ready;
  if (next == &me) return;
  current_ = next;
  me.fiber->switch_to(*next->fiber);
}

void SimMachine::step(Site site, std::uint32_t n) {
  if (current_ == nullptr) return;
  SimTask& me = *current_;
  if (++steps_ > max_steps_) return stop(SimEnd::endless);
  if (observer_ != nullptr) observer_->step(me, site, n);
  note((std::uint64_t{me.index} << 40) | (static_cast<std::uint64_t>(site) << 32) | n);
  me.relaxed = 0;
  if (scheduler_.at(*this, me, site, n)) reschedule();
}

void SimMachine::relax(Actor&) {
  NETRX_CHECK(current_ != nullptr);  // a wait from outside of run() would never end
  SimTask& me = *current_;
  if (++steps_ > max_steps_) return stop(SimEnd::endless);
  scheduler_.relax(*this, me);
  ++me.relaxed;
  reschedule();
}

bool SimMachine::sleep(Nanos until) {
  SimTask& me = *current_;
  if (!me.woken && until > me.time) {
    me.state = SimTask::State::asleep;
    me.time = me.alarm = until;
    reschedule();
  }
  const bool woken = me.woken;
  me.woken = false;
  return woken;
}

void SimMachine::wake(SimTask& task) {
  task.woken = true;
  if (task.state != SimTask::State::asleep) return;
  task.state = SimTask::State::ready;
  scheduler_.wake(*this, current_, task);
}

void SimMachine::work(Nanos duration) {
  SimTask& me = *current_;
  me.time += duration;
  step(Site::relax, 0);
}

Nanos SimMachine::now() {
  // The time of one about to sleep is when it wakes, not now.
  if (current_ != nullptr && current_->state == SimTask::State::ready) now_ = std::max(now_, current_->time);
  return now_;
}

}  // namespace netrx
