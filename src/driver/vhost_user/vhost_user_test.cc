// SPDX-License-Identifier: Apache-2.0
// Driver and device of ours, connected by a socket and shared memory, in one process.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "driver/queue_runner_test_support.h"
#include "driver/vhost_user/back_end.h"
#include "driver/vhost_user/eventfd.h"
#include "driver/vhost_user/shared_block.h"
#include "driver/vhost_user/vhost_pair_test_support.h"
#include "driver/vhost_user/vhost_user_device.h"

namespace netrx {
namespace {

/// Polls a queue until `enough`, or until so long nothing has come that nothing will.
template <class Enough>
bool poll_until(RxQueue& queue, PacketPool& pool, Enough enough, std::function<void(const Packet&)> use = {}) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (!enough() && Clock::now() < deadline) {
    PacketBatch batch;
    PollContext context{Clock::now().time_since_epoch(), pool};
    const std::size_t got = queue.poll(context, batch, 64);
    for (const Packet* packet : batch)
      if (use) use(*packet);
    end_packets(pool, batch);
    if (got == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return enough();
}

TEST(VhostUser, GoesOnWhenTheDeviceComesBack) {
  for (const char* keys : {"", ",packed=on"}) {
    const SocketFolder folder;
    const VhostDeviceOptions options{.socket = folder.socket()};
    const std::string endless = "gen:size=60,flows=3";
    auto served = std::make_unique<ServedDevice>(options, endless);
    const auto driver = open_device("vhost-user:" + folder.socket() + ",wait=5s" + keys).value();
    const auto pool = test_pool();
    std::uint64_t frames = 0, expected_seq = 0;
    const auto count = [&](const Packet& packet) {
      ++frames;
      EXPECT_EQ(packet.rx_seq, expected_seq++);
    };
    for (int round = 0; round < 3; ++round) {
      const std::uint64_t from = frames;
      ASSERT_TRUE(poll_until(
          driver->queue(0), *pool, [&] { return frames >= from + 3000; }, count))
          << "round " << round;
      served->kill();
      served = std::make_unique<ServedDevice>(options, endless);
    }
    EXPECT_FALSE(driver->queue(0).exhausted());
    served.reset();
    EXPECT_NE(driver->remark().find("connected"), std::string::npos) << driver->remark();
  }
}

TEST(VhostUser, ADriverMayListenAndTheDeviceConnect) {
  const SocketFolder folder;
  const auto driver = open_device("vhost-user:" + folder.socket() + ",server=on,reconnect=off").value();
  const ServedDevice served({.socket = folder.socket(), .connect = true}, "gen:count=500,size=60");
  const auto pool = test_pool();
  std::uint64_t frames = 0;
  EXPECT_TRUE(poll_until(
      driver->queue(0), *pool, [&] { return driver->queue(0).exhausted(); }, [&](const Packet&) { ++frames; }));
  EXPECT_EQ(frames, 500u);
}

/// A driver behind `socket` gets the one frame of a generator and sends 4000; each comes back, in order. How many it
/// sent.
std::uint64_t everything_comes_back(const std::string& socket, const std::string& keys) {
  const auto driver = open_device("vhost-user:" + socket + ",wait=5s" + keys).value();
  EXPECT_EQ(driver->tx_queue_count(), 1u);
  const auto pool = test_pool();
  std::uint64_t sent = 0, back = 0;
  TxQueue& tx = driver->tx_queue(0);
  const auto send = [&] {
    std::array<Packet*, 8> packets;
    if (sent >= 4000 || sent > back + 100 || pool->alloc(packets) != packets.size()) return;
    for (std::size_t i = 0; i < packets.size(); ++i) {
      packets[i]->len = 60 + static_cast<std::uint32_t>((sent + i) % 1000);
      std::memset(packets[i]->data, static_cast<int>((sent + i) & 0xff), packets[i]->len);
    }
    const std::size_t taken = tx.xmit(packets);
    tx.xmit_kick();
    sent += taken;
    pool->put(std::span(packets).subspan(taken));
    PacketBatch done;
    tx.xmit_done(done);
    end_packets(*pool, done);
  };
  std::uint64_t first = 0;
  const auto check = [&](const Packet& packet) {
    if (first++ == 0) return;  // the generator's
    EXPECT_EQ(packet.len, 60 + back % 1000);
    EXPECT_EQ(packet.data[30], back & 0xff);
    ++back;
  };
  EXPECT_TRUE(poll_until(
      driver->queue(0), *pool,
      [&] {
        if (first != 0) send();
        return back >= 4000;
      },
      check))
      << keys;
  EXPECT_EQ(tx.stats().tx_packets.load(), sent);
  return sent;
}

const auto kManyKeys = {"", ",packed=on", ",indirect=off", ",mrg_rxbuf=off,gso=off", ",csum=off,packed=on"};

TEST(VhostUser, WhatIsSentArrivesAndComesBack) {
  for (const char* keys : kManyKeys) {
    const SocketFolder folder;
    ServedDevice served({.socket = folder.socket(), .echo = true}, "gen:count=1,size=60");
    const std::uint64_t sent = everything_comes_back(folder.socket(), keys);
    const VhostDeviceStats stats = served.kill();
    EXPECT_EQ(stats.from_packets, sent);
    EXPECT_EQ(stats.echo_dropped, 0u);
    EXPECT_EQ(stats.from_malformed, 0u);
  }
}

TEST(VhostUser, WhatIsSentIsForwardedToTheSource) {
  for (const char* keys : kManyKeys) {
    const SocketFolder folder, beyond;
    const ServedDevice echo({.socket = beyond.socket(), .echo = true}, "gen:count=1,size=60");
    ServedDevice served({.socket = folder.socket(), .forward = true}, "vhost-user:" + beyond.socket() + ",wait=5s");
    const std::uint64_t sent = everything_comes_back(folder.socket(), keys);
    const VhostDeviceStats stats = served.kill();
    EXPECT_EQ(stats.from_packets, sent);
    EXPECT_EQ(stats.forwarded, sent);
    EXPECT_EQ(stats.forward_dropped, 0u);
    EXPECT_EQ(stats.to_packets, sent + 1);
  }
}

TEST(VhostUser, ForwardsOnlyToWhatSends) {
  const SocketFolder folder;
  const auto device = VhostDevice::create({.socket = folder.socket(), .forward = true}, open_device("gen").value());
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, EOPNOTSUPP);
}

TEST(VhostUser, TakesNothingToSendWhileNobodyIsThere) {
  const SocketFolder folder;
  const auto driver = open_device("vhost-user:" + folder.socket() + ",server=on").value();
  const auto pool = test_pool();
  Packet* packet;
  ASSERT_EQ(pool->alloc({&packet, 1}), 1u);
  packet->len = 60;
  EXPECT_EQ(driver->tx_queue(0).xmit({&packet, 1}), 0u);
  EXPECT_EQ(driver->tx_queue(0).stats().tx_busy.load(), 1u);
  pool->put({&packet, 1});
}

std::string refused(const std::string& spec) {
  const auto device = open_device(spec);
  return device ? "opened" : device.error().text;
}

TEST(VhostUser, SaysWhatIsWrongAndWhatToDo) {
  const SocketFolder folder;
  const std::string spec = "vhost-user:" + folder.socket();
  EXPECT_NE(refused(spec).find("start it first"), std::string::npos) << refused(spec);
  EXPECT_NE(refused(spec + ",ring=100").find("power of two"), std::string::npos);
  EXPECT_NE(refused("vhost-user:" + std::string(200, 'x')).find("shorter"), std::string::npos);
  const ServedDevice served({.socket = folder.socket(), .packed = false}, "gen:size=60");
  EXPECT_NE(refused(spec + ",packed=on").find("leave packed out"), std::string::npos) << refused(spec + ",packed=on");
  EXPECT_NE(refused(spec + ",hash_report=on").find("leave hash_report out"), std::string::npos);
  EXPECT_NE(refused(spec + ",queues=2").find("queues=1"), std::string::npos) << refused(spec + ",queues=2");
  const auto second = VhostDevice::create({.socket = folder.socket()}, open_device("gen").value());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
}

/// What does not speak vhost-user: answers with given bytes, or not at all.
void meet_stranger(std::span<const std::uint8_t> says, const char* word) {
  const SocketFolder folder;
  const OwnedFd listening = vhost::listen_at(folder.socket()).value();
  std::jthread stranger([&] {
    auto accepted = vhost::accept_from(listening.get(), std::chrono::seconds(10));
    if (!accepted) return;
    if (!says.empty()) (void)!write(accepted->get(), says.data(), says.size());
    pollfd one{.fd = accepted->get(), .events = POLLRDHUP, .revents = 0};
    if (!says.empty()) poll(&one, 1, 10'000);
  });
  const std::string why = refused("vhost-user:" + folder.socket());
  EXPECT_NE(why.find(word), std::string::npos) << why;
}

TEST(VhostUser, StrangersAreAnErrorAndNeverAHang) {
  meet_stranger({}, "gone");
  const std::array<std::uint8_t, 12> other_version{1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
  meet_stranger(other_version, "version");
  const std::array<std::uint8_t, 12> endless{1, 0, 0, 0, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
  meet_stranger(endless, "longer");
  const std::array<std::uint8_t, 20> other_answer{2, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0};
  meet_stranger(other_answer, "something else");
  const std::array<std::uint8_t, 20> no_features{1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0};
  meet_stranger(no_features, "VERSION_1");
}

/// A driver that sends one request to the device model; what becomes of the connection.
class RudeDriver : public testing::Test {
 protected:
  std::string trouble_after(std::initializer_list<std::vector<std::uint8_t>> messages, int file = -1) {
    const SocketFolder folder;
    ServedDevice served({.socket = folder.socket()}, "gen:size=60");
    vhost::Connection connection(vhost::connect_to(folder.socket()).value());
    for (const std::vector<std::uint8_t>& message : messages) {
      std::uint32_t request = 0;
      std::memcpy(&request, message.data(), 4);
      const std::span<const int> files = file >= 0 ? std::span<const int>(&file, 1) : std::span<const int>();
      (void)connection.send(static_cast<vhost::Request>(request), 0, std::span(message).subspan(4), files);
    }
    const auto answer = connection.receive(std::chrono::seconds(10));
    EXPECT_FALSE(answer) << "it was answered";
    EXPECT_EQ(answer ? 0 : answer.error().code, ECONNRESET) << "the connection is not closed";
    return served.kill().trouble;
  }
  template <class T>
  static std::vector<std::uint8_t> request(vhost::Request what, const T& payload) {
    std::vector<std::uint8_t> bytes(4 + sizeof payload);
    std::memcpy(bytes.data(), &what, 4);
    std::memcpy(bytes.data() + 4, &payload, sizeof payload);
    return bytes;
  }
};

TEST_F(RudeDriver, IsShownTheDoor) {
  using vhost::Request;
  EXPECT_NE(trouble_after({request(static_cast<Request>(99), 0)}).find("unknown"), std::string::npos);
  EXPECT_NE(trouble_after({request(Request::set_features, ~std::uint64_t{0})}).find("not offered"), std::string::npos);
  EXPECT_NE(trouble_after({request(Request::set_vring_num, vhost::VringState{7, 256})}).find("ring 7"),
            std::string::npos);
  EXPECT_NE(trouble_after({request(Request::set_vring_num, vhost::VringState{0, 0})}).find("size"), std::string::npos);
  EXPECT_NE(trouble_after({request(Request::set_vring_kick, std::uint64_t{0})}).find("file"), std::string::npos);
  vhost::MemoryTable table{};
  EXPECT_NE(trouble_after({request(Request::set_mem_table, table)}).find("no regions"), std::string::npos);
  table.count = 1;
  table.regions[0] = {.guest_address = 0, .size = 1 << 20, .user_address = 0, .mmap_offset = 0};
  auto block = vhost::SharedBlock::create(4096).value();
  EXPECT_NE(trouble_after({request(Request::set_mem_table, table)}, block.fd()).find("more than its files"),
            std::string::npos);
  table.regions[0] = {.guest_address = 0, .size = ~std::uint64_t{0}, .user_address = 0, .mmap_offset = 4096};
  EXPECT_NE(trouble_after({request(Request::set_mem_table, table)}, block.fd()).find("more than its files"),
            std::string::npos);
  vhost::InflightArea area{.bytes = 8192, .offset = 0, .rings = 2, .ring_size = 8, .padding = 0};
  EXPECT_NE(trouble_after({request(Request::set_inflight_fd, area)}, block.fd()).find("larger than its file"),
            std::string::npos);
  area = {.bytes = 4096, .offset = 0, .rings = 2, .ring_size = 32768, .padding = 0};
  EXPECT_NE(trouble_after({request(Request::set_inflight_fd, area)}, block.fd()).find("too small"), std::string::npos);
  area.rings = 99;
  EXPECT_NE(trouble_after({request(Request::get_inflight_fd, area)}).find("more than there are"), std::string::npos);
  EXPECT_NE(trouble_after({request(Request::set_inflight_fd, area)}).find("no file"), std::string::npos);
}

TEST_F(RudeDriver, RingsOutsideItsMemoryAreRefused) {
  using vhost::Request;
  vhost::MemoryTable table{};
  table.count = 1;
  table.regions[0] = {.guest_address = 0, .size = 65536, .user_address = 0x10000, .mmap_offset = 0};
  auto block = vhost::SharedBlock::create(65536).value();
  for (const std::uint64_t at :
       {std::uint64_t{0}, std::uint64_t{0x10000 + 65536 - 64}, std::uint64_t{0x10008}, ~std::uint64_t{0} - 4095}) {
    const SocketFolder folder;
    ServedDevice served({.socket = folder.socket()}, "gen:size=60");
    vhost::Connection connection(vhost::connect_to(folder.socket()).value());
    const int fd = block.fd();
    const OwnedFd kick = vhost::make_eventfd();
    const int kick_fd = kick.get();
    (void)connection.send(Request::set_mem_table, 0, table, {&fd, 1});
    (void)connection.send(Request::set_vring_num, 0, vhost::VringState{0, 256});
    const vhost::VringAddress address{
        .index = 0, .flags = 0, .descriptors = at, .used = 0x12000, .available = 0x11000, .log = 0};
    (void)connection.send(Request::set_vring_addr, 0, address);
    (void)connection.send(Request::set_vring_kick, 0, std::uint64_t{0}, {&kick_fd, 1});
    const auto answer = connection.receive(std::chrono::seconds(10));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ECONNRESET);
    EXPECT_NE(served.kill().trouble.find("outside its memory"), std::string::npos) << at;
  }
}

/// What of QEMU it takes to follow a device that dies: the rings and the in-flight area outlive the connection.
class FaithfulDriver {
 public:
  explicit FaithfulDriver(virtio::RingKind kind) : setup{.kind = kind, .size = 8} {
    ring = virtio::DriverRing::create(setup, ring_memory(setup, block.at(0), kAddress)).value();
  }

  void post(std::uint8_t token) {
    const virtio::Posting buffer{kAddress + 32768 + 64u * token, 64, token};
    ASSERT_EQ(ring->post({&buffer, 1}, virtio::Direction::device_writes), 1u);
    (void)ring->kick_prepare();
  }

  /// Meets a device; with the area of the last one, if there was one.
  void meet(std::unique_ptr<vhost::BackEnd>& device) {
    using vhost::Request;
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    const auto features = virtio::Features{}
                              .with(virtio::kVersion1)
                              .with(virtio::kEventIdx)
                              .with(virtio::kRingPacked, setup.kind == virtio::RingKind::packed);
    device = std::make_unique<vhost::BackEnd>(OwnedFd(fds[0]), features, 1);
    device_ = device.get();
    connection_.emplace(OwnedFd(fds[1]));
    tell(Request::set_features, features.bits());
    if (area_fd_.valid()) {
      tell(Request::set_inflight_fd, area_, area_fd_.get());
    } else {
      const vhost::InflightArea wanted{.bytes = 0, .offset = 0, .rings = 2, .ring_size = 8, .padding = 0};
      tell(Request::get_inflight_fd, wanted);
      auto answer = connection_->receive(std::chrono::seconds(5));
      ASSERT_TRUE(answer && answer->files.size() == 1);
      area_ = answer->as<vhost::InflightArea>();
      area_fd_ = std::move(answer->files.front());
      tell(Request::set_inflight_fd, area_, area_fd_.get());
    }
    vhost::MemoryTable table{};
    table.count = 1;
    table.regions[0] = {.guest_address = kAddress, .size = block.size(), .user_address = kAddress, .mmap_offset = 0};
    tell(Request::set_mem_table, table, block.fd());
    tell(Request::set_vring_num, vhost::VringState{0, 8});
    const auto layout = ring_layout(setup);
    tell(Request::set_vring_addr, vhost::VringAddress{.index = 0,
                                                      .flags = 0,
                                                      .descriptors = kAddress + layout.descriptors,
                                                      .used = kAddress + layout.device,
                                                      .available = kAddress + layout.driver,
                                                      .log = 0});
    tell(Request::set_vring_kick, std::uint64_t{0}, kick_.get());
    ASSERT_TRUE(device->vrings()[0].running());
  }

  const virtio::RingSetup setup;
  vhost::SharedBlock block = vhost::SharedBlock::create(65536).value();
  std::unique_ptr<virtio::DriverRing> ring;

 private:
  static constexpr std::uint64_t kAddress = 0x10000;

  template <class T>
  void tell(vhost::Request request, const T& payload, int file = -1) {
    ASSERT_TRUE(connection_->send(request, 0, payload, file >= 0 ? std::span(&file, 1) : std::span<const int>()));
    const auto handled = device_->handle();
    ASSERT_TRUE(handled) << handled.error().text;
  }

  vhost::InflightArea area_{};
  OwnedFd area_fd_;
  OwnedFd kick_ = vhost::make_eventfd();
  std::optional<vhost::Connection> connection_;
  vhost::BackEnd* device_ = nullptr;
};

TEST(VhostUser, ADeviceThatComesBackTakesAgainWhatWasInFlight) {
  for (const virtio::RingKind kind : {virtio::RingKind::split, virtio::RingKind::packed}) {
    FaithfulDriver driver(kind);
    std::unique_ptr<vhost::BackEnd> device;
    driver.meet(device);
    for (std::uint8_t token = 0; token < 6; ++token) driver.post(token);
    virtio::Chain chain;
    virtio::DeviceRing& ring = *device->vrings()[0].ring;
    std::array<virtio::UsedBuffer, 8> used;
    // It gives the first back, takes three more, and dies when it has given two of them back and shown none.
    ASSERT_TRUE(ring.take(chain));
    ring.complete(chain, 1);
    (void)ring.call_prepare();
    ASSERT_EQ(driver.ring->get(used), 1u);
    std::array<virtio::ChainId, 3> taken;
    for (virtio::ChainId& one : taken) {
      ASSERT_TRUE(ring.take(chain));
      one = chain.name();
    }
    for (int i = 0; i < 2; ++i) ring.complete(taken[i], 64);
    device.reset();
    driver.meet(device);
    virtio::DeviceRing& again = *device->vrings()[0].ring;
    for (std::uint32_t token = 1; token < 6; ++token) {
      ASSERT_TRUE(again.take(chain)) << token;
      again.complete(chain, token);
    }
    EXPECT_FALSE(again.take(chain));
    (void)again.call_prepare();
    ASSERT_EQ(driver.ring->get(used), 5u);
    for (std::uint32_t i = 0; i < 5; ++i) {
      EXPECT_EQ(used[i].token, i + 1);
      EXPECT_EQ(used[i].length, i + 1);
    }
  }
}

/// A device that gives the same buffer back twice, at the first opportunity.
void lie(int listening) {
  auto accepted = vhost::accept_from(listening, std::chrono::seconds(10));
  ASSERT_TRUE(accepted);
  const virtio::Features offered = virtio::Features{}.with(virtio::kVersion1).with(virtio::kProtocolFeatures);
  vhost::BackEnd device(std::move(*accepted), offered, 1);
  vhost::Vring& receive = device.vrings()[0];
  bool lied = false;
  while (device.handle()) {  // until the driver has had enough
    if (lied || !receive.running() || !device.vrings()[1].running()) continue;
    virtio::Chain chain;
    ASSERT_TRUE(receive.ring->take(chain));
    receive.ring->complete(chain, 72);
    receive.ring->complete(chain, 72);
    (void)receive.ring->call_prepare();
    vhost::signal(receive.call.get());
    lied = true;
  }
  EXPECT_TRUE(lied);
}

TEST(VhostUser, AttachesAgainAfterADeviceThatLies) {
  const SocketFolder folder;
  const OwnedFd listening = vhost::listen_at(folder.socket()).value();
  std::unique_ptr<ServedDevice> honest;
  std::jthread liar([&] {
    lie(listening.get());
    std::filesystem::remove(folder.socket());
    honest = std::make_unique<ServedDevice>(VhostDeviceOptions{.socket = folder.socket()}, "gen:size=60");
  });
  auto driver = open_device("vhost-user:" + folder.socket() + ",wait=5s");
  ASSERT_TRUE(driver) << driver.error().text;
  const auto pool = test_pool();
  std::uint64_t frames = 0;
  EXPECT_TRUE(poll_until((*driver)->queue(0), *pool, [&] { return frames > 500; }, [&](const Packet&) { ++frames; }));
  EXPECT_NE((*driver)->remark().find("connected 2 times"), std::string::npos) << (*driver)->remark();
  liar.join();
  driver->reset();
  EXPECT_EQ(pool->idle(), pool->capacity());
}

/// The connection is lost in every way while frames flow; the driver neither hangs nor loses a packet of its pool.
TEST(VhostUser, DestroyedWhileFramesFlow) {
  const SocketFolder folder;
  const ServedDevice served({.socket = folder.socket()}, "gen:size=60");
  const auto pool = test_pool();
  for (int round = 0; round < 10; ++round) {
    auto driver = open_device("vhost-user:" + folder.socket() + ",wait=5s").value();
    std::uint64_t frames = 0;
    ASSERT_TRUE(poll_until(driver->queue(0), *pool, [&] { return frames > 100; }, [&](const Packet&) { ++frames; }));
    driver.reset();
    EXPECT_EQ(pool->idle(), pool->capacity());
  }
}

}  // namespace
}  // namespace netrx
