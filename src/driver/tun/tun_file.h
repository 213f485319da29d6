// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "driver/live/owned_fd.h"
#include "netrx/error.h"

namespace netrx {

/// What is asked of the kernel's TUN/TAP driver.
struct TunRequest {
  std::string interface;
  bool ethernet = true;  ///< TAP; else TUN, whose frames begin at the network header
  std::size_t queues = 1;
  bool fewer_queues = false;  ///< one queue will do where the interface was made with one
  bool vnet_hdr = true;       ///< each frame behind a virtio_net_hdr, and large ones whole
  bool persist = false;       ///< the interface stays when its last file is closed
};

/// An attached interface: one file a queue.
struct TunFiles {
  std::vector<OwnedFd> queues;
  bool udp_segmentation = false;  ///< the kernel gives and takes large UDP packets too. Kernel: TUN_F_USO4, TUN_F_USO6
};

/// Attaches to an interface that exists, or makes it and brings it up. Every error names what is missing and what to
/// do: ENOENT, EPERM, EBUSY, EINVAL, E2BIG. Kernel: TUNSETIFF, TUNSETOFFLOAD, TUNSETPERSIST.
Result<TunFiles> open_tun(TunRequest request);

/// False once the interface is unregistered; true also when it was renamed or moved to another namespace.
bool tun_is_attached(int fd);

}  // namespace netrx
