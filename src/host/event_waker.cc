// SPDX-License-Identifier: Apache-2.0
#include "host/event_waker.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <system_error>

namespace netrx {

namespace {
constexpr std::size_t kMaxWatched = 64;
}

EventWaker::EventWaker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

EventWaker::~EventWaker() { close(fd_); }

void EventWaker::wake() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the sleeper has been woken 2^64 - 2 times over.
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
}

void EventWaker::sleep(Nanos at_most, std::span<const int> fds) {
  std::array<pollfd, kMaxWatched + 1> watched;
  watched[0] = {.fd = fd_, .events = POLLIN, .revents = 0};
  const std::size_t extra = std::min(fds.size(), kMaxWatched);
  for (std::size_t i = 0; i < extra; ++i) watched[i + 1] = {.fd = fds[i], .events = POLLIN, .revents = 0};
  timespec limit{};
  const Nanos bounded = std::max(at_most, Nanos{0});
  limit.tv_sec = static_cast<time_t>(bounded / std::chrono::seconds(1));
  limit.tv_nsec = static_cast<long>((bounded % std::chrono::seconds(1)).count());
  ppoll(watched.data(), extra + 1, at_most == kNever ? nullptr : &limit, nullptr);
  if (watched[0].revents & POLLIN) {
    std::uint64_t count;
    [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
  }
}

}  // namespace netrx
