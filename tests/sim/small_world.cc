// SPDX-License-Identifier: Apache-2.0
#include "small_world.h"

#include <stdexcept>

#include "event_log.h"
#include "judge.h"
#include "sim/cpu_tasks.h"
#include "sim/explorer.h"

namespace netrx::simtest {

namespace {

constexpr std::uint64_t kMaxSteps = 20'000;

class OneRun : public SmallWorld {
 public:
  OneRun(const SmallPlan& plan, FiberStacks& stacks, Explorer& explorer);
  /// Empty: all well.
  std::string run();
  std::string events() const { return log_.tail(20); }

  Engine& engine() override { return *engine_; }
  Application& application() override { return *application_; }
  void reconfigure(const std::function<void()>& change) override {
    judge_->note_hotplug();
    judge_->reconfigure_begin();
    change();
    judge_->reconfigure_end();
  }
  std::uint32_t flow_hash() override { return flows_[0].hash; }

 private:
  class Handler : public PacketHandler {
   public:
    explicit Handler(OneRun& run) : run_(run) {}
    void receive(Delivery& delivery) override { run_.judge_->delivered(delivery); }

   private:
    OneRun& run_;
  };

  void attach();
  void attach_script(std::uint32_t index, const ScriptQueue::Script& script);
  void attach_virtio(std::uint32_t index, const ScriptQueue::Script& script);

  const SmallPlan& plan_;
  EventLog log_{false};
  std::vector<Flow> flows_;
  std::unique_ptr<Engine> engine_;
  SimMachine machine_;
  RingStage rings_{machine_, 0, 0, Nanos{0}};
  std::unique_ptr<CpuTasks> cpus_;
  std::unique_ptr<Judge> judge_;
  std::unique_ptr<Application> application_;
  Handler handler_{*this};
};

OneRun::OneRun(const SmallPlan& plan, FiberStacks& stacks, Explorer& explorer)
    : plan_(plan), machine_(stacks, explorer, kMaxSteps) {
  engine_ = std::move(
      *Engine::create({.cpus = plan.cpus, .pool_packets = 64, .frame_size = 128, .flow_hash_key = SipHashKey{1, 2}}));
  for (std::uint32_t i = 0; i < plan.arrivals.size(); ++i) {
    flows_.push_back(make_flow(2 * i, false));
    flows_.back().hash = 0x10000u + 7 * i;
  }
  cpus_ = std::make_unique<CpuTasks>(machine_, engine_->core(), IdlePolicy::interrupt, Nanos{0});
  judge_ = std::make_unique<Judge>(machine_, engine_->core(), *cpus_, log_, 2 * flows_.size());
  engine_->set_tracer(judge_.get());
  application_ = engine_->open_application();
  (void)engine_->add_handler(kEthPIp, handler_);
  attach();
  judge_->quiet_end();
  for (const auto& thread : plan.threads)
    machine_.spawn("thread", SimExecutor::kOwnCore, true, [this, &thread](SimTask&) { thread(*this); });
  // Nobody waits for this one: the run ends when nobody will ever run again.
  SimTask& anchor = machine_.spawn("anchor", SimExecutor::kOwnCore, false, [](SimTask&) {});
  anchor.state = SimTask::State::asleep;
  anchor.time = anchor.alarm = kNever;
}

void OneRun::attach_script(std::uint32_t index, const ScriptQueue::Script& script) {
  auto device = std::make_unique<ScriptDevice>("sim" + std::to_string(index), std::vector{script}, flows_, machine_,
                                               FlowHashKind::siphash);
  device->queue(0).on_received = [this](const Packet& packet) { judge_->received(packet, false); };
  (void)engine_->attach(std::move(device));
}

void OneRun::attach_virtio(std::uint32_t index, const ScriptQueue::Script& script) {
  auto device = std::make_unique<VirtioDevice>("sim" + std::to_string(index), std::vector{script}, flows_,
                                               *plan_.virtio, FlowHashKind::siphash);
  VirtioQueue& queue = device->queue(0);
  queue.on_received = [this](const Packet& packet) { judge_->received(packet, false); };
  queue.accuse = [this](const std::string& what) { judge_->accuse("frames", what); };
  (void)engine_->attach(std::move(device));
  NapiStruct& napi = *engine_->core().devices.back().netif->rx_queues[0]->napi;
  queue.start(machine_, "device", interrupt_of(machine_, engine_->core(), napi), false);
}

void OneRun::attach() {
  for (std::uint32_t i = 0; i < plan_.arrivals.size(); ++i) {
    ScriptQueue::Script script;
    for (const Nanos at : plan_.arrivals[i]) script.arrivals.push_back({at, i});
    if (plan_.virtio)
      attach_virtio(i, script);
    else
      attach_script(i, script);
  }
  for (const auto& [path, text] : plan_.settings)
    if (const auto done = engine_->write(path, text); !done) throw std::runtime_error(done.error().text);
}

std::string OneRun::run() {
  machine_.observe(judge_.get());
  const SimEnd end = machine_.run();
  machine_.observe(nullptr);
  if (!machine_.why().empty()) return machine_.why();
  if (end == SimEnd::endless) return "livelock: too many steps; " + judge_->backlog_of_work();
  return "";
}

}  // namespace

Exploration explore(const SmallPlan& plan, std::uint32_t preemptions) {
  FiberStacks stacks;
  Explorer explorer(preemptions);
  Exploration result;
  do {
    auto run = std::make_unique<OneRun>(plan, stacks, explorer);
    result.failure = run->run();
    if (result.failure.empty()) continue;
    result.events = run->events();
    (void)run.release();  // stuck where it was
    break;
  } while (explorer.next());
  result.schedules = explorer.schedules();
  return result;
}

}  // namespace netrx::simtest
