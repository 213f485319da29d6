// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "engine/engine_core.h"
#include "sim/machine.h"

namespace netrx {

/// Runs an engine's CPUs and threaded NAPIs as tasks of a machine: what ThreadExecutor does with threads. From
/// construction to destruction the engine lives in the machine's time.
class CpuTasks : public NapiThreads {
 public:
  CpuTasks(SimMachine& machine, EngineCore& core, IdlePolicy idle, Nanos spin);
  ~CpuTasks() override;

  Result<void> start(NapiStruct& napi) override;
  void stop(NapiStruct& napi) override;

  /// The task that runs a CPU; null: the engine has no such CPU.
  const SimTask* task_of(std::uint16_t cpu) const;
  /// Ends the CPUs' tasks, from inside or outside of a run.
  void end();

 private:
  struct CpuTask;
  struct PollTask;

  void run_cpu(CpuTask& me);
  void run_napi(PollTask& me);
  void idle(CpuTask& me, Nanos now, Nanos attention);

  SimMachine& machine_;
  EngineCore& core_;
  const IdlePolicy idle_;
  const Nanos spin_;
  Actor control_actor_;
  Actor* const live_actor_;
  Clock* const live_clock_;
  bool stopping_ = false;
  std::map<std::uint16_t, std::unique_ptr<CpuTask>> cpus_;
  std::map<NapiStruct*, std::unique_ptr<PollTask>> napis_;
};

}  // namespace netrx
