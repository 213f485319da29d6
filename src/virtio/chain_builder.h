// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/virtqueue.h"
#include "virtio/shared_memory.h"

namespace netrx::virtio {

/// Puts a chain together from descriptors that nobody has checked yet.
class ChainBuilder {
 public:
  ChainBuilder(const GuestMemory& guest, Chain& chain) : guest_(guest), chain_(chain) {
    chain_.readable = chain_.count = 0;
    chain_.writable_bytes = 0;
  }

  RingFault add(std::uint64_t address, std::uint32_t length, bool writable) {
    if (length == 0) return RingFault::empty_segment;
    if (!writable && chain_.count != chain_.readable) return RingFault::segment_order;
    if (writable) {
      if (chain_.writable_bytes + length < length) return RingFault::chain_length;
      chain_.writable_bytes += length;
    }
    while (length != 0) {
      const std::span<std::uint8_t> bytes = guest_.at(address, length);
      if (bytes.empty()) return RingFault::address_range;
      if (chain_.count == Chain::kMaxSegments) return RingFault::chain_length;
      chain_.segments[chain_.count++] = {bytes.data(), static_cast<std::uint32_t>(bytes.size())};
      if (!writable) ++chain_.readable;
      address += bytes.size();
      length -= static_cast<std::uint32_t>(bytes.size());
    }
    return RingFault::none;
  }

  /// An indirect table's bytes, which must lie in one piece and be aligned as a descriptor's first word is.
  template <class Descriptor>
  std::pair<Descriptor*, std::uint32_t> table(std::uint64_t address, std::uint32_t length) const {
    const std::span<std::uint8_t> bytes = guest_.at(address, length);
    const bool whole = bytes.size() == length && length != 0 && length % sizeof(Descriptor) == 0;
    if (!whole || reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(Descriptor) != 0) return {nullptr, 0};
    return {reinterpret_cast<Descriptor*>(bytes.data()), static_cast<std::uint32_t>(length / sizeof(Descriptor))};
  }

 private:
  const GuestMemory& guest_;
  Chain& chain_;
};

}  // namespace netrx::virtio
