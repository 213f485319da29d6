// SPDX-License-Identifier: Apache-2.0
#include "signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

namespace netrx::cli {

namespace {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

Signals::Signals() : fd_(-1) {
  const sigset_t set = ending_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Signals::~Signals() {
  if (fd_ >= 0) close(fd_);
}

int Signals::wait(Nanos at_most) {
  if (fd_ < 0) {
    std::this_thread::sleep_for(at_most);
    return 0;
  }
  pollfd waited{.fd = fd_, .events = POLLIN, .revents = 0};
  const timespec time{.tv_sec = at_most.count() / 1'000'000'000, .tv_nsec = at_most.count() % 1'000'000'000};
  signalfd_siginfo info{};
  if (ppoll(&waited, 1, &time, nullptr) <= 0 || read(fd_, &info, sizeof info) != sizeof info) return 0;
  close(fd_);
  fd_ = -1;
  const sigset_t set = ending_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return static_cast<int>(info.ssi_signo);
}

}  // namespace netrx::cli
