// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace netrx {

/// A device's own thread, which has no part in the program's signals. A thread inherits the mask: the kernel hands a
/// signal to any thread that has it unblocked, though all that expect it wait with it blocked (signalfd).
template <class Work>
std::thread start_helper_thread(const char* name, Work work) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, work = std::move(work)]() mutable {
    pthread_setname_np(pthread_self(), name);
    work();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace netrx
