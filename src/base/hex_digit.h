// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace netrx {

/// The value of a hex digit in either case, -1 for any other character. Kernel: hex_to_bin.
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace netrx
