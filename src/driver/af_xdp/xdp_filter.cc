// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_filter.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>

namespace netrx {

Result<XdpMatch> XdpMatch::parse(std::string_view text) {
  XdpMatch match;
  if (text == "all") return match;
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view protocol = text.substr(0, colon);
  match.protocol = protocol == "udp" ? IPPROTO_UDP : protocol == "tcp" ? IPPROTO_TCP : 0;
  bool good = match.protocol != 0;
  if (good && colon != text.size()) {
    const auto [end, code] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), match.port);
    good = code == std::errc() && end == text.data() + text.size() && match.port != 0;
  }
  if (!good) return fail(EINVAL, std::string(text) + ": give all, udp, tcp, or one of these and a port, as in udp:53");
  return match;
}

namespace {

/// A few instructions with forward jumps to two places. Registers: 2 is where the next header begins, 3 where the frame
/// ends, 6 the context; 4 and 5 are scratch.
class Assembler {
 public:
  void emit(std::uint8_t code, int dst, int src, std::int16_t offset, std::int32_t value) {
    code_.push_back({.code = code,
                     .dst_reg = static_cast<std::uint8_t>(dst & 0xf),
                     .src_reg = static_cast<std::uint8_t>(src & 0xf),
                     .off = offset,
                     .imm = value});
  }
  void move(int dst, int src) { emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
  void set(int dst, std::int32_t value) { emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value); }
  // Some of the parts an instruction is made of are 0, which makes them no less parts of it.
  // NOLINTBEGIN(misc-redundant-expression)
  void add(int dst, std::int32_t value) { emit(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value); }
  void load_map(int dst, int map_fd) {
    emit(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, map_fd);
    emit(0, 0, 0, 0, 0);
  }
  // NOLINTEND(misc-redundant-expression)
  void load(std::uint8_t size, int dst, int src, std::int16_t offset) {
    emit(static_cast<std::uint8_t>(BPF_LDX | BPF_MEM | size), dst, src, offset, 0);
  }

  /// Passes the frame unless `bytes` more are there behind register 2.
  void need(std::int32_t bytes) {
    move(4, 2);
    add(4, bytes);
    pass_.push_back(code_.size());
    emit(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 0, 0);
  }
  void pass_unless_equal(int reg, std::int32_t value) {
    pass_.push_back(code_.size());
    emit(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
  }
  void pass_if_any(int reg, std::int32_t bits) {
    pass_.push_back(code_.size());
    emit(BPF_JMP | BPF_JSET | BPF_K, reg, 0, 0, bits);
  }
  void pass_always() {
    pass_.push_back(code_.size());
    emit(BPF_JMP | BPF_JA, 0, 0, 0, 0);
  }
  void match_always() {
    match_.push_back(code_.size());
    emit(BPF_JMP | BPF_JA, 0, 0, 0, 0);
  }
  std::size_t jump_if_equal(int reg, std::int32_t value) {
    emit(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 0, value);
    return code_.size() - 1;
  }
  std::size_t jump_unless_equal(int reg, std::int32_t value) {
    emit(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
    return code_.size() - 1;
  }
  void here(std::size_t jump) { code_[jump].off = static_cast<std::int16_t>(code_.size() - jump - 1); }

  void store(std::uint8_t size, int dst, std::int16_t offset, int src) {
    emit(static_cast<std::uint8_t>(BPF_STX | BPF_MEM | size), dst, src, offset, 0);
  }
  void call(int helper) { emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }

  /// Asks the driver by one of the kernel's functions, which writes to the stack at these offsets; register 7 gets
  /// `bit` if it answered.
  void ask(std::int32_t function, std::initializer_list<std::size_t> answers, std::uint32_t bit) {
    if (function == 0) return;
    move(1, 6);
    int argument = 2;
    for (const std::size_t at : answers) {
      move(argument, 10);
      add(argument++, static_cast<std::int32_t>(at) - kMetadata);
    }
    emit(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, function);
    const std::size_t none = jump_unless_equal(0, 0);
    emit(BPF_ALU64 | BPF_OR | BPF_K, 7, 0, 0, static_cast<std::int32_t>(bit));
    here(none);
  }

  /// Puts what the driver says in front of the frame, if there is room.
  void prepend_metadata(const XdpMetadataFunctions& functions) {
    set(7, 0);
    for (std::int16_t at = -kMetadata; at < 0; at += 8) store(BPF_DW, 10, at, 7);
    set(7, XdpMetadata::kMark);
    ask(functions.timestamp, {offsetof(XdpMetadata, timestamp)}, XdpMetadata::kTimestamp);
    ask(functions.hash, {offsetof(XdpMetadata, hash), offsetof(XdpMetadata, rss_type)}, XdpMetadata::kHash);
    ask(functions.vlan, {offsetof(XdpMetadata, vlan_proto), offsetof(XdpMetadata, vlan_tci)}, XdpMetadata::kVlan);
    store(BPF_W, 10, static_cast<std::int16_t>(offsetof(XdpMetadata, what)) - kMetadata, 7);
    move(1, 6);
    set(2, -kMetadata);
    call(BPF_FUNC_xdp_adjust_meta);
    const std::size_t no_room = jump_unless_equal(0, 0);
    load(BPF_W, 2, 6, offsetof(xdp_md, data_meta));
    load(BPF_W, 3, 6, offsetof(xdp_md, data));
    move(4, 2);
    add(4, kMetadata);
    emit(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 0, 0);  // never, but the verifier asks for it
    const std::size_t too_short = code_.size() - 1;
    for (std::int16_t at = 0; at < kMetadata; at += 8) {
      load(BPF_DW, 5, 10, static_cast<std::int16_t>(at - kMetadata));
      store(BPF_DW, 2, at, 5);
    }
    here(no_room);
    here(too_short);
  }

  std::vector<bpf_insn> finish(int map_fd, const XdpMetadataFunctions& functions) {
    for (const std::size_t jump : match_) here(jump);
    if (functions.any()) prepend_metadata(functions);
    // bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS)
    load_map(1, map_fd);
    load(BPF_W, 2, 6, offsetof(xdp_md, rx_queue_index));
    set(3, XDP_PASS);
    call(BPF_FUNC_redirect_map);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    for (const std::size_t jump : pass_) here(jump);
    if (!pass_.empty()) {
      set(0, XDP_PASS);
      emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    return std::move(code_);
  }

 private:
  static constexpr std::int16_t kMetadata = sizeof(XdpMetadata);

  std::vector<bpf_insn> code_;
  std::vector<std::size_t> pass_, match_;
};

/// The transport header begins at register 2.
void match_port(Assembler& code, const XdpMatch& match) {
  if (match.port != 0) {
    code.need(4);
    code.load(BPF_H, 5, 2, 2);
    code.pass_unless_equal(5, htons(match.port));
  }
  code.match_always();
}

void match_ipv4(Assembler& code, const XdpMatch& match) {
  code.need(20);
  code.load(BPF_B, 5, 2, 9);
  code.pass_unless_equal(5, match.protocol);
  if (match.port != 0) {
    code.load(BPF_H, 5, 2, 6);
    code.pass_if_any(5, htons(0x3fff));  // more fragments, or not the first
  }
  code.load(BPF_B, 5, 2, 0);
  code.emit(BPF_ALU64 | BPF_AND | BPF_K, 5, 0, 0, 0xf);
  code.emit(BPF_ALU64 | BPF_LSH | BPF_K, 5, 0, 0, 2);
  code.emit(BPF_ALU64 | BPF_ADD | BPF_X, 2, 5, 0, 0);
  match_port(code, match);
}

void match_ipv6(Assembler& code, const XdpMatch& match) {
  code.need(40);
  code.load(BPF_B, 5, 2, 6);
  code.pass_unless_equal(5, match.protocol);
  code.add(2, 40);
  match_port(code, match);
}

}  // namespace

std::vector<bpf_insn> xdp_filter(const XdpMatch& match, int map_fd, const XdpMetadataFunctions& functions) {
  Assembler code;
  code.move(6, 1);
  if (match.protocol != 0) {
    code.load(BPF_W, 2, 6, offsetof(xdp_md, data));
    code.load(BPF_W, 3, 6, offsetof(xdp_md, data_end));
    code.need(18);
    code.load(BPF_H, 5, 2, 12);
    code.add(2, 14);
    const std::size_t untagged = code.jump_unless_equal(5, htons(0x8100));
    code.load(BPF_H, 5, 2, 2);
    code.add(2, 4);
    code.here(untagged);
    const std::size_t ipv4 = code.jump_if_equal(5, htons(0x0800));
    const std::size_t ipv6 = code.jump_if_equal(5, htons(0x86dd));
    code.pass_always();
    code.here(ipv4);
    match_ipv4(code, match);
    code.here(ipv6);
    match_ipv6(code, match);
  }
  return code.finish(map_fd, functions);
}

}  // namespace netrx
