// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <numeric>

#include "base/prng.h"
#include "cases.h"
#include "netrx/flow.h"
#include "peers.h"
#include "wire/frame_builder.h"

namespace netrx::bench {

namespace {

constexpr std::size_t kItems = 1024;  // hot, yet too many for a branch predictor to learn by heart
constexpr std::size_t kToeplitzBatch = 32;
constexpr std::size_t kSipHashBatch = 64;  // a poll's worth

std::uint64_t sum_of(std::span<const std::uint32_t> hashes) {
  return std::accumulate(hashes.begin(), hashes.end(), std::uint64_t{0});
}

template <class T>
void fill_random(std::span<T> items, std::uint64_t seed) {
  Prng random(seed);
  for (T& item : items)
    for (std::uint8_t& byte : std::span(reinterpret_cast<std::uint8_t*>(&item), sizeof item))
      byte = static_cast<std::uint8_t>(random.next());
}

/// Times `rounds` rounds of `once`, which fills `out`, on one CPU.
template <class Once>
Trial hash_trial(std::size_t rounds, std::span<std::uint32_t> out, Once once) {
  std::ranges::fill(out, 0u);
  return timed(rounds * out.size(), [&] {
    for (std::size_t round = 0; round < rounds; ++round) {
      once();
      asm volatile("" : : "r"(out.data()) : "memory");
    }
    return sum_of(out);
  });
}

std::size_t rounds(const Harness& harness, std::size_t at_full_scale) {
  return std::max<std::size_t>(1,
                               static_cast<std::size_t>(static_cast<double>(at_full_scale) * harness.options().scale));
}

// ----------------------------------------------------------------------------------------------------------- Toeplitz

template <class Tuple>
void toeplitz_case(Harness& harness, const char* name) {
  if (!harness.wants(name)) return;
  std::vector<Tuple> tuples(kItems);
  fill_random(std::span(tuples), 1);
  std::vector<std::uint32_t> out(kItems);
  const Toeplitz ours;
  std::unique_ptr<peers::Toeplitz> peer;
  Case what{.name = name, .unit = Unit::ns, .target = 1, .two_cpus = false, .ours = {}, .peer = {}};
  const std::size_t n = rounds(harness, 1000);
  what.ours = [&] {
    return hash_trial(n, out, [&] {
      for (std::size_t i = 0; i < kItems; i += kToeplitzBatch)
        ours.hash_batch(std::span(tuples).subspan(i, kToeplitzBatch), std::span(out).subspan(i, kToeplitzBatch));
    });
  };
  if (harness.options().peers && peers::Toeplitz::missing() == nullptr) {
    peer = std::make_unique<peers::Toeplitz>(
        Toeplitz::kMicrosoftKey.data(), reinterpret_cast<const std::uint8_t*>(tuples.data()), sizeof(Tuple), kItems);
    what.peer = [&] { return hash_trial(n, out, [&] { peer->hash(out.data()); }); };
  }
  harness.run(what);
}

// ------------------------------------------------------------------------------------------------------------ SipHash

/// SipHash-2-4 of `kSize` bytes, a multiple of 8, written straight from its definition; the size known to the compiler.
template <std::size_t kSize>
std::uint64_t reference_siphash(const std::uint8_t* bytes, SipHashKey key) {
  std::uint64_t a = key.k0 ^ 0x736f6d6570736575, b = key.k1 ^ 0x646f72616e646f6d;
  std::uint64_t c = key.k0 ^ 0x6c7967656e657261, d = key.k1 ^ 0x7465646279746573;
  const auto mix = [&](int times) {
    for (int i = 0; i < times; ++i) {
      a += b, c += d;
      b = std::rotl(b, 13) ^ a, d = std::rotl(d, 16) ^ c;
      a = std::rotl(a, 32);
      c += b, a += d;
      b = std::rotl(b, 17) ^ c, d = std::rotl(d, 21) ^ a;
      c = std::rotl(c, 32);
    }
  };
  const auto absorb = [&](std::uint64_t word) {
    d ^= word;
    mix(2);
    a ^= word;
  };
  for (std::size_t i = 0; i < kSize; i += 8) absorb(load_unaligned<std::uint64_t>(bytes + i));
  absorb(std::uint64_t{kSize} << 56);
  c ^= 0xff;
  mix(4);
  return a ^ b ^ c ^ d;
}

template <FlowAddrType kType, std::size_t kSize>
void siphash_case(Harness& harness, const char* name) {
  if (!harness.wants(name)) return;
  std::vector<FlowKeys> keys(kItems);
  fill_random(std::span(keys), 2);
  for (FlowKeys& one : keys) one.addr_type = kType;
  std::vector<std::uint32_t> out(kItems);
  const SipHashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  const SipHash ours(key);
  const std::size_t n = rounds(harness, 300);
  Case what{.name = name, .unit = Unit::ns, .target = 4, .two_cpus = false, .ours = {}, .peer = {}};
  what.ours = [&] {
    return hash_trial(n, out, [&] {
      for (std::size_t i = 0; i < kItems; i += kSipHashBatch)
        ours.hash_batch(std::span(keys).subspan(i, kSipHashBatch), std::span(out).subspan(i, kSipHashBatch));
    });
  };
  what.peer = [&] {
    return hash_trial(n, out, [&] {
      for (std::size_t i = 0; i < kItems; ++i) {
        const std::uint8_t* bytes = reinterpret_cast<const std::uint8_t*>(&keys[i]) + FlowKeys::kHashStart;
        out[i] = std::max(1u, static_cast<std::uint32_t>(reference_siphash<kSize>(bytes, key)));
      }
    });
  };
  harness.run(what);
}

// ------------------------------------------------------------------------------------------------------------ dissect

/// A quarter each: IPv4, IPv4 behind a VLAN tag, IPv6, IPv4 with TCP; elsewhere every other eight are TCP, the rest
/// UDP.
std::vector<wire::Frame> mixed_frames() {
  Prng random(3);
  const auto address4 = [&] { return wire::Ip4(static_cast<std::uint32_t>(random.next())); };
  const auto address6 = [&] {
    wire::Ip6 address("2001:db8::");
    for (std::size_t i = 8; i < 16; ++i) address.bytes[i] = static_cast<std::uint8_t>(random.next());
    return address;
  };
  const auto port = [&] { return static_cast<unsigned>(random.between(1, 65535)); };
  std::vector<wire::Frame> frames;
  for (std::size_t i = 0; i < kItems; ++i) {
    wire::FrameBuilder frame;
    frame.eth();
    if (i % 4 == 1) frame.vlan(5);
    if (i % 4 == 2)
      frame.ipv6(address6(), address6());
    else
      frame.ipv4(address4(), address4());
    if (i % 4 == 3 || (i & 8) != 0)
      frame.tcp(port(), port());
    else
      frame.udp(port(), port());
    frames.push_back(frame.payload(26).pad().build());
  }
  return frames;
}

void dissect_case(Harness& harness, const char* name) {
  if (!harness.wants(name)) return;
  const std::vector<wire::Frame> frames = mixed_frames();
  std::vector<const std::uint8_t*> data;
  std::vector<std::uint32_t> sizes;
  for (const wire::Frame& frame : frames) {
    data.push_back(frame.data());
    sizes.push_back(static_cast<std::uint32_t>(frame.size()));
  }
  const std::size_t n = rounds(harness, 300);
  // Half again the peer's time is allowed: dissect() also copies out all that tells flows apart.
  Case what{.name = name, .unit = Unit::ns, .target = 2.0 / 3, .two_cpus = false, .ours = {}, .peer = {}};
  const auto repeat = [n](auto once) {
    return timed(n * kItems, [&] {
      std::uint64_t sum = 0;
      for (std::size_t round = 0; round < n; ++round) sum = once();
      return sum;
    });
  };
  what.ours = [&] {
    return repeat([&] {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < kItems; ++i) {
        FlowKeys keys;
        dissect({.data = data[i] + wire::EthernetView::kSize,
                 .len = sizes[i] - static_cast<std::uint32_t>(wire::EthernetView::kSize),
                 .protocol = wire::EthernetView{data[i]}.ether_type()},
                keys);
        sum += wire::EthernetView::kSize + keys.thoff;
        asm volatile("" : : "r"(&keys) : "memory");
      }
      return sum;
    });
  };
  std::unique_ptr<peers::Dissector> peer;
  if (harness.options().peers) {
    peer = std::make_unique<peers::Dissector>(peers::FrameList{data.data(), sizes.data(), frames.size()});
    what.peer = [&] { return repeat([&] { return peer->dissect(); }); };
  }
  harness.run(what);
}

}  // namespace

void hash_cases(Harness& harness) {
  toeplitz_case<RssTuple4>(harness, "toeplitz/ipv4");
  toeplitz_case<RssTuple6>(harness, "toeplitz/ipv6");
  siphash_case<FlowAddrType::ipv4, 48>(harness, "siphash/ipv4");
  siphash_case<FlowAddrType::ipv6, 72>(harness, "siphash/ipv6");
  dissect_case(harness, "dissect/mixed");
}

}  // namespace netrx::bench
