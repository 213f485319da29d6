// SPDX-License-Identifier: Apache-2.0
#include "sim/time_order.h"

#include <algorithm>
#include <array>
#include <limits>

namespace netrx {

namespace {

constexpr std::uint32_t kMaxBackoff = 7;

std::array<std::uint32_t, static_cast<std::size_t>(Site::count)> cost_table(const SimCosts& costs) {
  std::array<std::uint32_t, static_cast<std::size_t>(Site::count)> table;
  table.fill(costs.step);
  const auto set = [&](Site site, std::uint32_t cost) { table[static_cast<std::size_t>(site)] = cost; };
  set(Site::enter_cpu, costs.occupy);
  set(Site::leave_cpu, costs.occupy);
  set(Site::lock, costs.lock);
  set(Site::relax, costs.relax);
  set(Site::doorbell_ring, costs.ring);
  set(Site::irq, costs.interrupt);
  set(Site::poll, costs.poll);
  set(Site::packet, costs.packet);
  set(Site::gro, costs.gro);
  set(Site::dissect, costs.dissect);
  set(Site::steer, costs.steer);
  set(Site::enqueue, costs.enqueue);
  set(Site::deliver, costs.deliver);
  set(Site::free_packet, costs.free_packet);
  set(Site::publish, costs.publish);
  return table;
}

}  // namespace

TimeOrder::TimeOrder(const SimOptions& options)
    : options_(options), prng_(options.seed), cost_(cost_table(options.costs)) {
  hot_site_ = draw_hot_site();
  until_delay_ = draw_gap(options_.disturbance.delay_ppm);
  until_stall_ = draw_gap(options_.disturbance.stall_ppm);
}

/// Where CPUs dwell in this run. Half of the runs: in the middle of a protocol between CPUs, where orders decide.
Site TimeOrder::draw_hot_site() {
  constexpr std::array kProtocols{Site::napi_state, Site::sleep,  Site::doorbell_ring, Site::doorbell_collect,
                                  Site::rfs_switch, Site::splice, Site::qtail,         Site::head_publish};
  if (prng_.chance_ppm(500'000)) return kProtocols[prng_.below(kProtocols.size())];
  return static_cast<Site>(prng_.below(static_cast<std::uint64_t>(Site::vring)));  // whose users dwell by themselves
}

/// Steps until the next one of `ppm` in a million.
std::uint64_t TimeOrder::draw_gap(std::uint32_t ppm) {
  if (ppm == 0) return std::numeric_limits<std::uint64_t>::max();
  return prng_.between(1, 2'000'000 / ppm);
}

void TimeOrder::disturb(SimTask& me, Site site) {
  const SimDisturbance& how = options_.disturbance;
  const auto up_to = [&](Nanos limit) { return Nanos(prng_.below(static_cast<std::uint64_t>(limit.count()) + 1)); };
  if (--until_delay_ == 0) {
    until_delay_ = draw_gap(how.delay_ppm);
    me.time += up_to(how.delay);
  }
  if (--until_stall_ == 0) {
    until_stall_ = draw_gap(how.stall_ppm);
    me.time += up_to(how.stall);
  }
  if (site == hot_site_ && how.hot_site_ppm != 0 && prng_.chance_ppm(how.hot_site_ppm)) me.time += up_to(how.stall);
}

Nanos TimeOrder::core_free(const SimTask& task) const {
  if (task.core == SimExecutor::kOwnCore) return task.time;
  const auto core = cores_.find(task.core);
  return core == cores_.end() ? task.time : std::max(task.time, core->second);
}

void TimeOrder::use_core(const SimTask& task) {
  if (task.core == SimExecutor::kOwnCore) return;
  Nanos& taken = cores_[task.core];
  taken = std::max(taken, task.time);
}

bool TimeOrder::at(SimMachine&, SimTask& me, Site site, std::uint32_t n) {
  me.time += Nanos(std::uint64_t{cost_[static_cast<std::size_t>(site)]} * n);
  disturb(me, site);
  use_core(me);
  return me.time > horizon_;
}

// The longer a task waits in vain, the more rarely it looks, so that a long stall of the one it waits for is cheap.
void TimeOrder::relax(SimMachine&, SimTask& me) {
  me.time += Nanos(std::uint64_t{options_.costs.relax} << std::min(me.relaxed, kMaxBackoff));
  use_core(me);
}

void TimeOrder::wake(SimMachine& machine, SimTask* me, SimTask& sleeper) {
  const Nanos ringer = me == nullptr ? machine.now() : me->time;
  if (me != nullptr) me->time += Nanos(options_.costs.wake);
  const Nanos latency = Nanos(options_.costs.wake_latency / 2 + prng_.below(options_.costs.wake_latency + 1u));
  sleeper.time = std::min(sleeper.time, ringer + latency);
  horizon_ = std::min(horizon_, sleeper.time + options_.disturbance.slack);
}

SimTask* TimeOrder::pick(SimMachine& machine) {
  SimTask* best = nullptr;
  Nanos best_time = kNever;
  Nanos second = kNever;
  for (const auto& task : machine.tasks()) {
    if (task->state == SimTask::State::ended || task->time == kNever) continue;
    const Nanos time = core_free(*task);
    if (time < best_time || (time == best_time && (prng_.next() & 1) != 0)) {
      second = best_time;
      best_time = time;
      best = task.get();
    } else {
      second = std::min(second, time);
    }
  }
  if (best == nullptr) return nullptr;
  best->time = best_time;
  horizon_ = second == kNever ? kNever : second + options_.disturbance.slack;
  return best;
}

}  // namespace netrx
