// SPDX-License-Identifier: Apache-2.0
#include "virtio/net_rx.h"

#include <algorithm>
#include <cstring>

#include "packet/packet_parts.h"
#include "wire/headers.h"

namespace netrx::virtio {

namespace {

constexpr std::uint32_t kLargestFrame = 256 * 1024;  // as software queues have it
constexpr std::uint32_t kLookahead = 4;              // buffers whose bytes are fetched early

constexpr std::uint32_t align64(std::uint32_t n) { return (n + 63) & ~63u; }

}  // namespace

RxGeometry RxGeometry::of(Features features, std::uint16_t ring_size, std::uint32_t mtu) {
  RxGeometry geometry{};
  geometry.header = NetHeader::size(features);
  geometry.hash_report = features.has(kHashReport);
  const bool gso = features.any_guest_gso();
  const bool big = mtu > 1500 || gso;
  if (features.has(kMrgRxbuf)) {
    geometry.mode = RxMode::mergeable;
    const std::uint32_t longest = wire::EthernetView::kSize + 4 + (big ? 65535 : std::max(mtu, 1500u));
    const std::uint32_t share = (geometry.header + longest + ring_size - 1) / ring_size;
    geometry.shortest_body = std::max(std::max(share, geometry.header) - geometry.header, kGoodPacket);
    geometry.posted = align64(geometry.header + std::min(geometry.shortest_body, kPage - geometry.header));
    // Pages in a row would share their cache sets.
    geometry.stride = kPage + 64;
  } else if (big) {
    // The kernel's chain of pages is one piece here.
    geometry.mode = RxMode::big;
    const std::uint32_t pages = gso ? kMaxFrags : (mtu + kPage - 1) / kPage;
    geometry.largest = (pages + 1) * kPage - kPaddedHeader;
    geometry.posted = geometry.header + geometry.largest;
    geometry.stride = align64(geometry.posted) + 64;
  } else {
    geometry.mode = RxMode::small;
    geometry.largest = kGoodPacket;
    geometry.posted = geometry.header + kGoodPacket;
    geometry.stride = align64(geometry.posted);
  }
  return geometry;
}

/// Packets for one poll, taken from the pool at once; more for a packet of many buffers.
class NetRx::Packets {
 public:
  Packets(PacketPool& pool, std::size_t wanted) : pool_(pool) { size_ = pool.alloc({stock_.data(), wanted}); }
  ~Packets() { pool_.put({stock_.data() + at_, size_ - at_}); }
  Packets(const Packets&) = delete;
  Packets& operator=(const Packets&) = delete;

  std::size_t room() const { return pool_.frame_size(); }
  std::size_t capacity() const { return pool_.capacity(); }

  /// Null: the pool is dry.
  Packet* take() {
    if (at_ == size_) {
      at_ = 0;
      size_ = pool_.alloc(stock_);
      if (size_ == 0) return nullptr;
    }
    return stock_[at_++];
  }

  void give_back(Packet* packet) {
    for_each_part(packet, [this](Packet* part) { pool_.put({&part, 1}); });
  }

 private:
  PacketPool& pool_;
  std::size_t at_ = 0;
  std::size_t size_;
  std::array<Packet*, PacketBatch::kCapacity> stock_;
};

NetRx::NetRx(DriverRing& ring, const RxGeometry& geometry, Memory memory, NetRxStats& stats, RxQueueStats& queue_stats)
    : ring_(ring),
      geometry_(geometry),
      memory_(memory),
      stats_(stats),
      queue_stats_(queue_stats),
      window_(PacketBatch::kCapacity + std::size_t{ring.setup().size}) {
  for (std::uint32_t i = ring.setup().size; i-- > 0;) idle_.push_back(i);
}

std::uint32_t NetRx::mergeable_length() const {
  const std::uint32_t longest = RxGeometry::kPage - geometry_.header;
  const std::uint32_t body = std::clamp(average_.read(), std::min(geometry_.shortest_body, longest), longest);
  return align64(geometry_.header + body);
}

bool NetRx::fill() {
  const bool kick = post_idle();
  if (kick) stats_.kicks.add();
  return kick;
}

bool NetRx::post_idle() {
  const std::uint32_t length = geometry_.mode == RxMode::mergeable ? mergeable_length() : geometry_.posted;
  while (!idle_.empty()) {
    std::array<Posting, 64> postings;
    std::size_t n = 0;
    for (; n < postings.size() && n < idle_.size(); ++n) {
      const std::uint32_t index = idle_[idle_.size() - 1 - n];
      postings[n] = {memory_.address + std::uint64_t{index} * geometry_.stride, length, index};
    }
    const std::size_t posted = ring_.post({postings.data(), n}, Direction::device_writes);
    idle_.resize(idle_.size() - posted);
    if (posted != n) break;
  }
  return ring_.kick_prepare();
}

/// Asks the ring for more when the window is empty.
bool NetRx::fetch() {
  if (window_at_ == window_size_) {
    window_at_ = 0;
    window_size_ = static_cast<std::uint32_t>(ring_.get({window_.data(), PacketBatch::kCapacity}));
    for (std::uint32_t i = 0; i < window_size_ && i < kLookahead; ++i) __builtin_prefetch(bytes(window_[i]));
  }
  return window_at_ != window_size_;
}

/// True when the window holds that many buffers, if need be after asking the ring.
bool NetRx::ensure(std::uint32_t buffers) {
  while (window_size_ - window_at_ < buffers) {
    if (window_size_ == window_.size()) {
      if (window_at_ == 0) return false;
      std::copy(window_.begin() + window_at_, window_.begin() + window_size_, window_.begin());
      window_size_ -= window_at_;
      window_at_ = 0;
    }
    const std::size_t got = ring_.get(std::span(window_).subspan(window_size_));
    if (got == 0) return false;
    window_size_ += static_cast<std::uint32_t>(got);
  }
  return true;
}

void NetRx::consume(std::uint32_t buffers) {
  for (std::uint32_t i = 0; i < buffers; ++i) idle_.push_back(used(i).token);
  window_at_ += buffers;
}

/// How many buffers the packet at the window's front takes; 0: it is none, is counted and gone. `total`: its bytes,
/// header included.
std::uint32_t NetRx::judge(const NetHeader& header, std::uint32_t& total, Tally& tally) {
  const UsedBuffer& first = used(0);
  const auto refuse = [this](std::uint32_t buffers, bool length_error, bool drop) {
    consume(buffers);
    if (length_error) RxQueueStats::add(queue_stats_.rx_length_errors);
    if (drop) stats_.drops.add();
    return 0u;
  };
  const bool mergeable = geometry_.mode == RxMode::mergeable;
  std::uint32_t buffers = mergeable ? header.num_buffers : 1;
  // A buffer that belongs to none would begin the next packet: the rest of a bad one goes with it.
  const bool missing = buffers == 0 || !ensure(buffers);
  if (missing) buffers = buffers == 0 ? 1 : window_size_ - window_at_;
  if (first.length < geometry_.header + wire::EthernetView::kSize) return refuse(buffers, true, false);
  if (geometry_.mode == RxMode::big && first.length > first.capacity) return refuse(1, false, true);
  if (missing) return refuse(buffers, true, true);
  std::uint64_t sum = 0;
  bool fits = true;
  for (std::uint32_t i = 0; i < buffers; ++i) {
    fits = fits && used(i).length <= used(i).capacity;
    sum += used(i).length;
  }
  if (!fits || sum > kLargestFrame) {
    tally.bytes += std::min<std::uint64_t>(sum, kLargestFrame) - geometry_.header;
    return refuse(buffers, true, true);
  }
  total = static_cast<std::uint32_t>(sum);
  return buffers;
}

/// A packet with the bytes of the first `buffers` buffers behind the header; null: the pool is dry.
Packet* NetRx::assemble(Packets& packets, std::uint32_t buffers, std::uint32_t total) const {
  Packet* packet = packets.take();
  if (packet == nullptr) return nullptr;
  const std::uint32_t body = total - geometry_.header;
  if (buffers == 1 && body <= packet->tailroom()) {
    std::memcpy(packet->data, bytes(used(0)) + geometry_.header, body);
    packet->len = body;
    return packet;
  }
  Packet* into = packet;
  Packet* last = nullptr;
  std::uint32_t frags = 0;
  for (std::uint32_t i = 0; i < buffers; ++i) {
    const std::uint8_t* from = bytes(used(i)) + (i == 0 ? geometry_.header : 0);
    std::uint32_t left = used(i).length - (i == 0 ? geometry_.header : 0);
    while (left != 0) {
      const std::uint32_t room = into->tailroom();
      if (room == 0) {
        Packet* frag = packets.take();
        if (frag == nullptr) {
          packets.give_back(packet);
          return nullptr;
        }
        frag->next = nullptr;
        (last == nullptr ? packet->frags : last->next) = frag;
        last = into = frag;
        ++frags;
        continue;
      }
      const std::uint32_t n = std::min(left, room);
      std::memcpy(into->data + into->len, from, n);
      into->len += n;
      from += n;
      left -= n;
    }
  }
  packet->data_len = body - packet->len;
  packet->len = body;
  packet->nr_frags = static_cast<std::uint8_t>(std::min(frags, RxGeometry::kMaxFrags));
  return packet;
}

bool NetRx::apply(const NetHeader& header, Packet& packet) const {
  packet.mac_header = static_cast<std::uint16_t>(packet.headroom());
  if (geometry_.hash_report) {
    packet.hash = header.hash_value;
    packet.l4_hash = NetHeader::is_l4_hash(header.hash_report);
  }
  if (header.base.flags == 0 && header.base.gso_type == VirtioNetHdr::kGsoNone) return true;
  return virtio_net_hdr_to_packet(header.base, packet);
}

NetRx::Step NetRx::receive_one(Packets& packets, PacketBatch& batch, std::uint64_t& rx_seq, Tally& tally) {
  NetHeader header;
  // All of the longest: a length known here is quicker, and what is beyond this queue's header nobody looks at.
  std::memcpy(&header, bytes(used(0)), sizeof header);
  std::uint32_t total = 0;
  const std::uint32_t buffers = judge(header, total, tally);
  if (buffers == 0) {
    ++tally.heads;
    return Step::dropped;
  }
  const std::size_t room = packets.room();
  const bool possible = (total + room - 1) / room <= packets.capacity();
  Packet* packet = possible ? assemble(packets, buffers, total) : nullptr;
  if (possible && packet == nullptr) return Step::dry;
  ++tally.heads;
  tally.bytes += total - geometry_.header;
  consume(buffers);
  if (!possible) {
    stats_.drops.add();
    return Step::dropped;
  }
  if (!apply(header, *packet)) {
    RxQueueStats::add(queue_stats_.rx_frame_errors);
    packets.give_back(packet);
    return Step::dropped;
  }
  if (geometry_.mode == RxMode::mergeable) average_.add(packet->len);
  packet->rx_seq = rx_seq++;
  tally.packet_bytes += packet->len;
  batch.push_back(packet);
  return Step::received;
}

NetRx::Outcome NetRx::poll(PollContext& context, PacketBatch& batch, std::size_t budget, std::uint64_t& rx_seq) {
  budget = std::min(budget, batch.room());
  Outcome outcome;
  if (budget != 0 && fetch()) {
    Packets packets(context.pool, std::min<std::size_t>(budget, window_size_ - window_at_));
    Tally tally;
    // What is dropped costs budget too: a device that sends nothing but rubbish shall not hold the poll for ever.
    for (std::size_t heads = 0; heads < budget && fetch(); ++heads) {
      if (window_at_ + kLookahead < window_size_) __builtin_prefetch(bytes(used(kLookahead)));
      const Step step = receive_one(packets, batch, rx_seq, tally);
      outcome.got += step == Step::received;
      outcome.dry = step == Step::dry;
      if (outcome.dry) break;
    }
    stats_.packets.add(tally.heads);
    stats_.bytes.add(tally.bytes);
    RxQueueStats::add(queue_stats_.rx_packets, outcome.got);
    RxQueueStats::add(queue_stats_.rx_bytes, tally.packet_bytes);
    if (outcome.dry) RxQueueStats::add(queue_stats_.rx_alloc_fail);
  }
  // Kernel: virtnet_receive's rule for try_fill_recv.
  if (ring_.free_descriptors() > std::min<std::size_t>(budget, ring_.setup().size) / 2) {
    outcome.kick = post_idle();
    if (outcome.kick) stats_.kicks.add();
  }
  return outcome;
}

}  // namespace netrx::virtio
