// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/front_end.h"

#include <cstddef>
#include <cstring>

#include "driver/vhost_user/eventfd.h"

namespace netrx::vhost {

namespace {

using virtio::Feature;
using virtio::Features;

// Kernel: include/uapi/linux/virtio_config.h, VIRTIO_CONFIG_S_*.
constexpr std::uint8_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8;

/// The front of virtio-net's configuration space.
struct NetConfig {
  std::array<std::uint8_t, 6> mac;
  std::uint16_t status;
  std::uint16_t max_pairs;
  std::uint16_t mtu;
};
static_assert(sizeof(NetConfig) == 12);

struct ConfigMessage {
  std::uint32_t offset;
  std::uint32_t size;
  std::uint32_t flags;
  NetConfig config;
};

}  // namespace

Result<Message> FrontEnd::ask_bytes(Request request, std::span<const std::uint8_t> payload, std::size_t least) {
  if (const auto sent = connection_.send(request, 0, payload); !sent) return std::unexpected(sent.error());
  Result<Message> answer = connection_.receive(kPatience);
  if (!answer) return answer;
  if (answer->request != request || (answer->flags & Message::kReply) == 0 || answer->size < least)
    return fail(EPROTO, "the back end answers request " + std::to_string(static_cast<std::uint32_t>(request)) +
                            " with something else");
  return answer;
}

template <class T>
Result<T> FrontEnd::ask(Request request, std::span<const std::uint8_t> payload) {
  const Result<Message> answer = ask_bytes(request, payload, sizeof(T));
  if (!answer) return std::unexpected(answer.error());
  return answer->as<T>();
}

Result<void> FrontEnd::tell_bytes(Request request, std::span<const std::uint8_t> payload, std::span<const int> files) {
  const bool acknowledged = (protocol_ & bit(kProtocolReplyAck)) != 0;
  if (const auto sent = connection_.send(request, acknowledged ? Message::kNeedReply : 0, payload, files); !sent)
    return sent;
  if (!acknowledged) return {};
  const Result<Message> answer = connection_.receive(kPatience);
  if (!answer) return std::unexpected(answer.error());
  if (answer->request != request || (answer->flags & Message::kReply) == 0 || answer->as<std::uint64_t>() != 0)
    return fail(EPROTO, "the back end refuses request " + std::to_string(static_cast<std::uint32_t>(request)));
  return {};
}

Result<Features> FrontEnd::choose(Features offered) const {
  const auto lacks = [](const char* what, const char* instead) {
    return fail(EOPNOTSUPP, std::string("the back end offers no ") + what + "; " + instead);
  };
  if (!offered.has(Feature::kVersion1)) return lacks("VIRTIO_F_VERSION_1", "use one that speaks virtio 1.0");
  if (wishes_.packed && !offered.has(Feature::kRingPacked)) return lacks("packed rings", "leave packed out");
  if (wishes_.in_order && !offered.has(Feature::kInOrder)) return lacks("in-order rings", "leave in_order out");
  if (wishes_.hash_report && !offered.has(Feature::kHashReport)) return lacks("hash report", "leave hash_report out");
  const bool gso = wishes_.gso && wishes_.csum;
  Features wanted = Features{}
                        .with(Feature::kVersion1)
                        .with(Feature::kProtocolFeatures)
                        .with(Feature::kRingPacked, wishes_.packed)
                        .with(Feature::kInOrder, wishes_.in_order)
                        .with(Feature::kHashReport, wishes_.hash_report)
                        .with(Feature::kMrgRxbuf, wishes_.mrg_rxbuf)
                        .with(Feature::kEventIdx, wishes_.event_idx)
                        .with(Feature::kIndirectDesc, wishes_.indirect)
                        .with(Feature::kMq, wishes_.queues > 1)
                        .with(Feature::kCtrlVq, wishes_.queues > 1)
                        .with(Feature::kGuestCsum, wishes_.csum);
  for (const Feature feature :
       {Feature::kGuestTso4, Feature::kGuestTso6, Feature::kGuestEcn, Feature::kGuestUso4, Feature::kGuestUso6})
    wanted = wanted.with(feature, gso && offered.has(Feature::kGuestCsum));
  for (const Feature feature :
       {Feature::kCsum, Feature::kHostTso4, Feature::kHostTso6, Feature::kHostEcn, Feature::kHostUso})
    wanted = wanted.with(feature, offered.has(Feature::kCsum));
  wanted = wanted.with(Feature::kMtu, mtu_ != 0).with(Feature::kMac, address_.has_value());
  return wanted.both(offered);
}

Result<void> FrontEnd::negotiate_protocol() {
  const auto offered = ask<std::uint64_t>(Request::get_protocol_features);
  if (!offered) return std::unexpected(offered.error());
  const std::uint64_t chosen = *offered & (bit(kProtocolMq) | bit(kProtocolReplyAck) | bit(kProtocolConfig) |
                                           bit(kProtocolInflightShmfd) | bit(kProtocolStatus));
  if (const auto ok = tell(Request::set_protocol_features, chosen); !ok) return ok;
  protocol_ = chosen;
  return {};
}

/// What the device says of itself. Without CONFIG it says nothing.
Result<void> FrontEnd::read_config() {
  if ((protocol_ & bit(kProtocolConfig)) == 0) return {};
  const ConfigMessage question{.offset = 0, .size = sizeof(NetConfig), .flags = 0, .config = {}};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&question);
  const auto answer = ask<ConfigMessage>(Request::get_config, {bytes, sizeof question});
  if (!answer) return std::unexpected(answer.error());
  address_ = answer->config.mac;
  mtu_ = answer->config.mtu;
  return {};
}

Result<void> FrontEnd::set_status(std::uint8_t bits) {
  if ((protocol_ & bit(kProtocolStatus)) == 0) return {};
  return tell(Request::set_status, std::uint64_t{bits});
}

Result<void> FrontEnd::negotiate() {
  const auto offered = ask<std::uint64_t>(Request::get_features);
  if (!offered) return std::unexpected(offered.error());
  const Features features(*offered);
  if (features.has(Feature::kProtocolFeatures))
    if (const auto ok = negotiate_protocol(); !ok) return ok;
  if (const auto ok = tell_bytes(Request::set_owner, {}); !ok) return ok;
  std::uint64_t pairs = 1;
  if ((protocol_ & bit(kProtocolMq)) != 0) {
    const auto most = ask<std::uint64_t>(Request::get_queue_num);
    if (!most) return std::unexpected(most.error());
    pairs = *most;
  }
  if (pairs < wishes_.queues)
    return fail(EOPNOTSUPP, "the back end has " + std::to_string(pairs) +
                                " queue pairs; write queues=" + std::to_string(pairs) + ", or give it more");
  if (const auto ok = read_config(); !ok) return ok;
  if (!features.has(Feature::kMtu)) mtu_ = 0;
  if (!features.has(Feature::kMac)) address_.reset();
  const Result<Features> chosen = choose(features);
  if (!chosen) return std::unexpected(chosen.error());
  features_ = *chosen;
  if (const auto ok = set_status(kAcknowledge | kDriver); !ok) return ok;
  if (const auto ok = tell(Request::set_features, features_.bits()); !ok) return ok;
  return set_status(kAcknowledge | kDriver | kFeaturesOk);
}

virtio::RingSetup FrontEnd::setup(bool transmit) const {
  return {.kind = features_.has(Feature::kRingPacked) ? virtio::RingKind::packed : virtio::RingKind::split,
          .size = wishes_.ring,
          .event_idx = features_.has(Feature::kEventIdx),
          .indirect = transmit && features_.has(Feature::kIndirectDesc),
          .in_order = features_.has(Feature::kInOrder),
          .max_chain = transmit ? virtio::NetTx::kMaxChain : std::uint16_t{1}};
}

/// Makes the memory, and in it all rings and buffers.
Result<void> FrontEnd::lay_out(std::span<const QueueEnds> ends) {
  const virtio::RxGeometry geometry = virtio::RxGeometry::of(features_, wishes_.ring, mtu_);
  const std::size_t rx_ring = ring_layout(setup(false)).bytes, tx_ring = ring_layout(setup(true)).bytes;
  const std::size_t rx_bytes = geometry.bytes(wishes_.ring), tx_bytes = virtio::NetTx::bytes(wishes_.ring);
  std::size_t all = 0;
  for (const std::size_t part : {rx_ring, tx_ring, rx_bytes, tx_bytes}) all += SharedBlock::pages(part);
  auto block = SharedBlock::create(all * wishes_.queues);
  if (!block) return std::unexpected(block.error());
  block_.emplace(std::move(*block));

  const auto make_ring = [&](bool transmit) {
    const std::size_t at = block_->take(transmit ? tx_ring : rx_ring);
    ring_at_.push_back(at);
    return virtio::DriverRing::create(setup(transmit),
                                      ring_memory(setup(transmit), block_->at(at), SharedBlock::kAddress + at));
  };
  pairs_.resize(wishes_.queues);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    QueuePair& pair = pairs_[i];
    auto rx = make_ring(false);
    auto tx = make_ring(true);
    if (!rx || !tx) return std::unexpected(rx ? tx.error() : rx.error());
    pair.rx_ring = std::move(*rx);
    pair.tx_ring = std::move(*tx);
    const std::size_t rx_at = block_->take(rx_bytes), tx_at = block_->take(tx_bytes);
    pair.rx.emplace(*pair.rx_ring, geometry, virtio::NetRx::Memory{block_->at(rx_at), SharedBlock::kAddress + rx_at},
                    ends[i].counters->rx, *ends[i].rx_stats);
    pair.tx.emplace(*pair.tx_ring, features_, virtio::NetTx::Memory{block_->at(tx_at), SharedBlock::kAddress + tx_at},
                    ends[i].counters->tx);
    pair.rx_kick = make_eventfd();
    pair.tx_kick = make_eventfd();
    pair.tx_call = make_eventfd();
    if (!pair.rx_kick.valid() || !pair.tx_kick.valid() || !pair.tx_call.valid())
      return fail(EMFILE, "no more files can be opened; raise ulimit -n");
    (void)pair.rx->fill();
  }
  return {};
}

Result<void> FrontEnd::share_memory() {
  MemoryTable table{};
  table.count = 1;
  table.regions[0] = {.guest_address = SharedBlock::kAddress,
                      .size = block_->size(),
                      .user_address = SharedBlock::kAddress,
                      .mmap_offset = 0};
  std::array<std::uint8_t, MemoryTable::bytes(1)> payload;
  std::memcpy(payload.data(), &table, payload.size());
  const int fd = block_->fd();
  return tell(Request::set_mem_table, payload, {&fd, 1});
}

/// A fresh area for rings that are fresh as well: each connection has rings of its own, so nothing is in flight when it
/// begins. What the back end writes there is its own and not looked at; without a file it has nothing to write.
Result<void> FrontEnd::track_in_flight() {
  if ((protocol_ & bit(kProtocolInflightShmfd)) == 0) return {};
  const InflightArea wanted{.bytes = 0,
                            .offset = 0,
                            .rings = static_cast<std::uint16_t>(2 * pairs_.size()),
                            .ring_size = wishes_.ring,
                            .padding = 0};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&wanted);
  const auto answer = ask_bytes(Request::get_inflight_fd, {bytes, sizeof wanted}, offsetof(InflightArea, padding));
  if (!answer) return std::unexpected(answer.error());
  if (answer->files.size() != 1) return {};
  const int fd = answer->files.front().get();
  return tell(Request::set_inflight_fd, answer->as<InflightArea>(), {&fd, 1});
}

Result<void> FrontEnd::hand_over_ring(std::uint32_t index, const virtio::RingSetup& ring, std::size_t at, int kick,
                                      int call) {
  const virtio::RingLayout layout = ring_layout(ring);
  const std::uint64_t base = SharedBlock::kAddress + at;
  if (const auto ok = tell(Request::set_vring_call, std::uint64_t{index}, {&call, 1}); !ok) return ok;
  if (const auto ok = tell(Request::set_vring_num, VringState{index, ring.size}); !ok) return ok;
  // A packed ring begins with both wrap counters at 1.
  const std::uint32_t first = ring.kind == virtio::RingKind::packed ? 0x80008000u : 0;
  if (const auto ok = tell(Request::set_vring_base, VringState{index, first}); !ok) return ok;
  const VringAddress address{.index = index,
                             .flags = 0,
                             .descriptors = base + layout.descriptors,
                             .used = base + layout.device,
                             .available = base + layout.driver,
                             .log = 0};
  if (const auto ok = tell(Request::set_vring_addr, address); !ok) return ok;
  return tell(Request::set_vring_kick, std::uint64_t{index}, {&kick, 1});
}

Result<std::unique_ptr<FrontEnd>> FrontEnd::open(OwnedFd socket, const Wishes& wishes,
                                                 std::span<const QueueEnds> ends) {
  std::unique_ptr<FrontEnd> front(new FrontEnd(std::move(socket), wishes));
  if (const auto ok = front->negotiate(); !ok) return std::unexpected(ok.error());
  if (const auto ok = front->lay_out(ends); !ok) return std::unexpected(ok.error());
  if (const auto ok = front->track_in_flight(); !ok) return std::unexpected(ok.error());
  if (const auto ok = front->share_memory(); !ok) return std::unexpected(ok.error());
  for (std::uint32_t i = 0; i < front->pairs_.size(); ++i) {
    const QueuePair& pair = front->pairs_[i];
    if (const auto ok =
            front->hand_over_ring(2 * i, front->setup(false), front->ring_at_[2 * i], pair.rx_kick.get(), ends[i].call);
        !ok)
      return std::unexpected(ok.error());
    if (const auto ok = front->hand_over_ring(2 * i + 1, front->setup(true), front->ring_at_[2 * i + 1],
                                              pair.tx_kick.get(), pair.tx_call.get());
        !ok)
      return std::unexpected(ok.error());
  }
  if (front->features_.has(Feature::kProtocolFeatures))
    for (std::uint32_t ring = 0; ring < 2 * front->pairs_.size(); ++ring)
      if (const auto ok = front->tell(Request::set_vring_enable, VringState{ring, 1}); !ok)
        return std::unexpected(ok.error());
  if (const auto ok = front->set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk); !ok)
    return std::unexpected(ok.error());
  for (const QueuePair& pair : front->pairs_) signal(pair.rx_kick.get());
  return front;
}

void FrontEnd::close() {
  for (std::uint32_t ring = 0; ring < 2 * pairs_.size(); ++ring) {
    if (features_.has(Feature::kProtocolFeatures) && !tell(Request::set_vring_enable, VringState{ring, 0})) return;
    const VringState which{ring, 0};
    if (!ask<VringState>(Request::get_vring_base, {reinterpret_cast<const std::uint8_t*>(&which), sizeof which}))
      return;
  }
  (void)set_status(0);
}

virtio::RingFault FrontEnd::fault() const {
  for (const QueuePair& pair : pairs_)
    for (const auto* ring : {pair.rx_ring.get(), pair.tx_ring.get()})
      if (ring->fault() != virtio::RingFault::none) return ring->fault();
  return virtio::RingFault::none;
}

}  // namespace netrx::vhost
