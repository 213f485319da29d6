// SPDX-License-Identifier: Apache-2.0
#include "virtio/net_rx.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/prefetch.h"
#include "packet/packet_parts.h"
#include "virtio/shared_memory.h"
#include "wire/headers.h"

namespace netrx::virtio {

namespace {

constexpr std::uint32_t kLine = 64;
constexpr std::uint32_t kLargestFrame = 256 * 1024;  // as software queues have it
constexpr std::uint32_t kLookahead = 16;             // buffers whose bytes are fetched early
constexpr std::uint32_t kShortFrame = 64;            // fits every buffer and every packet: the pool has none smaller

/// Both sides have room for a short frame: a length that is known here makes some moves of it instead of a call.
void copy_frame(std::uint8_t* to, const std::uint8_t* from, std::uint32_t bytes) {
  if (bytes <= kShortFrame)
    std::memcpy(to, from, kShortFrame);
  else
    std::memcpy(to, from, bytes);
}

/// The lines of header and short frame, which the device's CPU may have: a frame that is not short goes on where the
/// hardware looks ahead.
void prefetch_frame(const std::uint8_t* at) {
  __builtin_prefetch(at);
  __builtin_prefetch(at + kLine);
}

constexpr std::uint32_t align_to_line(std::uint32_t n) { return (n + kLine - 1) & ~(kLine - 1); }

}  // namespace

RxGeometry RxGeometry::of(Features features, std::uint16_t ring_size, std::uint32_t mtu) {
  RxGeometry geometry{};
  geometry.header = NetHeader::size(features);
  geometry.hash_report = features.has(kHashReport);
  geometry.lead = kLine - geometry.header;
  const bool gso = features.any_guest_gso();
  const bool big = mtu > 1500 || gso;
  if (features.has(kMrgRxbuf)) {
    geometry.mode = RxMode::mergeable;
    const std::uint32_t longest = wire::EthernetView::kSize + 4 + (big ? 65535 : std::max(mtu, 1500u));
    const std::uint32_t share = (geometry.header + longest + ring_size - 1) / ring_size;
    geometry.shortest_body = std::max(std::max(share, geometry.header) - geometry.header, kGoodPacket);
    geometry.posted = align_to_line(geometry.header + std::min(geometry.shortest_body, kPage - geometry.header));
    // Of a page and a line: whole pages would share their cache sets.
    geometry.stride = align_to_line(geometry.lead + kPage);
  } else if (big) {
    // The kernel's chain of pages is one piece here.
    geometry.mode = RxMode::big;
    const std::uint32_t pages = gso ? kMaxFrags : (mtu + kPage - 1) / kPage;
    geometry.largest = (pages + 1) * kPage - kPaddedHeader;
    geometry.posted = geometry.header + geometry.largest;
    geometry.stride = align_to_line(geometry.lead + geometry.posted) + kLine;
  } else {
    geometry.mode = RxMode::small;
    geometry.largest = kGoodPacket;
    geometry.posted = geometry.header + kGoodPacket;
    geometry.stride = align_to_line(geometry.lead + geometry.posted);
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

  /// What take() would give next, some of it; and that so much of it was taken.
  std::span<Packet* const> stock() const { return {stock_.data() + at_, size_ - at_}; }
  void took(std::size_t n) { at_ += n; }

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
      memory_{memory.at + geometry.lead, memory.address + geometry.lead},
      stats_(stats),
      queue_stats_(queue_stats),
      window_(std::bit_ceil(std::size_t{ring.setup().size})),
      mask_(static_cast<std::uint32_t>(window_.size() - 1)),
      at_(ring.setup().size),
      got_(ring.setup().size) {
  for (std::uint32_t i = 0; i < ring.setup().size; ++i) window_[i].token = i;
}

std::uint32_t NetRx::mergeable_length() const {
  const std::uint32_t longest = RxGeometry::kPage - geometry_.header;
  const std::uint32_t body = std::clamp(average_.read(), std::min(geometry_.shortest_body, longest), longest);
  return align_to_line(geometry_.header + body);
}

bool NetRx::fill() {
  const std::uint32_t length = geometry_.mode == RxMode::mergeable ? mergeable_length() : geometry_.posted;
  while (posted_ != at_) {
    std::array<Posting, 64> postings;
    const std::uint32_t n = std::min<std::uint32_t>(postings.size(), at_ - posted_);
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t token = window_[(posted_ + i) & mask_].token;
      postings[i] = {memory_.address + std::uint64_t{token} * geometry_.stride, length, token};
    }
    const std::size_t posted = ring_.post({postings.data(), n}, Direction::device_writes);
    posted_ += static_cast<std::uint32_t>(posted);
    if (posted != n) break;
  }
  const bool kick = ring_.kick_prepare();
  if (kick) stats_.kicks.add();
  return kick;
}

/// Asks the ring for more: as much as lies in one piece in the window.
std::size_t NetRx::get(std::uint32_t at_most) {
  const std::uint32_t from = got_ & mask_;
  const std::size_t room = std::min<std::size_t>(window_.size() - from, window_.size() - (got_ - posted_));
  const std::size_t got = ring_.get(std::span(window_).subspan(from, std::min<std::size_t>(at_most, room)));
  got_ += static_cast<std::uint32_t>(got);
  return got;
}

/// Asks the ring for more when the window is empty.
bool NetRx::fetch() {
  if (waiting() == 0) {
    (void)get(PacketBatch::kCapacity);
    for (std::uint32_t i = 0; i < kLookahead && i < waiting(); ++i) prefetch_frame(bytes(used(i)));
  }
  return waiting() != 0;
}

/// True when the window holds that many buffers, if need be after asking the ring.
bool NetRx::ensure(std::uint32_t buffers) {
  while (waiting() < buffers)
    if (get(buffers - waiting()) == 0) return false;
  return true;
}

/// How many buffers the packet at the window's front takes; 0: it is none, is counted and gone. `total`: its bytes,
/// header included.
std::uint32_t NetRx::judge(const NetHeader& header, std::uint32_t& total) {
  const UsedBuffer& first = used(0);
  const auto refuse = [this](std::uint32_t buffers, bool length_error, bool drop) {
    at_ += buffers;
    if (length_error) RxQueueStats::add(queue_stats_.rx_length_errors);
    if (drop) stats_.drops.add();
    return 0u;
  };
  const bool mergeable = geometry_.mode == RxMode::mergeable;
  std::uint32_t buffers = mergeable ? header.num_buffers : 1;
  // A buffer that belongs to none would begin the next packet: the rest of a bad one goes with it.
  const bool missing = buffers == 0 || !ensure(buffers);
  if (missing) buffers = buffers == 0 ? 1 : waiting();
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
    tally_.bytes += std::min<std::uint64_t>(sum, kLargestFrame) - geometry_.header;
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
    copy_frame(packet->data, bytes(used(0)) + geometry_.header, body);
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

/// Receives what most packets are, up to the first that is not so: one buffer, and a header that says no more of it
/// than that its checksum is right. Returns how many; what it leaves, receive_one() judges from the start. All of the
/// loop is in locals: bytes that are copied might, to the compiler, be any member.
std::size_t NetRx::receive_plain(Packets& packets, PacketBatch& batch, std::size_t at_most, std::uint64_t& rx_seq) {
  if (geometry_.hash_report) return 0;
  const std::uint32_t from = at_ & mask_;
  const std::span<Packet* const> stock = packets.stock();
  const UsedBuffer* const run = &window_[from];
  const std::size_t size = std::min({at_most, stock.size(), window_.size() - from, std::size_t{waiting()}});
  const bool mergeable = geometry_.mode == RxMode::mergeable;
  const std::uint32_t header_size = geometry_.header;
  const auto room = static_cast<std::uint32_t>(packets.room()) + header_size;
  const std::uint8_t* const memory = memory_.at;
  const std::size_t stride = geometry_.stride;
  const std::uint64_t first_seq = rx_seq;
  PacketLengthAverage average = average_;
  std::uint64_t all_bytes = 0;
  std::size_t n = 0;
  for (; n < size; ++n) {
    if (n + kLookahead < size) {
      prefetch_frame(memory + run[n + kLookahead].token * stride);
      prefetch_for_write(stock[n + kLookahead]->data);
    }
    const UsedBuffer& buffer = run[n];
    const std::uint8_t* const at = memory + buffer.token * stride;
    const auto* header = reinterpret_cast<const NetHeader*>(at);
    const std::uint8_t flags = SharedMemory::load(&header->base.flags);
    const bool plain = (flags & ~VirtioNetHdr::kDataValid) == 0 &&
                       SharedMemory::load(&header->base.gso_type) == VirtioNetHdr::kGsoNone &&
                       (!mergeable || SharedMemory::load(&header->num_buffers) == 1);
    const std::uint32_t body = buffer.length - header_size;
    const bool fits = buffer.length >= header_size + wire::EthernetView::kSize && buffer.length <= buffer.capacity &&
                      buffer.length <= room;
    if (!plain || !fits) break;
    Packet* packet = stock[n];
    copy_frame(packet->data, at + header_size, body);
    packet->len = body;
    packet->mac_header = static_cast<std::uint16_t>(PacketPool::kHeadroom);
    packet->rx_seq = first_seq + n;
    if (flags != 0) (void)virtio_net_hdr_to_packet({.flags = flags}, *packet);
    average.add(body);
    all_bytes += body;
  }
  packets.took(n);
  std::ranges::copy(stock.first(n), batch.extend(n).begin());
  rx_seq += n;
  at_ += static_cast<std::uint32_t>(n);
  if (mergeable) average_ = average;
  tally_.heads += n;
  tally_.packets += n;
  tally_.bytes += all_bytes;
  tally_.packet_bytes += all_bytes;
  return n;
}

/// Any packet.
NetRx::Step NetRx::receive_one(Packets& packets, PacketBatch& batch, std::uint64_t& rx_seq) {
  NetHeader header;
  // All of the longest: a length known here is quicker, and what is beyond this queue's header nobody looks at.
  std::memcpy(&header, bytes(used(0)), sizeof header);
  std::uint32_t total = 0;
  const std::uint32_t buffers = judge(header, total);
  if (buffers == 0) {
    ++tally_.heads;
    return Step::dropped;
  }
  const std::size_t room = packets.room();
  const bool possible = (total + room - 1) / room <= packets.capacity();
  Packet* packet = possible ? assemble(packets, buffers, total) : nullptr;
  if (possible && packet == nullptr) return Step::dry;
  ++tally_.heads;
  tally_.bytes += total - geometry_.header;
  at_ += buffers;
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
  ++tally_.packets;
  tally_.packet_bytes += packet->len;
  batch.push_back(packet);
  return Step::received;
}

/// Into the batch, at most as many as it has room for.
NetRx::Outcome NetRx::receive(PollContext& context, PacketBatch& batch, std::size_t budget, std::uint64_t& rx_seq) {
  Packets packets(context.pool, std::min<std::size_t>(budget, waiting()));
  Outcome outcome;
  tally_ = {};
  // What is dropped costs budget too: a device that sends nothing but rubbish shall not hold the poll for ever.
  for (std::size_t heads = 0; heads < budget && fetch();) {
    const std::size_t plain = receive_plain(packets, batch, budget - heads, rx_seq);
    heads += plain;
    if (plain != 0) continue;
    outcome.dry = receive_one(packets, batch, rx_seq) == Step::dry;
    if (outcome.dry) break;
    ++heads;
  }
  outcome.got = tally_.packets;
  stats_.packets.add(tally_.heads);
  stats_.bytes.add(tally_.bytes);
  RxQueueStats::add(queue_stats_.rx_packets, tally_.packets);
  RxQueueStats::add(queue_stats_.rx_bytes, tally_.packet_bytes);
  if (outcome.dry) RxQueueStats::add(queue_stats_.rx_alloc_fail);
  return outcome;
}

NetRx::Outcome NetRx::poll(PollContext& context, PacketBatch& batch, std::size_t budget, std::uint64_t& rx_seq) {
  budget = std::min(budget, batch.room());
  Outcome outcome;
  if (budget != 0 && fetch()) outcome = receive(context, batch, budget, rx_seq);
  // Kernel: virtnet_receive's rule for try_fill_recv.
  if (ring_.free_descriptors() > std::min<std::size_t>(budget, ring_.setup().size) / 2) outcome.kick = fill();
  return outcome;
}

}  // namespace netrx::virtio
