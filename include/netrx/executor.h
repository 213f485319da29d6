// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "netrx/engine.h"
#include "netrx/error.h"
#include "netrx/time.h"

namespace netrx {

/// What a CPU does when it has nothing to do. Waking a sleeper costs its waker about 7 µs on a VM and takes 20 µs.
enum class IdlePolicy : std::uint8_t {
  poll,       ///< spins: shortest delay, one core each
  interrupt,  ///< sleeps at once
  adaptive,   ///< spins for a while, then sleeps
};

struct ThreadOptions {
  IdlePolicy idle = IdlePolicy::adaptive;
  Nanos spin = std::chrono::microseconds(50);  ///< how long adaptive spins
  bool pin = true;                             ///< each thread to the host CPU of its number
};

/// Runs an engine's CPUs live: one thread a CPU, and one a NAPI in threaded mode.
///
/// Thread rules: start and stop from one thread. The engine outlives the executor.
class ThreadExecutor {
 public:
  ThreadExecutor(Engine& engine, const ThreadOptions& options);
  /// Stops first, if it runs.
  ~ThreadExecutor();
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  /// EINVAL: a CPU can't be pinned; nothing runs then. EALREADY: it runs.
  Result<void> start();
  /// Ends every thread after its current round; what is queued stays queued, and start() goes on with it.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace netrx
