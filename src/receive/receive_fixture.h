// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole path on the CPUs of softnet_fixture.h, with a handler that writes down what arrives where. Tests only.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backlog/backlog.h"
#include "deliver/deliver.h"
#include "deliver/packet_types.h"
#include "napi/napi.h"
#include "receive/receive.h"
#include "softnet/softnet_fixture.h"

namespace netrx {

/// What reached the top, in order.
struct RecordingHandler final : PacketHandler {
  struct Delivered {
    std::uint16_t cpu;
    std::uint32_t hash;
    std::uint64_t seq;
  };
  void receive(Delivery& delivery) override {
    if (during_delivery) during_delivery();
    for (std::size_t i = 0; i < delivery.size(); ++i)
      all.push_back({delivery.cpu(), delivery[i]->hash, delivery[i]->rx_seq});
  }
  std::size_t on(std::uint16_t cpu) const {
    std::size_t n = 0;
    for (const Delivered& one : all) n += one.cpu == cpu;
    return n;
  }
  std::vector<std::uint64_t> seqs() const {
    std::vector<std::uint64_t> numbers;
    for (const Delivered& one : all) numbers.push_back(one.seq);
    return numbers;
  }
  std::vector<Delivered> all;
  std::function<void()> during_delivery;
};

/// Writes down polls, as "A:64 B:3"; 0 is a backlog.
struct PollRecorder final : Tracer {
  void napi_poll(std::uint16_t, std::uint32_t napi_id, int work, int) override { polls.emplace_back(napi_id, work); }
  void doorbell(std::uint16_t, std::uint16_t target) override { doorbells.push_back(target); }
  std::vector<std::pair<std::uint32_t, int>> polls;
  std::vector<std::uint16_t> doorbells;
};

class ReceiveTest : public SoftnetTest {
 protected:
  ReceiveTest() {
    auto types = std::make_unique<PacketTypes>();
    EXPECT_TRUE(types->add({kEthPIp, nullptr, &handler}));
    (void)net.packet_types.exchange(std::move(types));
    net.tracer = &recorder;
  }

  /// What a CPU's thread does in one round: interrupts, then softirqs.
  bool round(std::uint32_t on) {
    cpu(on).now = clock.now();
    take_interrupts(net, cpu(on));
    return do_softirq(net, cpu(on));
  }
  /// Rounds on all CPUs until nothing is pending.
  void settle() {
    for (int i = 0; i < 100; ++i)
      for (const auto& sd : net.cpus)
        if (net.online[sd->cpu.id()]) (void)round(sd->cpu.id());
  }
  /// One run of net_rx_action alone.
  void run(std::uint32_t on = 0) {
    cpu(on).net_rx_pending = false;
    net_rx_action(net, cpu(on));
  }
  void schedule(NapiStruct& n, std::uint32_t on = 0) { EXPECT_TRUE(napi_schedule(net, cpu(on), n)); }
  std::vector<std::uint32_t> poll_list(std::uint32_t on = 0) {
    std::vector<std::uint32_t> ids;
    List<NapiStruct> seen;
    while (!cpu(on).poll_list.empty()) {
      NapiStruct& n = cpu(on).poll_list.pop_front();
      ids.push_back(n.napi_id);
      seen.push_back(n);
    }
    cpu(on).poll_list.splice_back(seen);
    return ids;
  }
  /// Sends packets of one hash as netif_rx would, from cpu `from`.
  void netif_rx_packets(Netif& netif, std::uint32_t from, std::size_t n, std::uint32_t hash = 1) {
    for (std::size_t left = n; left != 0;) {
      PacketBatch batch;
      for (; left != 0 && !batch.full(); --left) batch.push_back(packet(netif, hash, from));
      netif_rx(net, cpu(from), batch);
    }
  }

  RecordingHandler handler;
  PollRecorder recorder;
};

}  // namespace netrx
