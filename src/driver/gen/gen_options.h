// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "driver/queue_options.h"
#include "netrx/time.h"

namespace netrx {

/// What `gen:` sends.
struct GenOptions {
  static constexpr std::uint32_t kMostFlows = 1u << 20;
  static constexpr std::uint32_t kSmallest = 60;  ///< bytes of a frame without its check sequence
  static constexpr std::uint32_t kLargest = 9216;

  enum class Proto : std::uint8_t { udp, tcp, mix };
  enum class Sizes : std::uint8_t { range, imix };

  QueueOptions queue = {};
  std::uint32_t flows = 1024;
  std::uint32_t zipf = 1000;  ///< thousandths
  Sizes sizes = Sizes::range;
  std::uint32_t size_min = 64;
  std::uint32_t size_max = 64;
  Proto proto = Proto::udp;
  std::uint32_t ipv6_percent = 0;
  std::uint16_t vlan = 0;   ///< 0: untagged
  std::uint32_t burst = 1;  ///< frames of one flow in a row
  RateOption rate = {};
  std::uint64_t count = 0;  ///< frames in all; 0: no end
  Nanos time{0};            ///< how long it sends; 0: no end
  std::uint64_t seed = 1;
};

}  // namespace netrx
