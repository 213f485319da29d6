// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "cases.h"
#include "deliver/packet_types.h"
#include "memory_device.h"
#include "napi/napi.h"
#include "peers.h"
#include "receive/receive.h"
#include "softnet/softnet.h"
#include "wire/frame_builder.h"

namespace netrx::bench {

namespace {

constexpr std::size_t kFlows = 1024;
constexpr std::uint32_t kFrameSize = 60;  // 64 on the wire, with the frame check sequence
constexpr std::uint32_t kSourcePort = wire::EthernetView::kSize + wire::Ipv4View::kSize;
constexpr std::size_t kPool = 4096;

/// One frame a flow, each on a cache line of its own, as a card's buffers would be.
struct Frames {
  struct alignas(64) Buffer {
    std::array<std::uint8_t, 64> bytes{};
  };
  std::vector<Buffer> buffers{kFlows};
  std::vector<std::uint8_t*> data;
  std::vector<std::uint32_t> sizes;

  Frames() {
    for (std::size_t i = 0; i < kFlows; ++i) {
      const wire::Frame frame = wire::FrameBuilder()
                                    .eth()
                                    .ipv4(wire::Ip4(0x0a000000u + static_cast<std::uint32_t>(i)), "10.1.0.1")
                                    .udp(static_cast<unsigned>(1024 + 37 * i), 53)
                                    .payload(18)
                                    .build();
      std::ranges::copy(frame.bytes, buffers[i].bytes.begin());
      data.push_back(buffers[i].bytes.data());
      sizes.push_back(kFrameSize);
    }
  }
};

class SteadyClock : public Clock {
 public:
  Nanos now() override { return std::chrono::steady_clock::now().time_since_epoch(); }
};

/// Counts packets and sums their source ports. Runs on the CPU that packets are steered to.
class SumHandler : public PacketHandler {
 public:
  void receive(Delivery& delivery) override {
    std::uint64_t sum = 0;
    for (const Packet* packet : delivery.packets()) {
      const std::uint8_t* port = packet->data + wire::Ipv4View::kSize;
      sum += static_cast<std::uint64_t>(port[0]) << 8 | port[1];
    }
    sum_ += sum;
    count_.store(count_.load(std::memory_order_relaxed) + delivery.size(), std::memory_order_release);
  }
  std::uint64_t count() const { return count_.load(std::memory_order_acquire); }
  std::uint64_t sum() const { return sum_; }

 private:
  alignas(64) std::atomic<std::uint64_t> count_{0};
  std::uint64_t sum_ = 0;
};

struct Settings {
  const char* name;
  double target;
  FlowHashKind kind;
  int gro_normal_batch;
  int skb_defer_max;
  std::uint32_t ring;  ///< frames the device lends at once
};

/// Two CPUs; the first polls a device whose rps_cpus names only the second.
class Path {
 public:
  Path(const Frames& frames, const Settings& settings)
      : device_(frames.data, kFrameSize, settings.ring, settings.kind),
        netif_(device_, 1,
               settings.kind == FlowHashKind::siphash ? FlowHasher(SipHash({1, 2})) : FlowHasher(Toeplitz())) {
    net_.clock = &clock_;
    net_.nr_cpu_ids = 2;
    net_.online = std::make_unique<std::atomic<bool>[]>(2);
    for (std::uint16_t cpu = 0; cpu < 2; ++cpu) {
      net_.cpus.push_back(std::make_unique<SoftnetData>(
          cpu, PacketPool::create(cpu, kPool, PacketPool::kHeadroom).value(), 2 * kPool, 2));
      net_.online[cpu] = true;
    }
    net_.tunables.gro_normal_batch.write(settings.gro_normal_batch);
    net_.tunables.skb_defer_max.write(settings.skb_defer_max);
    net_.rps_needed = 1;
    auto types = std::make_unique<PacketTypes>();
    types->add({kEthPIp, nullptr, &handler_}).value();
    old_types_ = net_.packet_types.exchange(std::move(types));
    attach();
  }

  /// Brings `total` packets from the device through to the handler.
  Trial run(const TwoCpus& cpus, std::uint64_t total) {
    const std::uint64_t count = handler_.count(), sum = handler_.sum();
    device_.offer(total);
    deadline_ = now_ns() + 5'000'000'000;
    goal_ = count + total;
    const Timing timing = cpus.together([&] { softirqs(0); }, [&] { softirqs(1); });
    Trial trial{.value = static_cast<double>(total) * 1e3 / timing.ns,
                .checksum = handler_.sum() - sum,
                .preemptions = timing.preemptions,
                .problem = {}};
    if (handler_.count() != goal_) trial.problem = "not every packet was delivered";
    return trial;
  }

 private:
  void attach() {
    auto rxq = std::make_unique<NetifRxQueue>();
    rxq->napi = std::make_unique<NapiStruct>(&netif_, &device_);
    rxq->napi->napi_id = 1;
    rxq->napi->irq_cpu = 0;
    auto map = std::make_unique<RpsMap>();
    map->cpus = {1};
    old_map_ = rxq->rps_map.exchange(std::move(map));
    SoftnetData& sd = net_.of(0);
    const CpuGuard turn(sd.cpu, actors_[0]);
    sd.irq_napis.push_back(rxq->napi.get());
    netif_.rx_queues.push_back(std::move(rxq));
    netif_.running = true;
    napi_enable(*netif_.rx_queues[0]->napi, false);
  }

  /// What an executor's thread does with the idle policy `poll`.
  void softirqs(std::uint16_t cpu) {
    SoftnetData& sd = net_.of(cpu);
    while (handler_.count() != goal_) {
      const CpuGuard turn(sd.cpu, actors_[cpu]);
      sd.now = clock_.now();
      if (sd.now.count() > deadline_) return;
      take_interrupts(net_, sd);
      do_softirq(net_, sd);
    }
  }

  SteadyClock clock_;
  Softnet net_;
  std::array<Actor, 2> actors_;
  MemoryDevice device_;
  Netif netif_;
  SumHandler handler_;
  std::unique_ptr<PacketTypes> old_types_;
  std::unique_ptr<RpsMap> old_map_;
  std::uint64_t goal_ = 0;
  std::int64_t deadline_ = 0;
};

void path_case(Harness& harness, const Frames& frames, peers::Distributor* distributor, const Settings& settings) {
  const std::uint64_t total = static_cast<std::uint64_t>(5e5 * harness.options().scale) / kFlows * kFlows;
  Path path(frames, settings);
  Case what{.name = settings.name,
            .unit = Unit::mega_items_s,
            .target = settings.target,
            .two_cpus = true,
            .ours = {},
            .peer = {}};
  what.ours = [&] { return path.run(harness.cpus(), total); };
  if (distributor != nullptr) {
    what.peer = [&] {
      Trial trial;
      const Timing timing = harness.cpus().together([&] { distributor->produce(total); },
                                                    [&] { trial.checksum = distributor->consume(total, kSourcePort); });
      trial.value = static_cast<double>(total) * 1e3 / timing.ns;
      trial.preemptions = timing.preemptions;
      return trial;
    };
  }
  harness.run(what);
}

}  // namespace

void path_cases(Harness& harness) {
  constexpr std::array kSettings{
      Settings{"path/siphash/gro64", 1, FlowHashKind::siphash, 64, 64, 512},
      Settings{"path/siphash/defaults", 0, FlowHashKind::siphash, 8, 64, 512},
      Settings{"path/siphash/gro64-defer512", 0, FlowHashKind::siphash, 64, 512, 512},
      Settings{"path/toeplitz/gro64", 0, FlowHashKind::toeplitz, 64, 64, 512},
  };
  if (!harness.cpus().both()) return;
  const Frames frames;
  std::unique_ptr<peers::Distributor> distributor;
  for (const Settings& settings : kSettings) {
    if (!harness.wants(settings.name)) continue;
    if (harness.options().peers && distributor == nullptr)
      distributor = std::make_unique<peers::Distributor>(
          peers::FrameList{frames.data.data(), frames.sizes.data(), frames.data.size()});
    path_case(harness, frames, distributor.get(), settings);
  }
}

}  // namespace netrx::bench
