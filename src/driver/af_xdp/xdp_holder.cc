// SPDX-License-Identifier: Apache-2.0
#include "driver/af_xdp/xdp_holder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "driver/live/interface.h"
#include "driver/live/owned_fd.h"

namespace netrx {

namespace {

/// 0: there is none, or it may not be asked for.
std::uint32_t attached_program(unsigned index) {
  std::uint32_t id = 0;
  return bpf_xdp_query_id(static_cast<int>(index), 0, &id) == 0 ? id : 0;
}

std::string program_name(std::uint32_t id) {
  const OwnedFd fd(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  return fd.valid() && bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 ? info.name : std::string();
}

/// The link that keeps the program at the interface; 0: none does, it was attached by netlink.
std::uint32_t link_of(std::uint32_t program, unsigned index) {
  for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    const OwnedFd fd(bpf_link_get_fd_by_id(id));
    bpf_link_info info{};
    std::uint32_t size = sizeof info;
    if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) continue;
    if (info.type == BPF_LINK_TYPE_XDP && info.prog_id == program && info.xdp.ifindex == index) return id;
  }
  return 0;
}

bool has_line(const std::filesystem::path& file, const std::string& wanted) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line == wanted) return true;
  return false;
}

/// "process 1234 (name)" that has the link open; empty: none that may be looked at, as when it is pinned.
std::string process_with_link(std::uint32_t link) {
  namespace fs = std::filesystem;
  const std::string wanted = "link_id:\t" + std::to_string(link);
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    if (process.path().filename().string().find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& file : fs::directory_iterator(process.path() / "fdinfo", ignored)) {
      if (!has_line(file.path(), wanted)) continue;
      std::string name;
      std::getline(std::ifstream(process.path() / "comm"), name);
      return "process " + process.path().filename().string() + " (" + name + ")";
    }
  }
  return {};
}

}  // namespace

std::string explain_xdp_holder(const std::string& interface, bool replace) {
  const unsigned index = interface_index(interface);
  const std::uint32_t program = attached_program(index);
  if (program == 0) return "another program is attached, or was just now: try again";
  const std::string name = program_name(program);
  const std::string what = "program " + (name.empty() ? "" : name + ", ") + "id " + std::to_string(program) + ", ";
  const std::uint32_t link = link_of(program, index);
  if (link == 0 && replace)
    return what + "is attached and stays: remove it with: ip link set dev " + interface + " xdp off";
  if (link == 0)
    return what + "is attached: write replace=on, or remove it with: ip link set dev " + interface + " xdp off";
  const std::string holder = process_with_link(link);
  return what + "is held by BPF link " + std::to_string(link) + (holder.empty() ? "" : " of " + holder) +
         ", which replace=on can't take it from: " + (holder.empty() ? "" : "end that, or ") +
         "detach it with: bpftool link detach id " + std::to_string(link);
}

}  // namespace netrx
