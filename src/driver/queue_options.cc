// SPDX-License-Identifier: Apache-2.0
#include "driver/queue_options.h"

#include <algorithm>

namespace netrx {

std::vector<DeviceKey> queue_keys() {
  return {
      {"name", "NAME", "what the device is called; at most 15 characters"},
      {"queues", "N", "receive queues, frames spread by RSS (default 1)"},
      {"rxhash", "on|off", "packets carry the hash RSS computed, as cards with RXHASH report it (default off)"},
      {"hash", "siphash|toeplitz", "what RPS hashes packets without a hash by (default siphash)"},
      {"ring", "N", "frames that may wait in each queue unless rate=max; more are lost (default 4096)"},
  };
}

std::string read_device_name(DeviceArguments& arguments, std::string_view fallback) {
  std::string name = arguments.text("name", fallback);
  const bool bad = std::ranges::any_of(name, [](char c) { return c == '/' || c == ':' || c <= ' ' || c > '~'; });
  if (name.empty() || name.size() > 15 || name == "." || name == ".." || bad)
    arguments.refuse("name", "a device name has 1 to 15 printable characters, no space, '/' or ':'");
  return name;
}

QueueOptions read_queue_options(DeviceArguments& arguments, std::string_view name) {
  QueueOptions options;
  options.name = read_device_name(arguments, name);
  options.queues = arguments.number("queues", options.queues, 1, QueueOptions::kMostQueues);
  options.ring = static_cast<std::uint32_t>(arguments.number("ring", options.ring, 1, 1u << 20));
  options.rxhash = arguments.on_off("rxhash", options.rxhash);
  options.hash =
      arguments.choice("hash", 0, {"siphash", "toeplitz"}) == 0 ? FlowHashKind::siphash : FlowHashKind::toeplitz;
  return options;
}

RateOption read_rate(DeviceArguments& arguments, bool may_be_recorded) {
  const std::string text = arguments.text("rate", "max");
  if (text == "max") return {};
  if (text == "recorded" && may_be_recorded) return {.kind = RateOption::recorded};
  return {.kind = RateOption::steady, .frames_a_second = arguments.number("rate", 1, 1, QueueOptions::kHighestRate)};
}

}  // namespace netrx
