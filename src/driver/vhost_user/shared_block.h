// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver/live/owned_fd.h"
#include "netrx/error.h"

namespace netrx::vhost {

/// Memory for a device to see: a memfd whose size is sealed, so that the device can't make reading it a crash. Holds
/// rings and frames and nothing else. Pages come when they are first touched.
class SharedBlock {
 public:
  /// Where the device finds it. Says nothing of where it lies in this process.
  static constexpr std::uint64_t kAddress = 0x1'0000'0000;

  static Result<SharedBlock> create(std::size_t bytes);
  SharedBlock(SharedBlock&& other) noexcept;
  SharedBlock& operator=(SharedBlock&&) = delete;
  ~SharedBlock();

  /// The next `bytes` bytes of the block, on a page of their own; it was made large enough.
  std::size_t take(std::size_t bytes);
  /// What take() adds up to, for create().
  static constexpr std::size_t pages(std::size_t bytes) { return (bytes + 4095) & ~std::size_t{4095}; }

  std::uint8_t* at(std::size_t offset) const { return memory_ + offset; }
  std::size_t size() const { return size_; }
  int fd() const { return fd_.get(); }

 private:
  SharedBlock(OwnedFd fd, std::uint8_t* memory, std::size_t size) : fd_(std::move(fd)), memory_(memory), size_(size) {}

  OwnedFd fd_;
  std::uint8_t* memory_;
  std::size_t size_;
  std::size_t used_ = 0;
};

}  // namespace netrx::vhost
