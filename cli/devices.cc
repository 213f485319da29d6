// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "driver/live/interface_info.h"
#include "session.h"

namespace netrx::cli {

namespace {

constexpr const char* kUsage =
    R"(usage: netrx devices [--json] [--kinds]

Lists this machine's interfaces with what they offer and how the kernel steers their packets now, and the kinds of
devices that `netrx run --dev` and `--sink` take, with their keys.
  --json   the interfaces as JSON
  --kinds  only the kinds of devices
)";

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

std::string af_xdp(const InterfaceInfo& info) {
  if (!info.ethernet) return "no: its frames have no Ethernet header";
  if (!info.xdp_features) return "generic; the kernel does not say what the driver can (it does from 6.3 on)";
  return std::string(info.xdp_native() ? "native and generic" : "generic") +
         (info.xdp_zero_copy() ? ", zero-copy" : ", copying");
}

/// How to receive from it.
std::string specs(const InterfaceInfo& info) {
  if (info.driver == "tun") return fmt::format("its far end by {}:{}", info.ethernet ? "tap" : "tun", info.name);
  return fmt::format("af_packet:{}{}", info.name, info.ethernet ? fmt::format(" or af_xdp:{}", info.name) : "");
}

std::string describe(const InterfaceInfo& info, std::uint64_t entries) {
  std::string text = fmt::format("{}  {}{}, mtu {}{}\n", info.name, info.up ? "up" : "down",
                                 info.driver.empty() ? "" : ", driver " + info.driver, info.mtu,
                                 info.address.empty() ? "" : ", " + info.address);
  if (info.in_sysfs)
    text += fmt::format("  queues    {} to receive, {} to send\n", info.rx_queues.size(), info.tx_queues);
  text += fmt::format("  offloads  {}\n  AF_XDP    {}\n", joined(info.offloads), af_xdp(info));
  std::string_view title = "steering";
  for (const std::string& line : explain_steering(info, entries)) {
    text += fmt::format("  {:<8}  {}\n", title, line);
    title = {};
  }
  return text + fmt::format("  netrx     {}\n", specs(info));
}

nlohmann::ordered_json json_of(const InterfaceInfo& info, std::uint64_t entries) {
  nlohmann::ordered_json queues = nlohmann::ordered_json::array();
  for (const KernelRxQueue& queue : info.rx_queues)
    queues.push_back({{"rps_cpus", queue.rps_cpus}, {"rps_flow_cnt", queue.rps_flow_cnt}});
  nlohmann::ordered_json xdp{{"generic", info.ethernet}, {"native", nullptr}, {"zero_copy", nullptr}};
  if (info.xdp_features) {
    xdp["native"] = info.xdp_native();
    xdp["zero_copy"] = info.xdp_zero_copy();
  }
  return {{"name", info.name},
          {"ifindex", info.index},
          {"up", info.up},
          {"driver", info.driver},
          {"mtu", info.mtu},
          {"address", info.address},
          {"ethernet", info.ethernet},
          {"rx_queues", queues},
          {"tx_queues", info.tx_queues},
          {"offloads", info.offloads},
          {"af_xdp", xdp},
          {"gro_flush_timeout", info.gro_flush_timeout},
          {"napi_defer_hard_irqs", info.napi_defer_hard_irqs},
          {"threaded", info.threaded},
          {"steering", explain_steering(info, entries)}};
}

std::string kinds() {
  return "Devices for `netrx run --dev SPEC` and `--sink SPEC`. Keys follow a comma: pcap:FILE,loop=3. Middleware\n"
         "stands left of the device it wraps: fault:loss=1%//pcap:FILE.\n\n" +
         device_catalog().help();
}

std::string interfaces(bool as_json) {
  const std::uint64_t entries = kernel_rps_sock_flow_entries();
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text;
  for (const InterfaceInfo& info : list_interfaces()) {
    if (as_json)
      all.push_back(json_of(info, entries));
    else
      text += describe(info, entries) + "\n";
  }
  if (!as_json) return "Interfaces\n\n" + text;
  const nlohmann::ordered_json result{
      {"schema", "netrx.devices/1"}, {"rps_sock_flow_entries", entries}, {"interfaces", all}};
  return result.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

int devices(std::span<const std::string> arguments) {
  bool json = false, only_kinds = false;
  for (const std::string& argument : arguments) {
    if (argument == "--help" || argument == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (argument != "--json" && argument != "--kinds")
      return refuse(fmt::format("devices: takes --json or --kinds, not {}", argument));
    (argument == "--json" ? json : only_kinds) = true;
  }
  std::string text;
  if (!only_kinds) text += interfaces(json);
  if (!json) text += kinds();
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 2;
}

}  // namespace netrx::cli
