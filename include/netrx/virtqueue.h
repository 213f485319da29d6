// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "netrx/error.h"

/// Virtqueues of virtio 1.x, both kinds and both ends, in memory that two programs share. Usable alone: no device, no
/// engine, no operating system.
///
/// Neither end trusts the other. Whatever the other end writes is read once, judged, and only then used; what can't be
/// true breaks the queue: fault() names why, nothing more goes in or out, and nothing outside the queue's own memory
/// and the memory table was touched.
///
/// Thread rules: each end by one thread at a time, with everything of the last call visible; the two ends need nothing
/// of each other but the memory. fault(), has_used() and note_interrupt() by anyone.
namespace netrx::virtio {

enum class RingKind : std::uint8_t { split, packed };

/// What both ends have agreed on.
struct RingSetup {
  RingKind kind = RingKind::split;
  std::uint16_t size = 256;     ///< descriptors: 1 to 32768, for split rings a power of two
  bool event_idx = true;        ///< VIRTIO_F_EVENT_IDX (29)
  bool indirect = false;        ///< VIRTIO_F_INDIRECT_DESC (28)
  bool in_order = false;        ///< VIRTIO_F_IN_ORDER (35)
  std::uint16_t max_chain = 1;  ///< driver: buffers of the longest chain that shall fit one descriptor with `indirect`
};

/// Where a queue's parts lie, from the start of one block that is aligned to 64 bytes.
struct RingLayout {
  std::size_t descriptors = 0;
  std::size_t driver = 0;    ///< available ring, or the driver's event suppression
  std::size_t device = 0;    ///< used ring, or the device's event suppression
  std::size_t indirect = 0;  ///< the driver's indirect tables, one a descriptor
  std::size_t bytes = 0;     ///< in all
};
RingLayout ring_layout(const RingSetup& setup);

/// Bytes of each part as the other end's rules have them, for checking what it names.
struct RingParts {
  std::size_t descriptors, driver, device;
};
RingParts ring_parts(const RingSetup& setup);

/// A queue's memory as this end sees it.
struct RingMemory {
  std::uint8_t* descriptors = nullptr;
  std::uint8_t* driver = nullptr;
  std::uint8_t* device = nullptr;
  std::uint8_t* indirect = nullptr;    ///< driver only
  std::uint64_t indirect_address = 0;  ///< of `indirect`, as the device names it
};
/// `base` is block's first byte, `address` what the device calls it.
RingMemory ring_memory(const RingSetup& setup, std::uint8_t* base, std::uint64_t address);

/// Why a queue is broken.
enum class RingFault : std::uint8_t {
  none,
  // The device lied to the driver.
  used_index_jump,  ///< more buffers used than were in flight
  used_id_range,    ///< an id that is no descriptor
  used_id_idle,     ///< an id of which nothing is in flight
  used_order,       ///< in-order was agreed on, and it is not
  // The driver lied to the device.
  avail_index_jump,  ///< more buffers available than the ring has room for
  head_range,        ///< a chain begins outside the table
  next_range,        ///< a chain goes on outside the table
  chain_loop,        ///< a chain is longer than its table
  chain_length,      ///< more segments than are taken
  address_range,     ///< a buffer outside the memory table
  indirect_nested,   ///< an indirect table within one, or one that goes on behind it
  indirect_size,     ///< an indirect table of no or of broken descriptors
  indirect_unknown,  ///< an indirect table, and it was not agreed on
  segment_order,     ///< a readable buffer behind a writable one
  empty_segment,     ///< a buffer of no bytes
};
std::string_view text(RingFault fault);

/// One buffer, as the device names it.
struct Buffer {
  std::uint64_t address;
  std::uint32_t length;
};

/// A chain of one buffer; `token` is the driver's own word for it and never leaves its memory.
struct Posting {
  std::uint64_t address;
  std::uint32_t length;
  std::uint32_t token;
};

enum class Direction : std::uint8_t { device_reads, device_writes };

/// What the device gave back.
struct UsedBuffer {
  std::uint32_t token;
  std::uint32_t length;    ///< bytes the device says it wrote
  std::uint32_t capacity;  ///< bytes it could have written: judge `length` by it
};

/// The driver's half. Kernel: struct virtqueue, drivers/virtio/virtio_ring.c.
class DriverRing {
 public:
  /// EINVAL: a size the kind does not know. The memory is zeroed and initialised; interrupts are off.
  static Result<std::unique_ptr<DriverRing>> create(const RingSetup& setup, const RingMemory& memory);
  virtual ~DriverRing() = default;

  /// Adds chains of one buffer each; returns how many there was room for.
  virtual std::size_t post(std::span<const Posting> buffers, Direction direction) = 0;
  /// Adds one chain: first what the device reads, then what it writes. False: no room for it. One descriptor where
  /// indirect was agreed on, else one a buffer.
  virtual bool add(std::span<const Buffer> readable, std::span<const Buffer> writable, std::uint32_t token) = 0;

  /// Shows the device what was added; true: it wants to be told. Kernel: virtqueue_kick_prepare.
  virtual bool kick_prepare() = 0;

  /// Takes what the device is done with; returns how much. Kernel: virtqueue_get_buf.
  virtual std::size_t get(std::span<UsedBuffer> used) = 0;

  /// Kernel: virtqueue_disable_cb, virtqueue_enable_cb_prepare, virtqueue_poll, virtqueue_enable_cb_delayed.
  virtual void disable_cb() = 0;
  virtual std::uint32_t enable_cb_prepare() = 0;
  virtual bool poll(std::uint32_t cookie) const = 0;
  virtual bool enable_cb_delayed() = 0;

  /// Something is there for get(). By anyone: a hint while the owner gets.
  virtual bool has_used() const = 0;
  /// The device has interrupted: with EVENT_IDX it won't again before the event index moves. By anyone.
  /// Kernel: vring_interrupt's event_triggered.
  void note_interrupt() {
    if (setup_.event_idx) event_triggered_.store(true, std::memory_order_relaxed);
  }

  const RingSetup& setup() const { return setup_; }
  std::uint16_t free_descriptors() const { return free_; }  ///< Kernel: vq->num_free
  std::uint16_t in_flight() const { return in_flight_; }    ///< chains
  RingFault fault() const { return fault_.load(std::memory_order_relaxed); }
  /// Kernel: virtqueue_break.
  void break_queue(RingFault why) { fault_.store(why, std::memory_order_relaxed); }

 protected:
  explicit DriverRing(const RingSetup& setup) : setup_(setup), free_(setup.size) {}

  const RingSetup setup_;
  std::uint16_t free_;
  std::uint16_t in_flight_ = 0;
  std::atomic<bool> event_triggered_{false};
  std::atomic<RingFault> fault_{RingFault::none};
};

/// The memory the driver has shown, as this process has it mapped.
class GuestMemory {
 public:
  struct Region {
    std::uint64_t address;  ///< as descriptors name it
    std::uint64_t size;
    std::uint8_t* host;
  };
  /// EINVAL: empty, overlapping or wrapping regions.
  Result<void> set(std::vector<Region> regions);
  /// The bytes from `address` on, at most `length` and at most to the region's end; empty: there are none.
  std::span<std::uint8_t> at(std::uint64_t address, std::uint64_t length) const;
  bool empty() const { return regions_.empty(); }

 private:
  std::vector<Region> regions_;
};

/// A piece of a chain in this process's memory.
struct Segment {
  std::uint8_t* data;
  std::uint32_t length;
};

/// What names a chain when it is given back.
struct ChainId {
  std::uint16_t id = 0;
  std::uint16_t slots = 0;  ///< descriptors of the ring it takes
  std::uint32_t writable_bytes = 0;
};

/// A chain taken from the driver: `readable` segments, then writable ones. Its bytes may change at any moment: copy,
/// then look.
struct Chain : ChainId {
  static constexpr std::size_t kMaxSegments = 128;
  std::uint16_t readable = 0;
  std::uint16_t count = 0;
  std::array<Segment, kMaxSegments> segments;
  const ChainId& name() const { return *this; }
  std::span<const Segment> to_read() const { return {segments.data(), readable}; }
  std::span<const Segment> to_write() const { return {segments.data() + readable, std::size_t{count} - readable}; }
};

/// The device's half. Kernel: drivers/vhost/vhost.c.
class DeviceRing {
 public:
  /// A place in the ring, to go back to.
  struct Mark {
    std::uint16_t at;
    bool wrap;
  };

  /// EINVAL: a size the kind does not know. `base`: as vhost's SET_VRING_BASE has it; none: a fresh queue.
  static Result<std::unique_ptr<DeviceRing>> create(const RingSetup& setup, const RingMemory& memory,
                                                    const GuestMemory& guest, std::optional<std::uint32_t> base = {});
  virtual ~DeviceRing() = default;

  /// Takes the next chain; false: there is none, or the queue is broken.
  virtual bool take(Chain& chain) = 0;
  /// Where take() stands; rewind() gives back what was taken since and not completed.
  virtual Mark mark() const = 0;
  virtual void rewind(Mark mark) = 0;

  /// Gives a chain back with `written` bytes in it. In order of taking where in-order was agreed on.
  virtual void complete(const ChainId& chain, std::uint32_t written) = 0;
  /// Shows the driver what was completed, all at once; true: it wants an interrupt.
  virtual bool call_prepare() = 0;

  /// Kicks off; kicks on, and true when something has come meanwhile that no kick will announce.
  virtual void disable_kicks() = 0;
  virtual bool enable_kicks() = 0;
  virtual bool has_available() const = 0;

  /// As vhost's GET_VRING_BASE has it.
  virtual std::uint32_t base() const = 0;
  RingFault fault() const { return fault_.load(std::memory_order_relaxed); }

 protected:
  DeviceRing(const RingSetup& setup, const GuestMemory& guest) : setup_(setup), guest_(guest) {}
  bool broken(RingFault why) {
    fault_.store(why, std::memory_order_relaxed);
    return false;
  }

  const RingSetup setup_;
  const GuestMemory& guest_;
  std::atomic<RingFault> fault_{RingFault::none};
};

}  // namespace netrx::virtio
