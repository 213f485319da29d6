// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "netrx/virtqueue.h"

namespace netrx::virtio {

/// Memory as two programs share it: one ring, then `bytes` for frames. The device's addresses begin at kAddress.
class TestMemory {
 public:
  static constexpr std::uint64_t kAddress = 0x10000;

  TestMemory(const RingSetup& setup, std::size_t bytes)
      : setup_(setup),
        frames_at_(ring_layout(setup).bytes),
        block_(new(std::align_val_t{64}) std::uint8_t[frames_at_ + bytes]()) {
    guest_.set({{.address = kAddress, .size = frames_at_ + bytes, .host = block_.get()}}).value();
  }

  RingMemory ring() const { return ring_memory(setup_, block_.get(), kAddress); }
  const GuestMemory& guest() const { return guest_; }
  std::uint8_t* frames() const { return block_.get() + frames_at_; }
  std::uint64_t frames_address() const { return kAddress + frames_at_; }
  std::uint8_t* at(std::uint64_t address) const { return block_.get() + (address - kAddress); }

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  const RingSetup setup_;
  const std::size_t frames_at_;
  const std::unique_ptr<std::uint8_t[], Free> block_;
  GuestMemory guest_;
};

/// Both ends of one ring.
struct RingPair {
  explicit RingPair(const RingSetup& setup, std::size_t frame_bytes = 1u << 16)
      : memory(setup, frame_bytes),
        driver(DriverRing::create(setup, memory.ring()).value()),
        device(DeviceRing::create(setup, memory.ring(), memory.guest()).value()) {}

  TestMemory memory;
  std::unique_ptr<DriverRing> driver;
  std::unique_ptr<DeviceRing> device;
};

inline std::string name_of(const RingSetup& setup) {
  return std::string(setup.kind == RingKind::packed ? "packed" : "split") + "_" + std::to_string(setup.size) +
         (setup.event_idx ? "_event" : "") + (setup.indirect ? "_indirect" : "") + (setup.in_order ? "_order" : "");
}
inline void PrintTo(const RingSetup& setup, std::ostream* out) { *out << name_of(setup); }

/// Every kind, size and feature that the rings are tested with.
inline std::vector<RingSetup> every_setup(std::initializer_list<std::uint16_t> sizes) {
  std::vector<RingSetup> all;
  for (const RingKind kind : {RingKind::split, RingKind::packed})
    for (const std::uint16_t size : sizes)
      for (int bits = 0; bits < 8; ++bits)
        if (kind == RingKind::packed || (size & (size - 1)) == 0)
          all.push_back({.kind = kind,
                         .size = size,
                         .event_idx = (bits & 1) != 0,
                         .indirect = (bits & 2) != 0,
                         .in_order = (bits & 4) != 0,
                         .max_chain = 6});
  return all;
}

}  // namespace netrx::virtio
