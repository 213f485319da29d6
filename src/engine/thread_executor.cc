// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <latch>
#include <map>
#include <mutex>
#include <thread>

#include "engine/cpu_round.h"
#include "engine/engine_core.h"
#include "host/event_waker.h"
#include "host/host.h"
#include "netrx/executor.h"
#include "receive/receive.h"
#include "softnet/free_packets.h"
#include "softnet/napi_thread.h"

namespace netrx {

namespace {

/// Waiting as a policy: called after every round that found nothing to do.
class Idler {
 public:
  Idler(const ThreadOptions& options, Doorbell& doorbell, EventWaker& waker)
      : options_(options), doorbell_(doorbell), waker_(waker) {}

  void busy() { idle_since_ = Nanos{-1}; }

  void idle(Nanos now, Nanos attention, std::span<const int> fds, Actor& actor) {
    if (idle_since_ < Nanos{0}) idle_since_ = now;
    const bool spin = options_.idle == IdlePolicy::poll ||
                      (options_.idle == IdlePolicy::adaptive && now - idle_since_ < options_.spin);
    if (spin || attention <= now) return actor.relax();
    if (!doorbell_.prepare_sleep()) return;
    waker_.sleep(attention == kNever ? kNever : attention - now, fds);
    doorbell_.awake();
  }

 private:
  const ThreadOptions& options_;
  Doorbell& doorbell_;
  EventWaker& waker_;
  Nanos idle_since_{-1};
};

/// The thread of one CPU.
struct CpuThread {
  explicit CpuThread(SoftnetData& of) : sd(of) {}
  SoftnetData& sd;
  EventWaker waker;
  std::thread thread;
  Result<void> pinned;
};

/// Where threads wait for each other at the start. Shared, because a thread may still be leaving go.wait() when start()
/// has returned.
struct Gate {
  explicit Gate(std::size_t threads) : all_pinned(static_cast<std::ptrdiff_t>(threads)) {}
  std::latch all_pinned;
  std::latch go{1};
};

/// The thread of one NAPI in threaded mode.
struct PollThread {
  explicit PollThread(NapiStruct& of) : napi(of) {}
  NapiStruct& napi;
  EventWaker waker;
  NapiThread hand{waker};
  std::atomic<bool> stopping{false};
  std::thread thread;
};

}  // namespace

struct ThreadExecutor::State : NapiThreads {
  State(EngineCore& of, const ThreadOptions& with) : core(of), options(with) {}

  EngineCore& core;
  const ThreadOptions options;
  std::atomic<bool> stopping{false};
  std::vector<std::unique_ptr<CpuThread>> cpus;
  std::map<NapiStruct*, std::unique_ptr<PollThread>> poll_threads;  ///< under core.control

  void run_cpu(CpuThread& me);
  void run_napi(PollThread& me);
  std::vector<int> irq_fds(SoftnetData& sd) NETRX_REQUIRES(sd.cpu);

  Result<void> start(NapiStruct& napi) override;
  void stop(NapiStruct& napi) override;
  void end_poll_thread(PollThread& thread);
};

std::vector<int> ThreadExecutor::State::irq_fds(SoftnetData& sd) {
  std::vector<int> fds;
  for (const NapiStruct* napi : sd.irq_napis)
    if (const int fd = napi->queue->irq_fd(); fd >= 0) fds.push_back(fd);
  return fds;
}

void ThreadExecutor::State::run_cpu(CpuThread& me) {
  Actor actor;
  Idler idler(options, me.sd.doorbell, me.waker);
  std::vector<int> fds;
  for (;;) {
    Round round{.busy = false, .attention = kNever};
    Nanos now{0};
    {
      CpuGuard guard(me.sd.cpu, actor);
      if (core.net.cpu_online(me.sd.cpu.id())) {
        round = run_cpu_round(core.net, me.sd);
        if (!round.busy) fds = irq_fds(me.sd);
      } else {
        (void)me.sd.doorbell.collect();
      }
      now = me.sd.now;
    }
    // After the round, which takes the bells: stop() sets the flag and then rings. Either that ring was taken and the
    // flag shows here, or it is still to be taken and keeps the thread from sleeping.
    if (stopping.load(std::memory_order_acquire)) return;
    if (round.busy)
      idler.busy();
    else
      idler.idle(now, round.attention, fds, actor);
  }
}

void ThreadExecutor::State::run_napi(PollThread& me) {
  name_this_thread("napi/" + me.napi.netif->name + "-" + std::to_string(me.napi.napi_id));
  Actor actor;
  while (!me.stopping.load(std::memory_order_acquire)) {
    // SCHED alone would not do: disable and busy polling set it too.
    if (!me.napi.state.test(kNapiSchedThreaded)) {
      if (me.hand.doorbell().prepare_sleep()) {
        me.waker.sleep(kNever);
        me.hand.doorbell().awake();
      }
      (void)me.hand.doorbell().collect();
      continue;
    }
    SoftnetData& sd = core.net.of(me.napi.irq_cpu.load(std::memory_order_relaxed));
    GuestGuard guard(core.net, sd, actor);
    if (!core.net.cpu_online(sd.cpu.id())) continue;  // its interrupt is being moved, and this thread with it
    napi_threaded_poll(core.net, sd, me.napi);
  }
}

Result<void> ThreadExecutor::State::start(NapiStruct& napi) {
  auto thread = std::make_unique<PollThread>(napi);
  napi.thread.store(&thread->hand, std::memory_order_release);
  thread->thread = std::thread([this, &me = *thread] { run_napi(me); });
  poll_threads.emplace(&napi, std::move(thread));
  return {};
}

void ThreadExecutor::State::end_poll_thread(PollThread& thread) {
  thread.stopping.store(true, std::memory_order_release);
  thread.hand.wake();
  thread.thread.join();
}

void ThreadExecutor::State::stop(NapiStruct& napi) {
  const auto at = poll_threads.find(&napi);
  if (at == poll_threads.end()) return;
  const std::unique_ptr<PollThread> thread = std::move(at->second);
  poll_threads.erase(at);
  napi.thread.store(nullptr, std::memory_order_release);
  core.net.synchronize_net(*core.control_actor);  // who read the pointer has woken it by now
  end_poll_thread(*thread);
}

ThreadExecutor::ThreadExecutor(Engine& engine, const ThreadOptions& options)
    : state_(std::make_unique<State>(engine.core(), options)) {}

ThreadExecutor::~ThreadExecutor() { stop(); }

Result<void> ThreadExecutor::start() {
  State& state = *state_;
  const std::lock_guard lock(state.core.control);
  if (state.core.executing) return fail(EALREADY, "the engine's CPUs run already");
  state.stopping.store(false, std::memory_order_relaxed);
  for (const auto& sd : state.core.net.cpus)
    if (sd != nullptr) state.cpus.push_back(std::make_unique<CpuThread>(*sd));

  // Nobody polls before everybody is pinned, so that a CPU that can't be had is an error and not half a start.
  const auto gate = std::make_shared<Gate>(state.cpus.size());
  for (const auto& cpu : state.cpus) {
    cpu->sd.waker = &cpu->waker;
    cpu->thread = std::thread([&state, &me = *cpu, gate] {
      name_this_thread("netrx/" + std::to_string(me.sd.cpu.id()));
      if (state.options.pin) me.pinned = pin_this_thread(me.sd.cpu.id());
      gate->all_pinned.count_down();
      gate->go.wait();
      if (!state.stopping.load(std::memory_order_acquire)) state.run_cpu(me);
    });
  }
  gate->all_pinned.wait();
  Result<void> outcome;
  for (const auto& cpu : state.cpus)
    if (!cpu->pinned) outcome = cpu->pinned;
  state.stopping.store(!outcome.has_value(), std::memory_order_release);
  gate->go.count_down();
  if (!outcome) {
    for (const auto& cpu : state.cpus) cpu->thread.join();
    state.cpus.clear();
    return outcome;
  }
  state.core.executing = true;
  state.core.napi_threads = &state;
  for (const Attached& attached : state.core.devices)
    if (attached.netif->threaded.exchange(false)) outcome = state.core.set_threaded(*attached.netif, true);
  return outcome;
}

void ThreadExecutor::stop() {
  State& state = *state_;
  const std::lock_guard lock(state.core.control);
  if (state.cpus.empty()) return;
  for (const Attached& attached : state.core.devices) {
    if (!attached.netif->threaded.load()) continue;
    (void)state.core.set_threaded(*attached.netif, false);
    attached.netif->threaded.store(true);  // the setting outlives its threads
  }
  state.core.napi_threads = nullptr;
  state.stopping.store(true, std::memory_order_release);
  for (const auto& cpu : state.cpus) {
    if (cpu->sd.doorbell.ring(kBellKick)) cpu->waker.wake();
    cpu->thread.join();
  }
  // The doorbells stay usable: without a sleeper nobody asks for a waker.
  for (const auto& cpu : state.cpus) cpu->sd.waker = nullptr;
  state.cpus.clear();
  state.core.executing = false;
}

}  // namespace netrx
