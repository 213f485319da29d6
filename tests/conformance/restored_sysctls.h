// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace netrx::conformance {

/// Keeps the values of sysctls that all of the machine shares, and writes them back: when it ends, and also when this
/// process ends before, however it ends. A child process sees to that.
class RestoredSysctls {
 public:
  explicit RestoredSysctls(const std::vector<std::string>& paths);
  ~RestoredSysctls();
  RestoredSysctls(const RestoredSysctls&) = delete;
  RestoredSysctls& operator=(const RestoredSysctls&) = delete;

 private:
  int alive_ = -1;  ///< closed by our end, which wakes the child
  int child_ = -1;
};

/// The network namespace in which this thread is, to go back to.
class NetworkNamespace {
 public:
  NetworkNamespace();
  ~NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  /// Runs `work` there, on a thread of its own. False: it can't be entered.
  bool run(const std::function<void()>& work) const;

 private:
  int fd_;
};

}  // namespace netrx::conformance
