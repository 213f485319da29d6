// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "netrx/error.h"

/// Interfaces of the kernel, in the network namespace of the caller.
namespace netrx {

/// 0: there is none of this name.
unsigned interface_index(const std::string& name);

/// What the interface of this index is called now; empty: there is none.
std::string interface_name(unsigned index);

/// Whether the interface is administratively up; false also when there is none. Kernel: IFF_UP.
bool interface_is_up(const std::string& name);

/// As `ip link set NAME up` does.
Result<void> set_interface_up(const std::string& name);

/// All zero where there is none (a TUN device, a missing interface).
std::array<std::uint8_t, 6> interface_address(const std::string& name);

/// Whether its frames begin with an Ethernet header. Kernel: ARPHRD_ETHER, and loopback's.
bool interface_is_ethernet(const std::string& name);

/// Bytes of the network layer a frame may carry; 0 when there is no such interface.
std::uint32_t interface_mtu(const std::string& name);

/// What the driver says of itself; empty texts where there is no such interface or nothing is said. Kernel:
/// ETHTOOL_GDRVINFO.
struct InterfaceDriver {
  std::string name;  ///< "virtio_net", "veth", "tun"
  std::string bus;   ///< where the device is; of driver tun: "tap" or "tun"
};
InterfaceDriver interface_driver(const std::string& name);

/// The names a person could have meant, for error texts: "lo, eth0".
std::string interface_names();

/// ENODEV with the interfaces there are.
std::unexpected<Error> no_such_interface(const std::string& name);

/// The text of an errno as every error line has it: "Operation not permitted".
std::string errno_text(int code);

}  // namespace netrx
