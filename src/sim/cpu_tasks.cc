// SPDX-License-Identifier: Apache-2.0
#include "sim/cpu_tasks.h"

#include "engine/cpu_round.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"
#include "softnet/napi_thread.h"

namespace netrx {

namespace {

constexpr Nanos kSpinFinely = std::chrono::microseconds(5);
constexpr Nanos kSpinStep = std::chrono::microseconds(2);

class TaskWaker : public Waker {
 public:
  explicit TaskWaker(SimMachine& machine) : machine_(machine) {}
  void wake() override { machine_.wake(*task); }

  SimTask* task = nullptr;

 private:
  SimMachine& machine_;
};

}  // namespace

struct CpuTasks::CpuTask {
  CpuTask(SimMachine& machine, SoftnetData& of) : sd(of), waker(machine) {}
  SoftnetData& sd;
  TaskWaker waker;
  Nanos idle_since{-1};
};

struct CpuTasks::PollTask {
  PollTask(SimMachine& machine, NapiStruct& of) : napi(of), waker(machine) {}
  NapiStruct& napi;
  TaskWaker waker;
  NapiThread hand{waker};
  bool stopping = false;
};

CpuTasks::CpuTasks(SimMachine& machine, EngineCore& core, IdlePolicy idle, Nanos spin)
    : machine_(machine),
      core_(core),
      idle_(idle),
      spin_(spin),
      control_actor_(&machine),
      live_actor_(core.control_actor),
      live_clock_(core.net.clock) {
  core_.control_actor = &control_actor_;
  core_.control.simulate(&control_actor_);
  core_.net.clock = &machine_;
  for (const auto& sd : core_.net.cpus) {
    if (sd == nullptr) continue;
    const std::uint16_t id = sd->cpu.id();
    CpuTask& cpu = *(cpus_[id] = std::make_unique<CpuTask>(machine_, *sd));
    cpu.waker.task = &machine_.spawn("cpu" + std::to_string(id), id, true, [this, &cpu](SimTask&) { run_cpu(cpu); });
    sd->waker = &cpu.waker;
  }
  core_.executing = true;
  core_.napi_threads = this;
}

CpuTasks::~CpuTasks() {
  for (const auto& [id, cpu] : cpus_) cpu->sd.waker = nullptr;
  core_.executing = false;
  core_.napi_threads = nullptr;
  core_.net.clock = live_clock_;
  core_.control.simulate(nullptr);
  core_.control_actor = live_actor_;
}

void CpuTasks::end() {
  for (const Attached& attached : core_.devices) {
    if (!attached.netif->threaded.load()) continue;
    (void)core_.set_threaded(*attached.netif, false);
    attached.netif->threaded.store(true);  // the setting outlives its threads
  }
  stopping_ = true;
  for (const auto& [id, cpu] : cpus_)
    if (cpu->sd.doorbell.ring(kBellKick)) cpu->waker.wake();
  for (const auto& [id, cpu] : cpus_)
    while (cpu->waker.task->state != SimTask::State::ended) control_actor_.relax();
}

const SimTask* CpuTasks::task_of(std::uint16_t cpu) const {
  const auto found = cpus_.find(cpu);
  return found == cpus_.end() ? nullptr : found->second->waker.task;
}

void CpuTasks::run_cpu(CpuTask& me) {
  Actor& actor = me.waker.task->actor;
  for (;;) {
    Round round{.busy = false, .attention = kNever};
    Nanos now{0};
    {
      CpuGuard guard(me.sd.cpu, actor);
      if (core_.net.cpu_online(me.sd.cpu.id()))
        round = run_cpu_round(core_.net, me.sd);
      else
        (void)me.sd.doorbell.collect();
      now = me.sd.now;
    }
    if (stopping_) return;  // as in ThreadExecutor: the round may have taken the bell that came with it
    if (round.busy)
      me.idle_since = Nanos{-1};
    else
      idle(me, now, round.attention);
  }
}

void CpuTasks::idle(CpuTask& me, Nanos now, Nanos attention) {
  Actor& actor = me.waker.task->actor;
  if (me.idle_since < Nanos{0}) me.idle_since = now;
  const bool spins = idle_ == IdlePolicy::poll || (idle_ == IdlePolicy::adaptive && now - me.idle_since < spin_);
  // Somebody who has spun in vain for long would do so a million times more: look less often, the path can't tell.
  if (spins && attention > now && now - me.idle_since > kSpinFinely) return machine_.work(kSpinStep);
  if (spins || attention <= now) return actor.relax();
  actor.at(Site::sleep);
  if (!me.sd.doorbell.prepare_sleep()) return;
  actor.at(Site::sleep);
  machine_.sleep(attention);
  me.sd.doorbell.awake();
}

void CpuTasks::run_napi(PollTask& me) {
  Actor& actor = me.waker.task->actor;
  while (!me.stopping) {
    actor.at(Site::napi_state);
    if (!me.napi.state.test(kNapiSchedThreaded)) {
      actor.at(Site::sleep);
      if (me.hand.doorbell().prepare_sleep()) {
        actor.at(Site::sleep);
        machine_.sleep(kNever);
        me.hand.doorbell().awake();
      }
      (void)me.hand.doorbell().collect();
      continue;
    }
    SoftnetData& sd = core_.net.of(me.napi.irq_cpu.load(std::memory_order_relaxed));
    GuestGuard guard(core_.net, sd, actor);
    if (!core_.net.cpu_online(sd.cpu.id())) continue;  // its interrupt is being moved, and this thread with it
    napi_threaded_poll(core_.net, sd, me.napi);
  }
}

Result<void> CpuTasks::start(NapiStruct& napi) {
  PollTask& poll = *(napis_[&napi] = std::make_unique<PollTask>(machine_, napi));
  poll.waker.task = &machine_.spawn("napi" + std::to_string(napi.napi_id), SimExecutor::kOwnCore, true,
                                    [this, &poll](SimTask&) { run_napi(poll); });
  napi.thread.store(&poll.hand, std::memory_order_release);
  return {};
}

void CpuTasks::stop(NapiStruct& napi) {
  const auto found = napis_.find(&napi);
  if (found == napis_.end()) return;
  PollTask& poll = *found->second;
  napi.thread.store(nullptr, std::memory_order_release);
  core_.net.synchronize_net(*core_.control_actor);  // who read the pointer has woken it by now
  poll.stopping = true;
  poll.hand.wake();
  while (poll.waker.task->state != SimTask::State::ended) control_actor_.relax();
  napis_.erase(found);
}

}  // namespace netrx
