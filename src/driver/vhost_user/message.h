// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "driver/live/owned_fd.h"
#include "netrx/error.h"
#include "netrx/time.h"

/// The vhost-user protocol: requests over a Unix socket, files beside them.
namespace netrx::vhost {

enum class Request : std::uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  reset_owner = 4,
  set_mem_table = 5,
  set_log_base = 6,
  set_log_fd = 7,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
  send_rarp = 19,
  net_set_mtu = 20,
  get_config = 24,
  set_config = 25,
  get_inflight_fd = 31,
  set_inflight_fd = 32,
  set_status = 39,
  get_status = 40,
};

enum ProtocolFeature : std::uint8_t {
  kProtocolMq = 0,
  kProtocolReplyAck = 3,
  kProtocolConfig = 9,
  kProtocolInflightShmfd = 12,
  kProtocolStatus = 16,
};
constexpr std::uint64_t bit(unsigned n) { return std::uint64_t{1} << n; }

struct VringState {
  std::uint32_t index;
  std::uint32_t value;
};

struct VringAddress {
  std::uint32_t index;
  std::uint32_t flags;
  std::uint64_t descriptors;
  std::uint64_t used;
  std::uint64_t available;
  std::uint64_t log;
};

/// Where the device writes down what is in flight.
struct InflightArea {
  std::uint64_t bytes;
  std::uint64_t offset;
  std::uint16_t rings;
  std::uint16_t ring_size;
  std::uint32_t padding;
};

struct MemoryRegion {
  std::uint64_t guest_address;
  std::uint64_t size;
  std::uint64_t user_address;
  std::uint64_t mmap_offset;
};

struct MemoryTable {
  static constexpr std::uint32_t kMost = 8;
  std::uint32_t count;
  std::uint32_t padding;
  std::array<MemoryRegion, kMost> regions;
  static constexpr std::size_t bytes(std::uint32_t count) { return 8 + count * sizeof(MemoryRegion); }
};

/// In SET_VRING_KICK, _CALL and _ERR: no file comes with it.
inline constexpr std::uint64_t kNoFile = 0x100;
inline constexpr std::uint64_t kIndexMask = 0xff;

/// A message as it came. Only `size` bytes of the payload are the sender's; those behind them are zero.
struct Message {
  static constexpr std::uint32_t kVersion = 1, kVersionMask = 3, kReply = 4, kNeedReply = 8;
  static constexpr std::size_t kMostPayload = 512;
  static constexpr std::size_t kMostFiles = 8;

  Request request{};
  std::uint32_t flags = 0;
  std::uint32_t size = 0;
  std::array<std::uint8_t, kMostPayload> payload{};
  std::vector<OwnedFd> files;

  /// The payload as a T; zeros where it is shorter.
  template <class T>
  T as() const {
    static_assert(sizeof(T) <= kMostPayload);
    T value;
    std::memcpy(&value, payload.data(), sizeof value);
    return value;
  }
};

/// One end of the connection. Every wait is bounded.
class Connection {
 public:
  explicit Connection(OwnedFd socket) : socket_(std::move(socket)) {}

  Result<void> send(Request request, std::uint32_t flags, std::span<const std::uint8_t> payload,
                    std::span<const int> files = {});
  template <class T>
  Result<void> send(Request request, std::uint32_t flags, const T& payload, std::span<const int> files = {}) {
    return send(request, flags, std::span(reinterpret_cast<const std::uint8_t*>(&payload), sizeof payload), files);
  }
  /// ECONNRESET: the other end has gone. ETIMEDOUT: it said nothing for so long. EPROTO: what it said is no message.
  Result<Message> receive(Nanos patience);

  int fd() const { return socket_.get(); }

 private:
  Result<void> read_all(std::span<std::uint8_t> into, std::vector<OwnedFd>& files, Nanos patience);

  OwnedFd socket_;
};

/// A Unix socket that listens at `path`, in place of one that nobody listens at any more. It is not removed at the end.
Result<OwnedFd> listen_at(const std::string& path);
Result<OwnedFd> connect_to(const std::string& path);
/// Waits; ETIMEDOUT: nobody came.
Result<OwnedFd> accept_from(int listening, Nanos patience);

}  // namespace netrx::vhost
