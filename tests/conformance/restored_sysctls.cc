// SPDX-License-Identifier: Apache-2.0
#include "restored_sysctls.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <thread>
#include <utility>

#include "kernel.h"

namespace netrx::conformance {

RestoredSysctls::RestoredSysctls(const std::vector<std::string>& paths) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const std::string& path : paths) values.emplace_back(path, Kernel::read(path));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0 || (child_ = fork()) < 0) throw std::runtime_error("no child to restore sysctls");
  if (child_ != 0) {
    close(ends[0]);
    alive_ = ends[1];
    return;
  }
  // The child: only system calls, since other threads may have held locks.
  setsid();
  close(ends[1]);
  char byte;
  while (::read(ends[0], &byte, 1) > 0) {
  }
  for (const auto& [path, value] : values) {
    const int fd = ::open(path.c_str(), O_WRONLY);
    if (fd >= 0 && ::write(fd, value.data(), value.size()) < 0) _exit(1);
  }
  _exit(0);
}

RestoredSysctls::~RestoredSysctls() {
  close(alive_);
  waitpid(child_, nullptr, 0);
}

NetworkNamespace::NetworkNamespace() : fd_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {}
NetworkNamespace::~NetworkNamespace() { close(fd_); }

bool NetworkNamespace::run(const std::function<void()>& work) const {
  bool entered = false;
  std::thread([&] {
    entered = setns(fd_, CLONE_NEWNET) == 0;
    if (entered) work();
  }).join();
  return entered;
}

}  // namespace netrx::conformance
