// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "flow_table.h"
#include "netrx/consumer.h"
#include "netrx/engine.h"
#include "run_options.h"

namespace netrx::cli {

/// What one application did.
struct AppStats {
  std::uint32_t app = 0;
  std::uint16_t cpu = 0;  ///< where it is now
  std::uint64_t received = 0;
  std::uint64_t on_its_cpu = 0;  ///< of those, processed by the CPU the application was on when it took them
  std::uint64_t moves = 0;
  std::uint64_t left = 0;  ///< found in its queue when it ended
};

/// Threads that play the applications: each takes the packets of its share of the flows on a CPU of its own, tells RFS
/// where that is, frees them, and moves on to the next CPU from time to time.
///
/// Thread rules: everything from one thread; handler() is what the CPUs call.
class Apps {
 public:
  Apps(Engine& engine, FlowTable& flows, const AppOptions& options, std::vector<std::uint16_t> cpus);
  ~Apps();
  Apps(const Apps&) = delete;
  Apps& operator=(const Apps&) = delete;

  PacketHandler& handler() { return *fanout_; }

  void start();
  /// True when no packet waits for an application that takes any.
  bool drained() const;
  /// Packets that wait for an application.
  std::uint64_t waiting() const;
  std::uint64_t received() const;
  /// Ends the threads and frees what they left. After the engine's CPUs have stopped.
  void stop();

  /// After stop(): before it, a thread may hold packets that no number here shows.
  std::vector<AppStats> stats() const;
  /// Why a thread could not go where it should; empty when all could.
  std::string trouble() const;

 private:
  struct App;
  void run(App& app);
  void take(App& app, PacketBatch& batch);

  FlowTable& flows_;
  const AppOptions options_;
  const std::vector<std::uint16_t> cpus_;
  std::vector<std::unique_ptr<App>> apps_;
  std::unique_ptr<FlowFanout> fanout_;
  std::atomic<bool> stopping_{false};
};

}  // namespace netrx::cli
