// SPDX-License-Identifier: Apache-2.0
#include "gro_differences.h"

#include <fnmatch.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "netrx/flow.h"
#include "wire/headers.h"

namespace netrx::conformance {

namespace {

/// A row and the kernels it is about.
struct Row {
  bool (*applies)();
  GroDifference difference;
};

bool always() { return true; }
bool since_6_15() { return running_kernel() >= KernelVersion{6, 15}; }
bool since_6_18() { return running_kernel() >= KernelVersion{6, 18}; }

/// Whether the kernel was built without CONFIG_VLAN_8021Q: then it has no GRO handler for tags either.
bool without_vlan() {
  std::ifstream symbols("/proc/kallsyms");
  for (std::string line; std::getline(symbols, line);)
    if (line.find(" vlan_gro_receive") != std::string::npos) return false;
  return true;
}

constexpr const char* kCwr =
    "from 6.15 a segment merges only if neither it nor the held one has CWR; before, the held one "
    "may have it";
constexpr const char* kFixed = "from 6.18 ids may stay the same without DF too";
constexpr const char* kOuter = "from 6.18 an outer header's ids must count or stay the same, with DF too";
constexpr const char* kInner = "from 6.18 inner and outer ids are fixed or not each for itself, in bits of their own";
constexpr const char* kBeside =
    "the kernel compares a datagram's ports with the innermost ones of what is held, and takes "
    "a datagram beside a tunnel for one in it: the held one is flushed";
constexpr const char* kTunnelBeyond =
    "the kernel means not to merge tunnels beyond 64 KiB, but asks before it knows that it "
    "is one, and hands up a packet that no longer says so; of other tunnels such "
    "packets are lost";
constexpr const char* kNoVlan =
    "the running kernel is built without CONFIG_VLAN_8021Q: tagged frames are not offloaded";

constexpr Row kRows[] = {
    {since_6_15, {"ipv? cwr in the second", "1 1 2", "1 3e", kCwr}},
    {since_6_15, {"ipv? cwr in the first", "1 3", "4e", kCwr}},
    {since_6_18, {"ids fixed", "4o", "1 1 1 1", kFixed}},
    {since_6_18, {"ids that count late", "2o 2", "1 3", kFixed}},
    {since_6_18, {"ids that stop", "2 2o", "2 1 1", kFixed}},
    {since_6_18, {"ids of 0", "3o", "1 1 1", kFixed}},
    {since_6_18, {"fraglist: ids fixed", "4", "1 1 1 1", kFixed}},
    {since_6_18, {"fraglist: ids that count late", "2 2", "1 3", kFixed}},
    {since_6_18, {"fraglist: ids that stop", "2 2", "2 1 1", kFixed}},
    {since_6_18, {"fraglist: ids of 0", "3", "1 1 1", kFixed}},
    {since_6_18, {"tunnel ipv4 * with ipv4: outer df, ids fixed", "4o", "4", kInner}},
    {since_6_18, {"tunnel ipv4 * with ipv?: outer df, ids jump", "1 1 1 1", "4", kOuter}},
    {since_6_18, {"tunnel ipv4 * with ipv4: outer ids fixed", "4o", "1 1 1 1", kFixed}},
    {since_6_18, {"tunnel ipv4 * with ipv6: outer ids fixed", "4", "1 1 1 1", kFixed}},
    {since_6_18, {"tunnel ipv4 * with ipv4: inner ids fixed", "4i", "2o 2o", kInner}},
    {since_6_18, {"tunnel ipv4 * with ipv4: both fixed", "4oi", "4o", kInner}},
    {since_6_18, {"tunnel ipv6 * with ipv4: inner ids fixed", "4i", "4o", kInner}},
    {since_6_18, {"tunnel ipv6 * with ipv4: both fixed", "4i", "4o", kInner}},
    {always, {"a tunnelled flow's ports beside the tunnel*", "1 1 1", "2 1", kBeside}},
    {always, {"ipv? in vxlan over ipv6 beyond 64 KiB", "12", "10 2", kTunnelBeyond}},
    {without_vlan, {"tag in the frame", "1 1 1 1", "4o", kNoVlan}},
    {without_vlan, {"tag in the frame, other id", "1 1 1 1", "1 1 2o", kNoVlan}},
    {without_vlan, {"two tags in the frame", "1 1 1 1", "4o", kNoVlan}},
    {without_vlan, {"one tag taken out, one in the frame", "1 1 1 1", "4o", kNoVlan}},
};

bool carries_udp(const Handed& h) {
  FlowKeys keys;
  dissect({.data = h.bytes.data(), .len = static_cast<std::uint32_t>(h.bytes.size()), .protocol = h.protocol}, keys);
  return keys.ip_proto == wire::kIpProtoUdp;
}

}  // namespace

KernelVersion running_kernel() {
  utsname name{};
  KernelVersion version;
  if (uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &version.major, &version.minor) != 2) return {};
  return version;
}

std::vector<GroDifference> expected_differences() {
  std::vector<GroDifference> rows;
  for (const Row& row : kRows)
    if (row.applies()) rows.push_back(row.difference);
  return rows;
}

const GroDifference* difference_for(std::span<const GroDifference> rows, const std::string& scenario) {
  const auto row = std::ranges::find_if(
      rows, [&](const GroDifference& one) { return fnmatch(one.scenario, scenario.c_str(), 0) == 0; });
  return row == rows.end() ? nullptr : &*row;
}

std::string outline(const std::vector<Handed>& up) {
  std::string words;
  for (const Handed& h : up) {
    if (!words.empty()) words += " ";
    words += std::to_string(h.arrivals());
    if (h.gso_type.contains("TCP_FIXEDID")) words += "o";
    if (h.gso_type.contains("TCP_FIXEDID_INNER")) words += "i";
    if (h.gso_type.contains("TCP_ECN")) words += "e";
  }
  return words;
}

std::size_t forgive_unverified_udp(const GroScenario& scenario, std::vector<Handed>& kernel,
                                   const std::vector<Handed>& ours) {
  if (scenario.settings.fraglist || scenario.settings.udp_forwarding) return 0;
  std::size_t forgiven = 0;
  for (std::size_t i = 0; i < std::min(kernel.size(), ours.size()); ++i) {
    if (kernel[i].ip_summed != IpSummed::unnecessary || ours[i].ip_summed != IpSummed::none) continue;
    if (kernel[i].gso_segs != 0 || !carries_udp(kernel[i])) continue;
    kernel[i].ip_summed = IpSummed::none;
    kernel[i].csum_level = 0;
    ++forgiven;
  }
  return forgiven;
}

}  // namespace netrx::conformance
