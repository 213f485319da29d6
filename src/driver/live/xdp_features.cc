// SPDX-License-Identifier: Apache-2.0
#include "driver/live/xdp_features.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cstring>
#include <vector>

#include "driver/live/owned_fd.h"

namespace netrx {

namespace {

// linux/netdev.h, which Debian 12 does not have yet.
constexpr std::uint8_t kDevGet = 1;        // NETDEV_CMD_DEV_GET
constexpr std::uint16_t kIfindex = 1;      // NETDEV_A_DEV_IFINDEX
constexpr std::uint16_t kXdpFeatures = 3;  // NETDEV_A_DEV_XDP_FEATURES

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& to, const void* from, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(from);
  to.insert(to.end(), bytes, bytes + size);
  to.resize((to.size() + 3) & ~std::size_t{3});
}

struct Attribute {
  std::uint16_t type;
  const void* value;
  std::size_t size;
};

/// One question with one attribute; the attributes of the answer, empty when there was none.
Bytes ask(int fd, std::uint16_t family, std::uint8_t command, const Attribute& about) {
  nlmsghdr header{.nlmsg_len = 0, .nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1, .nlmsg_pid = 0};
  const genlmsghdr generic{.cmd = command, .version = 1, .reserved = 0};
  const nlattr attribute{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + about.size), .nla_type = about.type};
  Bytes message;
  append(message, &header, sizeof header);
  append(message, &generic, sizeof generic);
  append(message, &attribute, sizeof attribute);
  append(message, about.value, about.size);
  header.nlmsg_len = static_cast<std::uint32_t>(message.size());
  std::memcpy(message.data(), &header, sizeof header);
  if (send(fd, message.data(), message.size(), 0) < 0) return {};
  Bytes answer(16'384);
  const ssize_t n = recv(fd, answer.data(), answer.size(), 0);
  constexpr std::size_t kHeaders = sizeof header + sizeof generic;
  if (n < static_cast<ssize_t>(kHeaders)) return {};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != family || header.nlmsg_len > static_cast<std::uint32_t>(n)) return {};
  return {answer.begin() + kHeaders, answer.begin() + header.nlmsg_len};
}

/// The first attribute of this type, of at least Value's size.
template <class Value>
std::optional<Value> find(const Bytes& attributes, std::uint16_t type) {
  for (std::size_t at = 0; at + sizeof(nlattr) <= attributes.size();) {
    nlattr attribute;
    std::memcpy(&attribute, attributes.data() + at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || at + attribute.nla_len > attributes.size()) return {};
    if ((attribute.nla_type & NLA_TYPE_MASK) == type && attribute.nla_len >= sizeof attribute + sizeof(Value)) {
      Value value;
      std::memcpy(&value, attributes.data() + at + sizeof attribute, sizeof value);
      return value;
    }
    at += (attribute.nla_len + std::size_t{3}) & ~std::size_t{3};
  }
  return {};
}

}  // namespace

std::optional<std::uint64_t> xdp_features(unsigned interface_index) {
  const OwnedFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!fd.valid()) return {};
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  constexpr std::array kName{'n', 'e', 't', 'd', 'e', 'v', '\0'};
  const Attribute named{CTRL_ATTR_FAMILY_NAME, kName.data(), kName.size()};
  const auto family = find<std::uint16_t>(ask(fd.get(), GENL_ID_CTRL, CTRL_CMD_GETFAMILY, named), CTRL_ATTR_FAMILY_ID);
  if (!family) return {};
  const auto index = static_cast<std::uint32_t>(interface_index);
  return find<std::uint64_t>(ask(fd.get(), *family, kDevGet, {kIfindex, &index, sizeof index}), kXdpFeatures);
}

}  // namespace netrx
