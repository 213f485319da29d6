// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace netrx {

/// A fuzzer's bytes, read as instructions; zeros behind their end.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::uint16_t word() {
    const std::uint8_t low = byte();
    return static_cast<std::uint16_t>(low | byte() << 8);
  }
  /// As many of `n` as are left.
  std::vector<std::uint8_t> bytes(std::size_t n) {
    std::vector<std::uint8_t> taken;
    for (; n > 0 && left_ > 0; --n) taken.push_back(byte());
    return taken;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

/// Ends the run with these words unless it holds: the fuzzer keeps the input.
inline void fuzz_check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

}  // namespace netrx
