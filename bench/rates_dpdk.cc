// SPDX-License-Identifier: Apache-2.0
// The peer of rates.py's rows with RPS over virtio: what a DPDK program does to spread one queue. One lcore takes
// packets from net_virtio_user, hashes their flows and hands them to a worker on the other CPU, which counts and frees
// them. As little as that can be: one ring, bursts of 32, CRC for the hash. The worker lets others run while it finds
// nothing, for the sender has that CPU too.
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_hash_crc.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr const char* kUsage =
    R"(usage: netrx_rates_dpdk SOCKET KEYS PACKETS RECEIVER-CPU WORKER-CPU
  receives from the vhost-user device at SOCKET by net_virtio_user with these KEYS (packed_vq=1,mrg_rxbuf=1) into
  PACKETS buffers, until a signal
bench/rates.py starts it.
)";

constexpr std::uint16_t kBurst = 32;

volatile std::sig_atomic_t stopping = 0;

[[noreturn]] void fail(const char* what, int error) {
  std::fprintf(stderr, "netrx_rates_dpdk: %s: %s\n", what, rte_strerror(error < 0 ? -error : error));
  std::exit(2);
}

/// What both lcores know of.
struct Pipeline {
  rte_ring* ring;
  std::uint64_t received = 0, worked = 0;
  bool done = false;  ///< nothing more comes into the ring
};

int work(void* of) {
  auto& pipeline = *static_cast<Pipeline*>(of);
  std::array<void*, kBurst> packets;
  for (;;) {
    const bool last = __atomic_load_n(&pipeline.done, __ATOMIC_ACQUIRE);
    const unsigned n = rte_ring_sc_dequeue_burst(pipeline.ring, packets.data(), kBurst, nullptr);
    if (n == 0 && last) return 0;
    if (n == 0) sched_yield();
    rte_pktmbuf_free_bulk(reinterpret_cast<rte_mbuf**>(packets.data()), n);
    pipeline.worked += n;
  }
}

/// The five-tuple's hash, by which a program with more workers would choose one.
std::uint32_t flow_hash(const rte_mbuf* packet) {
  constexpr std::uint16_t kProtocol = 23, kAddresses = 26;  // of a UDP packet in IPv4 without options
  const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
  return rte_hash_crc(frame + kAddresses, 12, frame[kProtocol]);
}

void receive(Pipeline& pipeline) {
  std::array<rte_mbuf*, kBurst> packets;
  while (stopping == 0) {
    const std::uint16_t n = rte_eth_rx_burst(0, 0, packets.data(), kBurst);
    for (std::uint16_t i = 0; i < n; ++i) packets[i]->hash.usr = flow_hash(packets[i]);
    pipeline.received += n;
    if (rte_ring_sp_enqueue_bulk(pipeline.ring, reinterpret_cast<void**>(packets.data()), n, nullptr) != n)
      fail("the ring has room for every buffer", ENOBUFS);
  }
  __atomic_store_n(&pipeline.done, true, __ATOMIC_RELEASE);
}

void start_port(unsigned buffers) {
  rte_mempool* pool = rte_pktmbuf_pool_create("buffers", buffers, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
  if (pool == nullptr) fail("rte_pktmbuf_pool_create", rte_errno);
  const rte_eth_conf configuration{};
  if (const int error = rte_eth_dev_configure(0, 1, 1, &configuration); error != 0)
    fail("rte_eth_dev_configure", error);
  if (const int error = rte_eth_rx_queue_setup(0, 0, 256, 0, nullptr, pool); error != 0)
    fail("rte_eth_rx_queue_setup", error);
  if (const int error = rte_eth_tx_queue_setup(0, 0, 256, 0, nullptr); error != 0)
    fail("rte_eth_tx_queue_setup", error);
  if (const int error = rte_eth_dev_start(0); error != 0) fail("rte_eth_dev_start", error);
}

rte_ring* ring_for(unsigned buffers) {
  rte_ring* ring =
      rte_ring_create("worker", rte_align32pow2(buffers + 1), SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) fail("rte_ring_create", rte_errno);
  return ring;
}

int run(char** words) {
  const std::string device = std::string("net_virtio_user0,path=") + words[1] + ",queues=1,queue_size=256," + words[2];
  const auto buffers = static_cast<unsigned>(std::atoi(words[3]));
  const std::string lcores = std::string("0@") + words[4] + ",1@" + words[5];
  const std::string memory = std::to_string(64 + buffers / 256);  // MiB: some 2.5 KiB a buffer
  std::array<std::string, 13> options{"netrx_rates_dpdk",
                                      "--no-huge",
                                      "-m",
                                      memory,
                                      "--no-pci",
                                      "--no-shconf",
                                      "--no-telemetry",
                                      "--lcores",
                                      lcores,
                                      "--log-level=4",
                                      "--vdev",
                                      device,
                                      "--file-prefix=netrx_pipeline"};
  std::array<char*, options.size()> arguments;
  for (std::size_t i = 0; i < options.size(); ++i) arguments[i] = options[i].data();
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) fail("rte_eal_init", rte_errno);
  start_port(buffers - 1);
  Pipeline pipeline{.ring = ring_for(buffers)};
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { stopping = 1; });
  if (rte_eal_remote_launch(work, &pipeline, 1) != 0) fail("rte_eal_remote_launch", EBUSY);
  receive(pipeline);
  rte_eal_mp_wait_lcore();
  std::printf("{\"received\": %lu, \"delivered\": %lu}\n", pipeline.received, pipeline.worked);
  rte_eth_dev_stop(0);
  rte_eth_dev_close(0);
  rte_eal_cleanup();
  return 0;
}

}  // namespace

int main(int count, char** words) { return count == 6 ? run(words) : (std::fputs(kUsage, stderr), 2); }
