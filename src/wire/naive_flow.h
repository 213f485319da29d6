// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "netrx/flow.h"

/// The dissector and both hashes once more, as plainly as they can be put: numbers instead of
/// names, one bit at a time. Slow on purpose and used by tests only: the real ones must agree with it on every input.
/// Shares nothing with them but the types of flow.h.
namespace netrx::wire::naive {

enum class Next { ether_type, ip, good, bad };

/// Reads that go beyond the end throw.
struct Walk {
  const FlowInput& in;
  FlowKeys& keys;
  unsigned type, ip = 0;
  std::size_t off = 0;
  bool seen_vlan = false;

  std::uint64_t get(std::size_t at, std::size_t size) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      if (at + i >= in.len) throw std::out_of_range("frame");
      value = value << 8 | in.data[at + i];
    }
    return value;
  }
  unsigned get16(std::size_t at) const { return static_cast<unsigned>(get(at, 2)); }
  void need(std::size_t size) const { get(off + size - 1, 1); }
  void copy(std::size_t from, std::size_t size, FlowAddrType kind) {
    for (std::size_t i = 0; i < size; ++i) keys.addrs[i] = static_cast<std::uint8_t>(get(from + i, 1));
    keys.addr_type = kind;
  }

  Next vlan() {
    const bool out_of_band = !seen_vlan && in.vlan_present;
    const unsigned tpid = type, tci = out_of_band ? in.vlan_tci : get16(off);
    type = out_of_band ? to_host(in.protocol) : (get(off, 4) & 0xffff);
    if (!out_of_band) off += 4;
    if (!seen_vlan) {
      keys.vlan.id_and_priority = tci & 0xefff;
      keys.vlan.tpid = to_be16(static_cast<std::uint16_t>(tpid));
      keys.vlan.eth_type = to_be16(static_cast<std::uint16_t>(type));
    }
    seen_vlan = true;
    return Next::ether_type;
  }

  Next ip_header() {
    if (type == 0x86dd) {
      need(40);
      copy(off + 8, 32, FlowAddrType::ipv6);
      ip = static_cast<unsigned>(get(off + 6, 1));
      keys.flow_label = get(off, 4) & 0xfffff;
      off += 40;
      return keys.flow_label != 0 ? Next::good : Next::ip;
    }
    need(20);
    const std::size_t size = (get(off, 1) & 15) * 4;
    if (size < 20) return Next::bad;
    copy(off + 12, 8, FlowAddrType::ipv4);
    ip = static_cast<unsigned>(get(off + 9, 1));
    const unsigned fragment = get16(off + 6) & 0x3fff;
    off += size;
    if (fragment == 0) return Next::ip;
    keys.flags |= (fragment & 0x1fff) == 0 ? 3 : 1;
    return Next::good;
  }

  Next ether() {
    if (type == 0x8100 || type == 0x88a8) return vlan();
    if (type == 0x0800 || type == 0x86dd) return ip_header();
    if (type == 0x8864) {
      const std::uint64_t h = get(off, 8);
      if (h >> 48 != 0x1100) return Next::bad;
      off += 8;
      const unsigned ppp = h & 0xffff;
      type = ppp == 0x21 ? 0x0800 : ppp == 0x57 ? 0x86dd : ppp == 0x281 ? 0x8847 : ppp == 0x283 ? 0x8848 : type;
      if (type != 0x8864) return Next::ether_type;
      return (ppp & 1) == 1 && (ppp & 0x100) == 0 ? Next::good : Next::bad;
    }
    if (type == 0x88ca) {
      need(16);
      const std::uint64_t w = get(off, 4);
      copy(off + 12, 4, FlowAddrType::tipc);
      const bool probe = (w >> 25 & 7) == 7 && (w >> 19 & 1) == 1;
      if (probe) std::memcpy(&keys.addrs[0], &in.tipc_probe_key, 4);
      return Next::good;
    }
    if (type == 0x4305) {
      need(24);
      if (get(off, 2) != 0x400f) return Next::bad;
      type = get16(off + 22);
      off += 24;
      keys.flags |= 4;
      return Next::ether_type;
    }
    if (type == 0x88fb || type == 0x892f) {
      type = get16(off + 4);
      off += 6;
      return Next::ether_type;
    }
    if (type == 0x8906 || type == 0x88f7) {
      need(type == 0x8906 ? 38 : 34);
      off += type == 0x8906 ? 38 : 34;
      return Next::good;
    }
    const bool known = type == 0x8847 || type == 0x8848 || type == 0x0806 || type == 0x8035 || type == 0x8902;
    return known ? Next::good : Next::bad;
  }

  Next gre() {
    const unsigned f = get16(off), inner = get16(off + 2);
    if ((f & 0x4000) != 0 || (f & 7) > 1) return Next::good;
    type = inner;
    const bool v1 = (f & 7) == 1;
    if (v1 && (inner != 0x880b || (f & 0x2000) == 0)) return Next::good;
    std::size_t at = off + 4 + ((f & 0x8000) != 0 ? 4 : 0);
    if ((f & 0x2000) != 0) {
      keys.keyid = to_be32(static_cast<std::uint32_t>(get(at, 4) & (v1 ? 0xffff : 0xffffffff)));
      at += 4;
    }
    at += (f & 0x1000) != 0 ? 4 : 0;
    at += v1 && (f & 0x80) != 0 ? 4 : 0;
    if (v1) {
      const unsigned ppp = get(at, 4) & 0xffff;
      type = ppp == 0x21 ? 0x0800 : ppp == 0x57 ? 0x86dd : type;
      at += 4;
    } else if (inner == 0x6558) {
      type = get16(at + 12);
      at += 14;
    }
    off = at;
    keys.flags |= 4;
    return Next::ether_type;
  }

  Next behind_ip() {
    if (ip == 47) return gre();
    if (ip == 4 || ip == 41 || ip == 137) {
      type = ip == 4 ? 0x0800 : ip == 41 ? 0x86dd : 0x8847;
      keys.flags |= ip == 137 ? 0 : 4;
      return Next::ether_type;
    }
    if (type == 0x86dd && (ip == 0 || ip == 43 || ip == 60)) {
      const unsigned h = get16(off);
      ip = h >> 8;
      off += ((h & 255) + 1) * 8;
      return Next::ip;
    }
    if (type == 0x86dd && ip == 44) {
      need(8);
      ip = static_cast<unsigned>(get(off, 1));
      keys.flags |= (get16(off + 2) & 0xfff8) == 0 ? 3 : 1;
      off += 8;
    }
    return Next::good;
  }

  void ports() {
    const bool has = ip == 6 || ip == 17 || ip == 33 || ip == 50 || ip == 51 || ip == 132 || ip == 136;
    const std::size_t at = off + (ip == 51 ? 4 : 0);
    if (!has || (keys.flags & 1) != 0 || at + 4 > in.len) return;
    keys.src_port = to_be16(static_cast<std::uint16_t>(get16(at)));
    keys.dst_port = to_be16(static_cast<std::uint16_t>(get16(at + 2)));
  }

  bool run() {
    if (in.vlan_present) {
      type = to_host(in.vlan_proto);
    } else if (in.dsa_tag_len == 1) {
      return false;
    } else if (in.dsa_tag_len != 0) {
      type = get16(in.dsa_tag_len - 2u);
      off = in.dsa_tag_len;
    }
    Next next = Next::ether_type;
    for (int headers = 0; headers < 16; ++headers) {
      if (next == Next::ether_type) {
        next = ether();
        if (next != Next::ip) {
          if (next != Next::ether_type) break;
          continue;
        }
      }
      next = behind_ip();
      ports();
      if (next == Next::good) break;
    }
    return next != Next::bad;
  }
};

inline Dissected dissect(const FlowInput& in, FlowKeys& keys) {
  keys = FlowKeys{};
  Walk walk{.in = in, .keys = keys, .type = to_host(in.protocol)};
  bool good = false;
  try {
    good = walk.run();
  } catch (const std::out_of_range&) {
  }
  keys.n_proto = to_be16(static_cast<std::uint16_t>(walk.type));
  keys.ip_proto = static_cast<std::uint8_t>(walk.ip);
  keys.thoff = static_cast<std::uint16_t>(walk.off < in.len ? walk.off : in.len);
  return good ? Dissected::good : Dissected::bad;
}

inline void consistentify(FlowKeys& keys) {
  const std::size_t size = keys.addr_type == FlowAddrType::ipv4 ? 4 : keys.addr_type == FlowAddrType::ipv6 ? 16 : 0;
  std::vector<std::uint8_t> src(&keys.addrs[0], &keys.addrs[size]), dst(&keys.addrs[size], &keys.addrs[size] + size);
  std::vector<std::uint8_t> left = dst, right = src;
  if (size == 4) std::reverse(left.begin(), left.end()), std::reverse(right.begin(), right.end());
  if (left < right) {
    std::copy(dst.begin(), dst.end(), &keys.addrs[0]);
    std::copy(src.begin(), src.end(), &keys.addrs[size]);
  }
  const auto src_port = static_cast<std::uint16_t>(keys.src_port), dst_port = static_cast<std::uint16_t>(keys.dst_port);
  if (dst_port < src_port) std::swap(keys.src_port, keys.dst_port);
}

inline std::uint64_t siphash_2_4(std::vector<std::uint8_t> message, SipHashKey key) {
  std::uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d, key.k0 ^ 0x6c7967656e657261,
                        key.k1 ^ 0x7465646279746573};
  const auto add_rotate_xor = [&](int a, int b, int bits) {
    v[a] += v[b];
    v[b] = (v[b] << bits | v[b] >> (64 - bits)) ^ v[a];
  };
  const auto rounds = [&](int count) {
    while (count-- > 0) {
      add_rotate_xor(0, 1, 13);
      v[0] = v[0] << 32 | v[0] >> 32;
      add_rotate_xor(2, 3, 16);
      add_rotate_xor(0, 3, 21);
      add_rotate_xor(2, 1, 17);
      v[2] = v[2] << 32 | v[2] >> 32;
    }
  };
  const auto length = static_cast<std::uint8_t>(message.size());
  while (message.size() % 8 != 7) message.push_back(0);
  message.push_back(length);
  for (std::size_t i = 0; i < message.size(); i += 8) {
    std::uint64_t m = 0;
    for (std::size_t k = 8; k-- > 0;) m = m << 8 | message[i + k];
    v[3] ^= m;
    rounds(2);
    v[0] ^= m;
  }
  v[2] ^= 0xff;
  rounds(4);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

inline FlowHash skb_get_hash(const FlowInput& in, SipHashKey key) {
  FlowKeys keys;
  naive::dissect(in, keys);
  naive::consistentify(keys);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&keys);
  constexpr std::size_t kEnd[] = {48, 56, 80, 52};
  const auto hash =
      static_cast<std::uint32_t>(naive::siphash_2_4({bytes + 8, bytes + kEnd[static_cast<int>(keys.addr_type)]}, key));
  return {hash == 0 ? 1 : hash, keys.src_port != Be16{} || keys.dst_port != Be16{} || keys.flow_label != 0};
}

/// Bit by bit: each 1 in the input adds the 32 key bits that start where it stands.
inline std::uint32_t toeplitz(std::span<const std::uint8_t> key, std::span<const std::uint8_t> input) {
  std::uint32_t sum = 0;
  for (std::size_t bit = 0; bit < input.size() * 8; ++bit) {
    if ((input[bit / 8] >> (7 - bit % 8) & 1) == 0) continue;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::size_t at = bit + i;
      sum ^= (at / 8 < key.size() ? key[at / 8] >> (7 - at % 8) & 1u : 0u) << (31 - i);
    }
  }
  return sum;
}

}  // namespace netrx::wire::naive
