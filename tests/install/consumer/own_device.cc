// SPDX-License-Identifier: Apache-2.0
// A user's program with a device of its own: a thousand UDP frames in memory go through the engine to a handler.

#include <netrx/engine.h>
#include <netrx/ethertype.h>
#include <netrx/executor.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

namespace {

constexpr std::size_t kFrames = 1000;
constexpr std::array<std::uint8_t, 60> kFrame{
    0x02, 0, 0, 0,  0,   1, 0x02, 0, 0,    0,    0,    2,    0x08, 0x00,  // Ethernet
    0x45, 0, 0, 28, 0,   0, 0,    0, 64,   17,   0xf6, 0xd6,              // IPv4, UDP
    192,  0, 2, 1,  192, 0, 2,    2, 0x0f, 0xa0, 0,    53,   0,    8,    0, 0};

class MemoryQueue : public netrx::RxQueue {
 public:
  std::size_t poll(netrx::PollContext& context, netrx::PacketBatch& batch, std::size_t budget) override {
    const std::size_t wanted = std::min({budget, batch.room(), kFrames - sent_});
    const std::size_t before = batch.size();
    const std::size_t got = context.pool.alloc(batch.extend(wanted));
    batch.truncate(before + got);
    for (netrx::Packet* packet : batch.packets().subspan(before)) {
      packet->mac_header = static_cast<std::uint16_t>(packet->headroom());
      std::memcpy(packet->data, kFrame.data(), kFrame.size());
      packet->len = kFrame.size();
      packet->rx_seq = sent_++;
    }
    netrx::RxQueueStats::add(stats_.rx_packets, got);
    netrx::RxQueueStats::add(stats_.rx_bytes, got * kFrame.size());
    return got;
  }
  void irq_mask() override { masked_ = true; }
  IrqCookie irq_unmask() override {
    masked_ = false;
    return 0;
  }
  bool irq_missed(IrqCookie) override { return sent_ < kFrames; }
  bool irq_take(netrx::Nanos) override { return !masked_ && sent_ < kFrames; }
  netrx::Nanos next_attention(netrx::Nanos now) override { return sent_ < kFrames ? now : netrx::kNever; }
  bool exhausted() const override { return sent_ == kFrames; }

 private:
  std::atomic<bool> masked_ = false;
  std::atomic<std::size_t> sent_ = 0;
};

class MemoryDevice : public netrx::NetDevice {
 public:
  std::string_view name() const override { return "memory0"; }
  std::size_t queue_count() const override { return 1; }
  netrx::RxQueue& queue(std::size_t) override { return queue_; }

 private:
  MemoryQueue queue_;
};

class Counter : public netrx::PacketHandler {
 public:
  void receive(netrx::Delivery& delivery) override { packets_ += delivery.size(); }
  std::size_t packets() const { return packets_; }

 private:
  std::atomic<std::size_t> packets_ = 0;
};

template <class T>
T must(netrx::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

int main() {
  Counter counter;
  const std::unique_ptr<netrx::Engine> engine = must(netrx::Engine::create({.cpus = {0}}));
  must(engine->attach(std::make_unique<MemoryDevice>()));
  must(engine->add_handler(netrx::kEthPIp, counter));
  {
    netrx::ThreadExecutor threads(*engine, {.idle = netrx::IdlePolicy::interrupt, .pin = false});
    must(threads.start());
    for (int tries = 0; tries < 1000 && !engine->drained(); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  const bool conserved = engine->stats().conservation.holds();
  std::printf("%zu packets delivered, %s\n", counter.packets(), conserved ? "none lost" : "the books do not balance");
  return counter.packets() == kFrames && conserved ? 0 : 1;
}
