// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// DPDK's side of each comparison. peers_dpdk.cc is compiled with -march=native, so nothing inline may be shared with
/// it: the linker keeps one copy of an inline function, and ours would silently become this machine's. Hence plain
/// pointers and no netrx or standard containers in this header.
namespace netrx::bench::peers {

/// Starts DPDK without huge pages and devices. Null when the peers are ready, else why they are not. Changes the
/// calling thread's affinity.
const char* start();
const char* version();

/// rte_thash_gfni_bulk over `count` tuples of `size` bytes that lie one behind the other, 32 a call.
class Toeplitz {
 public:
  /// Why it can't run on this machine's CPU, null if it can.
  static const char* missing();
  Toeplitz(const std::uint8_t* key40, const std::uint8_t* tuples, std::size_t size, std::size_t count);
  ~Toeplitz();
  Toeplitz(const Toeplitz&) = delete;
  Toeplitz& operator=(const Toeplitz&) = delete;
  void hash(std::uint32_t* out) const;

 private:
  struct State;
  State* state_;
};

/// Frames in DPDK's own buffers.
struct FrameList {
  const std::uint8_t* const* data;
  const std::uint32_t* sizes;
  std::size_t count;
};

/// rte_net_get_ptype, all layers.
class Dissector {
 public:
  explicit Dissector(const FrameList& frames);
  ~Dissector();
  Dissector(const Dissector&) = delete;
  Dissector& operator=(const Dissector&) = delete;
  /// Looks at every frame once; the sum of where their transport headers begin.
  std::uint64_t dissect() const;

 private:
  struct State;
  State* state_;
};

/// rte_gro_reassemble_burst on TCP over IPv4, parsed beforehand.
class Gro {
 public:
  explicit Gro(const FrameList& frames);
  ~Gro();
  Gro(const Gro&) = delete;
  Gro& operator=(const Gro&) = delete;
  /// Makes every mbuf what it was.
  void reset();
  /// Merges all frames, `burst` at a time; packets that come out << 40 | their bytes.
  std::uint64_t reassemble(unsigned burst);

 private:
  struct State;
  State* state_;
};

/// An rte_ring with any number of producers and one consumer, in bulks of 32.
class Ring {
 public:
  explicit Ring(std::uint32_t size);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  /// Puts `total` (a multiple of 32) items in: the `count` (a multiple of 32) at `items` over and over.
  void produce(void* const* items, std::size_t count, std::uint64_t total);
  /// Takes `total` items out; the sum of their addresses' distances from `base`.
  std::uint64_t consume(std::uint64_t total, const void* base);

 private:
  struct State;
  State* state_;
};

/// rte_distributor in burst mode with one worker, fed mbufs whose flow tags were written beforehand.
class Distributor {
 public:
  explicit Distributor(const FrameList& frames);
  ~Distributor();
  Distributor(const Distributor&) = delete;
  Distributor& operator=(const Distributor&) = delete;
  /// Distributes `total` (a multiple of 32) packets, 32 a call, and returns when consume() has ended.
  void produce(std::uint64_t total);
  /// The worker: the sum over `total` packets of the big-endian 16 bits at `offset` in the frame.
  std::uint64_t consume(std::uint64_t total, std::uint32_t offset);

 private:
  struct State;
  State* state_;
};

}  // namespace netrx::bench::peers
