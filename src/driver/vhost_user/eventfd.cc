// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/eventfd.h"

#include <sys/eventfd.h>
#include <sys/uio.h>

#include <cstdint>

namespace netrx::vhost {

OwnedFd make_eventfd() { return OwnedFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

void signal(int fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof one);
}

bool drain(int fd) {
  std::uint64_t count = 0;
  iovec into{.iov_base = &count, .iov_len = sizeof count};
  return preadv2(fd, &into, 1, -1, RWF_NOWAIT) == sizeof count;
}

}  // namespace netrx::vhost
