// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netrx/engine.h"
#include "netrx/sim.h"
#include "script_device.h"
#include "virtio_device.h"

namespace netrx::simtest {

/// One device of a run.
struct DevicePlan {
  std::string name;
  FlowHashKind hash = FlowHashKind::siphash;
  std::vector<ScriptQueue::Script> queues;
  std::optional<VirtioPlan> virtio;  ///< it is a virtio-net device; else its queues are scripts alone
};

/// One application thread.
struct AppPlan {
  std::uint16_t core = SimExecutor::kOwnCore;  ///< a CPU whose time it shares
  std::uint32_t capacity = 64;                 ///< of its receive queue
  std::uint32_t migrate_ppm = 0;               ///< per turn: it records another CPU from then on
  std::uint32_t transmit_ppm = 0;
  std::uint32_t busy_poll_ppm = 0;
  bool prefer_busy_poll = false;
  Nanos nap{0};  ///< between two looks at an empty queue
};

/// What the control plane does, and when.
struct ControlPlan {
  enum class Kind : std::uint8_t { write, set_running, detach, bind_irq, stats };
  Kind kind = Kind::write;
  Nanos after{0};      ///< since the one before
  std::string path{};  ///< write: the setting; else the device
  std::string text{};  ///< write: the value
  std::size_t queue = 0;
  std::uint16_t cpu = 0;
  bool on = false;
};

/// Everything that a seed decides about a run, before it starts.
struct Plan {
  std::uint64_t seed = 0;
  EngineOptions engine;
  SimOptions sim;
  std::uint32_t vring_stall_ppm = 0;  ///< stalls, as long as the others, between two steps of a virtqueue's protocol
  std::vector<Flow> flows;            ///< those of devices first, then one for each application that transmits
  std::vector<DevicePlan> devices;
  std::vector<AppPlan> apps;                                  ///< none: handlers keep nothing
  std::vector<std::pair<std::string, std::string>> settings;  ///< written before the start
  std::vector<ControlPlan> control;
  Nanos last_arrival{0};
  std::size_t arrivals = 0;

  std::string describe() const;
};

/// The plan of a seed: the same on every machine.
Plan draw_plan(std::uint64_t seed);

}  // namespace netrx::simtest
