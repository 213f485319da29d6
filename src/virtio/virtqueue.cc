// SPDX-License-Identifier: Apache-2.0
#include "netrx/virtqueue.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "virtio/packed_device.h"
#include "virtio/split_device.h"
#include "virtio/split_driver.h"

namespace netrx::virtio {

namespace {

constexpr std::size_t align64(std::size_t n) { return (n + 63) & ~std::size_t{63}; }

Result<void> check(const RingSetup& setup) {
  const bool power = std::has_single_bit(setup.size);
  if (setup.size >= 1 && setup.size <= 32768 && (power || setup.kind == RingKind::packed)) return {};
  return fail(EINVAL, "a ring of " + std::to_string(setup.size) +
                          " descriptors; write 1 to 32768, for a split ring a power of two");
}

}  // namespace

RingParts ring_parts(const RingSetup& setup) {
  const std::size_t n = setup.size;
  if (setup.kind == RingKind::packed) return {16 * n, sizeof(PackedEvent), sizeof(PackedEvent)};
  return {16 * n, 4 + 2 * n + 2, 4 + 8 * n + 2};
}

RingLayout ring_layout(const RingSetup& setup) {
  const RingParts parts = ring_parts(setup);
  RingLayout layout;
  layout.driver = align64(parts.descriptors);
  layout.device = align64(layout.driver + parts.driver);
  layout.indirect = align64(layout.device + parts.device);
  layout.bytes = layout.indirect;
  if (setup.indirect) layout.bytes += align64(std::size_t{setup.size} * setup.max_chain * sizeof(SplitDescriptor));
  return layout;
}

RingMemory ring_memory(const RingSetup& setup, std::uint8_t* base, std::uint64_t address) {
  const RingLayout layout = ring_layout(setup);
  return {.descriptors = base + layout.descriptors,
          .driver = base + layout.driver,
          .device = base + layout.device,
          .indirect = base + layout.indirect,
          .indirect_address = address + layout.indirect};
}

std::string_view text(RingFault fault) {
  switch (fault) {
    case RingFault::none: return "intact";
    case RingFault::used_index_jump: return "the device gave back more buffers than it had";
    case RingFault::used_id_range: return "the device gave back a buffer that does not exist";
    case RingFault::used_id_idle: return "the device gave back a buffer that it did not have";
    case RingFault::used_order: return "the device gave buffers back out of order";
    case RingFault::avail_index_jump: return "the driver offers more buffers than the ring holds";
    case RingFault::head_range: return "a chain begins outside the ring";
    case RingFault::next_range: return "a chain goes on outside its table";
    case RingFault::chain_loop: return "a chain has no end";
    case RingFault::chain_length: return "a chain is too long";
    case RingFault::address_range: return "a buffer lies outside the shared memory";
    case RingFault::indirect_nested: return "an indirect table within a chain or a table";
    case RingFault::indirect_size: return "an indirect table that is not whole";
    case RingFault::indirect_unknown: return "an indirect table that was not agreed on";
    case RingFault::segment_order: return "a readable buffer behind a writable one";
    case RingFault::empty_segment: return "a buffer of no bytes";
  }
  return "?";
}

Result<std::unique_ptr<DriverRing>> DriverRing::create(const RingSetup& setup, const RingMemory& memory) {
  if (const auto ok = check(setup); !ok) return std::unexpected(ok.error());
  const RingParts parts = ring_parts(setup);
  std::memset(memory.descriptors, 0, parts.descriptors);
  std::memset(memory.driver, 0, parts.driver);
  std::memset(memory.device, 0, parts.device);
  if (setup.kind == RingKind::packed) return std::make_unique<BasicPackedDriver<SharedMemory>>(setup, memory);
  return std::make_unique<BasicSplitDriver<SharedMemory>>(setup, memory);
}

Result<std::unique_ptr<DeviceRing>> DeviceRing::create(const RingSetup& setup, const RingMemory& memory,
                                                       const GuestMemory& guest, std::optional<std::uint32_t> base) {
  if (const auto ok = check(setup); !ok) return std::unexpected(ok.error());
  if (setup.kind == RingKind::packed)
    return std::make_unique<BasicPackedDevice<SharedMemory>>(setup, memory, guest, base);
  return std::make_unique<BasicSplitDevice<SharedMemory>>(setup, memory, guest, base);
}

Result<void> GuestMemory::set(std::vector<Region> regions) {
  std::ranges::sort(regions, {}, &Region::address);
  std::uint64_t end = 0;
  for (const Region& region : regions) {
    const bool wraps = region.address + region.size < region.address;
    if (region.size == 0 || region.host == nullptr || wraps || region.address < end)
      return fail(EINVAL, "memory regions that are empty, overlap or wrap; each address belongs to one region");
    end = region.address + region.size;
  }
  regions_ = std::move(regions);
  return {};
}

std::span<std::uint8_t> GuestMemory::at(std::uint64_t address, std::uint64_t length) const {
  for (const Region& region : regions_) {
    const std::uint64_t offset = address - region.address;  // wraps to a huge one in front of the region
    if (address >= region.address && offset < region.size)
      return {region.host + offset, static_cast<std::size_t>(std::min(length, region.size - offset))};
  }
  return {};
}

}  // namespace netrx::virtio
