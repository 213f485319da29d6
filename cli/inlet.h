// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "flow_table.h"
#include "netrx/deliver.h"

namespace netrx::cli {

/// What stands at the end of the path: checks the order of each delivery, notes when it was, and passes it on to the
/// applications, or to nobody. Leaves in each packet's flow_tag where it was processed.
///
/// Thread safety: as any PacketHandler; each CPU writes its own times.
class Inlet : public PacketHandler {
 public:
  /// `next` may be null: then packets have been delivered, and end here.
  Inlet(FlowTable& flows, std::uint32_t nr_cpu_ids, PacketHandler* next);

  void receive(Delivery& delivery) override;

  /// From the poll that took the first packet to the last delivery's poll, over all of them; 0 before there was one.
  static Nanos busy_time(std::span<const std::unique_ptr<Inlet>> inlets);

  static std::uint32_t tag(std::uint32_t slot, std::uint16_t cpu) { return slot << 12 | cpu; }
  static std::uint32_t slot_of(const Packet& packet) { return packet.flow_tag >> 12; }
  static std::uint16_t cpu_of(const Packet& packet) { return packet.flow_tag & 0xfff; }

 private:
  struct alignas(64) Times {
    std::atomic<std::int64_t> first{0};
    std::atomic<std::int64_t> last{0};
  };
  FlowTable& flows_;
  const std::uint32_t nr_cpu_ids_;
  PacketHandler* const next_;
  std::unique_ptr<Times[]> times_;
};

}  // namespace netrx::cli
