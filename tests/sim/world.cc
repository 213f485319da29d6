// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <map>
#include <memory>
#include <vector>

#include "base/prng.h"
#include "event_log.h"
#include "judge.h"
#include "netrx/consumer.h"
#include "sim/sim_executor.h"

namespace netrx::simtest {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Shows the judge what it passes on.
class JudgedHandler : public PacketHandler {
 public:
  JudgedHandler(Judge& judge, PacketHandler* next) : judge_(judge), next_(next) {}
  void receive(Delivery& delivery) override {
    judge_.delivered(delivery);
    if (next_ != nullptr) next_->receive(delivery);
  }

 private:
  Judge& judge_;
  PacketHandler* next_;
};

class World {
 public:
  World(const Plan& plan, bool verbose);
  Report run();

 private:
  void attach_devices();
  template <class Device>
  std::unique_ptr<NetDevice> judged(std::unique_ptr<Device> device);
  std::unique_ptr<NetDevice> make_device(const DevicePlan& plan);
  void start_devices();
  void run_app(std::size_t index, SimThread& thread);
  std::size_t consume(std::size_t index, Application& app, std::uint16_t cpu, SimThread& thread);
  void maybe_transmit(std::size_t index, Application& app, std::uint16_t cpu, Prng& prng);
  void maybe_busy_poll(std::size_t index, Application& app, std::uint16_t cpu, Prng& prng);
  void run_control(SimThread& thread);
  void perform(const ControlPlan& step);
  void detach(const std::string& name);
  void wait_until_drained(SimThread& thread);
  void must(const Result<void>& done, const std::string& what);
  std::uint16_t any_cpu(Prng& prng) const { return plan_.engine.cpus[prng.below(plan_.engine.cpus.size())]; }

  const Plan& plan_;
  EventLog log_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SimExecutor> executor_;
  std::unique_ptr<RingStage> rings_;
  std::unique_ptr<Judge> judge_;
  std::map<std::string, VirtioDevice*> virtio_devices_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  std::unique_ptr<FlowFanout> fanout_;
  std::unique_ptr<JudgedHandler> handler_;
  std::vector<std::unique_ptr<Application>> apps_;
  bool stopping_ = false;
  std::size_t apps_running_ = 0;
};

World::World(const Plan& plan, bool verbose) : plan_(plan), log_(verbose) {
  engine_ = std::move(*Engine::create(plan.engine));
  executor_ = std::make_unique<SimExecutor>(*engine_, plan.sim);
  SimExecutor::State& state = executor_->state();
  rings_ = std::make_unique<RingStage>(state.machine, plan.seed, plan.vring_stall_ppm, plan.sim.disturbance.stall);
  judge_ = std::make_unique<Judge>(state.machine, engine_->core(), state.cpus, log_, plan.flows.size());
  engine_->set_tracer(judge_.get());

  std::vector<Consumer*> consumers;
  for (const AppPlan& app : plan.apps) {
    consumers_.push_back(std::make_unique<Consumer>(app.capacity));
    consumers.push_back(consumers_.back().get());
    apps_.push_back(engine_->open_application());
  }
  if (!consumers.empty()) fanout_ = std::make_unique<FlowFanout>(consumers);
  handler_ = std::make_unique<JudgedHandler>(*judge_, fanout_.get());
  for (const Be16 type : {kEthPIp, kEthPIpv6}) must(engine_->add_handler(type, *handler_), "add_handler");
}

void World::must(const Result<void>& done, const std::string& what) {
  if (!done) judge_->accuse("control", what + ": " + done.error().text);
}

template <class Device>
std::unique_ptr<NetDevice> World::judged(std::unique_ptr<Device> device) {
  for (std::size_t i = 0; i < device->queue_count(); ++i)
    device->queue(i).on_received = [this](const Packet& packet) { judge_->received(packet, false); };
  return device;
}

std::unique_ptr<NetDevice> World::make_device(const DevicePlan& plan) {
  if (!plan.virtio)
    return judged(
        std::make_unique<ScriptDevice>(plan.name, plan.queues, plan_.flows, executor_->state().machine, plan.hash));
  auto device = std::make_unique<VirtioDevice>(plan.name, plan.queues, plan_.flows, *plan.virtio, plan.hash);
  virtio_devices_[plan.name] = device.get();
  return judged(std::move(device));
}

/// The far ends of virtio devices begin.
void World::start_devices() {
  EngineCore& core = engine_->core();
  for (const Attached& attached : core.devices) {
    const auto found = virtio_devices_.find(attached.netif->name);
    if (found == virtio_devices_.end()) continue;
    for (std::size_t i = 0; i < found->second->queue_count(); ++i) {
      const std::string name = attached.netif->name + "/" + std::to_string(i);
      VirtioQueue& queue = found->second->queue(i);
      queue.accuse = [this, name](const std::string& what) { judge_->accuse("frames", name + ": " + what); };
      SimMachine& machine = executor_->state().machine;
      NapiStruct& napi = *attached.netif->rx_queues[i]->napi;
      queue.start(machine, name, interrupt_of(machine, core, napi), true);
    }
  }
}

void World::attach_devices() {
  Judge& judge = *judge_;
  bool transmits = false;
  for (const AppPlan& app : plan_.apps) transmits |= app.transmit_ppm != 0;
  for (const DevicePlan& plan : plan_.devices) {
    if (const auto attached = engine_->attach(make_device(plan)); !attached)
      judge.accuse("control", "attach: " + attached.error().text);
    if (transmits) judge.slots_are_shared(*engine_->core().devices.back().netif);
  }
  for (const auto& [path, text] : plan_.settings) {
    must(engine_->write(path, text), path);
    if (path == "net.core.netdev_max_backlog") judge.backlog_limit(std::stoi(text));
  }
}

// ---- applications ------------------------------------------------------------------------------------------------

void World::run_app(std::size_t index, SimThread& thread) {
  const AppPlan& plan = plan_.apps[index];
  Application& app = *apps_[index];
  Prng prng(plan_.seed * 1000 + index);
  std::uint16_t cpu = plan.core == SimExecutor::kOwnCore ? any_cpu(prng) : plan.core;
  while (!stopping_) {
    if (prng.chance_ppm(plan.migrate_ppm)) cpu = any_cpu(prng);
    const std::size_t got = consume(index, app, cpu, thread);
    maybe_transmit(index, app, cpu, prng);
    maybe_busy_poll(index, app, cpu, prng);
    if (got == 0) thread.sleep(plan.nap);
  }
  // Another one's last packets may still be on their way here.
  if (--apps_running_ != 0) return;
  while (judge_->alive() != 0) {
    for (std::size_t i = 0; i < consumers_.size(); ++i) consume(i, *apps_[i], cpu, thread);
    thread.sleep(microseconds(50));
  }
}

std::size_t World::consume(std::size_t index, Application& app, std::uint16_t cpu, SimThread& thread) {
  PacketBatch batch;
  const std::size_t got = consumers_[index]->receive(thread.actor(), batch);
  if (got == 0) return 0;
  app.record_flows(batch.packets(), cpu);
  judge_->consumed_by_app(index, batch.packets());
  app.free_packets(batch);
  return got;
}

void World::maybe_transmit(std::size_t index, Application& app, std::uint16_t cpu, Prng& prng) {
  const AppPlan& plan = plan_.apps[index];
  if (executor_->now() > plan_.last_arrival || !prng.chance_ppm(plan.transmit_ppm)) return;
  const Flow& flow = plan_.flows[plan_.flows.size() - plan_.apps.size() + index];
  const std::vector<std::span<const std::uint8_t>> frames(prng.between(1, 80), flow.frame);
  (void)app.transmit(plan_.devices[index % plan_.devices.size()].name, cpu, frames);
}

void World::maybe_busy_poll(std::size_t index, Application& app, std::uint16_t cpu, Prng& prng) {
  const AppPlan& plan = plan_.apps[index];
  if (executor_->now() > plan_.last_arrival || !prng.chance_ppm(plan.busy_poll_ppm)) return;
  const std::uint32_t napi = engine_->core().net.nr_cpu_ids + static_cast<std::uint32_t>(prng.between(1, 4));
  (void)app.busy_poll({.napi_id = napi,
                       .cpu = cpu,
                       .until = static_cast<std::uint32_t>(prng.between(1, 32)),
                       .turns = static_cast<std::uint32_t>(prng.between(1, 20)),
                       .budget = static_cast<std::uint16_t>(prng.between(1, 64)),
                       .prefer = plan.prefer_busy_poll});
}

// ---- the control plane ---------------------------------------------------------------------------------------------

void World::perform(const ControlPlan& step) {
  using Kind = ControlPlan::Kind;
  log_.add(executor_->state().machine, "control", static_cast<std::uint64_t>(step.kind), step.cpu, step.path.c_str());
  Judge& judge = *judge_;
  judge.reconfigure_begin();
  switch (step.kind) {
    case Kind::write:
      if (step.path == "net.core.netdev_max_backlog") judge.backlog_limit(std::stoi(step.text));
      if (step.path.ends_with("/online")) judge.note_hotplug();
      (void)engine_->write(step.path, step.text);
      break;
    case Kind::set_running: (void)engine_->set_running(step.path, step.on); break;
    case Kind::detach: detach(step.path); break;
    case Kind::bind_irq: (void)engine_->bind_irq(step.path, step.queue, step.cpu); break;
    case Kind::stats: (void)engine_->stats(); break;
  }
  judge.reconfigure_end();
  log_.add(executor_->state().machine, "control done", static_cast<std::uint64_t>(step.kind));
}

void World::detach(const std::string& name) {
  if (!engine_->detach(name)) return;
  const auto device = virtio_devices_.find(name);
  if (device == virtio_devices_.end()) return;
  for (std::size_t i = 0; i < device->second->queue_count(); ++i) device->second->queue(i).unplug();
}

void World::wait_until_drained(SimThread& thread) {
  const Nanos give_up = thread.now() + plan_.last_arrival + milliseconds(300);
  while (!engine_->drained() || judge_->alive() != 0) {
    if (thread.now() > give_up) judge_->accuse("stall", judge_->backlog_of_work());
    thread.sleep(microseconds(100));
  }
}

void World::run_control(SimThread& thread) {
  attach_devices();
  start_devices();
  for (std::size_t i = 0; i < plan_.apps.size(); ++i) {
    ++apps_running_;
    executor_->spawn("app" + std::to_string(i), plan_.apps[i].core, [this, i](SimThread& app) { run_app(i, app); });
  }
  for (const ControlPlan& step : plan_.control) {
    thread.sleep(step.after);
    perform(step);
  }
  for (const DevicePlan& device : plan_.devices) (void)engine_->set_running(device.name, true);
  wait_until_drained(thread);
  stopping_ = true;
  while (apps_running_ != 0) thread.sleep(microseconds(50));
  wait_until_drained(thread);
  thread.sleep(milliseconds(1));
  judge_->check_end();
  const EngineStats stats = engine_->stats();
  if (!stats.conservation.holds() || stats.conservation.packets_out != 0)
    judge_->accuse("conservation", "Engine::stats: " + std::to_string(stats.conservation.packets_out) + " packets out");
}

Report World::run() {
  executor_->state().machine.observe(judge_.get());
  executor_->spawn("control", SimExecutor::kOwnCore, [this](SimThread& thread) { run_control(thread); });
  SimEnd end = executor_->run();
  if (end == SimEnd::finished) end = executor_->stop();
  Report report;
  report.ok = end == SimEnd::finished;
  report.why = executor_->why();
  report.digest = executor_->digest();
  report.steps = executor_->steps();
  report.time = executor_->now();
  report.received = judge_->received_count();
  report.delivered = judge_->delivered_count();
  report.merged = judge_->merged_count();
  report.dropped = judge_->dropped_count();
  if (!report.ok) {
    if (end == SimEnd::endless) report.why += "; " + judge_->backlog_of_work();
    report.events = log_.tail(20);
    return report;
  }
  apps_.clear();
  executor_.reset();
  return report;
}

}  // namespace

Report run_plan(const Plan& plan, bool verbose) {
  auto world = std::make_unique<World>(plan, verbose);
  Report report = world->run();
  if (!report.ok) (void)world.release();  // packets lie where they lay: no destructor can tidy that up
  return report;
}

}  // namespace netrx::simtest
