// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netrx/engine.h"
#include "script_device.h"
#include "sim/machine.h"
#include "virtio_device.h"

namespace netrx::simtest {

class SmallWorld;

/// A world small enough that every order of its steps can be tried.
struct SmallPlan {
  std::vector<std::uint16_t> cpus{0, 1};
  std::vector<std::vector<Nanos>> arrivals{};  ///< by device; each has one queue and one flow
  std::optional<VirtioPlan> virtio{};          ///< every device is a virtio-net device; else a script alone
  std::vector<std::pair<std::string, std::string>> settings{};
  /// Each is one more thread.
  std::vector<std::function<void(SmallWorld&)>> threads{};
};

/// What a thread of a small world can reach.
class SmallWorld {
 public:
  virtual ~SmallWorld() = default;
  virtual Engine& engine() = 0;
  virtual Application& application() = 0;
  virtual void reconfigure(const std::function<void()>& change) = 0;  ///< the judge forgives order meanwhile
  virtual std::uint32_t flow_hash() = 0;                              ///< of the first device's flow
};

struct Exploration {
  std::uint64_t schedules = 0;
  std::string failure;  ///< of the first schedule that failed; exploring ends there
  std::string events;
};

/// Runs all schedules with up to `preemptions` preemptions.
Exploration explore(const SmallPlan& plan, std::uint32_t preemptions);

}  // namespace netrx::simtest
