// SPDX-License-Identifier: Apache-2.0
#include "handed.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace netrx::conformance {

namespace {

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string line;
  for (const std::uint8_t byte : bytes) line += fmt::format("{:02x}", byte);
  return line;
}

/// Where the bytes of two packets part, with what is there; empty when they don't.
std::string bytes_part(const Handed& kernel, const Handed& ours) {
  const std::size_t n = std::min(kernel.bytes.size(), ours.bytes.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (kernel.bytes[i] == ours.bytes[i]) continue;
    const std::size_t size = std::min<std::size_t>(16, n - i);
    return fmt::format("      bytes from {}: kernel {}, netrx {}\n", i, hex(std::span(kernel.bytes).subspan(i, size)),
                       hex(std::span(ours.bytes).subspan(i, size)));
  }
  return {};
}

}  // namespace

std::string text(const Handed& h) {
  static constexpr std::array kSummed{"none", "unnecessary", "complete", "partial"};
  std::string line = fmt::format("{} bytes of {:04x}, checksum {}", h.len, to_host(h.protocol),
                                 kSummed[static_cast<std::size_t>(h.ip_summed)]);
  if (h.csum_level != 0) line += fmt::format(" level {}", h.csum_level);
  if (h.ip_summed == IpSummed::partial) line += fmt::format(" {}+{}", h.csum_start, h.csum_offset);
  if (h.gso_segs != 0) line += fmt::format(", {} x {}", h.gso_segs, h.gso_size);
  for (const std::string& name : h.gso_type) line += " " + name;
  if (h.encapsulation) line += fmt::format(", inner headers at {} and {}", h.inner_network, h.inner_transport);
  if (h.vlan_proto != Be16{}) line += fmt::format(", tag {:04x} {:04x}", to_host(h.vlan_proto), h.vlan_tci);
  if (h.hash != 0) line += fmt::format(", hash {:x}", h.hash);
  return line + ": " + hex(std::span(h.bytes).first(std::min<std::size_t>(h.bytes.size(), 48)));
}

std::string side_by_side(const std::vector<Handed>& kernel, const std::vector<Handed>& ours) {
  std::string lines;
  for (std::size_t i = 0; i < std::max(kernel.size(), ours.size()); ++i) {
    if (i < kernel.size() && i < ours.size() && kernel[i] == ours[i]) {
      lines += "    both   " + text(kernel[i]) + "\n";
      continue;
    }
    if (i < kernel.size()) lines += "  > kernel " + text(kernel[i]) + "\n";
    if (i < ours.size()) lines += "  > netrx  " + text(ours[i]) + "\n";
    if (i < kernel.size() && i < ours.size()) lines += bytes_part(kernel[i], ours[i]);
  }
  return lines;
}

}  // namespace netrx::conformance
