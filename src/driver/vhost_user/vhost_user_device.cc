// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/vhost_user_device.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "driver/live/helper_thread.h"
#include "driver/queue_options.h"
#include "driver/vhost_user/queues.h"

namespace netrx {

namespace {

using vhost::FrontEnd;
using SteadyClock = std::chrono::steady_clock;

/// How long to wait before the next attempt: twice as long each time, from the start again after a connection that
/// held.
class BackOff {
 public:
  Nanos next() {
    const Nanos now = delay_;
    delay_ = std::min(delay_ * 2, kLongest);
    return now;
  }
  void reset() { delay_ = kShortest; }

 private:
  static constexpr Nanos kShortest = std::chrono::milliseconds(10), kLongest = std::chrono::seconds(1);
  Nanos delay_ = kShortest;
};

class VhostUserDevice final : public NetDevice {
 public:
  explicit VhostUserDevice(const VhostUserOptions& options)
      : options_(options), stop_(vhost::make_eventfd()), sides_(options.wishes.queues) {
    for (auto& side : sides_) ends_.push_back({&side.counters, &side.rx.rx_stats(), side.rx.irq_fd()});
  }
  ~VhostUserDevice() override {
    vhost::signal(stop_.get());
    if (thread_.joinable()) thread_.join();
  }

  /// Listens, or connects for the first time; then goes on by itself.
  Result<void> start();

  std::string_view name() const override { return options_.name; }
  std::array<std::uint8_t, 6> address() const override {
    const std::lock_guard lock(mutex_);
    return address_;
  }
  std::size_t queue_count() const override { return sides_.size(); }
  RxQueue& queue(std::size_t index) override { return sides_[index].rx; }
  std::size_t tx_queue_count() const override { return sides_.size(); }
  TxQueue& tx_queue(std::size_t index) override { return sides_[index].tx; }
  TxFeatures tx_features() const override {
    const std::lock_guard lock(mutex_);
    return virtio::NetTx::features(features_);
  }
  std::string remark() const override;

 private:
  struct Side {
    vhost::QueueCounters counters;
    vhost::RxSide rx;
    vhost::TxSide tx;
  };

  Result<std::unique_ptr<FrontEnd>> connect();
  void run(std::unique_ptr<FrontEnd> front);
  void serve(FrontEnd& front);
  void watch(const FrontEnd& front);
  void drain_and_detach();
  bool stopped(Nanos at_most) const;
  void note(const std::string& text) {
    const std::lock_guard lock(mutex_);
    trouble_ = text;
  }

  const VhostUserOptions options_;
  const OwnedFd stop_;
  OwnedFd listening_;
  std::vector<Side> sides_;
  std::vector<vhost::QueueEnds> ends_;
  mutable std::mutex mutex_;  ///< of what follows
  std::array<std::uint8_t, 6> address_{};
  virtio::Features features_;
  std::uint64_t connections_ = 0;
  std::string trouble_;
  std::thread thread_;
};

Result<void> VhostUserDevice::start() {
  std::unique_ptr<FrontEnd> front;
  if (options_.server) {
    auto listening = vhost::listen_at(options_.path);
    if (!listening) return std::unexpected(listening.error());
    listening_ = std::move(*listening);
  } else {
    const auto deadline = SteadyClock::now() + options_.wait;
    BackOff back_off;
    for (;;) {
      auto first = connect();
      if (first) {
        front = std::move(*first);
        break;
      }
      const bool fatal = first.error().code == EOPNOTSUPP || first.error().code == ENAMETOOLONG;
      if (fatal || SteadyClock::now() >= deadline) return std::unexpected(first.error());
      std::this_thread::sleep_for(back_off.next());
    }
  }
  thread_ = start_helper_thread("netrx/vhost", [this, first = std::move(front)]() mutable { run(std::move(first)); });
  return {};
}

/// Waits until it is time to end, or the time is over; true: it is time to end.
bool VhostUserDevice::stopped(Nanos at_most) const {
  pollfd one{.fd = stop_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(at_most / std::chrono::milliseconds(1))) > 0;
}

Result<std::unique_ptr<FrontEnd>> VhostUserDevice::connect() {
  auto socket = options_.server ? vhost::accept_from(listening_.get(), std::chrono::milliseconds(100))
                                : vhost::connect_to(options_.path);
  if (!socket) return std::unexpected(socket.error());
  auto front = FrontEnd::open(std::move(*socket), options_.wishes, ends_);
  if (!front) return fail(front.error().code, options_.path + ": " + front.error().text);
  return front;
}

/// Everything that concerns the connection, until the device goes.
void VhostUserDevice::run(std::unique_ptr<FrontEnd> front) {
  BackOff back_off;
  for (;;) {
    if (front == nullptr) {
      auto next = connect();
      if (next) {
        front = std::move(*next);
      } else {
        const bool nobody = options_.server && next.error().code == ETIMEDOUT;
        if (!nobody) note(next.error().text);
        if (stopped(nobody ? Nanos{0} : back_off.next())) return;
        continue;
      }
    }
    const auto began = SteadyClock::now();
    serve(*front);
    front.reset();
    if (stopped(Nanos{0})) return;
    if (!options_.reconnect) return;
    if (SteadyClock::now() - began > std::chrono::seconds(5)) back_off.reset();
    if (stopped(back_off.next())) return;
  }
}

/// One connection: queues have its rings until it ends.
void VhostUserDevice::serve(FrontEnd& front) {
  {
    const std::lock_guard lock(mutex_);
    features_ = front.features();
    if (front.address()) address_ = *front.address();
    ++connections_;
    trouble_.clear();
  }
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    sides_[i].tx.attach(front.pairs()[i]);
    sides_[i].rx.attach(*front.pairs()[i].rx, front.pairs()[i].rx_kick);
  }
  watch(front);
  if (front.fault() != virtio::RingFault::none)
    note(options_.path + ": the connection was given up: " + std::string(text(front.fault())));
  if (stopped(Nanos{0})) front.close();
  drain_and_detach();
}

/// Returns when the other end has gone, a ring is broken, or the device is to go.
void VhostUserDevice::watch(const FrontEnd& front) {
  for (;;) {
    std::array<pollfd, 2> fds{{{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                               {.fd = front.fd(), .events = POLLIN | POLLRDHUP, .revents = 0}}};
    ::poll(fds.data(), fds.size(), 100);
    // Nothing comes unasked: what is readable is the end, or a back end that does not keep to the protocol.
    if (fds[0].revents != 0 || fds[1].revents != 0 || front.fault() != virtio::RingFault::none) return;
  }
}

/// What the device has given before it went is received first, if somebody polls at all.
void VhostUserDevice::drain_and_detach() {
  constexpr int kRounds = 500;
  for (Side& side : sides_) {
    if (!options_.reconnect) side.rx.end();
    vhost::signal(side.rx.irq_fd());
  }
  for (int round = 0; round < kRounds; ++round) {
    if (std::ranges::none_of(sides_, [](Side& side) { return side.rx.has_work(); })) break;
    if (stopped(std::chrono::milliseconds(1))) break;
  }
  for (Side& side : sides_) {
    side.rx.detach();
    if (!options_.reconnect) side.rx.end();
    side.tx.detach();
  }
}

std::string VhostUserDevice::remark() const {
  std::uint64_t drops = 0;
  for (const Side& side : sides_) drops += side.counters.rx.drops.read();
  std::string text;
  const auto say = [&text](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  const std::lock_guard lock(mutex_);
  if (connections_ > 1) say("connected " + std::to_string(connections_) + " times");
  if (drops != 0) say("rx_dropped " + std::to_string(drops));
  if (!trouble_.empty()) say(trouble_);
  return text.empty() ? text : options_.name + ": " + text;
}

Result<std::unique_ptr<NetDevice>> open_vhost_user(DeviceArguments& arguments) {
  VhostUserOptions options;
  options.path = arguments.argument();
  options.name = read_device_name(arguments, options.name);
  vhost::Wishes& wishes = options.wishes;
  wishes.queues = arguments.number("queues", wishes.queues, 1, 64);
  wishes.packed = arguments.on_off("packed", wishes.packed);
  wishes.ring = static_cast<std::uint16_t>(arguments.number("ring", wishes.ring, 8, 32768));
  if (!wishes.packed && (wishes.ring & (wishes.ring - 1)) != 0)
    arguments.refuse("ring", "a split ring has a power of two of descriptors; write 256, or packed=on");
  wishes.mrg_rxbuf = arguments.on_off("mrg_rxbuf", wishes.mrg_rxbuf);
  wishes.gso = arguments.on_off("gso", wishes.gso);
  wishes.csum = arguments.on_off("csum", wishes.csum);
  wishes.event_idx = arguments.on_off("event_idx", wishes.event_idx);
  wishes.indirect = arguments.on_off("indirect", wishes.indirect);
  wishes.in_order = arguments.on_off("in_order", wishes.in_order);
  wishes.hash_report = arguments.on_off("hash_report", wishes.hash_report);
  options.server = arguments.on_off("server", options.server);
  options.reconnect = arguments.on_off("reconnect", options.reconnect);
  options.wait = arguments.duration("wait", Nanos{0}, Nanos{0}, std::chrono::hours(1));
  if (arguments.error()) return std::unexpected(*arguments.error());
  return make_vhost_user_device(options);
}

}  // namespace

Result<std::unique_ptr<NetDevice>> make_vhost_user_device(const VhostUserOptions& options) {
  auto device = std::make_unique<VhostUserDevice>(options);
  if (const auto started = device->start(); !started) return std::unexpected(started.error());
  return device;
}

DeviceKind vhost_user_device_kind() {
  return {.name = "vhost-user",
          .argument = "SOCKET",
          .summary = "drives a virtio-net device that another program is",
          .keys = {{"name", "NAME", "what the device is called (default vhost0)"},
                   {"queues", "N", "queue pairs (default 1)"},
                   {"packed", "on|off", "packed rings instead of split ones (default off)"},
                   {"ring", "N", "descriptors of each ring (default 256)"},
                   {"mrg_rxbuf", "on|off", "a packet may take several buffers (default on)"},
                   {"gso", "on|off", "receive packets of many segments (default on)"},
                   {"csum", "on|off", "receive packets whose checksum the device vouches for (default on)"},
                   {"event_idx", "on|off", "each end says when it wants to be told (default on)"},
                   {"indirect", "on|off", "long frames are sent in one descriptor (default on)"},
                   {"in_order", "on|off", "the device keeps the order of buffers (default off)"},
                   {"hash_report", "on|off", "packets carry the device's hash (default off)"},
                   {"server", "on|off", "listen at SOCKET, the back end connects (default off)"},
                   {"reconnect", "on|off", "wait for a back end that went; off: then the device ends (default on)"},
                   {"wait", "DURATION", "how long to try at the start (default 0s)"}},
          .open = open_vhost_user,
          .wrap = {},
          .open_sink = [](DeviceArguments& arguments, std::size_t) { return open_vhost_user(arguments); }};
}

}  // namespace netrx
