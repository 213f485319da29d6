// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "driver/vhost_user/front_end.h"
#include "netrx/devices.h"

namespace netrx {

/// What `vhost-user` was told.
struct VhostUserOptions {
  std::string path;
  std::string name = "vhost0";
  vhost::Wishes wishes;
  bool server = false;    ///< listen at `path` and let the back end connect
  bool reconnect = true;  ///< when it goes, wait for it to come back; else the device is exhausted
  Nanos wait{0};          ///< how long a client tries to connect before it gives up, at the start
};

/// The driver of a virtio-net device that another program is: a vhost-user front end. Kernel: drivers/net/virtio_net.c.
Result<std::unique_ptr<NetDevice>> make_vhost_user_device(const VhostUserOptions& options);

DeviceKind vhost_user_device_kind();

}  // namespace netrx
