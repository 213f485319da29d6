// SPDX-License-Identifier: Apache-2.0
#include "driver/rss.h"

#include <algorithm>

#include "wire/eth_type_trans.h"

namespace netrx {

Rss::Rss(std::size_t queues) {
  for (std::size_t i = 0; i < kTableSize; ++i) table_[i] = static_cast<std::uint16_t>(i % queues);
}

Rss::Rss(const Toeplitz& hash, std::span<const std::uint16_t, kTableSize> table) : hash_(hash) {
  std::ranges::copy(table, table_.begin());
}

RssChoice Rss::choose(const FlowInput& in) const {
  const RssInput input = rss_input(in);
  if (input.kind == RssKind::none) return {};
  const std::uint32_t hash = hash_.hash(input);
  return {.queue = table_[hash % kTableSize], .hash = {.hash = hash, .l4 = input.l4()}};
}

RssChoice Rss::choose_ethernet(std::span<const std::uint8_t> frame) const {
  if (frame.size() < wire::EthernetView::kSize) return {};
  return choose({.data = frame.data() + wire::EthernetView::kSize,
                 .len = static_cast<std::uint32_t>(frame.size() - wire::EthernetView::kSize),
                 .protocol = wire::eth_type_trans(frame, {}).protocol});
}

}  // namespace netrx
