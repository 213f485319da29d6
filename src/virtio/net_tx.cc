// SPDX-License-Identifier: Apache-2.0
#include "virtio/net_tx.h"

#include <algorithm>
#include <cstring>

#include "netrx/packet_bytes.h"
#include "wire/checksum.h"

namespace netrx::virtio {

namespace {

constexpr std::uint32_t kNone = ~0u;
constexpr std::uint32_t kVlanAt = 12, kVlanBytes = 4;

}  // namespace

TxFeatures NetTx::features(Features features) {
  return {.checksum = true,  // the queue does what the device does not
          .scatter = true,
          .tcp_segmentation = features.has(kHostTso4) && features.has(kHostTso6),
          .udp_segmentation = features.has(kHostUso)};
}

NetTx::NetTx(DriverRing& ring, Features features, Memory memory, NetTxStats& stats)
    : ring_(ring),
      features_(features),
      header_size_(NetHeader::size(features)),
      memory_(memory),
      stats_(stats),
      next_(ring.setup().size, kNone) {
  for (std::uint32_t i = ring.setup().size; i-- > 0;) free_.push_back(i);
}

/// Fills buffers one after the other, header first.
class NetTx::Writer {
 public:
  explicit Writer(NetTx& tx) : tx_(tx) {}

  /// The bytes fit: whoever began has seen to it.
  void add(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      if (room_ == 0) {
        const std::uint32_t buffer = tx_.free_.back();
        tx_.free_.pop_back();
        buffers_[count_++] = buffer;
        room_ = kBuffer;
      }
      const std::size_t n = std::min<std::size_t>(bytes.size(), room_);
      std::memcpy(tx_.memory_.at + std::size_t{buffers_[count_ - 1]} * kStride + (kBuffer - room_), bytes.data(), n);
      room_ -= static_cast<std::uint32_t>(n);
      bytes = bytes.subspan(n);
    }
  }

  std::span<const std::uint32_t> buffers() const { return {buffers_.data(), count_}; }

  bool offer() {
    std::array<Buffer, kMaxChain> chain;
    for (std::size_t i = 0; i < count_; ++i) {
      const bool last = i + 1 == count_;
      chain[i] = {tx_.memory_.address + std::uint64_t{buffers_[i]} * kStride, last ? kBuffer - room_ : kBuffer};
      tx_.next_[buffers_[i]] = last ? kNone : buffers_[i + 1];
    }
    return tx_.ring_.add({chain.data(), count_}, {}, buffers_[0]);
  }

 private:
  NetTx& tx_;
  std::array<std::uint32_t, kMaxChain> buffers_;
  std::size_t count_ = 0;
  std::uint32_t room_ = 0;
};

/// False: the device can't be told what the packet needs.
bool NetTx::header_of(const Packet& packet, NetHeader& header) const {
  if (!virtio_net_hdr_from_packet(packet, header.base)) return false;
  header.base.flags &= VirtioNetHdr::kNeedsCsum;  // the others are a device's words
  switch (header.base.gso_type & ~VirtioNetHdr::kGsoEcn) {
    case VirtioNetHdr::kGsoNone: return true;
    case VirtioNetHdr::kGsoTcpv4:
      if (!features_.has(kHostTso4)) return false;
      break;
    case VirtioNetHdr::kGsoTcpv6:
      if (!features_.has(kHostTso6)) return false;
      break;
    case VirtioNetHdr::kGsoUdpL4:
      if (!features_.has(kHostUso)) return false;
      break;
    default: return false;
  }
  return (header.base.gso_type & VirtioNetHdr::kGsoEcn) == 0 || features_.has(kHostEcn);
}

/// What the device would have done had it agreed to. Kernel: skb_checksum_help.
void NetTx::complete_checksum(const NetHeader& header, std::span<const std::uint32_t> buffers,
                              std::uint32_t bytes) const {
  const auto at = [&](std::uint32_t offset) {
    return memory_.at + std::size_t{buffers[offset / kBuffer]} * kStride + offset % kBuffer;
  };
  const std::uint32_t start = header_size_ + header.base.csum_start;
  std::uint32_t sum = 0, done = start;
  while (done < bytes) {
    const std::uint32_t n = std::min(bytes - done, kBuffer - done % kBuffer);
    sum = wire::csum_block_add(sum, wire::csum_partial({at(done), n}), done - start);
    done += n;
  }
  Be16 check = wire::csum_fold(sum);
  if (check == Be16{}) check = Be16{0xffff};  // as UDP writes it, and any other may
  const std::uint32_t field = start + header.base.csum_offset;
  std::uint8_t raw[2];
  std::memcpy(raw, &check, 2);
  *at(field) = raw[0];
  *at(field + 1) = raw[1];
}

NetTx::Sent NetTx::send(const Packet& packet) {
  NetHeader header;
  if (!header_of(packet, header)) return Sent::refused;
  const bool tagged = packet.vlan_present && packet.len >= kVlanAt;
  const std::uint32_t bytes = header_size_ + packet.len + (tagged ? kVlanBytes : 0);
  const std::uint32_t buffers = (bytes + kBuffer - 1) / kBuffer;
  const bool partial = (header.base.flags & VirtioNetHdr::kNeedsCsum) != 0;
  if (buffers > std::min<std::uint32_t>(kMaxChain, ring_.setup().size)) return Sent::refused;
  const std::uint32_t field_end = header.base.csum_start + std::uint32_t{header.base.csum_offset} + 2;
  if (partial && field_end > packet.len) return Sent::refused;
  const std::uint32_t needed = ring_.setup().indirect && buffers <= ring_.setup().max_chain ? 1 : buffers;
  if (free_.size() < buffers || ring_.free_descriptors() < needed) reclaim();
  if (free_.size() < buffers || ring_.free_descriptors() < needed || ring_.fault() != RingFault::none)
    return Sent::no_room;

  if (tagged && partial) header.base.csum_start += kVlanBytes;
  NetHeader sent = header;
  const bool by_us = partial && !features_.has(kCsum);
  if (by_us) sent.base = {};
  Writer writer(*this);
  writer.add({reinterpret_cast<const std::uint8_t*>(&sent), header_size_});
  std::size_t head = tagged ? kVlanAt : 0;
  for_each_piece(packet, [&](std::span<const std::uint8_t> piece) {
    const std::size_t n = std::min(head, piece.size());
    writer.add(piece.first(n));
    if (n != 0 && (head -= n) == 0) {
      const Be16 tci = to_be16(packet.vlan_tci);
      writer.add({reinterpret_cast<const std::uint8_t*>(&packet.vlan_proto), 2});
      writer.add({reinterpret_cast<const std::uint8_t*>(&tci), 2});
    }
    writer.add(piece.subspan(n));
  });
  if (by_us) complete_checksum(header, writer.buffers(), bytes);
  (void)writer.offer();  // there is room
  return Sent::yes;
}

bool NetTx::kick() {
  const bool wanted = ring_.kick_prepare();
  if (wanted) stats_.kicks.add();
  return wanted;
}

void NetTx::reclaim() {
  std::array<UsedBuffer, 64> used;
  for (std::size_t got; (got = ring_.get(used)) != 0;) {
    for (std::size_t i = 0; i < got; ++i)
      for (std::uint32_t buffer = used[i].token; buffer != kNone; buffer = next_[buffer]) free_.push_back(buffer);
    stats_.completed.add(got);
  }
}

}  // namespace netrx::virtio
