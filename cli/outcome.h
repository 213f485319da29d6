// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps.h"
#include "flow_table.h"
#include "netrx/stats.h"
#include "netrx/time.h"
#include "session.h"

namespace netrx::cli {

/// Why a run ended.
enum class Ended : std::uint8_t { exhausted, duration, interrupted, stalled };
std::string_view name(Ended ended);

/// Something that must hold at the end of every run.
struct Check {
  std::string name;
  bool holds = true;
  std::string text;  ///< one line, with the numbers
};

/// All that `netrx run` found, for the table and for JSON.
struct Outcome {
  Ended ended = Ended::exhausted;
  int signal = 0;
  std::string trouble;  ///< why it stalled
  Nanos wall{0};
  Nanos busy{0};  ///< from the first packet's poll to the last delivery's
  EngineStats stats;
  std::string softnet_stat;
  std::uint64_t flows = 0;
  std::uint64_t unprotected_moves = 0;
  OrderCount at_delivery;
  OrderCount at_consumers;
  std::vector<AppStats> apps;
  std::vector<SinkStats> sinks;
  std::vector<Check> checks;

  std::uint64_t bytes() const;
  std::uint64_t received_by_apps() const;
  std::uint64_t left_with_apps() const;
  /// Packets delivered, a second of busy time.
  double packets_per_second() const;
  bool all_hold() const;
  int exit_code() const;
};

/// Reads everything from a session that has stopped, and judges it.
Outcome conclude(Session& session, Ended ended, int signal, std::string trouble);

}  // namespace netrx::cli
