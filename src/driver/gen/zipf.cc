// SPDX-License-Identifier: Apache-2.0
#include "driver/gen/zipf.h"

#include <array>
#include <bit>
#include <numeric>

namespace netrx {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr int kFractionBits = 32;

/// log2(n) with kFractionBits bits after the point. n at least 1.
std::uint64_t log2_fixed(std::uint32_t n) {
  const auto whole = static_cast<std::uint64_t>(std::bit_width(n) - 1);
  std::uint64_t mantissa = std::uint64_t{n} << (63 - whole);  // in [1, 2), 63 bits after the point
  std::uint64_t result = whole;
  for (int i = 0; i < kFractionBits; ++i) {
    // Squaring doubles the logarithm: its next bit is whether the square reached 2.
    const auto square = static_cast<Wide>(mantissa) * mantissa;  // 126 bits after the point
    const bool reached_two = static_cast<std::uint64_t>(square >> 127) != 0;
    mantissa = static_cast<std::uint64_t>(square >> (reached_two ? 64 : 63));
    result = result << 1 | (reached_two ? 1 : 0);
  }
  return result;
}

std::uint64_t integer_sqrt(Wide n) {
  std::uint64_t root = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t candidate = root | std::uint64_t{1} << bit;
    if (static_cast<Wide>(candidate) * candidate <= n) root = candidate;
  }
  return root;
}

/// 2^(-2^-i) for i = 1..32, 63 bits after the point: square roots of one half, again and again.
std::array<std::uint64_t, kFractionBits> half_powers() {
  std::array<std::uint64_t, kFractionBits> powers{};
  std::uint64_t power = std::uint64_t{1} << 62;
  for (std::uint64_t& at : powers) at = power = integer_sqrt(static_cast<Wide>(power) << 63);
  return powers;
}

}  // namespace

std::vector<std::uint64_t> zipf_weights(std::uint32_t count, std::uint32_t s_thousandths) {
  constexpr std::uint64_t kTop = std::uint64_t{1} << 40;
  const std::array<std::uint64_t, kFractionBits> powers = half_powers();
  std::vector<std::uint64_t> weights(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto exponent = static_cast<Wide>(log2_fixed(i + 1)) * s_thousandths / 1000;
    const auto whole = static_cast<std::uint64_t>(exponent >> kFractionBits);
    const auto fraction = static_cast<std::uint32_t>(exponent);
    std::uint64_t weight = std::uint64_t{1} << 63;  // 63 bits after the point
    for (int bit = 0; bit < kFractionBits; ++bit) {
      if ((fraction >> (31 - bit) & 1) != 0)
        weight = static_cast<std::uint64_t>((static_cast<Wide>(weight) * powers[static_cast<std::size_t>(bit)]) >> 63);
    }
    weight = whole > 40 ? 0 : ((weight >> whole) + (std::uint64_t{1} << 22)) >> 23;
    weights[i] = weight == 0 ? 1 : weight < kTop ? weight : kTop;
  }
  return weights;
}

AliasTable::AliasTable(std::span<const std::uint64_t> weights) : slots_(weights.size()) {
  const std::uint64_t total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  // Scaled so that the average slot is exactly `total`: a slot keeps what it has up to that, and the rest of it is
  // filled from a slot that has more.
  std::vector<Wide> has(weights.size());
  std::vector<std::uint32_t> poor, rich;
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    has[i] = static_cast<Wide>(weights[i]) * weights.size();
    (has[i] < total ? poor : rich).push_back(i);
  }
  for (std::uint32_t i = 0; i < weights.size(); ++i) slots_[i] = {~0u, i};
  while (!poor.empty() && !rich.empty()) {
    const std::uint32_t to = poor.back();
    const std::uint32_t from = rich.back();
    poor.pop_back();
    slots_[to] = {static_cast<std::uint32_t>((has[to] << 32) / total), from};
    has[from] -= total - has[to];
    if (has[from] >= total) continue;
    rich.pop_back();
    poor.push_back(from);
  }
}

}  // namespace netrx
