// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <cerrno>

#include "driver/af_xdp/xdp_holder.h"
#include "driver/live/interface.h"

#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif

namespace netrx {

namespace {

constexpr std::uint32_t kMostQueues = 256;

std::unexpected<Error> explain(const std::string& what, int code) {
  std::string text = what + ": " + errno_text(code);
  if (code == EPERM || code == EACCES)
    text += "; needs CAP_NET_ADMIN, CAP_BPF and CAP_NET_RAW: run as root; af_packet needs CAP_NET_RAW alone";
  else if (code == ENOSYS || code == EINVAL)
    text += "; the kernel lacks CONFIG_XDP_SOCKETS; af_packet will do there";
  return fail(code, text);
}

/// errno or 0.
int create_link(int program, unsigned index, std::uint32_t flags, OwnedFd& link) {
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = flags;
  const int fd = bpf_link_create(program, static_cast<int>(index), BPF_XDP, &options);
  if (fd < 0) return -fd;
  link = OwnedFd(fd);
  return 0;
}

}  // namespace

Result<OwnedFd> XdpProgram::load(const XdpMatch& match) const {
  const std::vector<bpf_insn> code = xdp_filter(match, map.get(), functions);
  bpf_prog_load_opts options{};
  options.sz = sizeof options;
  options.prog_ifindex = bound_to;
  options.prog_flags = bound_to != 0 ? BPF_F_XDP_DEV_BOUND_ONLY : 0;
  OwnedFd program(bpf_prog_load(BPF_PROG_TYPE_XDP, "netrx", kXdpFilterLicense, code.data(), code.size(), &options));
  if (!program.valid()) return explain("af_xdp: loading the XDP program", errno);
  return program;
}

/// With metadata if that is wanted and there is some.
Result<OwnedFd> XdpProgram::load_first(const XdpAttachment& wanted, unsigned index) {
  using Metadata = XdpAttachment::Metadata;
  if (wanted.metadata == Metadata::off) return load(wanted.match);
  auto found = XdpMetadataFunctions::find();
  if (wanted.mode == XdpMode::generic)
    no_metadata = "a program in the generic place gets none";
  else if (!found)
    no_metadata = found.error().text;
  if (no_metadata.empty()) {
    functions = *found;
    bound_to = index;
    auto loaded = load(wanted.match);
    if (loaded) return loaded;
    no_metadata = loaded.error().code == EOPNOTSUPP ? "its driver gives none" : loaded.error().text;
  }
  functions = {};
  bound_to = 0;
  if (wanted.metadata == Metadata::on)
    return fail(EOPNOTSUPP, "af_xdp: " + wanted.interface + ": no metadata: " + no_metadata + "; leave metadata=auto");
  return load(wanted.match);
}

Result<XdpProgram> XdpProgram::attach(const XdpAttachment& wanted) {
  const std::string& interface = wanted.interface;
  const unsigned index = interface_index(interface);
  if (index == 0) return no_such_interface(interface);
  XdpProgram program;
  program.map = OwnedFd(bpf_map_create(BPF_MAP_TYPE_XSKMAP, "netrx_sockets", 4, 4, kMostQueues, nullptr));
  if (!program.map.valid()) return explain("af_xdp: a map of sockets", errno);
  auto loaded = program.load_first(wanted, index);
  if (!loaded) return std::unexpected(loaded.error());
  if (wanted.replace) {
    bpf_xdp_detach(static_cast<int>(index), XDP_FLAGS_DRV_MODE, nullptr);
    bpf_xdp_detach(static_cast<int>(index), XDP_FLAGS_SKB_MODE, nullptr);
  }
  int code = EOPNOTSUPP;
  if (wanted.mode != XdpMode::generic) code = create_link(loaded->get(), index, XDP_FLAGS_DRV_MODE, program.link);
  program.native = code == 0;
  const bool another = code == EBUSY || code == EEXIST;
  if (code != 0 && !another && wanted.mode == XdpMode::automatic) {
    // There a program bound to the device is refused.
    XdpAttachment generic = wanted;
    generic.mode = XdpMode::generic;
    return attach(generic);
  }
  if (wanted.mode == XdpMode::generic) code = create_link(loaded->get(), index, XDP_FLAGS_SKB_MODE, program.link);
  if (code == 0) return program;
  const std::string text = "af_xdp: " + interface + ": attaching the XDP program: " + errno_text(code);
  if (code == EBUSY || code == EEXIST) return fail(code, text + "; " + explain_xdp_holder(interface, wanted.replace));
  if (wanted.mode == XdpMode::native)
    return fail(code, text + "; its driver has no native XDP (or not at this MTU): write mode=generic");
  return explain(text.substr(0, text.rfind(": ")), code);
}

Result<void> XdpProgram::change(const XdpMatch& match) {
  const auto loaded = load(match);
  if (!loaded) return std::unexpected(loaded.error());
  if (bpf_link_update(link.get(), loaded->get(), nullptr) == 0) return {};
  return explain("af_xdp: replacing the XDP program", errno);
}

}  // namespace netrx
