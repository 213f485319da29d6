// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_socket.h"

#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "driver/live/interface.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

namespace netrx {

namespace {

std::unexpected<Error> explain(const XdpSocketRequest& request, const std::string& what, int code) {
  std::string text = "af_xdp: " + request.interface + " queue " + std::to_string(request.queue) + ": " + what + ": " +
                     errno_text(code);
  switch (code) {
    case EPERM:
    case EACCES: text += "; needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF: run as root"; break;
    case ENOBUFS:
    case ENOMEM: text += "; raise the limit of locked memory (ulimit -l unlimited), or give fewer: frames=N"; break;
    case EBUSY: text += "; another AF_XDP socket has this queue: name another one, " + request.interface + ":N"; break;
    case EINVAL: text += "; the interface has no such queue: `netrx devices` lists them"; break;
    case EOPNOTSUPP: text += "; its driver has no zero-copy: leave zerocopy=auto"; break;
    case EAFNOSUPPORT: text += "; the kernel lacks CONFIG_XDP_SOCKETS: af_packet will do there"; break;
    default: break;
  }
  return fail(code, text);
}

}  // namespace

Result<std::unique_ptr<XdpMemory>> XdpMemory::create(const XdpSocketRequest& request) {
  const std::size_t size = std::size_t{request.rx_frames + request.tx_frames} * kFrameSize;
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return explain(request, "memory for frames", errno);
  return std::unique_ptr<XdpMemory>(new XdpMemory(static_cast<std::uint8_t*>(at), size));
}

XdpMemory::~XdpMemory() { munmap(at_, size_); }

Result<std::unique_ptr<XdpSocket>> XdpSocket::open(const XdpSocketRequest& request, const XdpMemory& memory) {
  // The kernel lets go of a closed socket's queue a moment later, by a work queue.
  constexpr auto kMoment = std::chrono::milliseconds(20);
  for (int again = 50;; --again) {
    std::unique_ptr<XdpSocket> socket(new XdpSocket(request));
    if (const auto ok = socket->share(memory); !ok) return std::unexpected(ok.error());
    const auto bound = socket->bind();
    if (bound) return socket;
    if (bound.error().code != EBUSY || again == 0) return std::unexpected(bound.error());
    std::this_thread::sleep_for(kMoment);
  }
}

XdpSocket::~XdpSocket() {
  if (socket_ != nullptr) xsk_socket__delete(socket_);
  if (umem_ != nullptr) xsk_umem__delete(umem_);
}

Result<void> XdpSocket::share(const XdpMemory& memory) {
  xsk_umem_config config{};
  config.fill_size = std::max(request_.rx_frames, 64u);
  config.comp_size = request_.tx_frames;
  config.frame_size = XdpMemory::kFrameSize;
  const int code = -xsk_umem__create(&umem_, memory.frame(0), memory.size(), &fill, &completion, &config);
  if (code != 0) return explain(request_, "sharing memory", code);
  return {};
}

Result<void> XdpSocket::bind() {
  xsk_socket_config config{};
  config.rx_size = std::max(request_.rx_frames, 64u);
  config.tx_size = request_.tx_frames;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = XDP_USE_NEED_WAKEUP;
  if (request_.zero_copy == XdpSocketRequest::ZeroCopy::on) config.bind_flags |= XDP_ZEROCOPY;
  if (request_.zero_copy == XdpSocketRequest::ZeroCopy::off) config.bind_flags |= XDP_COPY;
  const int code = -xsk_socket__create(&socket_, request_.interface.c_str(), request_.queue, umem_,
                                       request_.rx_frames == 0 ? nullptr : &rx, &tx, &config);
  if (code != 0) return explain(request_, "binding the socket", code);
  if (!request_.busy_poll) return {};
  const int on = 1, microseconds = 20, budget = 64;
  if (setsockopt(fd(), SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof on) != 0 ||
      setsockopt(fd(), SOL_SOCKET, SO_BUSY_POLL, &microseconds, sizeof microseconds) != 0 ||
      setsockopt(fd(), SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget) != 0)
    return fail(errno, "af_xdp: busy-poll=on: " + errno_text(errno) + "; leave busy-poll=off (it needs Linux 5.11)");
  return {};
}

bool XdpSocket::zero_copy() const {
  xdp_options options{};
  socklen_t size = sizeof options;
  return getsockopt(fd(), SOL_XDP, XDP_OPTIONS, &options, &size) == 0 && (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

bool XdpSocket::bound() const {
  // Asks for nothing: whatever else may be wrong comes after this in the kernel.
  return recvfrom(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) >= 0 || errno != ENXIO;
}

Result<void> XdpSocket::put_into(int map) {
  const int code = -xsk_socket__update_xskmap(socket_, map);
  if (code != 0) return explain(request_, "into the map of sockets", code);
  return {};
}

std::uint64_t XdpSocket::drops() const {
  xdp_statistics counts{};
  socklen_t size = sizeof counts;
  if (getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &counts, &size) != 0) return 0;
  return counts.rx_dropped + counts.rx_ring_full;
}

}  // namespace netrx
