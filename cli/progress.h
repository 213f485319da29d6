// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps.h"
#include "netrx/stats.h"
#include "netrx/time.h"
#include "run_options.h"

namespace netrx::cli {

/// What happens at this moment, on stderr: one line, rewritten in place on a terminal, a new one every 5 s elsewhere.
class Progress {
 public:
  Progress(ProgressMode mode, bool quiet);

  /// A capture is being read, before the run.
  void reading(std::uint64_t bytes, std::uint64_t total);
  void show(const EngineStats& stats, const Apps* apps, Nanos elapsed);
  /// Clears the line.
  void end();

 private:
  std::string line(const EngineStats& stats, const Apps* apps, Nanos elapsed) const;

  const bool terminal_;
  const bool shown_;
  Nanos last_{0};
  std::vector<std::uint64_t> processed_;  ///< by CPU, at last_
  bool dirty_ = false;
};

}  // namespace netrx::cli
