// SPDX-License-Identifier: Apache-2.0
#include "inlet.h"

#include <algorithm>

namespace netrx::cli {

Inlet::Inlet(FlowTable& flows, std::uint32_t nr_cpu_ids, PacketHandler* next)
    : flows_(flows), nr_cpu_ids_(nr_cpu_ids), next_(next), times_(std::make_unique<Times[]>(nr_cpu_ids)) {}

void Inlet::receive(Delivery& delivery) {
  const std::uint16_t cpu = delivery.cpu();
  for (std::size_t i = 0; i < delivery.size(); ++i) {
    Packet& packet = *delivery[i];
    packet.flow_tag = tag(flows_.delivered(packet), cpu);
  }
  Times& times = times_[cpu];
  if (times.first.load(std::memory_order_relaxed) == 0) {
    const Nanos taken = delivery[0]->tstamp != Nanos{0} ? delivery[0]->tstamp : delivery.now();
    times.first.store(taken.count(), std::memory_order_relaxed);
  }
  times.last.store(delivery.now().count(), std::memory_order_relaxed);
  if (next_ != nullptr) next_->receive(delivery);
}

Nanos Inlet::busy_time(std::span<const std::unique_ptr<Inlet>> inlets) {
  std::int64_t first = 0;
  std::int64_t last = 0;
  for (const auto& inlet : inlets) {
    for (std::uint32_t cpu = 0; cpu < inlet->nr_cpu_ids_; ++cpu) {
      const std::int64_t began = inlet->times_[cpu].first.load(std::memory_order_relaxed);
      if (began != 0 && (first == 0 || began < first)) first = began;
      last = std::max(last, inlet->times_[cpu].last.load(std::memory_order_relaxed));
    }
  }
  return Nanos(last - first);
}

}  // namespace netrx::cli
