// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "netrx/packet_pool.h"
#include "packet/packet_parts.h"

namespace netrx {

/// Knows the pools that a queue was polled with, so that packets which stay behind in it can go back to theirs.
class PacketKeeper {
 public:
  PacketKeeper() { pools_.reserve(64); }

  /// Before every poll: a queue may be polled by one CPU now and by another later.
  void polled_with(PacketPool& pool) {
    for (const PacketPool* known : pools_)
      if (known == &pool) return;
    pools_.push_back(&pool);
  }

  /// Ends a packet that nobody shall see. `pool`: of the CPU that polls.
  static void drop(Packet* packet, PacketPool& pool, PacketKeeper& keeper) {
    for_each_part(packet, [&](Packet* part) {
      if (part->alloc_cpu != pool.cpu()) return keeper.give_back_part(part);
      send_frame_home(*part);
      pool.put({&part, 1});
    });
  }

  /// The same on any CPU.
  void give_back(Packet* packet) {
    for_each_part(packet, [this](Packet* part) { give_back_part(part); });
  }

 private:
  void give_back_part(Packet* part) {
    send_frame_home(*part);
    for (PacketPool* pool : pools_)
      if (pool->cpu() == part->alloc_cpu) return pool->give_back({&part, 1});
  }

  static void send_frame_home(Packet& packet) {
    if (packet.frame_home != nullptr) packet.frame_home->frames_home({&packet.frame_id, 1});
  }

  std::vector<PacketPool*> pools_;
};

}  // namespace netrx
