// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <xdp/xsk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "netrx/error.h"

namespace netrx {

/// How a socket is bound to one queue of an interface.
struct XdpSocketRequest {
  enum class ZeroCopy : std::uint8_t { automatic, on, off };

  std::string interface;
  std::uint32_t queue = 0;
  std::uint32_t rx_frames = 4096;  ///< powers of two; 0: it only sends
  std::uint32_t tx_frames = 1024;
  ZeroCopy zero_copy = ZeroCopy::automatic;
  bool busy_poll = false;  ///< Kernel: SO_PREFER_BUSY_POLL
};

/// Memory for a socket's frames, which may outlive the socket: packets hold on to frames. Frames are named by their
/// place in it: first those to receive into, then those to send from.
class XdpMemory {
 public:
  static constexpr std::uint32_t kFrameSize = 4096;

  static Result<std::unique_ptr<XdpMemory>> create(const XdpSocketRequest& request);
  ~XdpMemory();
  XdpMemory(const XdpMemory&) = delete;
  XdpMemory& operator=(const XdpMemory&) = delete;

  std::uint8_t* frame(std::uint32_t id) const { return at_ + std::size_t{id} * kFrameSize; }
  std::size_t size() const { return size_; }

 private:
  XdpMemory(std::uint8_t* at, std::size_t size) : at_(at), size_(size) {}
  std::uint8_t* const at_;
  const std::size_t size_;
};

/// A bound AF_XDP socket with its four rings.
///
/// Thread safety: `rx` and `fill` by whoever polls the receive queue, `tx` and `completion` by whoever sends, at the
/// same time if they like.
class XdpSocket {
 public:
  static Result<std::unique_ptr<XdpSocket>> open(const XdpSocketRequest& request, const XdpMemory& memory);
  ~XdpSocket();
  XdpSocket(const XdpSocket&) = delete;
  XdpSocket& operator=(const XdpSocket&) = delete;

  int fd() const { return xsk_socket__fd(socket_); }
  const XdpSocketRequest& request() const { return request_; }
  bool zero_copy() const;
  /// False once the interface is unregistered, or in another namespace.
  bool bound() const;
  Result<void> put_into(int map);
  /// What the kernel could not hand over since the socket was made.
  std::uint64_t drops() const;

  xsk_ring_cons rx{};
  xsk_ring_prod fill{};
  xsk_ring_prod tx{};
  xsk_ring_cons completion{};

 private:
  explicit XdpSocket(const XdpSocketRequest& request) : request_(request) {}
  Result<void> share(const XdpMemory& memory);
  Result<void> bind();

  const XdpSocketRequest request_;
  xsk_umem* umem_ = nullptr;
  xsk_socket* socket_ = nullptr;
};

}  // namespace netrx
