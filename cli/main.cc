// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "commands.h"
#include "units.h"

namespace netrx::cli {

namespace {

constexpr const char* kHelp = R"(usage: netrx COMMAND [arguments]

  run        receive packets, steer them over this machine's CPUs, show what happened     netrx run --help
  devices    this machine's interfaces and what they offer; the devices `netrx run` can use, with their keys
  vhost-device
             be a virtio-net device for another program's driver                          netrx vhost-device --help

  --version  print the version
  --help     this text
)";

struct Command {
  const char* name;
  int (*function)(std::span<const std::string>);
};
constexpr Command kCommands[] = {{"run", run}, {"devices", devices}, {"vhost-device", vhost_device}};

int dispatch(const std::vector<std::string>& words) {
  const std::string name = words.empty() ? std::string() : words[0];
  if (name == "--version" || name == "version") {
    fmt::print("netrx {}\n", NETRX_VERSION);
    return 0;
  }
  if (name.empty() || name == "--help" || name == "-h" || name == "help") {
    std::fputs(kHelp, name.empty() ? stderr : stdout);
    return name.empty() ? 2 : 0;
  }
  std::vector<std::string> names{"help"};
  for (const Command& command : kCommands) {
    if (name == command.name) return command.function(std::span(words).subspan(1));
    names.emplace_back(command.name);
  }
  const std::string guess = nearest(name, names);
  return refuse(fmt::format("{}: no such command{}", name,
                            guess.empty() ? "; `netrx --help` lists them" : "; did you mean " + guess + "?"));
}

}  // namespace

int refuse(const std::string& text) {
  std::fflush(stdout);
  fmt::print(stderr, "netrx: {}\n", text);
  return 2;
}

}  // namespace netrx::cli

int main(int argc, char** argv) {
  try {
    return netrx::cli::dispatch({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    return netrx::cli::refuse(error.what());
  }
}
