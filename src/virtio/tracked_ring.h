// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "netrx/virtqueue.h"

namespace netrx::virtio {

/// What a device writes down of the chains it has taken and not given back, in memory that outlives it, so that the one
/// that comes after it can take them again. The layout is vhost-user's ("Inflight I/O tracking").
struct SplitState {
  std::uint8_t inflight;
  std::uint8_t padding[5];
  std::uint16_t next;  ///< in the last batch given back
  std::uint64_t counter;
};
struct SplitRegion {
  static constexpr std::uint16_t kVersion = 1;
  std::uint64_t features;
  std::uint16_t version;  ///< 0: nobody has used it
  std::uint16_t desc_num;
  std::uint16_t last_batch_head;
  std::uint16_t used_idx;
};
static_assert(sizeof(SplitState) == 16 && sizeof(SplitRegion) == 16);

struct PackedState {
  std::uint8_t inflight;
  std::uint8_t padding;
  std::uint16_t next;  ///< free entry, or entry of the same chain
  std::uint16_t last;
  std::uint16_t num;
  std::uint64_t counter;
  std::uint16_t id;
  std::uint16_t flags;
  std::uint32_t length;
  std::uint64_t address;
};
struct PackedRegion {
  static constexpr std::uint16_t kVersion = 1;
  std::uint64_t features;
  std::uint16_t version;
  std::uint16_t desc_num;
  std::uint16_t free_head, old_free_head;
  std::uint16_t used_idx, old_used_idx;
  std::uint8_t used_wrap, old_used_wrap;
  std::uint8_t padding[7];
};
static_assert(sizeof(PackedState) == 32 && sizeof(PackedRegion) == 32);

/// Bytes of one ring's region, a multiple of 64.
std::size_t in_flight_region_bytes(RingKind kind, std::uint32_t size);

/// A device's ring that keeps such a region, at `region`, and goes on where it says the last one stopped: what was in
/// flight comes again, first and in its old order. `base` counts only for a region that nobody has used. Chains are
/// completed in the order in which they are taken. EINVAL: a region that no device leaves behind.
///
/// The driver's program may write the region at any moment: it is read once, here, and from then on only written.
Result<std::unique_ptr<DeviceRing>> make_tracked_ring(const RingSetup& setup, const RingMemory& memory,
                                                      const GuestMemory& guest, std::optional<std::uint32_t> base,
                                                      std::uint8_t* region);

}  // namespace netrx::virtio
