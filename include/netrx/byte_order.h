// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace netrx {

/// A value in network byte order, exactly as its bytes stand in the frame. The type keeps wire order and host order
/// apart.
enum class Be16 : std::uint16_t {};
enum class Be32 : std::uint32_t {};

static_assert(std::endian::native == std::endian::little, "netrx is built for little-endian hosts");

constexpr Be16 to_be16(std::uint16_t host) { return Be16{__builtin_bswap16(host)}; }
constexpr Be32 to_be32(std::uint32_t host) { return Be32{__builtin_bswap32(host)}; }
constexpr std::uint16_t to_host(Be16 wire) { return __builtin_bswap16(static_cast<std::uint16_t>(wire)); }
constexpr std::uint32_t to_host(Be32 wire) { return __builtin_bswap32(static_cast<std::uint32_t>(wire)); }

/// Reads a trivially copyable value from bytes of any alignment.
template <class T>
T load_unaligned(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace netrx
