// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gro/gro_rules.h"
#include "netrx/gro.h"
#include "netrx/trace.h"
#include "softnet/gro_node.h"

namespace netrx {

// The third stage: segments of one flow become one packet. Finished packets collect in the node's rx_list, from where
// receive/ takes them up; nothing here calls onwards.

/// What became of a packet, and why it was not merged; or that nothing did. One word, so that it is returned in a
/// register and costs no trip through the stack.
class GroStep {
 public:
  constexpr GroStep(GroResult result, GroRefusal why_not)
      : bits_(static_cast<std::uint32_t>(result) | static_cast<std::uint32_t>(why_not) << 8) {}
  static constexpr GroStep list_full() { return GroStep(kListFull); }

  /// False: the packet was not taken, since rx_list may have no room for what it pushes out.
  explicit operator bool() const { return bits_ != kListFull; }
  GroResult result() const { return static_cast<GroResult>(bits_ & 0xff); }
  GroRefusal why_not() const { return static_cast<GroRefusal>(bits_ >> 8); }

 private:
  static constexpr std::uint32_t kListFull = ~0u;
  explicit constexpr GroStep(std::uint32_t bits) : bits_(bits) {}
  std::uint32_t bits_;
};

/// Takes one packet, whose `data` stands at L3. list_full(): hand rx_list up and call again. Kernel: dev_gro_receive.
GroStep gro_receive(GroNode& gro, const GroRules& rules, Packet& packet);

/// Finishes what is held; with `only_old`, only what was held before this tick began. False: rx_list is full; hand it
/// up and call again. Kernel: napi_gro_flush.
bool gro_flush(GroNode& gro, const GroRules& rules, bool only_old);

/// True when rx_list is due to go up: gro_normal_batch segments, or no room for more. Kernel: gro_normal_one.
inline bool gro_list_due(const GroNode& gro, int gro_normal_batch) {
  return gro.rx_count >= static_cast<std::uint32_t>(gro_normal_batch) || gro.rx_list.full();
}

/// True when packets wait to be merged with later ones. Kernel: gro_bitmask.
inline bool gro_holds_packets(const GroNode& gro) { return gro.bitmask != 0; }

/// Takes everything out that is held, unfinished: the NAPI goes away. As often as it gives packets. Kernel:
/// flush_gro_hash.
void gro_give_up(GroNode& gro, PacketBatch& into);

}  // namespace netrx
