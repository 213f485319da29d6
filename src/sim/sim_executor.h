// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>

#include "netrx/sim.h"
#include "sim/cpu_tasks.h"
#include "sim/machine.h"
#include "sim/time_order.h"

namespace netrx {

/// What is behind SimExecutor.
struct SimExecutor::State {
  State(EngineCore& of, const SimOptions& options);

  EngineCore& core;
  FiberStacks stacks;
  TimeOrder order;
  SimMachine machine;
  CpuTasks cpus;
  std::vector<SimTask*> threads;
  std::string why;
  bool stopped = false;
};

}  // namespace netrx
