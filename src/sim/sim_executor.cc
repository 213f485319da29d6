// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_executor.h"

#include "base/check.h"

namespace netrx {

namespace {

class TaskThread : public SimThread {
 public:
  explicit TaskThread(SimTask& task) : task_(task) {}
  Nanos now() override { return task_.machine.now(); }
  void work(Nanos duration) override { task_.machine.work(duration); }
  bool sleep(Nanos at_most) override { return task_.machine.sleep(at_most == kNever ? kNever : task_.time + at_most); }
  Actor& actor() override { return task_.actor; }

 private:
  SimTask& task_;
};

}  // namespace

SimExecutor::State::State(EngineCore& of, const SimOptions& options)
    : core(of),
      order(options),
      machine(stacks, order, options.max_steps),
      cpus(machine, of, options.idle, options.spin) {}

SimExecutor::SimExecutor(Engine& engine, const SimOptions& options)
    : state_(std::make_unique<State>(engine.core(), options)) {
  for (const Attached& attached : state_->core.devices)
    if (attached.netif->threaded.exchange(false)) (void)state_->core.set_threaded(*attached.netif, true);
}

SimExecutor::~SimExecutor() { stop(); }

// A run that did not finish left the machine in the middle of something: nobody can be asked to end then.
SimEnd SimExecutor::stop() {
  if (!state_->why.empty()) return SimEnd::failed;
  if (state_->stopped) return SimEnd::finished;
  state_->stopped = true;
  spawn("stop", kOwnCore, [this](SimThread&) { state_->cpus.end(); });
  return run();
}

std::size_t SimExecutor::spawn(std::string name, std::uint16_t core, std::function<void(SimThread&)> body) {
  SimTask& task = state_->machine.spawn(std::move(name), core, false, [body = std::move(body)](SimTask& me) {
    TaskThread thread(me);
    body(thread);
  });
  state_->threads.push_back(&task);
  return state_->threads.size() - 1;
}

void SimExecutor::wake(std::size_t thread) { state_->machine.wake(*state_->threads[thread]); }

SimEnd SimExecutor::run() {
  const SimEnd end = state_->machine.run();
  switch (end) {
    case SimEnd::finished: break;
    case SimEnd::stalled: state_->why = "stall: threads wait for each other or for what never comes"; break;
    case SimEnd::endless: state_->why = "livelock: the limit of steps is passed"; break;
    case SimEnd::failed: break;
  }
  if (!state_->machine.why().empty()) state_->why = state_->machine.why();
  return end;
}

void SimExecutor::fail(std::string why) { state_->machine.fail(std::move(why)); }
const std::string& SimExecutor::why() const { return state_->why; }
Nanos SimExecutor::now() const { return state_->machine.now(); }
std::uint64_t SimExecutor::steps() const { return state_->machine.steps(); }
std::uint64_t SimExecutor::digest() const { return state_->machine.digest(); }

}  // namespace netrx
