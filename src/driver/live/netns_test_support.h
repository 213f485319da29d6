// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "driver/live/owned_fd.h"

/// Tests on interfaces of the kernel, in network namespaces of their own. A namespace and all that is in it goes when
/// the last thread and file in it are gone, so there is nothing to clean up, whatever happens.
namespace netrx {

/// What `probe`, run in a network namespace of its own, says is missing, or that there can't be one; empty: nothing.
template <class Probe>
std::string missing_in_new_netns(Probe probe) {
  const OwnedFd before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!before.valid() || unshare(CLONE_NEWNET) != 0) return "needs root (CAP_SYS_ADMIN) for a network namespace";
  const std::string missing = probe();
  return setns(before.get(), CLONE_NEWNET) != 0 ? "can't return to its network namespace" : missing;
}

/// What this process lacks to make network namespaces and interfaces; empty: nothing.
inline std::string missing_for_netns() {
  return missing_in_new_netns(
      [] { return std::string(system("ip -V > /dev/null 2>&1") != 0 ? "needs Debian's iproute2" : ""); });
}

inline std::string missing_for_tun() {
  const OwnedFd tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  return tun.valid() ? missing_for_netns() : "needs /dev/net/tun (modprobe tun)";
}

/// Runs one shell command in the namespace of the calling thread.
inline void shell(const std::string& command) { EXPECT_EQ(system(command.c_str()), 0) << command; }

/// Waits until what is sent by the interface really leaves: the kernel starts its queues some time after it is up.
inline void wait_until_running(const std::string& interface) {
  shell("timeout 20 sh -c 'until ip link show dev " + interface + " | grep -q \"state U[PN]\"; do sleep 0.005; done'");
}

/// Moves the calling thread into a new, silent namespace: nothing in it sends by itself.
inline void enter_new_netns() {
  ASSERT_EQ(unshare(CLONE_NEWNET), 0) << std::strerror(errno);
  for (const char* which : {"all", "default"}) {
    const std::string path = std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6";
    const OwnedFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.valid()) {
      EXPECT_EQ(write(file.get(), "1", 1), 1);
    }
  }
  shell("ip link set lo up");
}

/// Sends and receives whole frames by one interface, as the kernel's own side of it.
class RawSocket {
 public:
  explicit RawSocket(const std::string& interface, bool vnet_hdr = false)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    address_.sll_family = AF_PACKET;
    address_.sll_protocol = htons(ETH_P_ALL);
    address_.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0) << interface;
    const int room = 8 << 20;
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    const int on = vnet_hdr ? 1 : 0;
    EXPECT_EQ(setsockopt(fd_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on), 0);
  }

  void send(std::span<const std::uint8_t> frame) {
    EXPECT_EQ(::write(fd_.get(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()))
        << std::strerror(errno);
  }

  /// The next frame that came in (not one sent out here); empty after `patience` without one.
  std::vector<std::uint8_t> receive(std::chrono::milliseconds patience = std::chrono::seconds(2)) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
      pollfd fd{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&fd, 1, static_cast<int>(patience.count())) <= 0) break;
      std::vector<std::uint8_t> frame(80'000);
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t n = recvfrom(fd_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n < 0) break;
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      frame.resize(static_cast<std::size_t>(n));
      return frame;
    }
    return {};
  }

 private:
  OwnedFd fd_;
  sockaddr_ll address_{};
};

}  // namespace netrx
