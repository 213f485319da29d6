// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "netrx/flow.h"

namespace netrx {

/// Which queue a frame goes to, and what the card would report of it.
struct RssChoice {
  std::uint16_t queue = 0;
  FlowHash hash{};  ///< 0 without l4 for a frame that is not IP
};

/// Receive-side scaling as a card does it: Toeplitz over the outermost addresses and ports, then a table of 128 entries
/// indexed by the hash's low bits. Frames that are not IP have no hash and go to queue 0.
///
/// Constant after construction: any number of threads may use one.
class Rss {
 public:
  static constexpr std::size_t kTableSize = 128;

  /// Queues round robin over the table, as `ethtool -X ... equal N` leaves it. `queues` is at least 1.
  explicit Rss(std::size_t queues);
  Rss(const Toeplitz& hash, std::span<const std::uint16_t, kTableSize> table);

  /// `in` starts at the network header.
  RssChoice choose(const FlowInput& in) const;
  /// The same for a frame that starts with its Ethernet header.
  RssChoice choose_ethernet(std::span<const std::uint8_t> frame) const;

 private:
  Toeplitz hash_;
  std::array<std::uint16_t, kTableSize> table_{};
};

}  // namespace netrx
