// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "driver/live/owned_fd.h"
#include "netrx/error.h"
#include "netrx/time.h"

namespace netrx {

/// How an interface is received from by packet sockets.
struct PacketRequest {
  std::string interface;
  std::size_t queues = 1;  ///< sockets; with several the kernel spreads frames over them
  int fanout = 0;          ///< by what rule. Kernel: PACKET_FANOUT_*
  bool rxhash = false;     ///< the kernel's hash with each frame. Kernel: TP_FT_REQ_FILL_RXHASH
  bool promiscuous = false;
  std::uint32_t blocks = 64;           ///< of kBlockSize bytes, in each ring
  std::uint32_t block_timeout_ms = 1;  ///< a block that is not full is handed over after so long

  static constexpr std::uint32_t kBlockSize = 256 * 1024;  ///< four of the longest frames fit
};

/// A mapped file region.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* at, std::size_t size) : at_(static_cast<std::uint8_t*>(at)), size_(size) {}
  Mapping(Mapping&& other) noexcept : at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping();
  std::uint8_t* at() const { return at_; }
  std::size_t size() const { return size_; }

 private:
  std::uint8_t* at_ = nullptr;
  std::size_t size_ = 0;
};

/// A packet socket with a receive ring. Kernel: TPACKET_V3.
struct PacketRing {
  OwnedFd fd;
  Mapping blocks;
};

/// One ring a queue. ENODEV: no such interface; EPERM, ENOMEM, EINVAL. Every error names the remedy.
Result<std::vector<PacketRing>> open_packet_rings(const PacketRequest& request);

/// A packet socket that only sends, headers as with vnet_hdr. `qdisc_bypass`: past the interface's queue discipline.
Result<OwnedFd> open_packet_sender(const std::string& interface, bool qdisc_bypass);

/// False once the interface that a packet socket is bound to is unregistered.
bool packet_socket_is_bound(int fd);

}  // namespace netrx
