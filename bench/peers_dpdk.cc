// SPDX-License-Identifier: Apache-2.0
#include <rte_distributor.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_gro.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <rte_thash.h>
#include <rte_thash_gfni.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"

namespace netrx::bench::peers {

namespace {

constexpr unsigned kBulk = 32;

void* must(void* made, const char* what) {
  if (made == nullptr) {
    fprintf(stderr, "netrx_bench: dpdk: %s: %s\n", what, rte_strerror(rte_errno));
    exit(2);
  }
  return made;
}

/// A name no other DPDK object has.
struct UniqueName {
  char text[24];
  UniqueName() {
    static unsigned number = 0;
    snprintf(text, sizeof text, "netrx%u", number++);
  }
};

/// mbufs that hold copies of frames.
struct Mbufs {
  rte_mempool* pool;
  rte_mbuf** all;
  unsigned count;

  explicit Mbufs(const FrameList& frames, uint16_t room = 512) : count(static_cast<unsigned>(frames.count)) {
    pool = static_cast<rte_mempool*>(
        must(rte_pktmbuf_pool_create(UniqueName().text, count * 2 - 1, 0, 0, room, 0), "rte_pktmbuf_pool_create"));
    all = static_cast<rte_mbuf**>(must(calloc(count, sizeof *all), "calloc"));
    for (unsigned i = 0; i < count; ++i) {
      all[i] = static_cast<rte_mbuf*>(must(rte_pktmbuf_alloc(pool), "rte_pktmbuf_alloc"));
      void* data = must(rte_pktmbuf_append(all[i], static_cast<uint16_t>(frames.sizes[i])), "rte_pktmbuf_append");
      memcpy(data, frames.data[i], frames.sizes[i]);
    }
  }
  ~Mbufs() {
    free(all);
    rte_mempool_free(pool);
  }
  Mbufs(const Mbufs&) = delete;
  Mbufs& operator=(const Mbufs&) = delete;
};

}  // namespace

const char* start() {
  static char problem[160];
  const char* arguments[] = {"netrx_bench", "--no-huge",      "--no-pci",      "-m", "256",
                             "--no-shconf", "--no-telemetry", "--log-level=3", "-l", "0"};
  if (rte_eal_init(sizeof arguments / sizeof *arguments, const_cast<char**>(arguments)) < 0) {
    snprintf(problem, sizeof problem, "rte_eal_init: %s", rte_strerror(rte_errno));
    return problem;
  }
  return nullptr;
}

const char* version() { return NETRX_BENCH_DPDK_VERSION; }

// ----------------------------------------------------------------------------------------------------------- Toeplitz

struct Toeplitz::State {
  uint64_t matrices[40];
  uint8_t** tuples;
  int size;
  size_t count;
};

const char* Toeplitz::missing() {
#if !defined(__GFNI__) || !defined(__AVX512F__)
  return "this machine's CPU has no GFNI or no AVX-512, without which rte_thash_gfni_bulk does nothing";
#else
  return nullptr;
#endif
}

Toeplitz::Toeplitz(const uint8_t* key40, const uint8_t* tuples, size_t size, size_t count) : state_(new State) {
  rte_thash_complete_matrix(state_->matrices, key40, 40);
  state_->tuples = static_cast<uint8_t**>(must(calloc(count, sizeof(uint8_t*)), "calloc"));
  for (size_t i = 0; i < count; ++i) state_->tuples[i] = const_cast<uint8_t*>(tuples + i * size);
  state_->size = static_cast<int>(size);
  state_->count = count;
}

Toeplitz::~Toeplitz() {
  free(state_->tuples);
  delete state_;
}

void Toeplitz::hash(uint32_t* out) const {
  for (size_t i = 0; i < state_->count; i += kBulk)
    rte_thash_gfni_bulk(state_->matrices, state_->size, state_->tuples + i, out + i, kBulk);
}

// ----------------------------------------------------------------------------------------------------------- dissector

struct Dissector::State {
  explicit State(const FrameList& frames) : mbufs(frames) {}
  Mbufs mbufs;
};

Dissector::Dissector(const FrameList& frames) : state_(new State(frames)) {}
Dissector::~Dissector() { delete state_; }

uint64_t Dissector::dissect() const {
  uint64_t sum = 0;
  for (unsigned i = 0; i < state_->mbufs.count; ++i) {
    rte_net_hdr_lens lens;
    const uint32_t type = rte_net_get_ptype(state_->mbufs.all[i], &lens, RTE_PTYPE_ALL_MASK);
    sum += lens.l2_len + lens.l3_len;
    asm volatile("" : : "r"(type), "r"(&lens) : "memory");
  }
  return sum;
}

// ----------------------------------------------------------------------------------------------------------------- GRO

struct Gro::State {
  explicit State(const FrameList& of) : frames(of), mbufs(of, 2176) {
    given = static_cast<rte_mbuf**>(must(calloc(mbufs.count, sizeof *given), "calloc"));
    parameters.gro_types = RTE_GRO_TCP_IPV4;
    parameters.max_flow_num = 64;
    parameters.max_item_per_flow = 32;
  }
  ~State() { free(given); }
  const FrameList frames;
  Mbufs mbufs;
  rte_mbuf** given;  // reassembling overwrites the array it is given
  rte_gro_param parameters{};
};

Gro::Gro(const FrameList& frames) : state_(new State(frames)) {}
Gro::~Gro() { delete state_; }

void Gro::reset() {
  constexpr unsigned kEthernet = 14, kIpv4 = 20, kTcp = 20;
  for (unsigned i = 0; i < state_->mbufs.count; ++i) {
    rte_mbuf* mbuf = state_->given[i] = state_->mbufs.all[i];
    mbuf->next = nullptr;
    mbuf->nb_segs = 1;
    mbuf->data_off = RTE_PKTMBUF_HEADROOM;
    mbuf->data_len = static_cast<uint16_t>(state_->frames.sizes[i]);
    mbuf->pkt_len = state_->frames.sizes[i];
    mbuf->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
    mbuf->l2_len = kEthernet;
    mbuf->l3_len = kIpv4;
    mbuf->l4_len = kTcp;
    memcpy(rte_pktmbuf_mtod(mbuf, void*), state_->frames.data[i], kEthernet + kIpv4 + kTcp);
  }
}

uint64_t Gro::reassemble(unsigned burst) {
  uint64_t packets = 0, bytes = 0;
  for (unsigned i = 0; i + burst <= state_->mbufs.count; i += burst) {
    rte_mbuf** some = state_->given + i;
    const unsigned n = rte_gro_reassemble_burst(some, static_cast<uint16_t>(burst), &state_->parameters);
    packets += n;
    for (unsigned k = 0; k < n; ++k) bytes += some[k]->pkt_len;
  }
  return packets << 40 | bytes;
}

// ---------------------------------------------------------------------------------------------------------------- ring

struct Ring::State {
  rte_ring* ring;
};

Ring::Ring(uint32_t size) : state_(new State) {
  state_->ring = static_cast<rte_ring*>(
      must(rte_ring_create(UniqueName().text, size, SOCKET_ID_ANY, RING_F_SC_DEQ), "rte_ring_create"));
}

Ring::~Ring() {
  rte_ring_free(state_->ring);
  delete state_;
}

void Ring::produce(void* const* items, size_t count, uint64_t total) {
  size_t at = 0;
  for (uint64_t done = 0; done < total; done += kBulk) {
    while (rte_ring_enqueue_bulk(state_->ring, items + at, kBulk, nullptr) == 0) rte_pause();
    at += kBulk;
    if (at == count) at = 0;
  }
}

uint64_t Ring::consume(uint64_t total, const void* base) {
  void* items[kBulk];
  uint64_t sum = 0;
  for (uint64_t got = 0; got < total;) {
    const unsigned n = rte_ring_dequeue_burst(state_->ring, items, kBulk, nullptr);
    if (n == 0) {
      rte_pause();
      continue;
    }
    for (unsigned i = 0; i < n; ++i)
      sum += static_cast<uint64_t>(static_cast<const char*>(items[i]) - static_cast<const char*>(base));
    got += n;
  }
  return sum;
}

// --------------------------------------------------------------------------------------------------------- distributor

struct Distributor::State {
  explicit State(const FrameList& frames) : mbufs(frames) {}
  Mbufs mbufs;
  rte_distributor* distributor;
  alignas(128) bool consumed = false;
};

Distributor::Distributor(const FrameList& frames) : state_(new State(frames)) {
  state_->distributor = static_cast<rte_distributor*>(
      must(rte_distributor_create(UniqueName().text, 0, 1, RTE_DIST_ALG_BURST), "rte_distributor_create"));
  for (unsigned i = 0; i < state_->mbufs.count; ++i) state_->mbufs.all[i]->hash.usr = i + 1;
}

Distributor::~Distributor() { delete state_; }  // DPDK 22.11 has no way to free a distributor

void Distributor::produce(uint64_t total) {
  rte_mbuf** all = state_->mbufs.all;
  rte_mbuf* back[2 * kBulk];
  unsigned at = 0;
  __atomic_store_n(&state_->consumed, false, __ATOMIC_RELEASE);
  for (uint64_t done = 0; done < total;) {
    // 0 until the worker has asked for the first time.
    const int accepted = rte_distributor_process(state_->distributor, all + at, kBulk);
    rte_distributor_returned_pkts(state_->distributor, back, 2 * kBulk);
    if (accepted == 0) continue;
    done += kBulk;
    at += kBulk;
    if (at == state_->mbufs.count) at = 0;
  }
  // An empty call pushes what is left and answers the worker's requests; without it the worker would wait for ever.
  while (!__atomic_load_n(&state_->consumed, __ATOMIC_ACQUIRE)) {
    rte_distributor_process(state_->distributor, nullptr, 0);
    rte_distributor_returned_pkts(state_->distributor, back, 2 * kBulk);
  }
}

uint64_t Distributor::consume(uint64_t total, uint32_t offset) {
  alignas(64) rte_mbuf* packets[8];
  uint64_t sum = 0;
  int n = 0;
  for (uint64_t got = 0; got < total; got += static_cast<uint64_t>(n)) {
    n = rte_distributor_get_pkt(state_->distributor, 0, packets, packets, static_cast<unsigned>(n));
    for (int i = 0; i < n; ++i) {
      const uint8_t* field = rte_pktmbuf_mtod_offset(packets[i], const uint8_t*, offset);
      sum += static_cast<uint64_t>(field[0]) << 8 | field[1];
    }
  }
  // No shutdown: the worker's number stays free for the next run's thread, which carries on the same protocol.
  __atomic_store_n(&state_->consumed, true, __ATOMIC_RELEASE);
  return sum;
}

}  // namespace netrx::bench::peers
