// SPDX-License-Identifier: Apache-2.0
#include "netrx/vhost_device.h"

#include <poll.h>

#include <algorithm>
#include <ctime>

#include "driver/vhost_user/back_end.h"
#include "driver/vhost_user/eventfd.h"
#include "driver/vhost_user/forwarder.h"
#include "packet/packet_parts.h"

namespace netrx {

namespace {

using virtio::Feature;
using virtio::Features;
using virtio::NetFiller;

constexpr std::size_t kMostPairs = 64;
constexpr std::size_t kBurst = 32;
constexpr std::uint32_t kLookEvery = 64;                   // rounds with work between two looks at the socket
constexpr Nanos kLinger = std::chrono::milliseconds(200);  // a driver that is still at its start gets this long
constexpr Nanos kTooLittle = std::chrono::milliseconds(1);

Nanos monotonic() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + Nanos(now.tv_nsec);
}

/// What one source queue has given and the driver has not got yet.
struct Pending {
  PacketBatch batch;
  std::size_t next = 0;
  bool empty() const { return next == batch.size(); }
};

}  // namespace

struct VhostDevice::State {
  State(const VhostDeviceOptions& with, std::unique_ptr<NetDevice> from)
      : options(with), source(std::move(from)), pending(source->queue_count()) {}
  ~State() {
    for (Pending& one : pending) {
      end(one.batch.packets().subspan(one.next));
      one.batch.released();
    }
  }

  void end(std::span<Packet*> packets) {
    for (Packet* packet : packets)
      for_each_part(packet, [this](Packet* part) {
        if (part->frame_home != nullptr) part->frame_home->frames_home({&part->frame_id, 1});
        pool->put({&part, 1});
      });
  }

  bool meet_driver(Nanos at_most);
  void lose_driver(const Error& why);
  void answer_requests();
  bool fill(std::size_t pair, Nanos now);
  bool drain(std::size_t pair);
  bool fetch(std::size_t queue, Nanos now);
  void call(vhost::Vring& vring, bool wanted);
  Features offer() const;
  void pass_on(std::size_t pair, const virtio::NetHeader& header, std::span<const std::uint8_t> frame);
  void echo(std::size_t pair, const virtio::NetHeader& header, std::span<const std::uint8_t> frame);
  void sleep(Nanos at_most);
  bool finished() const;

  const VhostDeviceOptions options;
  std::unique_ptr<NetDevice> source;
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<vhost::Forwarder> forwarder;  ///< to the source; if so wished
  std::vector<Pending> pending;                 ///< by source queue
  OwnedFd listening;
  std::unique_ptr<vhost::BackEnd> driver;
  VhostDeviceStats stats;
  std::uint32_t rounds = 0;
  Nanos leave_at = kNever;
  bool retried = false;  ///< nothing moved since sleep() last found something to try
};

Features VhostDevice::State::offer() const {
  const Features features = Features{}
                                .with(Feature::kVersion1)
                                .with(Feature::kProtocolFeatures)
                                .with(Feature::kMq)
                                .with(Feature::kCtrlVq)
                                .with(Feature::kCsum)
                                .with(Feature::kGuestCsum)
                                .with(Feature::kIndirectDesc)
                                .with(Feature::kEventIdx, options.event_idx)
                                .with(Feature::kRingPacked, options.packed)
                                .with(Feature::kInOrder, options.in_order)
                                .with(Feature::kMrgRxbuf, options.mrg_rxbuf);
  if (forwarder == nullptr) return features;
  // What can be sent by such a device can come from one too: TCP that was never cut.
  const Features sends = forwarder->offer();
  return Features(features.with(Feature::kCsum, false).bits() | sends.bits())
      .with(Feature::kGuestTso4, sends.has(Feature::kHostTso4))
      .with(Feature::kGuestTso6, sends.has(Feature::kHostTso6))
      .with(Feature::kGuestEcn, sends.has(Feature::kHostEcn))
      .with(Feature::kGuestUso4, sends.has(Feature::kHostUso))
      .with(Feature::kGuestUso6, sends.has(Feature::kHostUso));
}

bool VhostDevice::State::meet_driver(Nanos at_most) {
  auto socket = options.connect ? vhost::connect_to(options.socket) : vhost::accept_from(listening.get(), at_most);
  if (!socket) {
    if (options.connect) poll(nullptr, 0, static_cast<int>(std::min(at_most, Nanos{100'000'000}).count() / 1'000'000));
    return false;
  }
  driver = std::make_unique<vhost::BackEnd>(std::move(*socket), offer(), options.queues);
  ++stats.connections;
  return true;
}

void VhostDevice::State::lose_driver(const Error& why) {
  stats.trouble = why.code == ECONNRESET ? std::string() : why.text;
  driver.reset();
}

void VhostDevice::State::answer_requests() {
  while (driver != nullptr) {
    pollfd one{.fd = driver->fd(), .events = POLLIN, .revents = 0};
    if (poll(&one, 1, 0) <= 0) return;
    if (const auto ok = driver->handle(); !ok) lose_driver(ok.error());
  }
}

void VhostDevice::State::call(vhost::Vring& vring, bool wanted) {
  if (!wanted || !vring.call.valid()) return;
  vhost::signal(vring.call.get());
  ++stats.calls;
}

/// Takes the next frames from the source when all of the last are given.
bool VhostDevice::State::fetch(std::size_t queue, Nanos now) {
  Pending& from = pending[queue];
  if (!from.empty()) return true;
  from.batch.released();
  from.next = 0;
  PollContext context{now, *pool};
  return source->queue(queue).poll(context, from.batch, kBurst) != 0;
}

/// Gives the driver what queue `pair` of the source has; true: something moved.
bool VhostDevice::State::fill(std::size_t pair, Nanos now) {
  vhost::Vring& vring = driver->vrings()[2 * pair];
  // A driver enables a pair's rings one after the other; it is ready when it has enabled both.
  const bool ready = vring.running() && driver->vrings()[2 * pair + 1].running();
  if (pair >= pending.size() || !ready || !fetch(pair, now)) return false;
  Pending& from = pending[pair];
  const std::size_t before = from.next;
  for (; !from.empty(); ++from.next) {
    Packet* packet = from.batch[from.next];
    const NetFiller::Put put = vring.filler->put(*packet);
    if (put == NetFiller::Put::no_room || put == NetFiller::Put::broken) break;
    if (put == NetFiller::Put::done) {
      ++stats.to_packets;
      stats.to_bytes += packet->len;
    } else {
      ++stats.to_refused;
    }
    end({&packet, 1});
  }
  if (from.next != before) call(vring, vring.filler->call());
  if (vring.ring->fault() != virtio::RingFault::none)
    lose_driver({EPROTO, "the driver's ring is broken: " + std::string(text(vring.ring->fault()))});
  return driver != nullptr && from.next != before;
}

void VhostDevice::State::echo(std::size_t pair, const virtio::NetHeader& header, std::span<const std::uint8_t> frame) {
  vhost::Vring& back = driver->vrings()[2 * pair];
  Packet packet;
  packet.head = packet.data = const_cast<std::uint8_t*>(frame.data());  // only read
  packet.len = packet.buffer_size = static_cast<std::uint32_t>(frame.size());
  if (back.running() && back.filler->put(header, packet) == NetFiller::Put::done) return;
  ++stats.echo_dropped;
}

void VhostDevice::State::pass_on(std::size_t pair, const virtio::NetHeader& header,
                                 std::span<const std::uint8_t> frame) {
  if (options.echo) echo(pair, header, frame);
  if (forwarder == nullptr) return;
  if (forwarder->send(pair, header, frame))
    ++stats.forwarded;
  else
    ++stats.forward_dropped;
}

/// Takes what the driver sends; true: there was something.
bool VhostDevice::State::drain(std::size_t pair) {
  vhost::Vring& vring = driver->vrings()[2 * pair + 1];
  if (!vring.running()) return false;
  const std::uint64_t malformed = vring.drainer->malformed();
  const std::size_t got =
      vring.drainer->drain(kBurst, [&](const virtio::NetHeader& header, std::span<const std::uint8_t> frame) {
        ++stats.from_packets;
        stats.from_bytes += frame.size();
        pass_on(pair, header, frame);
      });
  stats.from_malformed += vring.drainer->malformed() - malformed;
  if (got != 0) {
    call(vring, vring.drainer->call());
    vhost::Vring& back = driver->vrings()[2 * pair];
    if (options.echo && back.running()) call(back, back.filler->call());
    if (forwarder != nullptr) forwarder->kick(pair);
  }
  if (vring.ring->fault() != virtio::RingFault::none)
    lose_driver({EPROTO, "the driver's ring is broken: " + std::string(text(vring.ring->fault()))});
  return got != 0;
}

/// Waits for the driver to kick, for a request, or for the source's next frame.
void VhostDevice::State::sleep(Nanos at_most) {
  std::vector<pollfd> fds{{.fd = driver->fd(), .events = POLLIN, .revents = 0}};
  const Nanos now = monotonic();
  bool waiting = false;  // frames wait for the driver's buffers
  for (std::size_t i = 0; i < pending.size(); ++i) {
    waiting = waiting || !pending[i].empty();
    if (!pending[i].empty() || !driver->vrings()[std::min(2 * i, driver->vrings().size() - 2)].running()) continue;
    const Nanos next = source->queue(i).next_attention(now);
    if (next != kNever) at_most = std::min(at_most, std::max(next - now, Nanos{0}));
    if (const int fd = source->queue(i).irq_fd(); fd >= 0) fds.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  }
  bool more = false;
  const std::size_t first_kick = fds.size();
  for (std::size_t i = 0; i < driver->vrings().size(); ++i) {
    vhost::Vring& vring = driver->vrings()[i];
    if (!vring.running() || !vring.kick.valid() || (i % 2 == 0 && !waiting)) continue;
    const bool available = vring.ring->enable_kicks();
    // What the driver posted meanwhile is tried once. If it is too little for the next frame, a kick may not come: the
    // event is behind it already.
    more = more || (available && (i % 2 == 1 || !retried));
    if (available && i % 2 == 0) at_most = std::min(at_most, kTooLittle);
    fds.push_back({.fd = vring.kick.get(), .events = POLLIN, .revents = 0});
  }
  const timespec limit{.tv_sec = static_cast<time_t>(at_most / std::chrono::seconds(1)),
                       .tv_nsec = static_cast<long>((at_most % std::chrono::seconds(1)).count())};
  retried = more;
  if (!more) ppoll(fds.data(), fds.size(), &limit, nullptr);
  for (std::size_t i = first_kick; i < fds.size(); ++i) stats.kicks += vhost::drain(fds[i].fd);
  for (vhost::Vring& vring : driver->vrings())
    if (vring.running()) vring.ring->disable_kicks();
}

bool VhostDevice::State::finished() const {
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (!pending[i].empty() || !source->queue(i).exhausted()) return false;
  return !options.echo;
}

VhostDevice::VhostDevice(std::unique_ptr<State> state) : state_(std::move(state)) {}
VhostDevice::~VhostDevice() = default;

Result<std::unique_ptr<VhostDevice>> VhostDevice::create(const VhostDeviceOptions& options,
                                                         std::unique_ptr<NetDevice> source) {
  if (options.queues < source->queue_count() || options.queues > kMostPairs)
    return fail(EINVAL, std::to_string(options.queues) + " queue pairs; write " +
                            std::to_string(source->queue_count()) + " to 64, the source has that many queues");
  auto pool = PacketPool::create(0, 1024, options.frame_size);
  if (!pool) return std::unexpected(pool.error());
  if (!source->has_link_header())
    return fail(EINVAL, std::string(source->name()) +
                            ": its frames have no Ethernet header, and a virtio-net device's "
                            "must; give a capture of Ethernet");
  auto state = std::make_unique<State>(options, std::move(source));
  state->pool = std::move(*pool);
  if (options.forward) {
    auto forwarder = vhost::Forwarder::create(*state->source);
    if (!forwarder) return std::unexpected(forwarder.error());
    state->forwarder = std::move(*forwarder);
  }
  if (!options.connect) {
    auto listening = vhost::listen_at(options.socket);
    if (!listening) return std::unexpected(listening.error());
    state->listening = std::move(*listening);
  }
  return std::unique_ptr<VhostDevice>(new VhostDevice(std::move(state)));
}

bool VhostDevice::step(Nanos at_most) {
  State& state = *state_;
  if (state.driver == nullptr && !state.meet_driver(at_most)) return !state.finished();
  if (state.rounds++ % kLookEvery == 0) state.answer_requests();
  bool busy = false;
  const Nanos now = monotonic();
  for (std::size_t pair = 0; pair < state.options.queues; ++pair) {
    if (state.driver != nullptr) busy = state.fill(pair, now) || busy;
    if (state.driver != nullptr) busy = state.drain(pair) || busy;
  }
  if (!state.finished())
    state.leave_at = kNever;
  else if (state.driver == nullptr || busy || state.leave_at == kNever)
    state.leave_at = state.driver == nullptr ? now : now + kLinger;
  if (now >= state.leave_at) return false;
  if (busy) state.retried = false;
  if (state.driver != nullptr && !busy) {
    state.sleep(std::min(at_most, state.leave_at - now));
    state.rounds = 0;
  }
  return true;
}

const VhostDeviceStats& VhostDevice::stats() const { return state_->stats; }
std::string VhostDevice::remark() const { return state_->source->remark(); }

}  // namespace netrx
