// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/vhost_user/message.h"
#include "driver/vhost_user/shared_block.h"
#include "virtio/net_rx.h"
#include "virtio/net_tx.h"

namespace netrx::vhost {

/// What the driver wants of a device.
struct Wishes {
  std::size_t queues = 1;  ///< pairs of receive and transmit queue
  std::uint16_t ring = 256;
  bool packed = false;
  bool mrg_rxbuf = true;
  bool gso = true;   ///< receive packets larger than the MTU
  bool csum = true;  ///< receive packets whose checksum is not complete, or is known to be right
  bool event_idx = true;
  bool indirect = true;
  bool in_order = false;
  bool hash_report = false;
};

/// What a queue of the driver counts, over all connections.
struct QueueCounters {
  virtio::NetRxStats rx;
  virtio::NetTxStats tx;
};

/// A queue pair's rings, buffers and files for one connection.
struct QueuePair {
  std::unique_ptr<virtio::DriverRing> rx_ring, tx_ring;
  std::optional<virtio::NetRx> rx;
  std::optional<virtio::NetTx> tx;
  OwnedFd rx_kick, tx_kick, tx_call;
};

/// What queues of the device's outlive a connection, and the files that they are called by.
struct QueueEnds {
  QueueCounters* counters;
  RxQueueStats* rx_stats;
  int call;
};

/// The driver's end of one vhost-user connection, from the first message to the last.
class FrontEnd {
 public:
  static constexpr Nanos kPatience = std::chrono::seconds(5);

  /// Negotiates, shares the memory, hands over the rings and starts them. EOPNOTSUPP: the device can't what was wished,
  /// and the text says what to write instead. EPROTO, ETIMEDOUT, ECONNRESET: it does not speak vhost-user as it should.
  static Result<std::unique_ptr<FrontEnd>> open(OwnedFd socket, const Wishes& wishes, std::span<const QueueEnds> ends);

  /// Stops the rings in an orderly way, as far as the device still listens.
  void close();

  int fd() const { return connection_.fd(); }
  virtio::Features features() const { return features_; }
  const std::optional<std::array<std::uint8_t, 6>>& address() const { return address_; }
  std::vector<QueuePair>& pairs() { return pairs_; }
  /// The first fault of any of its rings.
  virtio::RingFault fault() const;

 private:
  FrontEnd(OwnedFd socket, const Wishes& wishes) : connection_(std::move(socket)), wishes_(wishes) {}

  Result<void> negotiate();
  Result<void> negotiate_protocol();
  Result<void> read_config();
  Result<virtio::Features> choose(virtio::Features offered) const;
  Result<void> lay_out(std::span<const QueueEnds> ends);
  Result<void> share_memory();
  Result<void> track_in_flight();
  Result<void> hand_over_ring(std::uint32_t index, const virtio::RingSetup& setup, std::size_t at, int kick, int call);
  Result<void> set_status(std::uint8_t bits);
  virtio::RingSetup setup(bool transmit) const;

  /// A request without an answer of its own: with REPLY_ACK its outcome is waited for.
  Result<void> tell_bytes(Request request, std::span<const std::uint8_t> payload, std::span<const int> files = {});
  template <class T>
  Result<void> tell(Request request, const T& payload, std::span<const int> files = {}) {
    return tell_bytes(request, {reinterpret_cast<const std::uint8_t*>(&payload), sizeof payload}, files);
  }
  /// The answer, which has at least so many bytes.
  Result<Message> ask_bytes(Request request, std::span<const std::uint8_t> payload, std::size_t least);
  template <class T>
  Result<T> ask(Request request, std::span<const std::uint8_t> payload = {});

  Connection connection_;
  const Wishes wishes_;
  virtio::Features features_;
  std::uint64_t protocol_ = 0;
  std::uint32_t mtu_ = 0;
  std::optional<std::array<std::uint8_t, 6>> address_;
  std::optional<SharedBlock> block_;
  std::vector<QueuePair> pairs_;
  std::vector<std::size_t> ring_at_;  ///< of ring 2i and 2i + 1
};

}  // namespace netrx::vhost
