// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "netrx/byte_order.h"
#include "netrx/flow.h"

/// The internet checksum (RFC 1071), in the kernel's two stages: a 32-bit running sum that is cheap to extend and
/// combine, and a fold that turns it into the 16 bits of a header. A running sum is only defined modulo 0xffff: compare
/// folded values. Sums count bytes as they stand in memory, so csum_fold() yields a value to be stored as it is.
namespace netrx::wire {

/// Adds `bytes` to `sum`. A block that is not the last must have an even length. Long ones go through the CPU's vector
/// unit. Kernel: csum_partial
std::uint32_t csum_partial(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0);

/// The same without a vector unit.
std::uint32_t csum_partial_scalar(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0);

/// Kernel: csum_add
constexpr std::uint32_t csum_add(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

/// Takes the sum of a block out of the sum of a whole. Kernel: csum_sub
constexpr std::uint32_t csum_sub(std::uint32_t sum, std::uint32_t block) { return csum_add(sum, ~block); }

/// Adds the sum of a block that starts `offset` bytes into the whole. Kernel: csum_block_add
constexpr std::uint32_t csum_block_add(std::uint32_t sum, std::uint32_t block, std::size_t offset) {
  return csum_add(sum, offset % 2 == 0 ? block : block << 8 | block >> 24);
}

/// The checksum to store in a header whose own checksum field counted as 0; over data with a correct checksum: 0.
/// Kernel: csum_fold
constexpr Be16 csum_fold(std::uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return Be16{static_cast<std::uint16_t>(~sum)};
}

/// Whether an IPv4 header without options is intact: 0 then. Kernel: ip_fast_csum, over the checksum field too.
inline Be16 ip_fast_csum(const std::uint8_t* header) {
  const auto word = [header](std::size_t at) { return std::uint64_t{load_unaligned<std::uint32_t>(header + at)}; };
  const std::uint64_t sum = word(0) + word(4) + word(8) + word(12) + word(16);
  return csum_fold(csum_add(static_cast<std::uint32_t>(sum), static_cast<std::uint32_t>(sum >> 32)));
}

/// The sum of the pseudo header: `addresses` is source and destination as they stand in the IP header (8 or 32 bytes),
/// `length` that of the transport header and its payload. Kernel: csum_tcpudp_nofold, and the same for IPv6.
std::uint32_t csum_pseudo_header(std::span<const std::uint8_t> addresses, std::uint8_t protocol, std::uint32_t length);

/// Whether a header or datagram that includes its checksum field is intact. `sum` is that of the pseudo header.
inline bool csum_ok(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
  return csum_fold(csum_partial(bytes, sum)) == Be16{};
}

}  // namespace netrx::wire
