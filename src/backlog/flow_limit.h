// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "softnet/rps_tables.h"

namespace netrx {

/// Judges one packet on its way into a queue that is at least half full: true when its flow owns more than half of
/// the last 128 packets judged by this CPU, and it is to be dropped. `limit` belongs to the enqueuing CPU.
/// Kernel: net/core/dev.c:skb_flow_limit.
bool flow_limit_exceeded(FlowLimit& limit, std::uint32_t hash);

}  // namespace netrx
