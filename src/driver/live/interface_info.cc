// SPDX-License-Identifier: Apache-2.0
#include "driver/live/interface_info.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "driver/live/interface.h"
#include "driver/live/owned_fd.h"
#include "driver/live/xdp_features.h"

namespace netrx {

namespace {

/// The first line of a file; empty when it can't be read.
std::string line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t number_of(const std::string& path) { return std::strtoull(line_of(path).c_str(), nullptr, 10); }

/// One of the questions of `ethtool -k` that has a number for an answer.
std::uint32_t ask_ethtool(int fd, const std::string& name, std::uint32_t command) {
  ethtool_value value{.cmd = command, .data = 0};
  ifreq what{};
  std::strncpy(what.ifr_name, name.c_str(), IFNAMSIZ - 1);
  what.ifr_data = reinterpret_cast<char*>(&value);
  return ioctl(fd, SIOCETHTOOL, &what) == 0 ? value.data : 0;
}

std::vector<std::string> offloads_of(const std::string& name) {
  struct Question {
    std::uint32_t command, bit;
    const char* name;
  };
  constexpr std::array<Question, 9> kQuestions{{{ETHTOOL_GRXCSUM, ~0u, "rx-checksumming"},
                                                {ETHTOOL_GTXCSUM, ~0u, "tx-checksumming"},
                                                {ETHTOOL_GSG, ~0u, "scatter-gather"},
                                                {ETHTOOL_GTSO, ~0u, "tcp-segmentation-offload"},
                                                {ETHTOOL_GGSO, ~0u, "generic-segmentation-offload"},
                                                {ETHTOOL_GGRO, ~0u, "generic-receive-offload"},
                                                {ETHTOOL_GFLAGS, ETH_FLAG_LRO, "large-receive-offload"},
                                                {ETHTOOL_GFLAGS, ETH_FLAG_RXVLAN, "rx-vlan-offload"},
                                                {ETHTOOL_GFLAGS, ETH_FLAG_RXHASH, "receive-hashing"}}};
  std::vector<std::string> on;
  const OwnedFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (const Question& question : kQuestions)
    if ((ask_ethtool(fd.get(), name, question.command) & question.bit) != 0) on.emplace_back(question.name);
  return on;
}

std::string address_text(const std::array<std::uint8_t, 6>& address) {
  if (address == std::array<std::uint8_t, 6>{}) return {};
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1], address[2],
                address[3], address[4], address[5]);
  return text.data();
}

void read_sysfs(InterfaceInfo& info) {
  const std::string folder = "/sys/class/net/" + info.name;
  info.in_sysfs = number_of(folder + "/ifindex") == info.index;
  if (!info.in_sysfs) return;
  std::error_code none;
  for (std::size_t i = 0; std::filesystem::exists(folder + "/queues/rx-" + std::to_string(i), none); ++i) {
    const std::string queue = folder + "/queues/rx-" + std::to_string(i);
    info.rx_queues.push_back({line_of(queue + "/rps_cpus"), number_of(queue + "/rps_flow_cnt")});
  }
  while (std::filesystem::exists(folder + "/queues/tx-" + std::to_string(info.tx_queues), none)) ++info.tx_queues;
  info.gro_flush_timeout = number_of(folder + "/gro_flush_timeout");
  info.napi_defer_hard_irqs = number_of(folder + "/napi_defer_hard_irqs");
  info.threaded = number_of(folder + "/threaded") != 0;
}

}  // namespace

std::vector<InterfaceInfo> list_interfaces() {
  std::vector<InterfaceInfo> all;
  struct if_nameindex* names = if_nameindex();
  for (const struct if_nameindex* one = names; one != nullptr && one->if_name != nullptr; ++one) {
    InterfaceInfo& info = all.emplace_back();
    info.name = one->if_name;
    info.index = one->if_index;
    info.up = interface_is_up(info.name);
    info.ethernet = interface_is_ethernet(info.name);
    info.mtu = interface_mtu(info.name);
    info.address = address_text(interface_address(info.name));
    info.driver = interface_driver(info.name).name;
    info.offloads = offloads_of(info.name);
    info.xdp_features = xdp_features(info.index);
    read_sysfs(info);
  }
  if (names != nullptr) if_freenameindex(names);
  std::ranges::sort(all, {}, &InterfaceInfo::index);
  return all;
}

std::uint64_t kernel_rps_sock_flow_entries() { return number_of("/proc/sys/net/core/rps_sock_flow_entries"); }

namespace {

bool is_empty_mask(const std::string& mask) { return mask.find_first_not_of("0,") == std::string::npos; }

std::string queues_text(const std::vector<std::size_t>& queues, std::size_t of) {
  if (queues.size() == of) return of == 1 ? "its queue" : "every queue";
  std::string text = queues.size() == 1 ? "queue " : "queues ";
  for (std::size_t i = 0; i < queues.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(queues[i]);
  return text;
}

std::string explain_rps(const InterfaceInfo& info) {
  std::vector<std::size_t> spread;
  std::string mask;
  bool same = true;
  for (std::size_t i = 0; i < info.rx_queues.size(); ++i) {
    if (is_empty_mask(info.rx_queues[i].rps_cpus)) continue;
    same = same && (spread.empty() || mask == info.rx_queues[i].rps_cpus);
    mask = info.rx_queues[i].rps_cpus;
    spread.push_back(i);
  }
  if (spread.empty())
    return "RPS off: " + std::string(info.rx_queues.size() == 1
                                         ? "one CPU, where the only queue's interrupt lands, does all"
                                         : "each queue's packets stay where its interrupt lands");
  return "RPS on: packets of " + queues_text(spread, info.rx_queues.size()) + " go by flow to the CPUs of mask " +
         (same ? mask : "of each queue");
}

std::string explain_rfs(const InterfaceInfo& info, std::uint64_t entries) {
  std::uint64_t flows = 0;
  for (const KernelRxQueue& queue : info.rx_queues) flows += queue.rps_flow_cnt;
  if (flows == 0 && entries == 0) return "RFS off: flows do not follow the CPUs on which they are read";
  if (flows == 0)
    return "RFS off: rps_sock_flow_entries is " + std::to_string(entries) + ", but no queue has an rps_flow_cnt";
  if (entries == 0) return "RFS does nothing: rps_flow_cnt is set, but net.core.rps_sock_flow_entries is 0";
  return "RFS on: flows follow the CPUs on which they are read, " + std::to_string(flows) + " of " +
         std::to_string(entries) + " remembered";
}

}  // namespace

std::vector<std::string> explain_steering(const InterfaceInfo& info, std::uint64_t rps_sock_flow_entries) {
  if (!info.in_sysfs) return {"RPS, RFS: not known, /sys shows another network namespace"};
  if (info.rx_queues.empty()) return {"RPS, RFS: it has no receive queue"};
  std::vector<std::string> lines{explain_rps(info), explain_rfs(info, rps_sock_flow_entries)};
  if (info.threaded) lines.emplace_back("NAPI threaded: each queue is polled by a thread that the scheduler may move");
  if (info.napi_defer_hard_irqs != 0 && info.gro_flush_timeout != 0)
    lines.push_back("NAPI deferred: after an empty poll a timer of " + std::to_string(info.gro_flush_timeout) +
                    " ns polls up to " + std::to_string(info.napi_defer_hard_irqs) +
                    " times before the interrupt is on again");
  return lines;
}

}  // namespace netrx
