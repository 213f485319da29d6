// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "netrx/deliver.h"
#include "netrx/packet.h"

namespace netrx {

/// An application's receive queue: packets wait here from their delivery until a thread takes them. The role of a
/// socket's sk_receive_queue; full, it refuses packets, and they are counted as SOCKET_RCVBUFF.
///
/// Thread rules: any number of CPUs put in; one thread at a time takes out.
class Consumer {
 public:
  /// Holds at least `capacity` packets.
  explicit Consumer(std::uint32_t capacity);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  /// Takes up to batch.room() packets, oldest first; returns how many. Who took them records their flows and frees them
  /// (Application).
  std::size_t receive(Actor& actor, PacketBatch& batch);
  std::size_t receive(PacketBatch& batch);

  /// Puts packets in, oldest first; returns how many fitted. Handlers call it.
  std::size_t put(Actor& actor, std::span<Packet* const> packets);

  /// Sleeps until packets come, somebody calls wake(), or the time is over. True: worth calling receive().
  bool wait(std::chrono::nanoseconds at_most);
  void wake();

  std::size_t waiting() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Spreads flows over consumers by their hash, each flow always to the same one, in order.
class FlowFanout : public PacketHandler {
 public:
  explicit FlowFanout(std::vector<Consumer*> consumers);
  void receive(Delivery& delivery) override;

  /// Which consumer takes the flow with this hash.
  std::size_t consumer_of(std::uint32_t hash) const;

 private:
  const std::vector<Consumer*> consumers_;
};

}  // namespace netrx
