// SPDX-License-Identifier: Apache-2.0
// A stream of vhost-user messages from a stranger: to the device, with files beside some of them, and to the driver, as
// answers. Each end says what is wrong and closes; nothing is read beyond what was shared.
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "driver/vhost_user/back_end.h"
#include "driver/vhost_user/eventfd.h"
#include "driver/vhost_user/front_end.h"

namespace {

using namespace netrx;

struct Pair {
  OwnedFd ours, theirs;
  Pair() {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    ours = OwnedFd(fds[0]);
    theirs = OwnedFd(fds[1]);
  }
};

/// Requests are cut from the input: request, flags, number of files, size, payload.
void to_the_device(std::span<const std::uint8_t> input) {
  Pair pair;
  vhost::BackEnd device(std::move(pair.ours), virtio::Features{~std::uint64_t{0}}, 2);
  vhost::Connection driver(std::move(pair.theirs));
  const auto memory = vhost::SharedBlock::create(1 << 16);
  const OwnedFd event = vhost::make_eventfd();
  while (input.size() >= 4) {
    const auto request = static_cast<vhost::Request>(input[0]);
    const std::uint32_t flags = input[1] & 12u;
    const std::size_t files = input[2] % 3u, size = std::min<std::size_t>(input[3], input.size() - 4);
    const bool maps = request == vhost::Request::set_mem_table || request == vhost::Request::set_inflight_fd;
    const int fd = maps ? memory->fd() : event.get();
    const std::array<int, 2> all{fd, fd};
    if (!driver.send(request, flags, input.subspan(4, size), std::span(all).first(files))) return;
    input = input.subspan(4 + size);
    if (!device.handle()) return;
    for (vhost::Vring& vring : device.vrings()) {
      Packet packet;
      std::array<std::uint8_t, 100> frame{};
      packet.head = packet.data = frame.data();
      packet.len = packet.buffer_size = frame.size();
      if (vring.running() && vring.filler) (void)vring.filler->put(packet);
      if (vring.running() && vring.drainer)
        (void)vring.drainer->drain(9, [](const virtio::NetHeader&, std::span<const std::uint8_t>) {});
      if (vring.running()) (void)vring.ring->call_prepare();
    }
    std::array<std::uint8_t, 4096> answers;
    (void)!recv(driver.fd(), answers.data(), answers.size(), MSG_DONTWAIT);
  }
}

void to_the_driver(std::span<const std::uint8_t> input) {
  Pair pair;
  if (send(pair.theirs.get(), input.data(), std::min<std::size_t>(input.size(), 60'000), MSG_DONTWAIT) < 0) return;
  shutdown(pair.theirs.get(), SHUT_WR);
  vhost::QueueCounters counters;
  RxQueueStats stats;
  const OwnedFd event = vhost::make_eventfd();
  const vhost::QueueEnds ends{&counters, &stats, event.get()};
  const auto front = vhost::FrontEnd::open(std::move(pair.ours), {.ring = 8}, {&ends, 1});
  if (front) (*front)->close();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> input(data + 1, size - 1);
  if ((data[0] & 1) != 0)
    to_the_device(input);
  else
    to_the_driver(input);
  return 0;
}
