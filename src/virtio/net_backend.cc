// SPDX-License-Identifier: Apache-2.0
#include "virtio/net_backend.h"

#include <algorithm>
#include <cstring>

#include "netrx/packet_bytes.h"

namespace netrx::virtio {

namespace {

/// Goes through a chain's writable segments.
class ChainWriter {
 public:
  explicit ChainWriter(const Chain& chain) : segments_(chain.to_write()) {}

  /// Copies as much as there is room for; returns how much.
  std::size_t add(std::span<const std::uint8_t> bytes) {
    std::size_t copied = 0;
    while (copied < bytes.size() && at_ < segments_.size()) {
      const Segment& segment = segments_[at_];
      const std::size_t n = std::min<std::size_t>(bytes.size() - copied, segment.length - offset_);
      std::memcpy(segment.data + offset_, bytes.data() + copied, n);
      copied += n;
      offset_ += static_cast<std::uint32_t>(n);
      if (offset_ == segment.length) {
        ++at_;
        offset_ = 0;
      }
    }
    written_ += static_cast<std::uint32_t>(copied);
    return copied;
  }
  std::uint32_t written() const { return written_; }

 private:
  std::span<const Segment> segments_;
  std::size_t at_ = 0;
  std::uint32_t offset_ = 0;
  std::uint32_t written_ = 0;
};

bool may_say(const NetHeader& header, Features features) {
  switch (header.base.gso_type & ~VirtioNetHdr::kGsoEcn) {
    case VirtioNetHdr::kGsoNone: return true;
    case VirtioNetHdr::kGsoTcpv4: return features.has(kGuestTso4);
    case VirtioNetHdr::kGsoTcpv6: return features.has(kGuestTso6);
    case VirtioNetHdr::kGsoUdpL4: return features.has(kGuestUso4) && features.has(kGuestUso6);
    default: return false;
  }
}

}  // namespace

NetFiller::Put NetFiller::put(const Packet& packet) {
  NetHeader header;
  if (!virtio_net_hdr_from_packet(packet, header.base) || !may_say(header, features_)) return Put::refused;
  if (!features_.has(kGuestCsum)) {
    if ((header.base.flags & VirtioNetHdr::kNeedsCsum) != 0) return Put::refused;
    header.base.flags = 0;
  }
  if (features_.has(kHashReport)) {
    header.hash_value = packet.hash;
    header.hash_report = NetHeader::kHashNone;
  }
  return put(header, packet);
}

NetFiller::Put NetFiller::put(NetHeader header, const Packet& packet) {
  const std::uint32_t header_size = NetHeader::size(features_);
  const std::uint64_t total = std::uint64_t{header_size} + packet.len;
  const DeviceRing::Mark mark = ring_.mark();
  const auto undo = [&](Put why) {
    ring_.rewind(mark);
    return ring_.fault() == RingFault::none ? why : Put::broken;
  };
  if (!ring_.take(first_)) return undo(Put::no_room);
  if (first_.writable_bytes < header_size) return undo(Put::refused);
  if (!features_.has(kMrgRxbuf) && first_.writable_bytes < total) return undo(Put::refused);

  written_.clear();
  ChainWriter writer(first_);
  ChainId current = first_.name();
  (void)writer.add({reinterpret_cast<const std::uint8_t*>(&header), header_size});
  bool room = true;
  for_each_piece(packet, [&](std::span<const std::uint8_t> piece) {
    while (room && !piece.empty()) {
      piece = piece.subspan(writer.add(piece));
      if (piece.empty()) break;
      written_.push_back({current, writer.written()});
      room = ring_.take(more_);
      current = more_.name();
      writer = ChainWriter(more_);
    }
  });
  if (!room) return undo(Put::no_room);
  written_.push_back({current, writer.written()});
  header.num_buffers = static_cast<std::uint16_t>(written_.size());
  ChainWriter(first_).add({reinterpret_cast<const std::uint8_t*>(&header), header_size});
  for (const Written& one : written_) ring_.complete(one.chain, one.bytes);
  return Put::done;
}

/// An empty frame: the chain held none.
bool NetDrainer::next(NetHeader& header, std::span<const std::uint8_t>& frame) {
  if (!ring_.take(chain_)) return false;
  const std::uint32_t header_size = NetHeader::size(features_);
  std::size_t bytes = 0;
  bool whole = true;
  for (const Segment& segment : chain_.to_read()) {
    const std::size_t n = std::min<std::size_t>(segment.length, frame_.size() - bytes);
    std::memcpy(frame_.data() + bytes, segment.data, n);
    bytes += n;
    whole = whole && n == segment.length;
  }
  ring_.complete(chain_, 0);
  frame = {};
  if (!whole || bytes <= header_size) {
    ++malformed_;
    return true;
  }
  header = {};
  std::memcpy(&header, frame_.data(), header_size);
  frame = std::span(frame_).subspan(header_size, bytes - header_size);
  return true;
}

}  // namespace netrx::virtio
