// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "netrx/device.h"
#include "netrx/error.h"
#include "virtio/net_header.h"

namespace netrx::vhost {

/// Sends frames of a virtio-net driver by another device, as they are: with checksums unmade and TCP uncut where that
/// device takes it. One thread at a time.
class Forwarder {
 public:
  /// EOPNOTSUPP: the device sends nothing.
  static Result<std::unique_ptr<Forwarder>> create(NetDevice& device);

  /// What the driver may leave to the device.
  virtio::Features offer() const { return offered_; }

  /// Copies the frame and hands it to the device's queue for this pair. False: the device is full, or the frame needs
  /// what was not offered.
  bool send(std::size_t pair, const virtio::NetHeader& header, std::span<const std::uint8_t> frame);
  /// After a series of them.
  void kick(std::size_t pair);

 private:
  Forwarder(NetDevice& device, std::unique_ptr<PacketPool> pool);
  TxQueue& queue(std::size_t pair) { return device_.tx_queue(pair % device_.tx_queue_count()); }
  void collect(std::size_t pair);
  bool may_send(const VirtioNetHdr& header) const;

  NetDevice& device_;
  const virtio::Features offered_;
  std::unique_ptr<PacketPool> pool_;
};

}  // namespace netrx::vhost
