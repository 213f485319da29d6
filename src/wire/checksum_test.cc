// SPDX-License-Identifier: Apache-2.0
#include "wire/checksum.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/prng.h"
#include "wire/checksum_simd.h"

namespace netrx::wire {
namespace {

/// RFC 1071, word by word.
Be16 naive_checksum(std::span<const std::uint8_t> bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) sum += bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return to_be16(static_cast<std::uint16_t>(~sum));
}

std::vector<std::uint8_t> random_bytes(Prng& prng, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(prng.below(3) == 0 ? 0xff : prng.next());
  return bytes;
}

TEST(Checksum, ExampleOfRfc1071) {
  const std::vector<std::uint8_t> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(csum_fold(csum_partial(bytes)), to_be16(static_cast<std::uint16_t>(~0xddf2)));
}
TEST(Checksum, EveryLengthEqualsTheNaiveOne) {
  Prng prng(1);
  for (std::size_t size = 0; size < 2000; ++size) {
    const std::vector<std::uint8_t> bytes = random_bytes(prng, size);
    ASSERT_EQ(csum_fold(csum_partial(bytes)), naive_checksum(bytes)) << size;
    ASSERT_EQ(csum_fold(csum_partial_scalar(bytes)), naive_checksum(bytes)) << size;
  }
}
#if defined(NETRX_X86)
// csum_partial() takes the widest unit there is; the others are asked here.
TEST(Checksum, EveryVectorUnitOfThisCpuEqualsTheNaiveOne) {
  const auto folded = [](std::uint64_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<Be16>(static_cast<std::uint16_t>(~sum));
  };
  Prng prng(4);
  for (std::size_t size = 0; size < 3000; ++size) {
    const std::vector<std::uint8_t> bytes = random_bytes(prng, size);
    if (has_csum_avx512()) {
      ASSERT_EQ(folded(csum_avx512(bytes.data(), size)), naive_checksum(bytes)) << size;
    }
    const std::size_t blocks = size / kCsumBlock;
    if (__builtin_cpu_supports("avx2")) {
      ASSERT_EQ(folded(csum_blocks_avx2(bytes.data(), blocks)),
                naive_checksum(std::span(bytes).first(blocks * kCsumBlock)))
          << size;
    }
  }
}
#endif
TEST(Checksum, AnyAlignmentAndAnyStart) {
  Prng prng(3);
  const std::vector<std::uint8_t> bytes = random_bytes(prng, 4000);
  for (std::size_t from = 0; from < 70; ++from) {
    const std::span<const std::uint8_t> part = std::span(bytes).subspan(from, 3000);
    const auto start = static_cast<std::uint32_t>(prng.next());
    ASSERT_EQ(csum_fold(csum_partial(part, start)), csum_fold(csum_partial_scalar(part, start))) << from;
  }
}
TEST(Checksum, LongBlocksDoNotOverflowTheLanes) {
  for (const int byte : {0x00, 0x7f, 0x80, 0xff}) {
    const std::vector<std::uint8_t> bytes((4096 * 3 + 1) * 128 + 77, static_cast<std::uint8_t>(byte));
    EXPECT_EQ(csum_fold(csum_partial(bytes)), naive_checksum(bytes)) << byte;
  }
}
TEST(Checksum, AllOnesOfTheLargestFrame) {
  const std::vector<std::uint8_t> bytes(1 << 20, 0xff);
  EXPECT_EQ(csum_fold(csum_partial(bytes)), Be16{0});
}
TEST(Checksum, PartsAddUpAtAnyOffset) {
  Prng prng(2);
  for (int i = 0; i < 2000; ++i) {
    const std::vector<std::uint8_t> bytes = random_bytes(prng, prng.between(1, 200));
    const std::size_t cut = prng.below(bytes.size() + 1);
    const std::uint32_t first = csum_partial(std::span(bytes).first(cut));
    const std::uint32_t second = csum_partial(std::span(bytes).subspan(cut));
    const std::uint32_t both = csum_block_add(first, second, cut);
    ASSERT_EQ(csum_fold(both), naive_checksum(bytes));
    if (cut % 2 == 0) {
      ASSERT_EQ(csum_fold(csum_partial(std::span(bytes).subspan(cut), first)), naive_checksum(bytes));
      // One's complement has two zeros, so compare what a receiver would conclude: the difference is nothing.
      const std::uint32_t difference = csum_sub(csum_sub(both, first), second);
      ASSERT_TRUE(csum_fold(difference) == Be16{0} || csum_fold(difference) == Be16{0xffff}) << std::hex << difference;
    }
  }
}
TEST(Checksum, IntactAndDamagedDatagram) {
  // UDP 10.0.0.1:1 -> 10.0.0.2:2, payload "hi".
  const std::vector<std::uint8_t> addresses{10, 0, 0, 1, 10, 0, 0, 2};
  std::vector<std::uint8_t> datagram{0, 1, 0, 2, 0, 10, 0, 0, 'h', 'i'};
  const std::uint32_t pseudo = csum_pseudo_header(addresses, 17, 10);
  const Be16 checksum = csum_fold(csum_partial(datagram, pseudo));
  // By hand: 0a00+0001+0a00+0002+0011+000a + 0001+0002+000a+6869 = 7c94.
  EXPECT_EQ(checksum, to_be16(static_cast<std::uint16_t>(~0x7c94)));
  std::memcpy(&datagram[6], &checksum, 2);
  EXPECT_TRUE(csum_ok(datagram, pseudo));
  datagram[9] ^= 1;
  EXPECT_FALSE(csum_ok(datagram, pseudo));
}

}  // namespace
}  // namespace netrx::wire
