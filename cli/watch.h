// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "outcome.h"
#include "progress.h"
#include "session.h"
#include "signals.h"

namespace netrx::cli {

/// How a run came to its end.
struct Ending {
  Ended ended = Ended::exhausted;
  int signal = 0;
  std::string trouble{};
};

/// Waits until the run is over: everything came through, the time is up, a signal came, or nothing moves any more.
/// Shows progress meanwhile.
Ending watch(Session& session, Signals& signals, Progress& progress);

}  // namespace netrx::cli
