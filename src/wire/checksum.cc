// SPDX-License-Identifier: Apache-2.0
#include "wire/checksum.h"

#include "wire/checksum_simd.h"

namespace netrx::wire {
namespace {

std::uint32_t fold_64(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  return static_cast<std::uint32_t>(sum);
}

/// a + b with the carry brought round.
std::uint64_t add_64(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

/// Up to 7 bytes, as the start of a word that ends in zeros.
std::uint64_t tail_word(const std::uint8_t* at, std::size_t size) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, size);
  return word;
}

}  // namespace

std::uint32_t csum_partial_scalar(std::span<const std::uint8_t> bytes, std::uint32_t sum) {
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  // Four sums at once: each addition with its carry waits for the one before it, so one sum would leave the unit idle.
  std::uint64_t a = sum, b = 0, c = 0, d = 0;
  for (; left >= 32; left -= 32, at += 32) {
    a = add_64(a, load_unaligned<std::uint64_t>(at));
    b = add_64(b, load_unaligned<std::uint64_t>(at + 8));
    c = add_64(c, load_unaligned<std::uint64_t>(at + 16));
    d = add_64(d, load_unaligned<std::uint64_t>(at + 24));
  }
  std::uint64_t total = add_64(add_64(a, b), add_64(c, d));
  for (; left >= 8; left -= 8, at += 8) total = add_64(total, load_unaligned<std::uint64_t>(at));
  if (left != 0) total = add_64(total, tail_word(at, left));
  return fold_64(total);
}

std::uint32_t csum_partial(std::span<const std::uint8_t> bytes, std::uint32_t sum) {
#if defined(NETRX_X86)
  // A load and a test each: the answers are where the C runtime left them before main.
  if (bytes.size() >= kCsumBlock && has_csum_avx512())
    return fold_64(add_64(csum_avx512(bytes.data(), bytes.size()), sum));
  if (bytes.size() >= kCsumBlock && __builtin_cpu_supports("avx2")) {
    const std::size_t blocks = bytes.size() / kCsumBlock;
    sum = fold_64(add_64(csum_blocks_avx2(bytes.data(), blocks), sum));
    bytes = bytes.subspan(blocks * kCsumBlock);
  }
#endif
  return csum_partial_scalar(bytes, sum);
}

std::uint32_t csum_pseudo_header(std::span<const std::uint8_t> addresses, std::uint8_t protocol, std::uint32_t length) {
  const std::uint32_t sum = csum_partial(addresses, static_cast<std::uint32_t>(to_be32(length)));
  return csum_add(sum, static_cast<std::uint32_t>(to_be32(protocol)));
}

}  // namespace netrx::wire
