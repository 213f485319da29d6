// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/forwarder.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "virtio/net_backend.h"

namespace netrx::vhost {

using virtio::Feature;

namespace {

constexpr std::size_t kPackets = 64;  // twice what is drained at a time; each can be as long as a frame can be

virtio::Features features_of(const TxFeatures& can) {
  const bool tso = can.checksum && can.tcp_segmentation, uso = can.checksum && can.udp_segmentation;
  return virtio::Features{}
      .with(Feature::kCsum, can.checksum)
      .with(Feature::kHostTso4, tso)
      .with(Feature::kHostTso6, tso)
      .with(Feature::kHostEcn, tso)
      .with(Feature::kHostUso, uso);
}

}  // namespace

Forwarder::Forwarder(NetDevice& device, std::unique_ptr<PacketPool> pool)
    : device_(device), offered_(features_of(device.tx_features())), pool_(std::move(pool)) {}

Result<std::unique_ptr<Forwarder>> Forwarder::create(NetDevice& device) {
  if (device.tx_queue_count() == 0)
    return fail(EOPNOTSUPP, std::string(device.name()) + " sends nothing; forward to a tap, for example");
  auto pool = PacketPool::create(0, kPackets, virtio::NetDrainer::kLargest);
  if (!pool) return std::unexpected(pool.error());
  return std::unique_ptr<Forwarder>(new Forwarder(device, std::move(*pool)));
}

bool Forwarder::may_send(const VirtioNetHdr& header) const {
  if ((header.flags & VirtioNetHdr::kNeedsCsum) != 0 && !offered_.has(Feature::kCsum)) return false;
  switch (header.gso_type & ~VirtioNetHdr::kGsoEcn) {
    case VirtioNetHdr::kGsoNone: return true;
    case VirtioNetHdr::kGsoTcpv4:
    case VirtioNetHdr::kGsoTcpv6: return offered_.has(Feature::kHostTso4);
    case VirtioNetHdr::kGsoUdpL4: return offered_.has(Feature::kHostUso);
    default: return false;
  }
}

bool Forwarder::send(std::size_t pair, const virtio::NetHeader& header, std::span<const std::uint8_t> frame) {
  Packet* packet = nullptr;
  if (pool_->idle() == 0) collect(pair);
  if (!may_send(header.base) || pool_->alloc({&packet, 1}) == 0) return false;
  std::memcpy(packet->data, frame.data(), frame.size());
  packet->len = static_cast<std::uint32_t>(frame.size());
  packet->mac_header = static_cast<std::uint16_t>(packet->headroom());
  if (virtio_net_hdr_to_packet(header.base, *packet) && queue(pair).xmit({&packet, 1}) == 1) return true;
  pool_->put({&packet, 1});
  return false;
}

void Forwarder::kick(std::size_t pair) {
  queue(pair).xmit_kick();
  collect(pair);
}

void Forwarder::collect(std::size_t pair) {
  PacketBatch done;
  while (queue(pair).xmit_done(done) != 0) {
    pool_->put(done.packets());
    done.released();
  }
}

}  // namespace netrx::vhost
