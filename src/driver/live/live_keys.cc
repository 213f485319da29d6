// SPDX-License-Identifier: Apache-2.0
#include "driver/live/live_keys.h"

#include <utility>

#include "driver/live/live_queue.h"
#include "driver/queue_options.h"

namespace netrx {

DeviceKind live_device_kind(std::string name, std::string summary, const std::initializer_list<DeviceKey>& more,
                            const OpenLive& open) {
  DeviceKind kind{.name = std::move(name),
                  .argument = "INTERFACE",
                  .summary = std::move(summary),
                  .keys = {{"queues", "N", "receive and send queues (default 1; as --sink: one a CPU)"},
                           {"name", "NAME", "what the device is called (default: as the interface)"},
                           {"count", "N", "ends when N frames have come (default: never)"},
                           {"reconnect", "on|off",
                            "wait for an interface that was deleted; off: then the device ends (default on; off with "
                            "count=N)"}},
                  .open = [open](DeviceArguments& arguments) { return open(arguments, 1, true); },
                  .wrap = {}};
  kind.open_sink = [open](DeviceArguments& arguments, std::size_t queues) { return open(arguments, queues, false); };
  kind.keys.insert(kind.keys.end(), more);
  return kind;
}

LiveOptions read_live_options(DeviceArguments& arguments, const std::string& interface, std::size_t queues) {
  LiveOptions options;
  if (interface.size() > 15)
    arguments.refuse("INTERFACE", "an interface name has at most 15 characters, not " + interface);
  options.name = read_device_name(arguments, interface);
  options.queues = arguments.number("queues", queues, 1, 256);
  options.frames =
      arguments.given("count") ? arguments.number("count", 1, 1, std::uint64_t{1} << 62) : FrameLimit::kForever;
  options.reconnect = arguments.on_off("reconnect", !arguments.given("count"));
  return options;
}

}  // namespace netrx
