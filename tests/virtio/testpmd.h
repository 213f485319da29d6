// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace netrx {

/// A running dpdk-testpmd with one vhost device, or as the driver of another's. Ends with its owner, whatever happens.
class Testpmd {
 public:
  struct Options {
    std::string folder;          ///< of its socket "s" and its output
    std::string forward = "io";  ///< txonly, rxonly, io
    std::size_t queues = 1;
    bool client = false;              ///< it connects; else it listens
    std::string driver{};             ///< it is the driver, and connects; these are more keys of net_virtio_user
    std::vector<std::string> more{};  ///< further arguments of the application
  };

  /// True when Debian's dpdk-dev is installed.
  static bool installed();

  explicit Testpmd(const Options& options);
  ~Testpmd();
  Testpmd(const Testpmd&) = delete;
  Testpmd& operator=(const Testpmd&) = delete;

  std::string socket() const { return options_.folder + "/s"; }
  /// Ends it as Ctrl-C does and waits; its output. Empty: it did not end in time and was killed.
  std::string stop();
  /// Ends it at once, as a crash does.
  void kill();

 private:
  bool wait_for_end(int milliseconds);

  const Options options_;
  int pid_ = -1;
};

/// The number behind the last "name:" in testpmd's output; ~0 when it is not there.
std::uint64_t last_number(const std::string& output, const std::string& name);

}  // namespace netrx
