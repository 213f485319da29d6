// SPDX-License-Identifier: Apache-2.0
// The virtio-net driver against DPDK's vhost: what it sends we receive, all of it; what we send it receives, and in
// order; polled, by interrupt, over several queues, and when it dies and comes back. Real time, but nothing is judged
// by how long it took.
#include "testpmd.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <thread>

#include "netrx/devices.h"
#include "netrx/engine.h"
#include "netrx/ethertype.h"
#include "netrx/executor.h"
#include "netrx/vhost_device.h"
#include "packet/packet_parts.h"

namespace netrx {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(120);

struct PeerCase {
  std::string name;
  std::string keys;
};
void PrintTo(const PeerCase& one, std::ostream* out) { *out << one.name; }

class TestpmdTest : public testing::TestWithParam<PeerCase> {
 protected:
  void SetUp() override {
    if (!Testpmd::installed()) GTEST_SKIP() << "skipped: needs dpdk-testpmd (Debian's dpdk-dev); ./dev setup test";
    std::string name = std::filesystem::temp_directory_path() / "netrx_testpmd_XXXXXX";
    folder = mkdtemp(name.data());
  }
  void TearDown() override {
    device.reset();
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }

  std::string keys() const { return GetParam().keys; }
  void connect(const Testpmd& peer, const std::string& more = {}) {
    auto opened = open_device("vhost-user:" + peer.socket() + ",wait=60s" + keys() + more);
    ASSERT_TRUE(opened) << opened.error().text;
    device = std::move(*opened);
  }

  void end(PacketBatch& batch) {
    for (Packet* packet : batch) for_each_part(packet, [this](Packet* part) { pool->put({&part, 1}); });
    batch.released();
  }

  /// One poll of a queue; how many packets came.
  std::size_t poll(std::size_t queue, const std::function<void(const Packet&)>& use) {
    PacketBatch batch;
    PollContext context{Clock::now().time_since_epoch(), *pool};
    const std::size_t got = device->queue(queue).poll(context, batch, 64);
    for (const Packet* packet : batch) use(*packet);
    end(batch);
    return got;
  }

  std::string folder;
  std::unique_ptr<NetDevice> device;
  std::unique_ptr<PacketPool> pool = PacketPool::create(0, 4096, 2048).value();
};

TEST_P(TestpmdTest, EveryFrameItSendsIsReceived) {
  Testpmd peer({.folder = folder, .forward = "txonly", .queues = 1});
  connect(peer, ",reconnect=off");
  std::uint64_t frames = 0, next_seq = 0;
  const auto check = [&](const Packet& packet) {
    EXPECT_EQ(packet.len, 64u);
    EXPECT_EQ(packet.rx_seq, next_seq++);
    const auto type = load_unaligned<Be16>(packet.data + 12);
    EXPECT_EQ(type, kEthPIp);
    ++frames;
  };
  const auto deadline = Clock::now() + kPatience;
  std::string output;
  std::jthread stopper;
  while (!device->queue(0).exhausted() && Clock::now() < deadline) {
    if (poll(0, check) == 0) std::this_thread::yield();
    if (frames > 100'000 && !stopper.joinable()) stopper = std::jthread([&] { output = peer.stop(); });
  }
  ASSERT_TRUE(stopper.joinable()) << "only " << frames << " frames came";
  stopper.join();
  EXPECT_TRUE(device->queue(0).exhausted());
  EXPECT_EQ(last_number(output, "TX-packets"), frames) << output;
  EXPECT_EQ(device->queue(0).stats().rx_length_errors.load(), 0u);
}

/// Sends numbered frames through the peer, which sends each back on the queue that it came from.
class Echo {
 public:
  Echo(NetDevice& device, PacketPool& pool, std::size_t queue) : device_(device), pool_(pool), queue_(queue) {}

  /// Sends some frames, unless enough are under way.
  void send(std::uint64_t until) {
    constexpr std::uint64_t kUnderWay = 100;
    std::array<Packet*, 16> packets;
    if (sent_ >= until || sent_ - back_ >= kUnderWay || pool_.alloc(packets) != packets.size()) return;
    for (std::size_t i = 0; i < packets.size(); ++i) write(*packets[i], sent_ + i);
    TxQueue& tx = device_.tx_queue(queue_);
    const std::size_t taken = tx.xmit(packets);
    tx.xmit_kick();
    sent_ += taken;
    pool_.put(std::span(packets).subspan(taken));
    PacketBatch done;
    tx.xmit_done(done);
    pool_.put(done.packets());
    done.released();
  }

  void receive(const Packet& packet) {
    std::uint64_t number = 0, queue = 0;
    std::memcpy(&number, packet.data + 20, sizeof number);
    std::memcpy(&queue, packet.data + 28, sizeof queue);
    EXPECT_EQ(queue, queue_);
    if (!lossy) {
      EXPECT_EQ(number, back_) << "out of order, or lost";
    }
    EXPECT_EQ(packet.len, size_of(number));
    ++back_;
    ++received_;
  }
  /// What was under way is lost.
  void forget() { back_ = sent_; }

  std::uint64_t back() const { return back_; }
  std::uint64_t received() const { return received_; }
  std::uint64_t sent() const { return sent_; }
  bool lossy = false;

 private:
  static std::uint32_t size_of(std::uint64_t number) { return static_cast<std::uint32_t>(64 + number * 7 % 1400); }
  void write(Packet& packet, std::uint64_t number) const {
    packet.len = size_of(number);
    std::memset(packet.data, 0, packet.len);
    const std::uint64_t queue = queue_;
    packet.data[0] = packet.data[6] = 2;
    packet.data[12] = 0x88;  // an EtherType for experiments
    packet.data[13] = 0xb5;
    std::memcpy(packet.data + 20, &number, sizeof number);
    std::memcpy(packet.data + 28, &queue, sizeof queue);
  }

  NetDevice& device_;
  PacketPool& pool_;
  const std::size_t queue_;
  std::uint64_t sent_ = 0, back_ = 0, received_ = 0;
};

TEST_P(TestpmdTest, EveryFrameWeSendComesBackInOrder) {
  Testpmd peer({.folder = folder});
  connect(peer);
  Echo echo(*device, *pool, 0);
  constexpr std::uint64_t kFrames = 30'000;
  const auto deadline = Clock::now() + kPatience;
  while (echo.back() < kFrames && Clock::now() < deadline) {
    echo.send(kFrames);
    if (poll(0, [&](const Packet& packet) { echo.receive(packet); }) == 0) std::this_thread::yield();
  }
  EXPECT_GE(echo.back(), kFrames);
  const std::string output = peer.stop();
  EXPECT_EQ(last_number(output, "RX-packets"), echo.sent()) << output;
}

TEST_P(TestpmdTest, SleepsBetweenInterrupts) {
  Testpmd peer({.folder = folder});
  connect(peer);
  Echo echo(*device, *pool, 0);
  RxQueue& queue = device->queue(0);
  constexpr std::uint64_t kFrames = 10'000;
  std::uint64_t sleeps = 0;
  const auto deadline = Clock::now() + kPatience;
  const auto now = [] { return Clock::now().time_since_epoch(); };
  while (echo.back() < kFrames && Clock::now() < deadline) {
    echo.send(kFrames);
    if (!queue.irq_take(now())) {
      pollfd one{.fd = queue.irq_fd(), .events = POLLIN, .revents = 0};
      ++sleeps;
      if (echo.sent() > echo.back()) {
        ASSERT_GT(::poll(&one, 1, 20'000), 0) << "an interrupt was lost; " << echo.back() << " of " << echo.sent();
      }
      continue;
    }
    queue.irq_mask();
    for (bool again = true; again;) {
      again = poll(0, [&](const Packet& packet) { echo.receive(packet); }) == 64;
      if (!again && queue.irq_missed(queue.irq_unmask())) again = (queue.irq_mask(), true);
    }
  }
  EXPECT_GE(echo.back(), kFrames);
  EXPECT_GT(sleeps, 0u);
}

TEST_P(TestpmdTest, TrafficGoesOnWhenItIsKilledAndComesBack) {
  auto peer = std::make_unique<Testpmd>(Testpmd::Options{.folder = folder});
  connect(*peer);
  Echo echo(*device, *pool, 0);
  echo.lossy = true;
  const auto deadline = Clock::now() + kPatience;
  for (int life = 0; life < 3; ++life) {
    const std::uint64_t enough = echo.received() + 10'000;
    auto last = Clock::now();
    while (echo.received() < enough && Clock::now() < deadline) {
      echo.send(~std::uint64_t{0});
      if (poll(0, [&](const Packet& packet) { echo.receive(packet); }) != 0) {
        last = Clock::now();
      } else if (Clock::now() - last > std::chrono::milliseconds(200)) {
        echo.forget();  // those under way died with it
        last = Clock::now();
      }
    }
    ASSERT_GE(echo.received(), enough) << "life " << life;
    if (life == 2) break;
    peer->kill();  // in the middle of it
    std::filesystem::remove(peer->socket());
    peer = std::make_unique<Testpmd>(Testpmd::Options{.folder = folder});
  }
  EXPECT_NE(device->remark().find("connected 3 times"), std::string::npos) << device->remark();
}

TEST_P(TestpmdTest, EachQueueHasItsOwn) {
  constexpr std::size_t kQueues = 3;
  Testpmd peer({.folder = folder, .queues = kQueues});
  connect(peer, ",queues=3");
  std::vector<Echo> echoes;
  for (std::size_t i = 0; i < kQueues; ++i) echoes.emplace_back(*device, *pool, i);
  constexpr std::uint64_t kFrames = 10'000;
  const auto done = [&] {
    return std::ranges::all_of(echoes, [](const Echo& echo) { return echo.back() >= kFrames; });
  };
  const auto deadline = Clock::now() + kPatience;
  while (!done() && Clock::now() < deadline) {
    std::size_t got = 0;
    for (std::size_t i = 0; i < kQueues; ++i) {
      echoes[i].send(kFrames);
      got += poll(i, [&](const Packet& packet) { echoes[i].receive(packet); });
    }
    if (got == 0) std::this_thread::yield();
  }
  for (const Echo& echo : echoes) EXPECT_GE(echo.back(), kFrames);
}

/// Counts what the path delivers.
class Counting final : public PacketHandler {
 public:
  void receive(Delivery& delivery) override { packets.fetch_add(delivery.size(), std::memory_order_relaxed); }
  std::atomic<std::uint64_t> packets{0};
};

TEST_P(TestpmdTest, TheWholePathReceivesAndSleeps) {
  Testpmd peer({.folder = folder, .forward = "txonly", .more = {"--txonly-multi-flow"}});
  connect(peer, ",reconnect=off");
  const std::uint16_t cpu = 0;
  auto engine = Engine::create({.cpus = {cpu}});
  ASSERT_TRUE(engine) << engine.error().text;
  ASSERT_TRUE((*engine)->attach(std::move(device)));
  Counting counting;
  ASSERT_TRUE((*engine)->add_handler(kEthPAll, counting));
  std::string output;
  {
    ThreadExecutor threads(**engine, {.idle = IdlePolicy::interrupt, .pin = false});
    ASSERT_TRUE(threads.start());
    const auto deadline = Clock::now() + kPatience;
    while (counting.packets.load() < 100'000 && Clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    output = peer.stop();
    const std::uint64_t sent = last_number(output, "TX-packets");
    while (counting.packets.load() < sent && Clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    threads.stop();
  }
  EXPECT_EQ(last_number(output, "TX-packets"), counting.packets.load()) << output;
  EXPECT_TRUE((*engine)->stats().conservation.holds());
}

TEST_P(TestpmdTest, MayConnectToUs) {
  device = open_device("vhost-user:" + folder + "/s,server=on" + keys()).value();
  Testpmd peer({.folder = folder, .client = true});
  Echo echo(*device, *pool, 0);
  const auto deadline = Clock::now() + kPatience;
  while (echo.back() < 10'000 && Clock::now() < deadline) {
    echo.send(10'000);
    if (poll(0, [&](const Packet& packet) { echo.receive(packet); }) == 0) std::this_thread::yield();
  }
  EXPECT_GE(echo.back(), 10'000u);
}

/// DPDK's driver on our device.
class TestpmdDriverTest : public TestpmdTest {};

TEST_P(TestpmdDriverTest, IsGivenEveryFrameAndSendsThemBack) {
  constexpr std::uint64_t kFrames = 50'000;
  auto source = open_device("gen:count=" + std::to_string(kFrames));
  ASSERT_TRUE(source) << source.error().text;
  const auto device_end = VhostDevice::create({.socket = folder + "/s"}, std::move(*source)).value();
  Testpmd peer({.folder = folder, .driver = keys()});
  const VhostDeviceStats& stats = device_end->stats();
  std::future<std::string> ended;
  const auto given = [&] { return stats.to_packets == kFrames; };
  const auto deadline = Clock::now() + kPatience;
  for (auto last = Clock::now();
       !ended.valid() || ended.wait_for(std::chrono::seconds(0)) != std::future_status::ready;) {
    const std::uint64_t before = stats.from_packets;
    device_end->step(std::chrono::milliseconds(1));
    const auto now = Clock::now();
    if (!given() || stats.from_packets != before) last = now;
    const bool quiet = now - last > std::chrono::milliseconds(200);
    if (!ended.valid() && (quiet || now > deadline))
      ended = std::async(std::launch::async, [&] { return peer.stop(); });
  }
  const std::string output = ended.get();
  EXPECT_EQ(stats.to_packets, kFrames) << stats.trouble;
  EXPECT_EQ(last_number(output, "RX-packets"), kFrames) << output;
  EXPECT_EQ(last_number(output, "TX-packets"), stats.from_packets) << output;
  EXPECT_GT(stats.from_packets, 0u);
  EXPECT_EQ(stats.from_malformed, 0u);
}

INSTANTIATE_TEST_SUITE_P(Peers, TestpmdDriverTest,
                         testing::Values(PeerCase{"split", "packed_vq=0"}, PeerCase{"packed", "packed_vq=1"},
                                         PeerCase{"packed_small", "packed_vq=1,mrg_rxbuf=0"},
                                         PeerCase{"split_in_any_order", "packed_vq=0,in_order=0"}),
                         [](const testing::TestParamInfo<PeerCase>& one) { return one.param.name; });

INSTANTIATE_TEST_SUITE_P(Peers, TestpmdTest,
                         testing::Values(PeerCase{"split_mergeable", ""},
                                         PeerCase{"split_small", ",mrg_rxbuf=off,gso=off"},
                                         PeerCase{"split_in_order_no_event", ",in_order=on,event_idx=off"},
                                         PeerCase{"packed_mergeable", ",packed=on"},
                                         PeerCase{"packed_big", ",packed=on,mrg_rxbuf=off"}),
                         [](const testing::TestParamInfo<PeerCase>& one) { return one.param.name; });

}  // namespace
}  // namespace netrx
