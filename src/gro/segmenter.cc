// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <string>

#include "netrx/ethertype.h"
#include "netrx/gso.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace netrx {

namespace {

constexpr std::uint32_t kJumboHeader = 8;

template <class T>
void store(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

bool is_option(std::uint8_t protocol) {
  return protocol == wire::kIpProtoHopByHop || protocol == wire::kIpProtoRouting || protocol == wire::kIpProtoDestOpts;
}

std::span<const std::uint8_t> addresses_of(std::span<const std::uint8_t> frame, std::size_t ip, bool ipv6) {
  return ipv6 ? frame.subspan(ip + 8, 32) : frame.subspan(ip + 12, 8);
}

/// Sequence number and flags of the `index`-th of `count` segments.
void continue_tcp(std::uint8_t* header, std::uint32_t index, std::uint32_t count, std::uint32_t mss) {
  store(header + 4, to_be32(wire::TcpView{header}.seq() + index * mss));
  std::uint8_t flags = wire::TcpView{header}.flags();
  if (index != 0) flags &= static_cast<std::uint8_t>(~wire::TcpView::kCwr);
  if (index + 1 != count) flags &= static_cast<std::uint8_t>(~(wire::TcpView::kFin | wire::TcpView::kPsh));
  header[13] = flags;
}

std::unexpected<Error> not_whole() {
  return fail(EINVAL, "the packet's headers are cut off, or not in its linear part");
}

}  // namespace

/// Finds the headers of a packet that shall be cut.
class SegmenterSetup {
 public:
  SegmenterSetup(const Packet& packet, Segmenter& cut)
      : packet_(packet),
        cut_(cut),
        frame_(packet.head + packet.mac_header),
        linear_(static_cast<std::uint32_t>(packet.data - frame_) + packet.headlen()) {}

  Result<void> run(std::uint16_t mss) {
    if ((packet_.gso_type & kGsoUdp) != 0 && packet_.gso_size != 0)
      return fail(EOPNOTSUPP, "UFO packets are IP fragments to be, which is not TCP or UDP segmentation");
    at_ = packet_.mac_len();
    if (const auto found = ether(packet_.protocol); !found) return found;
    if (packet_.encapsulation) {
      if (const auto found = inner(); !found) return found;
    }
    if (const auto found = transport(); !found) return found;
    const std::uint32_t total = linear_ + packet_.data_len;
    cut_.mss_ = mss != 0 ? mss : packet_.gso_size;
    if (cut_.mss_ == 0) return fail(EINVAL, "no segment size: the packet has no gso_size and none was given");
    cut_.payload_ = total - cut_.headers_;
    cut_.segments_ = std::max((cut_.payload_ + cut_.mss_ - 1) / cut_.mss_, 1u);
    cut_.part_offset_ = cut_.headers_ - static_cast<std::uint32_t>(packet_.data - frame_);
    if ((packet_.gso_type & kGsoFraglist) != 0 && packet_.gso_size != 0) {
      if (mss != 0 && mss != packet_.gso_size)
        return fail(EOPNOTSUPP, "the packets of a fraglist come back as they were, whatever the mss");
      cut_.segments_ = packet_.gso_segs;
    }
    if (cut_.jumbo_at_ != 0) cut_.headers_ -= kJumboHeader;
    return {};
  }

 private:
  using Kind = Segmenter::Layer::Kind;

  bool has(std::uint32_t n) const { return at_ + n <= linear_; }
  void add(Kind kind) {
    // What comes behind a jumbo header moves up by its size.
    const std::uint32_t shift = cut_.jumbo_at_ != 0 ? kJumboHeader : 0;
    cut_.layers_[cut_.layer_count_++] = {kind, static_cast<std::uint16_t>(at_ - shift)};
  }

  Result<void> ether(Be16 type) {
    while (is_vlan(type)) {
      if (!has(wire::VlanView::kSize)) return not_whole();
      type = wire::VlanView{frame_ + at_}.ether_type();
      at_ += wire::VlanView::kSize;
    }
    if (type == kEthPIp) return ipv4();
    if (type == kEthPIpv6) return ipv6();
    return fail(EINVAL, "not an IP packet");
  }

  Result<void> ipv4() {
    if (!has(wire::Ipv4View::kSize)) return not_whole();
    const wire::Ipv4View ip{frame_ + at_};
    if (ip.version() != 4 || !has(ip.header_size()) || ip.header_size() < wire::Ipv4View::kSize) return not_whole();
    add(Kind::ipv4);
    protocol_ = ip.protocol();
    at_ += ip.header_size();
    return {};
  }

  Result<void> ipv6() {
    if (!has(wire::Ipv6View::kSize)) return not_whole();
    add(Kind::ipv6);
    protocol_ = wire::Ipv6View{frame_ + at_}.next_header();
    at_ += wire::Ipv6View::kSize;
    while (is_option(protocol_)) {
      if (!has(8)) return not_whole();
      const wire::Ipv6OptionView option{frame_ + at_};
      if (!has(option.header_size())) return not_whole();
      if (protocol_ == wire::kIpProtoHopByHop && option.at[2] == 0xc2 && option.header_size() == kJumboHeader)
        cut_.jumbo_at_ = static_cast<std::uint16_t>(at_);
      protocol_ = option.next_header();
      at_ += option.header_size();
    }
    return {};
  }

  /// Behind the outer IP header of a tunnel: what encapsulates, then the inner IP header.
  Result<void> inner() {
    if (protocol_ == wire::kIpProtoGre) add(Kind::gre);
    if (protocol_ == wire::kIpProtoUdp) add(Kind::udp);
    const std::uint32_t inner_at = static_cast<std::uint32_t>(packet_.head + packet_.inner_network_header - frame_);
    if (inner_at < at_ || inner_at >= linear_) return not_whole();
    at_ = inner_at;
    return frame_[at_] >> 4 == 4 ? ipv4() : ipv6();
  }

  Result<void> transport() {
    if (protocol_ == wire::kIpProtoTcp) {
      if (!has(wire::TcpView::kSize)) return not_whole();
      const std::uint32_t size = wire::TcpView{frame_ + at_}.header_size();
      if (size < wire::TcpView::kSize || !has(size)) return not_whole();
      add(Kind::tcp);
      cut_.headers_ = at_ + size;
      return {};
    }
    if (protocol_ != wire::kIpProtoUdp) return fail(EINVAL, "neither TCP nor UDP");
    if (!has(wire::UdpView::kSize)) return not_whole();
    add(Kind::udp);
    cut_.headers_ = at_ + wire::UdpView::kSize;
    return {};
  }

  const Packet& packet_;
  Segmenter& cut_;
  const std::uint8_t* frame_;
  const std::uint32_t linear_;  ///< bytes at frame_
  std::uint32_t at_ = 0;
  std::uint8_t protocol_ = 0;
};

Result<Segmenter> Segmenter::create(const Packet& packet, std::uint16_t mss) {
  Segmenter cut(packet);
  if (const auto ready = SegmenterSetup(packet, cut).run(mss); !ready) return std::unexpected(ready.error());
  return cut;
}

std::size_t Segmenter::next(std::span<std::uint8_t> to) {
  if ((packet_->gso_type & kGsoFraglist) != 0 && packet_->gso_size != 0) return next_of_list(to);
  const std::uint8_t* frame = packet_->head + packet_->mac_header;
  const std::uint32_t front = jumbo_at_ != 0 ? jumbo_at_ : headers_;
  std::memcpy(to.data(), frame, front);
  std::memcpy(to.data() + front, frame + front + kJumboHeader, headers_ - front);
  if (jumbo_at_ != 0) {
    const std::size_t ip = jumbo_at_ - wire::Ipv6View::kSize;
    to[ip + 6] = frame[jumbo_at_];  // what followed the jumbo header
  }
  const std::uint32_t size = std::min(mss_, payload_);
  const std::span<std::uint8_t> segment = to.first(headers_ + size);
  const std::uint32_t sum = take_payload(segment.subspan(headers_));
  set_headers(segment, sum, true);
  payload_ -= size;
  ++next_;
  return segment.size();
}

/// Copies the payload's next bytes; returns their sum.
std::uint32_t Segmenter::take_payload(std::span<std::uint8_t> to) {
  std::size_t copied = 0;
  while (copied < to.size()) {
    const std::span<const std::uint8_t> left = part_->linear().subspan(part_offset_);
    const std::size_t n = std::min(left.size(), to.size() - copied);
    if (n != 0) std::memcpy(to.data() + copied, left.data(), n);
    copied += n;
    part_offset_ += static_cast<std::uint32_t>(n);
    if (copied == to.size()) break;
    part_ = part_ == packet_ ? packet_->frags : part_->next;
    part_offset_ = 0;
  }
  return wire::csum_partial(to);
}

/// The next packet of a fraglist, with the headers it came with. The first one's have been made to say how long the
/// list is.
std::size_t Segmenter::next_of_list(std::span<std::uint8_t> to) {
  const Packet& first = *part_;
  const std::uint8_t* frame = first.head + first.mac_header;
  const std::uint8_t* payload = &first == packet_ ? frame + headers_ : first.data;
  const std::uint32_t front = static_cast<std::uint32_t>(payload - frame);
  std::memcpy(to.data(), frame, front);
  part_offset_ = static_cast<std::uint32_t>(payload - first.data);
  std::uint32_t size = front;
  const Packet* part = &first;
  do {  // buffers without a network header of their own belong to the packet before them
    const std::span<const std::uint8_t> bytes = part->linear().subspan(part == &first ? part_offset_ : 0);
    if (!bytes.empty()) std::memcpy(to.data() + size, bytes.data(), bytes.size());
    size += static_cast<std::uint32_t>(bytes.size());
    part = part == packet_ ? packet_->frags : part->next;
  } while (part != nullptr && part->network_header == 0);
  part_ = part;
  if (&first == packet_) set_headers(to.first(size), 0, false);
  ++next_;
  return size;
}

void Segmenter::set_headers(std::span<std::uint8_t> frame, std::uint32_t payload_sum, bool with_checksums) const {
  // From the innermost outwards: an outer checksum covers the inner headers.
  for (std::size_t i = layer_count_; i-- > 0;) set_layer(frame, i, payload_sum, with_checksums);
}

void Segmenter::set_layer(std::span<std::uint8_t> frame, std::size_t index, std::uint32_t payload_sum,
                          bool with_checksums) const {
  const Layer layer = layers_[index];
  std::uint8_t* header = frame.data() + layer.at;
  const auto size = static_cast<std::uint32_t>(frame.size() - layer.at);
  // Over everything from this header on, with the pseudo header if there is a protocol.
  const auto checksum = [&](std::uint32_t check_at, std::uint8_t protocol) {
    store(header + check_at, Be16{});
    std::uint32_t sum = wire::csum_partial(frame.subspan(layer.at, headers_ - layer.at));
    sum = wire::csum_block_add(sum, payload_sum, headers_ - layer.at);
    const Layer* ip = index == 0 ? nullptr : &layers_[index - 1];
    if (protocol != 0)
      sum = wire::csum_add(
          sum, wire::csum_pseudo_header(addresses_of(frame, ip->at, ip->kind == Layer::Kind::ipv6), protocol, size));
    return wire::csum_fold(sum);
  };
  const bool innermost = index + 1 == layer_count_;
  switch (layer.kind) {
    case Layer::Kind::ipv4: {
      const bool fixed = (packet_->gso_type & kGsoTcpFixedId) != 0 && index + 2 == layer_count_;
      const std::uint32_t id = wire::Ipv4View{header}.id() + (fixed ? 0 : next_);
      store(header + 2, to_be16(static_cast<std::uint16_t>(size)));
      if (with_checksums) store(header + 4, to_be16(static_cast<std::uint16_t>(id)));
      store(header + 10, Be16{});
      store(header + 10, wire::csum_fold(wire::csum_partial({header, wire::Ipv4View{header}.header_size()})));
      return;
    }
    case Layer::Kind::ipv6:
      store(header + 4, to_be16(static_cast<std::uint16_t>(size - wire::Ipv6View::kSize)));
      return;
    case Layer::Kind::gre:
      if ((wire::GreView{header}.flags() & wire::GreView::kCsum) != 0) store(header + 4, checksum(4, 0));
      return;
    case Layer::Kind::tcp:
      if (!with_checksums) return;
      continue_tcp(header, next_, segments_, mss_);
      store(header + 16, checksum(16, wire::kIpProtoTcp));
      return;
    case Layer::Kind::udp: {
      store(header + 4, to_be16(static_cast<std::uint16_t>(size)));
      const bool none = !innermost && wire::UdpView{header}.checksum() == 0;  // a tunnel without checksums
      if (!with_checksums || none) return;
      const Be16 check = checksum(6, wire::kIpProtoUdp);
      store(header + 6, check == Be16{} ? Be16{0xffff} : check);
      return;
    }
  }
}

}  // namespace netrx
