// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "handed.h"
#include "netrx/gro.h"

namespace netrx::conformance {

class Kernel;

/// The device's GRO settings, the same for both.
struct GroSettings {
  bool fraglist = false;        ///< rx-gro-list
  bool udp_forwarding = false;  ///< rx-udp-gro-forwarding
  std::uint32_t gro_max_size = 65536;
  bool vxlan = false;                     ///< a VXLAN tunnel ends at its usual port
  std::vector<GroEndpoint> sockets = {};  ///< UDP sockets: of kind udp_gro and udp

  bool operator==(const GroSettings&) const = default;
};

/// Packets that one poll finds, and the settings under which it does.
struct GroScenario {
  std::string name;
  GroSettings settings;
  std::vector<Arrival> poll;
};

/// What the kernel's stack is handed. EOPNOTSUPP: it lacks something that the scenario needs.
Result<std::vector<Handed>> kernel_gro(Kernel& kernel, const GroScenario& scenario);
/// What netrx's would be. A packet may come in one buffer, or its last bytes in another: that makes no difference, but
/// takes other ways through the code.
enum class Buffers { one, two };
std::vector<Handed> netrx_gro(const GroScenario& scenario, Buffers buffers);

}  // namespace netrx::conformance
