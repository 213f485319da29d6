// SPDX-License-Identifier: Apache-2.0
#include "netrx/vhost_device.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <optional>

#include "commands.h"
#include "session.h"
#include "signals.h"
#include "units.h"

namespace netrx::cli {

namespace {

constexpr const char* kHelp = R"(usage: netrx vhost-device --socket PATH --dev SPEC [options]

Is a virtio-net device over vhost-user: whatever driver attaches to PATH receives the frames of SPEC. What it sends is
counted. Ends when SPEC has ended and the driver has everything, with --duration, or with Ctrl-C.

  --socket PATH      where the driver is met
  --dev SPEC         what it receives, as for `netrx run` (`netrx devices` lists them)
  --connect          connect to a driver that listens at PATH, instead of listening
  --queues N         queue pairs offered (default: as many as SPEC has queues)
  --echo             what the driver sends comes back to it; does not end by itself
  --forward          what the driver sends, SPEC sends: with a tap, driver and host talk to each other
  --packed on|off    offer packed rings (default on)
  --mrg-rxbuf on|off offer packets over several buffers (default on)
  --duration TIME    end after this time
  --help             this text

Two commands, two windows:
  netrx vhost-device --socket /tmp/v.sock --dev pcap:samples/mixed.pcap
  netrx run --dev vhost-user:/tmp/v.sock,reconnect=off
A guest of QEMU (its memory must be shared):
  qemu-system-x86_64 ... -object memory-backend-memfd,id=m,size=512M,share=on -numa node,memdev=m
      -chardev socket,id=c,path=/tmp/v.sock -netdev vhost-user,id=n,chardev=c -device virtio-net-pci,netdev=n
)";

struct Arguments {
  VhostDeviceOptions device;
  std::string source;
  std::optional<Nanos> duration;
};

Result<Arguments> parse(std::span<const std::string> words) {
  CLI::App app;
  app.set_help_flag();
  Arguments arguments;
  std::string queues, packed = "on", mrg_rxbuf = "on", duration;
  app.add_option("--socket", arguments.device.socket)->required();
  app.add_option("--dev", arguments.source)->required();
  app.add_flag("--connect", arguments.device.connect);
  app.add_flag("--echo", arguments.device.echo);
  app.add_flag("--forward", arguments.device.forward);
  app.add_option("--queues", queues);
  app.add_option("--packed", packed)->check(CLI::IsMember({"on", "off"}));
  app.add_option("--mrg-rxbuf", mrg_rxbuf)->check(CLI::IsMember({"on", "off"}));
  app.add_option("--duration", duration);
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Error& error) {
    return fail(EINVAL, fmt::format("{} (EINVAL: Invalid argument); see `netrx vhost-device --help`", error.what()));
  }
  arguments.device.packed = packed == "on";
  arguments.device.mrg_rxbuf = mrg_rxbuf == "on";
  arguments.device.queues = 0;
  if (!queues.empty()) {
    const Result<std::uint64_t> count = parse_count(queues, 1, 64);
    if (!count) return fail(count.error().code, fmt::format("--queues {}: {}", queues, count.error().text));
    arguments.device.queues = *count;
  }
  if (!duration.empty()) {
    const Result<Nanos> time = parse_duration(duration);
    if (!time) return fail(time.error().code, fmt::format("--duration {}: {}", duration, time.error().text));
    arguments.duration = *time;
  }
  return arguments;
}

void report(const VhostDevice& device) {
  const VhostDeviceStats& stats = device.stats();
  fmt::print("to the driver:   {} frames, {} bytes, {} interrupts\n", grouped(stats.to_packets),
             grouped(stats.to_bytes), grouped(stats.calls));
  fmt::print("from the driver: {} frames, {} bytes, {} wake-ups by it\n", grouped(stats.from_packets),
             grouped(stats.from_bytes), grouped(stats.kicks));
  if (stats.connections != 1) fmt::print("connections: {}\n", stats.connections);
  if (stats.to_refused != 0) fmt::print("not given, the driver takes no such frames: {}\n", grouped(stats.to_refused));
  if (stats.from_malformed != 0) fmt::print("chains without a frame: {}\n", grouped(stats.from_malformed));
  if (stats.forwarded != 0 || stats.forward_dropped != 0)
    fmt::print("forwarded:       {} frames, {} dropped\n", grouped(stats.forwarded), grouped(stats.forward_dropped));
  if (stats.echo_dropped != 0) fmt::print("echoes without a buffer: {}\n", grouped(stats.echo_dropped));
  if (!stats.trouble.empty()) fmt::print("{}\n", stats.trouble);
  if (const std::string remark = device.remark(); !remark.empty()) fmt::print("{}\n", remark);
}

}  // namespace

int vhost_device(std::span<const std::string> words) {
  for (const std::string& word : words) {
    if (word != "--help" && word != "-h") continue;
    return std::fputs(kHelp, stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : 2;
  }
  Result<Arguments> arguments = parse(words);
  if (!arguments) return refuse(full_text(arguments.error()));
  Result<std::unique_ptr<NetDevice>> source = device_catalog().open(arguments->source);
  if (!source) return refuse(fmt::format("--dev {}: {}", arguments->source, full_text(source.error())));
  if (arguments->device.queues == 0) arguments->device.queues = (*source)->queue_count();
  Signals signals;
  const auto device = VhostDevice::create(arguments->device, std::move(*source));
  if (!device) return refuse(full_text(device.error()));
  fmt::print("waiting for a driver at {}\n", arguments->device.socket);
  std::fflush(stdout);

  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = Clock::now();
  int signal = 0;
  for (std::uint32_t round = 0; (*device)->step(std::chrono::milliseconds(20)); ++round) {
    if (round % 16 != 0) continue;
    if ((signal = signals.wait(Nanos{0})) != 0) break;
    if (arguments->duration && Clock::now() - began >= *arguments->duration) break;
  }
  report(**device);
  if (std::fflush(stdout) != 0) return 2;
  return signal == 0 ? 0 : 128 + signal;
}

}  // namespace netrx::cli
