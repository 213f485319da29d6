// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps.h"
#include "flow_table.h"
#include "inlet.h"
#include "netrx/devices.h"
#include "netrx/engine.h"
#include "netrx/executor.h"
#include "run_options.h"
#include "sinks.h"

namespace netrx::cli {

/// Told while a capture is read: bytes so far, and of how many (0: unknown).
using Reading = std::function<void(std::uint64_t bytes_read, std::uint64_t total)>;

/// Every kind of device this command knows.
DeviceCatalog device_catalog(Reading reading = {});

/// An engine with its devices, settings and consumers, as `netrx run` was told.
class Session {
 public:
  /// Opens everything; nothing runs yet.
  static Result<std::unique_ptr<Session>> open(const RunOptions& options, Reading reading = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Result<void> start();
  /// Ends all threads; what applications had not taken yet is freed and counted.
  void stop();

  Engine& engine() { return *engine_; }
  const RunOptions& options() const { return options_; }
  const FlowTable& flows() const { return flows_; }
  std::span<const std::unique_ptr<Inlet>> inlets() const { return inlets_; }
  const Sinks& sinks() const { return sinks_; }
  const Apps* apps() const { return apps_.get(); }

 private:
  Session(const RunOptions& options, Reading reading);
  Result<void> make_engine();
  Result<void> write_core();
  Result<void> attach(const std::string& spec);
  Result<void> write_device(const DeviceStats& device);
  Result<void> write(const Assignment& assignment, const std::string& path);
  Result<void> connect();
  Result<void> add_inlet(PacketHandler* next, std::string_view device);

  const RunOptions options_;
  const Reading reading_;
  std::vector<std::uint16_t> cpus_;
  FlowTable flows_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Apps> apps_;
  Sinks sinks_;
  std::vector<std::unique_ptr<Inlet>> inlets_;
  std::optional<ThreadExecutor> executor_;
};

}  // namespace netrx::cli
