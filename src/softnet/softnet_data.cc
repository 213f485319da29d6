// SPDX-License-Identifier: Apache-2.0
#include "softnet/softnet_data.h"

namespace netrx {

SoftnetData::SoftnetData(std::uint16_t id, std::unique_ptr<PacketPool> packets, std::uint32_t ring_capacity,
                         std::size_t nr_cpu_ids)
    : cpu(id), outbox(nr_cpu_ids), pool(std::move(packets)), input(ring_capacity), defer(pool->capacity()) {
  outbox_used.reserve(nr_cpu_ids);
  backlog.state.clear(NapiStruct::kInitialState);  // a backlog is always enabled
}

}  // namespace netrx
