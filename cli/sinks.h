// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netrx/devices.h"
#include "netrx/egress.h"
#include "netrx/engine.h"

namespace netrx::cli {

/// What went out by one device.
struct SinkStats {
  struct Queue {
    std::uint64_t tx_packets = 0, tx_bytes = 0, tx_errors = 0, tx_busy = 0;
  };
  std::string name;
  EgressStats egress;
  std::uint64_t tx_packets = 0;  ///< over all queues
  std::vector<Queue> queues;
  std::string remark;
};

/// The devices that `--sink` names, and which device's packets go to which.
class Sinks {
 public:
  struct Route {
    std::string text;  ///< as given
    std::string from;  ///< a device received from; empty: every one without a route of its own
    Egress& egress;
  };

  /// A device that is received from; it may be sent by too.
  void know(NetDevice& device) { received_.emplace(device.name(), &device); }

  /// Takes one --sink. Errors name the remedy.
  Result<void> open(const std::string& text, const DeviceCatalog& catalog, std::span<const std::uint16_t> cpus);

  const std::vector<Route>& routes() const { return routes_; }
  /// No delivered packet is without a route.
  bool take_everything() const;

  /// Once nothing runs any more.
  void settle(Engine& engine);
  std::vector<SinkStats> stats() const;

 private:
  Result<NetDevice*> device_of(const std::string& spec, const DeviceCatalog& catalog, std::size_t queues);
  Result<void> check_link(std::string_view from, const NetDevice& to) const;

  std::map<std::string, NetDevice*, std::less<>> received_;
  std::vector<std::unique_ptr<NetDevice>> opened_;
  std::map<NetDevice*, std::unique_ptr<Egress>> egresses_;
  std::vector<Route> routes_;
};

}  // namespace netrx::cli
