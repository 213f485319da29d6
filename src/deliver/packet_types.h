// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "netrx/deliver.h"
#include "netrx/error.h"
#include "netrx/ethertype.h"
#include "softnet/netif.h"

namespace netrx {

/// Who takes what. Immutable once published. Kernel: ptype_base, ptype_all.
struct PacketTypes {
  struct Entry {
    Be16 type;           ///< kEthPAll: whatever no other entry takes
    const Netif* netif;  ///< null: every device
    PacketHandler* handler;
  };
  struct TapEntry {
    const Netif* netif;
    Tap* tap;
  };

  static constexpr std::size_t kBuckets = 16;
  std::array<std::vector<Entry>, kBuckets> by_type;
  std::vector<Entry> any_type;
  std::vector<TapEntry> taps;

  static std::size_t bucket(Be16 type) { return to_host(type) & (kBuckets - 1); }

  /// The handler of a packet; one for this very device goes before one for all, one for the type before one for any.
  PacketHandler* find(Be16 type, const Netif* netif) const;

  /// EEXIST when someone already takes the same packets: a packet has one owner, so others watch as taps.
  Result<void> add(const Entry& entry);
  void remove(const PacketHandler& handler);
  void forget(const Netif& netif);
};

}  // namespace netrx
