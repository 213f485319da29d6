// SPDX-License-Identifier: Apache-2.0
#include "driver/tun/tun_file.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "driver/live/interface.h"
#include "netrx/virtio_net_hdr.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace netrx {

namespace {

constexpr const char* kDevice = "/dev/net/tun";

std::string kind_of(bool ethernet) { return ethernet ? "tap" : "tun"; }

std::unexpected<Error> explain_open(int code) {
  std::string text = std::string(kDevice) + ": " + errno_text(code);
  if (code == ENOENT || code == ENODEV || code == ENXIO)
    text += "; load the driver (modprobe tun), or give a container the device (--device /dev/net/tun)";
  else if (code == EACCES || code == EPERM)
    text += "; run as root, or let this user open the file";
  return fail(code, text);
}

std::unexpected<Error> explain_attach(const TunRequest& request, int code, std::size_t attached) {
  const std::string& name = request.interface;
  const std::string make = "ip tuntap add " + name + " mode " + kind_of(request.ethernet);
  std::string text = kind_of(request.ethernet) + " " + name + ": " + errno_text(code);
  switch (code) {
    case EPERM:
    case EACCES:
      text += "; needs CAP_NET_ADMIN (run as root), or an interface made for this user: " + make + " user $USER";
      break;
    case EBUSY:
      text += attached == 0
                  ? "; another program has it open: end that, or make it with several queues: " + make + " multi_queue"
                  : "; it was made with one queue: leave queues=1";
      break;
    case EINVAL:
      text += "; it was made with one queue: leave queues=1, or make it anew: " + make + " multi_queue";
      break;
    case E2BIG: text += "; fewer queues: the kernel allows " + std::to_string(attached) + " here"; break;
    default: break;
  }
  return fail(code, text);
}

/// That an interface which exists is of the right kind.
Result<void> check_existing(const TunRequest& request) {
  const std::string& name = request.interface;
  const InterfaceDriver driver = interface_driver(name);
  if (driver.name != "tun")
    return fail(EINVAL, name + " is not a " + kind_of(request.ethernet) +
                            " interface; choose another name, or receive from it with af_packet:" + name);
  if (driver.bus == kind_of(request.ethernet)) return {};
  return fail(EINVAL, name + " is a " + driver.bus + " interface; write " + driver.bus + ":" + name);
}

/// What of the kernel's offloads it gives to this file; EINVAL means an older kernel. True: large UDP packets too.
bool set_offload(int fd) {
  constexpr unsigned long kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd, TUNSETOFFLOAD, kTcp | TUN_F_USO4 | TUN_F_USO6) == 0) return true;
  ioctl(fd, TUNSETOFFLOAD, kTcp);
  return false;
}

Result<void> attach_queue(const TunRequest& request, short flags, TunFiles& files) {
  OwnedFd fd(open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return explain_open(errno);
  ifreq what{};
  std::strncpy(what.ifr_name, request.interface.c_str(), IFNAMSIZ - 1);
  what.ifr_flags = flags;
  if (ioctl(fd.get(), TUNSETIFF, &what) != 0) return explain_attach(request, errno, files.queues.size());
  if (request.vnet_hdr) {
    int size = sizeof(VirtioNetHdr);
    if (ioctl(fd.get(), TUNSETVNETHDRSZ, &size) != 0) return explain_attach(request, errno, files.queues.size());
    files.udp_segmentation = set_offload(fd.get());
  }
  files.queues.push_back(std::move(fd));
  return {};
}

}  // namespace

Result<TunFiles> open_tun(TunRequest request) {
  const bool existing = interface_index(request.interface) != 0;
  if (existing)
    if (const auto ok = check_existing(request); !ok) return std::unexpected(ok.error());
  int flags = IFF_NO_PI | (request.ethernet ? IFF_TAP : IFF_TUN);
  if (request.vnet_hdr) flags |= IFF_VNET_HDR;
  if (request.queues > 1) flags |= IFF_MULTI_QUEUE;

  TunFiles files;
  bool tried_other_way = false;
  while (files.queues.size() < request.queues) {
    const auto attached = attach_queue(request, static_cast<short>(flags), files);
    if (attached) continue;
    // An interface stays as it was made: with one queue or with several. The kernel tells only by refusing.
    const bool other_way = attached.error().code == EINVAL && existing && files.queues.empty();
    const bool multi = (flags & IFF_MULTI_QUEUE) != 0;
    if (!other_way || tried_other_way || (multi && !request.fewer_queues)) return std::unexpected(attached.error());
    tried_other_way = true;
    flags ^= IFF_MULTI_QUEUE;
    request.queues = 1;
  }
  if (request.persist && ioctl(files.queues[0].get(), TUNSETPERSIST, 1) != 0)
    return fail(errno, request.interface + ": persist=on: " + errno_text(errno) + "; leave persist=off");
  if (!existing)
    if (const auto up = set_interface_up(request.interface); !up) return std::unexpected(up.error());
  return files;
}

bool tun_is_attached(int fd) {
  ifreq what{};
  return ioctl(fd, TUNGETIFF, &what) == 0;
}

}  // namespace netrx
