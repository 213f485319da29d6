// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "netrx/devices.h"

namespace netrx {

/// The keys that every device made of software has.
struct QueueOptions {
  static constexpr std::uint64_t kMostQueues = 256;
  static constexpr std::uint64_t kHighestRate = 100'000'000;

  std::string name;
  std::size_t queues = 1;
  std::uint32_t ring = 4096;  ///< frames that may wait in a paced queue
  bool rxhash = false;        ///< packets carry the card's hash
  FlowHashKind hash = FlowHashKind::siphash;
};

/// The frames a second asked for; `max`: always one ready, `recorded`: as they were captured.
struct RateOption {
  enum Kind { max, recorded, steady } kind = max;
  std::uint64_t frames_a_second = 0;
};

std::vector<DeviceKey> queue_keys();
/// `name`: what the device is called unless told otherwise.
QueueOptions read_queue_options(DeviceArguments& arguments, std::string_view name);
/// `name` as given or the fallback, checked as the kernel checks device names.
std::string read_device_name(DeviceArguments& arguments, std::string_view fallback);
/// `recorded` is only understood where `may_be_recorded`.
RateOption read_rate(DeviceArguments& arguments, bool may_be_recorded);

}  // namespace netrx
