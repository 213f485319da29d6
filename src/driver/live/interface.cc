// SPDX-License-Identifier: Apache-2.0
#include "driver/live/interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "driver/live/owned_fd.h"

namespace netrx {

namespace {

/// Asks or tells the kernel about one interface; errno or 0.
int interface_ioctl(unsigned long request, const std::string& name, ifreq& what) {
  const OwnedFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const OwnedFd other(socket.valid() ? -1 : ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));  // a kernel without IPv4
  std::strncpy(what.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return ioctl(socket.valid() ? socket.get() : other.get(), request, &what) == 0 ? 0 : errno;
}

}  // namespace

unsigned interface_index(const std::string& name) { return if_nametoindex(name.c_str()); }

std::string interface_name(unsigned index) {
  char name[IF_NAMESIZE];
  return if_indextoname(index, name) != nullptr ? name : "";
}

bool interface_is_up(const std::string& name) {
  ifreq what{};
  return interface_ioctl(SIOCGIFFLAGS, name, what) == 0 && (what.ifr_flags & IFF_UP) != 0;
}

Result<void> set_interface_up(const std::string& name) {
  ifreq what{};
  int code = interface_ioctl(SIOCGIFFLAGS, name, what);
  what.ifr_flags = static_cast<short>(what.ifr_flags | IFF_UP);
  if (code == 0) code = interface_ioctl(SIOCSIFFLAGS, name, what);
  if (code == 0) return {};
  return fail(code, name + " can't be brought up: " + errno_text(code) + "; do it with: ip link set " + name + " up");
}

std::array<std::uint8_t, 6> interface_address(const std::string& name) {
  ifreq what{};
  std::array<std::uint8_t, 6> address{};
  if (interface_ioctl(SIOCGIFHWADDR, name, what) == 0 && what.ifr_hwaddr.sa_family == ARPHRD_ETHER)
    std::copy_n(what.ifr_hwaddr.sa_data, address.size(), address.begin());
  return address;
}

bool interface_is_ethernet(const std::string& name) {
  ifreq what{};
  if (interface_ioctl(SIOCGIFHWADDR, name, what) != 0) return false;
  return what.ifr_hwaddr.sa_family == ARPHRD_ETHER || what.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
}

std::uint32_t interface_mtu(const std::string& name) {
  ifreq what{};
  return interface_ioctl(SIOCGIFMTU, name, what) == 0 ? static_cast<std::uint32_t>(what.ifr_mtu) : 0;
}

InterfaceDriver interface_driver(const std::string& name) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq what{};
  what.ifr_data = reinterpret_cast<char*>(&info);
  if (interface_ioctl(SIOCETHTOOL, name, what) != 0) return {};
  return {.name = info.driver, .bus = info.bus_info};
}

std::string interface_names() {
  std::string names;
  struct if_nameindex* all = if_nameindex();
  for (const struct if_nameindex* one = all; one != nullptr && one->if_name != nullptr; ++one)
    names += (names.empty() ? "" : ", ") + std::string(one->if_name);
  if (all != nullptr) if_freenameindex(all);
  return names;
}

std::unexpected<Error> no_such_interface(const std::string& name) {
  return fail(ENODEV, "no interface " + name + "; there are " + interface_names());
}

std::string errno_text(int code) { return std::generic_category().message(code); }

}  // namespace netrx
