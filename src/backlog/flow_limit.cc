// SPDX-License-Identifier: Apache-2.0
#include "backlog/flow_limit.h"

namespace netrx {

bool flow_limit_exceeded(FlowLimit& limit, std::uint32_t hash) {
  const std::uint32_t bucket = hash & limit.table_mask;
  std::uint16_t& oldest = limit.history[limit.history_head];
  // Ids are 16 bits wide, as in the kernel: a table of more than 65,536 buckets ages the wrong ones.
  if (limit.buckets[oldest] > 0) --limit.buckets[oldest];
  oldest = static_cast<std::uint16_t>(bucket);
  limit.history_head = (limit.history_head + 1) & (FlowLimit::kHistory - 1);
  if (++limit.buckets[bucket] <= FlowLimit::kHistory / 2) return false;
  limit.count.store(limit.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return true;
}

}  // namespace netrx
