// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace netrx::virtio {

/// Memory that another program writes at any moment: each access happens once, as written here. The ring code goes to
/// it by a policy like this one, so that a test can stand between any two accesses.
///
/// Barriers of the virtio specification: "write barrier, then the index" is a release store of the index, "the index,
/// then a read barrier" an acquire load of it, and a full barrier is fence().
struct SharedMemory {
  template <class T>
  static T load(const T* from) {
    return std::atomic_ref<T>(*const_cast<T*>(from)).load(std::memory_order_relaxed);
  }
  template <class T>
  static T load_acquire(const T* from) {
    return std::atomic_ref<T>(*const_cast<T*>(from)).load(std::memory_order_acquire);
  }
  template <class T>
  static void store(T* to, T value) {
    std::atomic_ref<T>(*to).store(value, std::memory_order_relaxed);
  }
  template <class T>
  static void store_release(T* to, T value) {
    std::atomic_ref<T>(*to).store(value, std::memory_order_release);
  }
  static void fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

/// True when a producer that goes from `old` to `fresh` passes `event`. Kernel: vring_need_event.
constexpr bool need_event(std::uint16_t event, std::uint16_t fresh, std::uint16_t old) {
  return static_cast<std::uint16_t>(fresh - event - 1) < static_cast<std::uint16_t>(fresh - old);
}

// Descriptor flags.
inline constexpr std::uint16_t kNext = 1, kWrite = 2, kIndirect = 4;
inline constexpr std::uint16_t kPackedAvail = 1u << 7, kPackedUsed = 1u << 15;
// avail.flags and used.flags of a split ring.
inline constexpr std::uint16_t kNoInterrupt = 1, kNoNotify = 1;
// flags of a packed ring's event suppression.
inline constexpr std::uint16_t kEventEnable = 0, kEventDisable = 1, kEventAtDescriptor = 2;

/// A descriptor of a split ring or of its indirect tables.
struct SplitDescriptor {
  std::uint64_t address;
  std::uint32_t length;
  std::uint16_t flags;
  std::uint16_t next;
};
static_assert(sizeof(SplitDescriptor) == 16);

/// What stands behind the address in a packed descriptor, one word: read and written at once, so that what the flags
/// speak of is what was there with them.
struct alignas(8) PackedRest {
  std::uint32_t length;
  std::uint16_t id;
  std::uint16_t flags;
};

/// A descriptor of a packed ring or of its indirect tables.
struct PackedDescriptor {
  std::uint64_t address;
  PackedRest rest;
};
static_assert(sizeof(PackedDescriptor) == 16);

struct PackedEvent {
  std::uint16_t off_wrap;
  std::uint16_t flags;
};
static_assert(sizeof(PackedEvent) == 4);

/// The two index rings of a split queue, by field. Kernel: struct vring_avail, struct vring_used.
class AvailRing {
 public:
  AvailRing(std::uint8_t* at, std::uint16_t size) : at_(reinterpret_cast<std::uint16_t*>(at)), size_(size) {}
  std::uint16_t* flags() const { return at_; }
  std::uint16_t* idx() const { return at_ + 1; }
  std::uint16_t* slot(std::uint16_t index) const { return at_ + 2 + (index & (size_ - 1)); }
  std::uint16_t* used_event() const { return at_ + 2 + size_; }

 private:
  std::uint16_t* at_;
  std::uint16_t size_;
};

class UsedRing {
 public:
  UsedRing(std::uint8_t* at, std::uint16_t size) : at_(at), size_(size) {}
  std::uint16_t* flags() const { return reinterpret_cast<std::uint16_t*>(at_); }
  std::uint16_t* idx() const { return reinterpret_cast<std::uint16_t*>(at_) + 1; }
  std::uint32_t* id(std::uint16_t index) const { return slot(index); }
  std::uint32_t* length(std::uint16_t index) const { return slot(index) + 1; }
  std::uint16_t* avail_event() const { return reinterpret_cast<std::uint16_t*>(at_ + 4 + std::size_t{8} * size_); }

 private:
  std::uint32_t* slot(std::uint16_t index) const {
    return reinterpret_cast<std::uint32_t*>(at_ + 4 + std::size_t{8} * (index & (size_ - 1)));
  }
  std::uint8_t* at_;
  std::uint16_t size_;
};

}  // namespace netrx::virtio
