// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace netrx {

/// Seeded pseudo-random numbers, the same on every machine: SplitMix64 (Steele, Lea, Flood 2014). No floats, so
/// that a seed replays bit for bit. Not for secrets.
class Prng {
 public:
  explicit Prng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, n); 0 for n = 0.
  std::uint64_t below(std::uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * n) >> 64);
  }

  /// Uniform in [low, high], both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }

  /// True `parts` times in a million on average.
  bool chance_ppm(std::uint32_t parts) { return below(1'000'000) < parts; }

  /// A generator of its own, independent of what this one yields later.
  Prng fork() { return Prng(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace netrx
