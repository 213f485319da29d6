// SPDX-License-Identifier: Apache-2.0
#include "observe/histogram.h"

namespace netrx {

std::uint64_t percentile(const std::array<std::uint64_t, Histogram::kBuckets>& counts, unsigned per_mille) {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts) total += count;
  if (total == 0) return 0;
  const std::uint64_t rank = (total * per_mille + 999) / 1000;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i];
    if (counts[i] != 0 && seen >= rank) return Histogram::upper_bound(i);
  }
  return Histogram::upper_bound(counts.size() - 1);
}

}  // namespace netrx
