// SPDX-License-Identifier: Apache-2.0
#include "netrx/egress.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/counter.h"
#include "cpu/spin_lock.h"
#include "egress/prepare.h"
#include "netrx/engine.h"
#include "netrx/gso.h"
#include "netrx/packet_bytes.h"

namespace netrx {

namespace {

/// Packets of an egress' own, for segments and copies. They belong to no pool, which tells them apart when the device
/// gives them back.
class SegmentStock {
 public:
  static constexpr std::size_t kCount = 2 * PacketBatch::kCapacity;
  static constexpr std::size_t kSize = 10'240;  ///< bytes of the longest segment: jumbo frames

  SegmentStock() : packets_(kCount), bytes_(new std::uint8_t[kCount * kStride]) {
    free_.reserve(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      packets_[i].head = bytes_.get() + i * kStride;
      packets_[i].buffer_size = kStride;
      free_.push_back(&packets_[i]);
    }
  }

  static bool owns(const Packet& packet) { return packet.alloc_cpu == kNoCpu; }

  /// Null: all are with the device.
  Packet* take() {
    if (free_.empty()) return nullptr;
    Packet* packet = free_.back();
    free_.pop_back();
    packet->data = packet->head + kRoom;
    packet->mac_header = kRoom;
    packet->vlan_present = false;
    return packet;
  }
  void put(Packet* packet) { free_.push_back(packet); }
  std::size_t idle() const { return free_.size(); }

 private:
  static constexpr std::uint16_t kRoom = 64;
  static constexpr std::uint32_t kStride = kRoom + kSize;

  std::vector<Packet> packets_;
  std::unique_ptr<std::uint8_t[]> bytes_;  // touched when first used
  std::vector<Packet*> free_;
};

/// Everything the device is done with: what is of the stock goes back into it, the rest to `end`.
template <class End>
void take_back(TxQueue& queue, SegmentStock& stock, const End& end) {
  for (;;) {
    PacketBatch done;
    if (queue.xmit_done(done) == 0) return;
    const auto ours = std::ranges::partition(done.packets(), [](Packet* p) { return !SegmentStock::owns(*p); });
    for (Packet* segment : ours) stock.put(segment);
    done.truncate(done.size() - ours.size());
    end(done);
  }
}

}  // namespace

/// One transmit queue with what belongs to it. Kernel: struct netdev_queue, its _xmit_lock.
struct Egress::Lane {
  explicit Lane(TxQueue& of) : queue(of) {}

  TxQueue& queue;
  SpinLock lock;  ///< uncontended where each CPU has a queue; then it costs one exchange a delivery
  SegmentStock stock NETRX_GUARDED_BY(lock);
  // Written under the lock, read by anyone.
  Counter packets, whole, cut, segments, segments_lost, dropped;
};

namespace {

/// One delivery on its way out.
template <class Lane>
class Series {
 public:
  /// `stock`: the lane's, whose lock is held.
  Series(Lane& lane, SegmentStock& stock, Delivery& delivery, const NetDevice& device)
      : lane_(lane),
        stock_(stock),
        delivery_(delivery),
        features_(device.tx_features()),
        link_(device.has_link_header()) {}

  void send_all() {
    lane_.packets.add(delivery_.size());
    for (std::size_t i = 0; i < delivery_.size(); ++i) send(i);
    flush();
    end_finished();
  }

 private:
  static constexpr std::size_t kMost = PacketBatch::kCapacity;
  static constexpr std::size_t kSegment = ~std::size_t{0};  // in origins_: not a packet of the delivery

  void send(std::size_t i) {
    Packet& packet = *delivery_[i];
    if (!restore_frame(packet, link_)) return drop(i, DropReason::kUnhandledProto);
    switch (make_sendable(packet, features_)) {
      case Egressing::whole: return add(packet, i);
      case Egressing::copied: return copy(packet, i);
      case Egressing::cut: return cut(packet, i);
    }
  }

  void add(Packet& packet, std::size_t origin) {
    if (count_ == kMost) flush();
    packets_[count_] = &packet;
    origins_[count_++] = origin;
  }

  /// A packet of our own with the tag of `of`; null: the device has all of them and takes no more.
  Packet* new_segment(const Packet& of) {
    if (stock_.idle() == 0) flush();
    Packet* segment = stock_.take();
    if (segment == nullptr) return nullptr;
    segment->vlan_present = of.vlan_present;
    segment->vlan_proto = of.vlan_proto;
    segment->vlan_tci = of.vlan_tci;
    return segment;
  }

  void copy(Packet& packet, std::size_t i) {
    Packet* segment = packet.len <= SegmentStock::kSize ? new_segment(packet) : nullptr;
    if (segment == nullptr) return drop(i, DropReason::kFullRing);
    segment->len = packet.len;
    copy_bits(packet, 0, {segment->data, packet.len});
    lane_.cut.add();
    add(*segment, kSegment);
  }

  void cut(Packet& packet, std::size_t i) {
    Result<Segmenter> segmenter = Segmenter::create(packet);
    if (!segmenter || segmenter->max_size() > SegmentStock::kSize) return drop(i, DropReason::kSkbGsoSeg);
    lane_.cut.add();
    const std::uint16_t skipped = link_ ? std::uint16_t{0} : packet.mac_len();
    while (!segmenter->done()) {
      Packet* segment = new_segment(packet);
      if (segment == nullptr) {
        lane_.segments_lost.add(segmenter->segments() - given_of_cut_);
        break;
      }
      segment->len = static_cast<std::uint32_t>(segmenter->next({segment->data, SegmentStock::kSize})) - skipped;
      segment->data += skipped;
      ++given_of_cut_;
      add(*segment, kSegment);
    }
    given_of_cut_ = 0;
  }

  /// Gives the device what has gathered. What it can't take, asked twice, is dropped here and now: kept, it would be
  /// overtaken by what other CPUs send of the same flow.
  void flush() {
    std::size_t taken = lane_.queue.xmit({packets_.data(), count_});
    lane_.queue.xmit_kick();
    if (taken < count_) {
      end_finished();
      taken += lane_.queue.xmit({packets_.data() + taken, count_ - taken});
      lane_.queue.xmit_kick();
    }
    for (std::size_t k = 0; k < count_; ++k) settle(k, k < taken);
    count_ = 0;
    end_finished();
  }

  void settle(std::size_t k, bool taken) {
    if (origins_[k] == kSegment) {
      (taken ? lane_.segments : lane_.segments_lost).add();
      if (!taken) stock_.put(packets_[k]);
    } else if (taken) {
      lane_.whole.add();
      delivery_.keep(origins_[k]);
    } else {
      drop(origins_[k], DropReason::kFullRing);
    }
  }

  void drop(std::size_t i, DropReason reason) {
    lane_.dropped.add();
    delivery_.drop(i, reason);
  }

  void end_finished() {
    take_back(lane_.queue, stock_, [this](PacketBatch& done) {
      delivery_.end(done.packets());
      done.released();
    });
  }

  Lane& lane_;
  SegmentStock& stock_;
  Delivery& delivery_;
  const TxFeatures features_;
  const bool link_;
  std::uint32_t given_of_cut_ = 0;
  std::size_t count_ = 0;
  std::array<Packet*, kMost> packets_;
  std::array<std::size_t, kMost> origins_;
};

}  // namespace

Egress::Egress(NetDevice& device, std::span<const std::uint16_t> cpus) : device_(device) {
  const std::size_t queues = std::min(device.tx_queue_count(), std::max<std::size_t>(cpus.size(), 1));
  for (std::size_t i = 0; i < queues; ++i) lanes_.push_back(std::make_unique<Lane>(device.tx_queue(i)));
  const std::uint16_t highest = cpus.empty() ? std::uint16_t{0} : *std::ranges::max_element(cpus);
  lane_of_cpu_.assign(highest + 1u, lanes_[0].get());
  for (std::size_t i = 0; i < cpus.size(); ++i) lane_of_cpu_[cpus[i]] = lanes_[i % queues].get();
}

Egress::~Egress() = default;

Result<std::unique_ptr<Egress>> Egress::create(NetDevice& device, std::span<const std::uint16_t> cpus) {
  if (device.tx_queue_count() == 0)
    return fail(EOPNOTSUPP, std::string(device.name()) + " only receives; send to a tap, tun or af_packet device");
  return std::unique_ptr<Egress>(new Egress(device, cpus));
}

void Egress::receive(Delivery& delivery) {
  Lane& lane = *lane_of_cpu_[std::min<std::size_t>(delivery.cpu(), lane_of_cpu_.size() - 1)];
  SpinGuard guard(lane.lock, delivery.actor());
  Series(lane, lane.stock, delivery, device_).send_all();
}

void Egress::settle(Application& application) {
  Actor actor;
  for (const auto& lane : lanes_) {
    SpinGuard guard(lane->lock, actor);
    take_back(lane->queue, lane->stock, [&](PacketBatch& done) { application.free_packets(done); });
  }
}

EgressStats Egress::stats() const {
  EgressStats sum;
  for (const auto& lane : lanes_) {
    sum.packets += lane->packets.read();
    sum.whole += lane->whole.read();
    sum.cut += lane->cut.read();
    sum.segments += lane->segments.read();
    sum.segments_lost += lane->segments_lost.read();
    sum.dropped += lane->dropped.read();
  }
  return sum;
}

}  // namespace netrx
