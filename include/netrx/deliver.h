// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "netrx/drop_reason.h"
#include "netrx/packet.h"
#include "netrx/time.h"

namespace netrx {

class Actor;
struct Softnet;
struct SoftnetData;

/// A run of packets of one device and protocol, handed to its packet type on the CPU they were steered to.
class Delivery {
 public:
  Delivery(Softnet& net, SoftnetData& sd, std::span<Packet*> packets);

  std::uint16_t cpu() const { return cpu_; }
  Nanos now() const { return now_; }       ///< when the poll that delivers began
  Actor& actor() const { return actor_; }  ///< who runs on the CPU; what netrx's own queues lock as
  std::size_t size() const { return packets_.size(); }

  /// The i-th packet, `data` at its network header; null once kept or dropped.
  Packet* operator[](std::size_t i) const { return packets_[i]; }
  std::span<Packet* const> packets() const { return packets_; }

  /// Makes the caller the packet's owner; it goes home by Application::free_packets.
  Packet* keep(std::size_t i) {
    Packet* packet = packets_[i];
    packets_[i] = nullptr;
    ++gone_;
    return packet;
  }

  /// Ends a packet that could not be delivered.
  void drop(std::size_t i, DropReason reason);

  /// Ends packets that were kept, of this delivery or an earlier one, where the CPU is at hand.
  void end(std::span<Packet*> packets);

  std::size_t gone() const { return gone_; }
  std::size_t dropped() const { return dropped_; }

 private:
  Softnet& net_;
  SoftnetData& sd_;
  Actor& actor_;
  const std::uint16_t cpu_;
  const Nanos now_;
  const std::span<Packet*> packets_;
  std::size_t gone_ = 0;
  std::size_t dropped_ = 0;
};

/// Takes packets of one EtherType. Kernel: struct packet_type, its list_func.
///
/// Thread rules: receive() runs on any CPU, on several at once; packets of one flow come in order. What is left in the
/// delivery when it returns has been delivered and goes home.
class PacketHandler {
 public:
  virtual ~PacketHandler() = default;
  virtual void receive(Delivery& delivery) = 0;
};

/// Sees every packet before its handler does, changes nothing. Kernel: packet_type on ptype_all.
class Tap {
 public:
  virtual ~Tap() = default;
  virtual void tap(std::uint16_t cpu, Nanos now, const Packet& packet) = 0;
};

}  // namespace netrx
