// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/vhost_user/message.h"
#include "virtio/net_backend.h"

namespace netrx::vhost {

/// The memory of a driver, mapped here. Files that can shrink later are the driver's own risk and ours: those of netrx
/// and of QEMU's memfd back end are sealed.
class MappedMemory {
 public:
  MappedMemory() = default;
  ~MappedMemory() { clear(); }
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;

  /// EINVAL: a table that can't be true.
  Result<void> map(const MemoryTable& table, std::vector<OwnedFd> files);
  void clear();

  const virtio::GuestMemory& guest() const { return guest_; }
  /// `bytes` bytes at an address of the driver's own process; null: not shared, or not aligned.
  std::uint8_t* user(std::uint64_t address, std::size_t bytes, std::size_t alignment) const;

 private:
  struct Mapping {
    void* memory;
    std::size_t bytes;
  };
  std::vector<Mapping> mappings_;
  virtio::GuestMemory guest_, user_;
};

/// The shared memory where what is in flight is written down, a region a ring.
class InflightMemory {
 public:
  InflightMemory() = default;
  ~InflightMemory() { clear(); }
  InflightMemory(const InflightMemory&) = delete;
  InflightMemory& operator=(const InflightMemory&) = delete;

  /// EINVAL: an area that its file does not hold, or that is too small for so many rings.
  Result<void> map(const InflightArea& area, virtio::RingKind kind, const OwnedFd& file);
  void clear();

  /// Of a ring of that kind, of so many descriptors; null: it has none.
  std::uint8_t* region(std::size_t index, virtio::RingKind kind, std::uint32_t ring_size) const;

 private:
  std::uint8_t* memory_ = nullptr;
  std::size_t bytes_ = 0;
  InflightArea area_{};
  virtio::RingKind kind_{};
};

/// One ring as the driver describes it, request by request.
struct Vring {
  std::uint32_t size = 0;
  std::optional<std::uint32_t> base;  ///< none: it begins afresh
  std::optional<VringAddress> address;
  OwnedFd kick, call, error;
  bool kicked = false;  ///< SET_VRING_KICK has come
  bool enabled = false;
  std::unique_ptr<virtio::DeviceRing> ring;
  std::optional<virtio::NetFiller> filler;    ///< of an even ring: the driver receives from it
  std::optional<virtio::NetDrainer> drainer;  ///< of an odd one
  bool running() const { return ring != nullptr && enabled && ring->fault() == virtio::RingFault::none; }
};

/// The device's end of one vhost-user connection: answers the driver's requests and has the rings they make. Everything
/// the driver says is checked; a request that can't be right ends the connection.
class BackEnd {
 public:
  BackEnd(OwnedFd socket, virtio::Features offered, std::size_t pairs)
      : connection_(std::move(socket)), offered_(offered), vrings_(2 * pairs) {}

  /// Answers one request that is waiting.
  Result<void> handle();

  int fd() const { return connection_.fd(); }
  virtio::Features features() const { return features_; }
  std::vector<Vring>& vrings() { return vrings_; }

 private:
  Result<void> act(Message& message, bool& answered);
  Result<void> act_on_vring(Message& message, bool& answered);
  std::optional<std::uint32_t> resumed(const Vring& vring, std::uint32_t said) const;
  template <class T>
  Result<void> answer(const Message& message, const T& value) {
    return connection_.send(message.request, Message::kReply, value);
  }
  Result<void> set_memory(Message& message);
  Result<void> set_file(Message& message);
  Result<void> get_inflight(const Message& message);
  Result<void> set_inflight(const Message& message);
  virtio::RingKind kind() const;
  Result<void> start(Vring& vring, std::size_t index);
  void stop(Vring& vring);

  Connection connection_;
  const virtio::Features offered_;
  virtio::Features features_;
  std::uint64_t protocol_ = 0;
  std::uint64_t status_ = 0;
  MappedMemory memory_;
  InflightMemory in_flight_;
  std::vector<Vring> vrings_;
};

}  // namespace netrx::vhost
