// SPDX-License-Identifier: Apache-2.0
#pragma once

// What may be merged, said once more and without any thought for speed: a frame is taken apart into named fields, and
// the rules are sentences over these. Plain, tagged and tunnelled TCP and UDP. Tests only.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "wire/headers.h"

namespace netrx {

/// The fields of a frame by name, those of inner headers with a prime behind it.
struct NaiveFrame {
  std::map<std::string, std::uint64_t> number;
  std::map<std::string, std::vector<std::uint8_t>> bytes;
  std::vector<std::uint8_t> payload;
  bool tcp = false;
  bool whole = false;  ///< TCP or UDP was reached

  explicit NaiveFrame(std::span<const std::uint8_t> frame) : rest(frame) {
    take("link", 12);
    ether();
  }

 private:
  std::span<const std::uint8_t> rest;
  std::string mark;

  std::vector<std::uint8_t> take(const std::string& what, std::size_t n) {
    n = std::min(n, rest.size());
    std::vector<std::uint8_t> taken(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(n));
    rest = rest.subspan(n);
    bytes[what + mark] = taken;
    return taken;
  }
  std::uint64_t take_number(const std::string& what, std::size_t n) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(what, n)) value = value << 8 | byte;
    bytes.erase(what + mark);
    number[what + mark] = value;
    return value;
  }
  void ether() {
    for (;;) {
      const std::uint64_t type = take_number("type", 2);
      bytes["types" + mark].push_back(static_cast<std::uint8_t>(type >> 8));
      bytes["types" + mark].push_back(static_cast<std::uint8_t>(type));
      if (type != 0x8100 && type != 0x88a8) return network(type);
      for (const std::uint8_t byte : take("tag", 2)) bytes["tags" + mark].push_back(byte);
    }
  }
  void network(std::uint64_t type) {
    std::uint64_t protocol = 0;
    if (type == 0x0800) {
      take("ihl", 1);
      take_number("tos", 1);
      take("total", 2);
      bytes.erase("total" + mark);
      take_number("id", 2);
      number["df" + mark] = take_number("frag", 2) >> 14 & 1;
      take_number("ttl", 1);
      protocol = take_number("protocol", 1);
      take("check", 2);
      bytes.erase("check" + mark);
      take("addresses", 8);
    } else if (type == 0x86dd) {
      const std::uint64_t word = take_number("word", 4);
      number.erase("word" + mark);
      number["tos" + mark] = word >> 20 & 0xff;
      number["label" + mark] = word & 0xf00fffff;
      take("length", 2);
      bytes.erase("length" + mark);
      protocol = take_number("protocol", 1);
      take_number("ttl", 1);
      take("addresses", 32);
      while (protocol == 0 || protocol == 43 || protocol == 60) {
        const std::vector<std::uint8_t> option = take("option", 2);
        if (option.size() < 2) return;
        bytes["options6" + mark].insert(bytes["options6" + mark].end(), option.begin(), option.end());
        for (const std::uint8_t byte : take("option", 6u + 8u * option[1])) bytes["options6" + mark].push_back(byte);
        protocol = option[0];
      }
    } else {
      return;
    }
    transport(protocol);
  }
  void transport(std::uint64_t protocol) {
    if (protocol == 4 || protocol == 41) {
      mark += "'";
      return network(protocol == 4 ? 0x0800 : 0x86dd);
    }
    if (protocol == 47) {
      const std::uint64_t flags = take_number("gre", 2), type = take_number("gre type", 2);
      if ((flags & 0x2000) != 0) take("gre key", 4);
      mark += "'";
      return network(type);
    }
    take("ports", 4);
    if (protocol == 17 && bytes["ports" + mark].size() == 4) {
      const unsigned port = bytes["ports" + mark][2] << 8u | bytes["ports" + mark][3];
      take_number("udp length", 2);
      number["udp summed" + mark] = take_number("udp check", 2) != 0;
      number.erase("udp check" + mark);
      if (port == wire::VxlanView::kPort && mark.empty()) {
        take("vxlan", 8);
        mark += "'";
        take("link", 12);
        return ether();
      }
    } else if (protocol == 6) {
      tcp = true;
      take_number("seq", 4);
      take_number("ack", 4);
      const std::uint64_t word = take_number("flag word", 2);
      number["flags"] = word & 0xff;
      number["flag word" + mark] = word & ~std::uint64_t{0x89};  // but for CWR, PSH and FIN
      take_number("window", 2);
      take("check", 2);
      bytes.erase("check" + mark);
      take_number("urgent", 2);
      take("options", (word >> 12) * 4 - 20);
    } else if (protocol != 17) {
      return;
    }
    whole = true;
    payload.assign(rest.begin(), rest.end());
  }
};

/// Why frame `n` must not follow frame 0 and those between them in one packet; empty: it may.
inline std::string naive_refusal(const std::vector<NaiveFrame>& frames, std::size_t n) {
  const NaiveFrame &first = frames[0], &now = frames[n];
  if (!first.whole || !now.whole) return "not TCP or UDP";
  const auto differ = [&](const std::string& name) {
    const auto a = first.number.find(name), b = now.number.find(name);
    return (a == first.number.end()) != (b == now.number.end()) || (a != first.number.end() && a->second != b->second);
  };
  if (first.bytes != now.bytes) return "addresses, ports, tags, options or tunnel differ";
  for (const std::string mark : {"", "'"}) {
    for (const char* name : {"tos", "ttl", "df", "label", "protocol", "gre", "gre type", "udp summed", "flag word"})
      if (differ(name + mark)) return name + mark + " differs";
    const bool outer = mark.empty() && now.number.contains("ttl'");
    if (!now.number.contains("id" + mark) || (outer && now.number.at("df") != 0)) continue;
    const auto step = static_cast<std::uint16_t>(now.number.at("id" + mark) - first.number.at("id" + mark));
    const auto second = static_cast<std::uint16_t>(frames[1].number.at("id" + mark) - first.number.at("id" + mark));
    const bool fixed = now.number.at("df" + mark) != 0 && second == 0;
    if (step != (fixed ? 0 : n)) return "id" + mark;
  }
  if (now.payload.empty()) return "no payload";
  if (now.payload.size() > first.payload.size()) return "longer than the first";
  if (n > 1 && frames[n - 1].payload.size() < first.payload.size()) return "behind a short one";
  if (!now.tcp) return n >= 64 ? "more than 64" : "";
  if (differ("ack") || differ("window")) return "ack or window differs";
  std::uint32_t expected =
      static_cast<std::uint32_t>(first.number.at("seq" + std::string(now.number.contains("seq'") ? "'" : "")));
  for (std::size_t i = 0; i < n; ++i) expected += static_cast<std::uint32_t>(frames[i].payload.size());
  if (now.number.at(now.number.contains("seq'") ? "seq'" : "seq") != expected) return "not the next byte";
  if ((now.number.at("flags") & 0x80) != 0) return "CWR";
  for (std::size_t i = 0; i < n; ++i)
    if ((frames[i].number.at("flags") & 0x2f) != 0) return "behind URG, PSH, RST, SYN or FIN";
  return "";
}

}  // namespace netrx
