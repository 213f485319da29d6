// SPDX-License-Identifier: Apache-2.0
#include "deliver/packet_types.h"

#include <cstdio>

namespace netrx {

namespace {

PacketHandler* search(const std::vector<PacketTypes::Entry>& entries, Be16 type, const Netif* netif) {
  PacketHandler* for_all = nullptr;
  for (const PacketTypes::Entry& entry : entries) {
    if (entry.type != type) continue;
    if (entry.netif == netif) return entry.handler;
    if (entry.netif == nullptr) for_all = entry.handler;
  }
  return for_all;
}

}  // namespace

PacketHandler* PacketTypes::find(Be16 type, const Netif* netif) const {
  if (PacketHandler* handler = search(by_type[bucket(type)], type, netif)) return handler;
  return search(any_type, kEthPAll, netif);
}

Result<void> PacketTypes::add(const Entry& entry) {
  std::vector<Entry>& entries = entry.type == kEthPAll ? any_type : by_type[bucket(entry.type)];
  for (const Entry& other : entries) {
    if (other.type != entry.type || other.netif != entry.netif) continue;
    char type[8];
    std::snprintf(type, sizeof type, "0x%04x", to_host(entry.type));
    return fail(EEXIST, std::string("packet type ") + type + ": another handler takes it already; watch with a tap");
  }
  entries.push_back(entry);
  return {};
}

void PacketTypes::remove(const PacketHandler& handler) {
  const auto is_it = [&](const Entry& entry) { return entry.handler == &handler; };
  for (std::vector<Entry>& entries : by_type) std::erase_if(entries, is_it);
  std::erase_if(any_type, is_it);
}

void PacketTypes::forget(const Netif& netif) {
  const auto is_it = [&](const auto& entry) { return entry.netif == &netif; };
  for (std::vector<Entry>& entries : by_type) std::erase_if(entries, is_it);
  std::erase_if(any_type, is_it);
  std::erase_if(taps, is_it);
}

}  // namespace netrx
