// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/engine_core.h"
#include "netrx/stats.h"

namespace netrx {

/// Everything counted, CPU by CPU; each CPU is looked at between two of its rounds.
EngineStats read_stats(const EngineCore& core);

/// True when every device is exhausted and no packet is anywhere between a device and its delivery.
bool nothing_in_flight(const EngineCore& core);

}  // namespace netrx
