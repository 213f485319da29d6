// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <string>

#include "netrx/flow.h"
#include "wire/toeplitz_batch.h"

namespace netrx {
namespace {

/// The 32 key bits that input bit `bit` (0 = first bit on the wire) switches on.
std::uint32_t key_window(std::span<const std::uint8_t> key, std::size_t bit) {
  std::uint64_t five_bytes = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t at = bit / 8 + i;
    five_bytes = five_bytes << 8 | (at < key.size() ? key[at] : 0);
  }
  return static_cast<std::uint32_t>(five_bytes >> (8 - bit % 8));
}

void fill_nibbles(std::span<const std::uint8_t> key, Toeplitz::Tables& tables) {
  for (std::size_t nibble = 0; nibble < tables.nibble.size(); ++nibble) {
    for (std::uint32_t value = 0; value < 16; ++value) {
      std::uint32_t sum = 0;
      for (std::size_t bit = 0; bit < 4; ++bit) {
        if ((value & (8u >> bit)) != 0) sum ^= key_window(key, nibble * 4 + bit);
      }
      tables.nibble[nibble][value] = sum;
    }
  }
}

void fill_shuffles(Toeplitz::Tables& tables) {
  for (std::size_t i = 0; i < 2 * tables.shuffle.size(); ++i) {
    for (std::size_t out = 0; out < 4; ++out) {
      for (std::size_t value = 0; value < 16; ++value) {
        tables.shuffle[i / 2][i % 2][out][value] = static_cast<std::uint8_t>(tables.nibble[i][value] >> (8 * out));
      }
    }
  }
}

/// What input byte `in` contributes to byte `out` of the hash. gf2p8affineqb computes bit m of its result as the parity
/// of (input & byte 7 - m of the matrix).
std::uint64_t byte_matrix(std::span<const std::uint8_t> key, std::size_t in, std::size_t out) {
  std::uint64_t matrix = 0;
  for (std::size_t m = 0; m < 8; ++m) {
    for (std::size_t k = 0; k < 8; ++k) {
      const std::uint64_t on = key_window(key, in * 8 + 7 - k) >> (8 * out + m) & 1;
      matrix |= on << (8 * (7 - m) + k);
    }
  }
  return matrix;
}

Toeplitz::Tables::Matrices matrices(std::span<const std::uint8_t> key, const std::array<std::size_t, 8>& input_bytes) {
  Toeplitz::Tables::Matrices result;
  for (std::size_t out = 0; out < 4; ++out) {
    for (std::size_t lane = 0; lane < 8; ++lane) result[out][lane] = byte_matrix(key, input_bytes[lane], out);
  }
  return result;
}

void fill_matrices(std::span<const std::uint8_t> key, Toeplitz::Tables& tables) {
  tables.ipv4 = {matrices(key, {0, 1, 2, 3, 4, 5, 6, 7}), matrices(key, {8, 9, 10, 11, 8, 9, 10, 11})};
  tables.ipv6 = {matrices(key, {0, 1, 4, 5, 8, 9, 12, 13}), matrices(key, {2, 3, 6, 7, 10, 11, 14, 15}),
                 matrices(key, {16, 17, 20, 21, 24, 25, 28, 29}), matrices(key, {18, 19, 22, 23, 26, 27, 30, 31}),
                 matrices(key, {32, 33, 34, 35, 32, 33, 34, 35})};
}

std::uint32_t hash_bytes(const Toeplitz::Tables& tables, std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum ^= tables.nibble[2 * i][bytes[i] >> 4] ^ tables.nibble[2 * i + 1][bytes[i] & 15];
  }
  return sum;
}

template <class Tuple>
std::span<const std::uint8_t, sizeof(Tuple)> bytes_of(const Tuple& tuple) {
  return std::span<const std::uint8_t, sizeof(Tuple)>(reinterpret_cast<const std::uint8_t*>(&tuple), sizeof(Tuple));
}

template <class Tuple>
void hash_batch_scalar(const Toeplitz::Tables& tables, const Tuple* in, std::size_t count, std::uint32_t* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = hash_bytes(tables, bytes_of(in[i]));
}

}  // namespace

Toeplitz::Toeplitz(SimdLevel level) : Toeplitz(kMicrosoftKey, level) {}

Toeplitz::Toeplitz(std::span<const std::uint8_t> key, SimdLevel level)
    : key_size_(key.size()),
      level_(std::min(level, best_simd_level())),
      batch4_(hash_batch_scalar<RssTuple4>),
      batch6_(hash_batch_scalar<RssTuple6>) {
#if defined(NETRX_X86)
  if (level_ == SimdLevel::avx2) batch4_ = wire::toeplitz_batch_avx2, batch6_ = wire::toeplitz_batch_avx2;
  if (level_ == SimdLevel::avx512) batch4_ = wire::toeplitz_batch_avx512, batch6_ = wire::toeplitz_batch_avx512;
#endif
  std::ranges::copy(key, key_.begin());
  fill_nibbles(key, tables_);
  fill_shuffles(tables_);
  fill_matrices(key, tables_);
}

Result<Toeplitz> Toeplitz::create(std::span<const std::uint8_t> key, SimdLevel level) {
  if (key.size() < kMinKey || key.size() > kMaxKey) {
    return fail(EINVAL, "RSS hash key of " + std::to_string(key.size()) + " bytes: give " + std::to_string(kMinKey) +
                            " to " + std::to_string(kMaxKey));
  }
  return Toeplitz(key, level);
}

std::uint32_t Toeplitz::hash(std::span<const std::uint8_t> bytes) const {
  return hash_bytes(tables_, bytes.first(std::min(bytes.size(), key_size_ - 4)));
}

std::uint32_t Toeplitz::hash(const RssTuple4& tuple) const { return hash_bytes(tables_, bytes_of(tuple)); }
std::uint32_t Toeplitz::hash(const RssTuple6& tuple) const { return hash_bytes(tables_, bytes_of(tuple)); }

std::uint32_t Toeplitz::hash(const RssInput& input) const {
  switch (input.kind) {
    case RssKind::none: return 0;
    case RssKind::ipv4:
    case RssKind::ipv4_ports: return hash(input.v4);
    case RssKind::ipv6:
    case RssKind::ipv6_ports: return hash(input.v6);
  }
  return 0;
}

void Toeplitz::hash_batch(std::span<const RssTuple4> in, std::span<std::uint32_t> out) const {
  batch4_(tables_, in.data(), in.size(), out.data());
}

void Toeplitz::hash_batch(std::span<const RssTuple6> in, std::span<std::uint32_t> out) const {
  batch6_(tables_, in.data(), in.size(), out.data());
}

}  // namespace netrx
