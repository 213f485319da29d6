// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/shared_block.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace netrx::vhost {

Result<SharedBlock> SharedBlock::create(std::size_t bytes) {
  OwnedFd fd(memfd_create("netrx", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool sized = fd.valid() && ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0 &&
                     fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
  void* memory = sized ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0) : MAP_FAILED;
  if (memory == MAP_FAILED)
    return fail(errno, std::to_string(bytes) + " bytes of shared memory: " + std::strerror(errno) +
                           "; ask for fewer queues or a smaller ring");
  return SharedBlock(std::move(fd), static_cast<std::uint8_t*>(memory), bytes);
}

SharedBlock::SharedBlock(SharedBlock&& other) noexcept
    : fd_(std::move(other.fd_)),
      memory_(std::exchange(other.memory_, nullptr)),
      size_(other.size_),
      used_(other.used_) {}

SharedBlock::~SharedBlock() {
  if (memory_ != nullptr) munmap(memory_, size_);
}

std::size_t SharedBlock::take(std::size_t bytes) {
  const std::size_t at = used_;
  used_ += pages(bytes);
  return at;
}

}  // namespace netrx::vhost
