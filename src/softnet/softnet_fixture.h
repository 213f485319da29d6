// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of the stages share: CPUs, a clock moved by hand, a device whose queues do what the test says. Tests
// only.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ring_index.h"
#include "netrx/device.h"
#include "netrx/ethertype.h"
#include "softnet/free_packets.h"
#include "softnet/softnet.h"

// One thread plays all CPUs and occupies every one from the beginning to the end, so there is nothing to analyse.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

namespace netrx {

/// Stands still unless told otherwise.
class ManualClock final : public Clock {
 public:
  Nanos now() override {
    const Nanos seen = time;
    time += per_look;
    return seen;
  }
  Nanos time = std::chrono::seconds(1);  ///< not 0, which means "not stamped"
  Nanos per_look{0};                     ///< how much passes between two looks
};

/// A packet as the device would fill it in.
struct Arrival {
  std::uint32_t hash = 1;  ///< an L4 hash by hardware
  Be16 protocol = kEthPIp;
  std::uint16_t vlan_tci = 0;
  bool vlan_present = false;
  std::vector<std::uint8_t> bytes = {};  ///< from the network header on; empty: 40 bytes of nothing
};

/// A receive queue that holds what the test put in, and counts what the path asks of it.
class ScriptedQueue final : public RxQueue {
 public:
  void arrive(std::size_t n, Arrival what = {}) {
    waiting.insert(waiting.end(), n, what);
    arrived += static_cast<std::uint32_t>(n);
  }

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    expect_owned("poll");
    ++polls;
    if (during_poll) during_poll();
    std::size_t n = 0;
    while (n < budget && (endless || !waiting.empty())) {
      Packet* packet = nullptr;
      if (context.pool.alloc({&packet, 1}) == 0) break;
      fill(*packet, endless ? Arrival{} : waiting.front());
      if (!endless) waiting.pop_front();
      batch.push_back(packet);
      ++n;
    }
    return n;
  }
  void irq_mask() override {
    expect_owned("irq_mask");
    masked = true;
    ++masks;
  }
  IrqCookie irq_unmask() override {
    expect_owned("irq_unmask");
    masked = false;
    ++unmasks;
    const IrqCookie cookie = arrived;
    if (after_unmask) after_unmask();
    return cookie;
  }
  bool irq_missed(IrqCookie cookie) override {
    expect_owned("irq_missed");
    return arrived != cookie;
  }
  bool irq_take(Nanos) override { return !silent && !masked && !waiting.empty(); }
  Nanos next_attention(Nanos) override { return kNever; }

  const NapiStruct* napi = nullptr;  ///< whose owner alone may poll, mask, unmask and look
  std::deque<Arrival> waiting;
  std::function<void()> during_poll;
  std::function<void()> after_unmask;
  bool endless = false;  ///< always one more packet
  bool silent = false;   ///< no interrupt comes, whatever arrives
  bool masked = true;
  int masks = 0;
  int unmasks = 0;
  int polls = 0;
  std::uint32_t arrived = 0;

 private:
  void expect_owned(const char* call) {
    const bool owned = napi == nullptr || napi->state.test(kNapiSched);
    EXPECT_TRUE(owned) << call << " by somebody who does not own the NAPI";
  }
  void fill(Packet& packet, const Arrival& what) {
    packet.len = what.bytes.empty() ? 40 : static_cast<std::uint32_t>(what.bytes.size());
    if (!what.bytes.empty()) std::memcpy(packet.data, what.bytes.data(), what.bytes.size());
    packet.mac_header = packet.network_header = packet.transport_header = static_cast<std::uint16_t>(packet.headroom());
    packet.hash = what.hash;
    packet.l4_hash = true;
    packet.protocol = what.protocol;
    packet.vlan_present = what.vlan_present;
    packet.vlan_proto = kEthP8021q;
    packet.vlan_tci = what.vlan_tci;
    packet.rx_seq = next_seq_++;
  }

  std::uint64_t next_seq_ = 0;
};

class ScriptedDevice final : public NetDevice {
 public:
  ScriptedDevice(std::string name, std::size_t queues) : name_(std::move(name)), queues_(queues) {}
  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return queues_.size(); }
  ScriptedQueue& queue(std::size_t index) override { return queues_[index]; }
  bool has_link_header() const override { return false; }

 private:
  const std::string name_;
  std::deque<ScriptedQueue> queues_;
};

/// Four CPUs, all online, and devices as the test adds them. At its end every packet must be in its pool, on a
/// defer_list or in a backlog: none is lost, none was freed twice.
class SoftnetTest : public testing::Test {
 protected:
  static constexpr std::size_t kPool = 2048;

  SoftnetTest() { make_cpus(4); }

  void make_cpus(std::uint16_t n, std::uint32_t ring = 4096) {
    leave_all();
    net.cpus.clear();
    net.nr_cpu_ids = n;
    net.online.reset(new std::atomic<bool>[n]);
    net.clock = &clock;
    for (std::uint16_t i = 0; i < n; ++i) {
      net.cpus.push_back(std::make_unique<SoftnetData>(i, *PacketPool::create(i, kPool, 256), ring, n));
      net.online[i] = true;
      cpu(i).cpu.enter(actor);
      cpu(i).now = clock.time;
      cpu(i).waker = &waker;
    }
  }

  ~SoftnetTest() override { leave_all(); }

  void TearDown() override {
    for (const auto& sd : net.cpus) {
      take_backlog(*sd);
      flush_deferred(*sd);
    }
    for (const auto& sd : net.cpus) {
      flush_deferred(*sd);
      EXPECT_EQ(sd->pool->idle(), kPool) << "packets of cpu " << sd->cpu.id() << " are lost";
    }
  }

  SoftnetData& cpu(std::uint32_t i) { return net.of(i); }

  Netif& add_device(std::size_t queues = 1) {
    drivers.push_back(std::make_unique<ScriptedDevice>("dev" + std::to_string(drivers.size()), queues));
    const std::uint32_t ifindex = static_cast<std::uint32_t>(drivers.size());
    netifs.push_back(std::make_unique<Netif>(*drivers.back(), ifindex, FlowHasher(SipHash(SipHashKey{1, 2}))));
    Netif& netif = *netifs.back();
    netif.running = true;
    for (std::size_t i = 0; i < queues; ++i) {
      netif.rx_queues.push_back(std::make_unique<NetifRxQueue>());
      netif.rx_queues[i]->napi = std::make_unique<NapiStruct>(&netif, &queue(netif, i));
      NapiStruct& n = napi(netif, i);
      n.queue_index = static_cast<std::uint16_t>(i);
      n.napi_id = 100 * ifindex + static_cast<std::uint32_t>(i);
      n.irq_cpu = 0;
      n.state.clear(NapiStruct::kInitialState);
      queue(netif, i).napi = &n;
      cpu(0).irq_napis.push_back(&n);
    }
    return netif;
  }
  NapiStruct& napi(Netif& netif, std::size_t i = 0) { return *netif.rx_queues[i]->napi; }
  ScriptedQueue& queue(Netif& netif, std::size_t i = 0) { return static_cast<ScriptedDevice&>(netif.device).queue(i); }

  void rps_cpus(Netif& netif, std::vector<std::uint16_t> cpus, std::size_t i = 0) {
    (void)netif.rx_queues[i]->rps_map.exchange(cpus.empty() ? nullptr
                                                            : std::make_unique<RpsMap>(RpsMap{std::move(cpus)}));
    net.rps_needed = 1;
  }
  RpsDevFlowTable& rps_flow_cnt(Netif& netif, std::uint32_t size, std::size_t i = 0) {
    (void)netif.rx_queues[i]->rps_flow_table.exchange(std::make_unique<RpsDevFlowTable>(size));
    return *netif.rx_queues[i]->rps_flow_table.read();
  }
  RpsSockFlowTable& rps_sock_flow_entries(std::uint32_t size) {
    (void)net.rps_sock_flow_table.exchange(std::make_unique<RpsSockFlowTable>(size, net.nr_cpu_ids));
    net.rps_needed = 1;
    return *net.rps_sock_flow_table.read();
  }
  void flow_limit(std::uint32_t on_cpu, std::uint32_t table_len) {
    (void)cpu(on_cpu).flow_limit.exchange(std::make_unique<FlowLimit>(table_len));
  }

  /// A packet of `pool_cpu`'s pool that came by the first queue of `netif`.
  Packet* packet(Netif& netif, std::uint32_t hash = 1, std::uint32_t pool_cpu = 0) {
    Packet* made = nullptr;
    EXPECT_EQ(cpu(pool_cpu).pool->alloc({&made, 1}), 1u);
    made->dev = &netif;
    made->queue_mapping = 1;
    made->len = 40;
    made->hash = hash;
    made->l4_hash = true;
    made->protocol = kEthPIp;
    made->rx_seq = next_seq++;
    return made;
  }
  std::vector<Packet*> packets(Netif& netif, std::size_t n, std::uint32_t pool_cpu = 0) {
    std::vector<Packet*> made;
    while (made.size() < n) made.push_back(packet(netif, 1, pool_cpu));
    return made;
  }

  /// Everything that waits in a CPU's backlog, oldest first, by rx_seq; the packets go home.
  std::vector<std::uint64_t> take_backlog(SoftnetData& sd) {
    std::vector<std::uint64_t> seqs;
    for (;;) {
      {
        SpinGuard guard(sd.input.lock(), actor);
        sd.input.splice();
      }
      const std::span<Packet*> taken = sd.input.take(64);
      if (taken.empty()) return seqs;
      for (Packet* p : taken) {
        seqs.push_back(p->rx_seq);
        cpu(p->alloc_cpu).pool->put({&p, 1});
      }
      sd.input.finish();
    }
  }
  std::uint32_t tail(SoftnetData& sd) {
    SpinGuard guard(sd.input.lock(), actor);
    return sd.input.tail();
  }

  /// Counts wake-ups of sleeping CPUs.
  struct CountingWaker final : Waker {
    void wake() override { ++wakes; }
    int wakes = 0;
  };

  Actor actor;
  ManualClock clock;
  CountingWaker waker;
  std::deque<std::unique_ptr<ScriptedDevice>> drivers;
  std::deque<std::unique_ptr<Netif>> netifs;
  std::uint64_t next_seq = 0;
  Softnet net;

 private:
  void leave_all() {
    for (const auto& sd : net.cpus) sd->cpu.leave();
  }
};

}  // namespace netrx
