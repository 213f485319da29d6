// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "netrx/packet.h"
#include "wire/frame_builder.h"

namespace netrx::conformance {

/// A packet as its device hands it over: what both devices under test are fed.
struct Arrival {
  wire::Frame frame;
  std::uint32_t hash = 0;  ///< the device's; 0: none
  Be16 vlan_proto{};       ///< a tag the device took out of the frame; 0: none
  std::uint16_t vlan_tci = 0;
};

/// A packet as the stack was handed it: what is compared.
struct Handed {
  std::vector<std::uint8_t> link_header;
  std::vector<std::uint8_t> bytes;  ///< from the network header on, of long packets not all
  std::uint32_t len = 0;
  Be16 protocol{};
  Be16 vlan_proto{};
  std::uint16_t vlan_tci = 0;
  std::uint32_t hash = 0;
  IpSummed ip_summed = IpSummed::none;
  std::uint32_t csum_level = 0;   ///< 0 unless unnecessary
  std::uint32_t csum_start = 0;   ///< from the network header; 0 unless partial
  std::uint32_t csum_offset = 0;  ///< 0 unless partial
  std::uint32_t gso_size = 0;
  std::uint32_t gso_segs = 0;
  std::set<std::string> gso_type;  ///< the names of the kernel's bits
  bool encapsulation = false;
  std::uint32_t inner_network = 0;    ///< from the network header; 0 without encapsulation
  std::uint32_t inner_transport = 0;  ///< from the network header; 0 without encapsulation, or where it is not noted

  bool operator==(const Handed&) const = default;

  /// In how many packets it arrived.
  std::uint32_t arrivals() const { return gso_segs != 0 ? gso_segs : 1; }
};

/// For a person: one line, or what both sides handed up with a mark where they part.
std::string text(const Handed& handed);
std::string side_by_side(const std::vector<Handed>& kernel, const std::vector<Handed>& ours);

}  // namespace netrx::conformance
