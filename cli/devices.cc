// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "commands.h"
#include "session.h"

namespace netrx::cli {

int devices(std::span<const std::string> arguments) {
  if (!arguments.empty() && arguments.front() != "--help" && arguments.front() != "-h")
    return refuse("devices: takes no argument, not " + arguments.front());
  std::fputs(
      "Devices for `netrx run --dev SPEC`. Keys follow a comma: pcap:FILE,loop=3. Middleware stands left of the "
      "device\n"
      "it wraps: fault:loss=1%//pcap:FILE.\n\n",
      stdout);
  std::fputs(device_catalog().help().c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 2;
}

}  // namespace netrx::cli
