// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>

#include <chrono>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "handed.h"
#include "netrx/error.h"
#include "netrx/gro.h"
#include "restored_sysctls.h"

struct bpf_object;
struct bpf_program;
struct bpf_link;
struct bpf_map;
struct perf_buffer;

namespace netrx::conformance {

/// A packet of the kernel's, and what else is known of it.
struct Seen {
  Handed handed;
  std::uint32_t cpu = 0;  ///< that handed it to the stack
  bool l4_hash = false;
};

/// Runs the calling thread on one CPU only, as long as it lives.
class PinnedTo {
 public:
  explicit PinnedTo(int cpu);
  ~PinnedTo();
  PinnedTo(const PinnedTo&) = delete;
  PinnedTo& operator=(const PinnedTo&) = delete;

 private:
  cpu_set_t before_{};
};

/// The running kernel as a device under test. It lives in a network namespace that this process makes for itself: a
/// veth pair, frames sent into one end, the other end's packets watched where they enter the stack. The namespace, the
/// pair and the programs in the kernel end with the process, however it ends.
///
/// Thread rules: one thread, which is moved into the namespace, and pinned to a CPU while it hands frames over.
class Kernel {
 public:
  /// Any error is a reason to skip: no root, no namespaces, no BPF.
  static Result<std::unique_ptr<Kernel>> open();
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// The namespace in which the program was started: if it is the machine's first, it sees all of /proc/sys/net/core.
  static const NetworkNamespace& home();

  /// Writes a file of /proc or /sys as it looks from inside the namespace; returns 0 or the errno.
  static int write(const std::string& path, const std::string& text);
  static std::string read(const std::string& path);
  static constexpr const char* kReceiver = "vb";

  /// A feature of the receiving device, by ethtool's name: "rx-gro-list".
  void set_feature(const std::string& name, bool on);
  /// `ip link set` of the receiving device: ("gro_max_size", 65536).
  void set_link(const std::string& name, std::uint32_t value);
  /// Whether a VXLAN tunnel ends here, at its usual port.
  void set_vxlan(bool on);
  /// Bound to these ports of all addresses, those of kind udp_gro with UDP_GRO.
  void set_udp_sockets(const std::vector<GroEndpoint>& sockets);

  /// All frames come in on this process's first CPU, at most NETRX_MAX_ARRIVALS of at least 14 bytes, and one poll
  /// takes them; what the stack was handed, in order. ETIME: something of them never came up.
  Result<std::vector<Seen>> receive(std::span<const Arrival> arrivals);
  /// The same on any CPU, for packets that go to others: of each CPU in order, and nearly all. On a CPU that was busy
  /// with something else, the kernel now and then hands a packet to the stack without telling us.
  Result<std::vector<Seen>> receive_on(int cpu, std::span<const Arrival> arrivals);

  /// The CPUs that this process may use.
  static std::vector<int> cpus();

 private:
  Kernel();
  Result<void> make_network();
  Result<void> load();
  Result<void> send(std::span<const Arrival> arrivals);
  /// Waits until `n` packets have come, or nothing more comes for so long.
  std::size_t wait_for(std::size_t n, std::chrono::milliseconds patience);
  void learn_gso_names();
  void take(const void* record, std::size_t size);

  std::map<std::string, std::string> settings_;  ///< as last set
  std::vector<GroEndpoint> sockets_;
  std::vector<int> socket_fds_;
  std::vector<std::pair<std::uint32_t, std::string>> gso_names_;
  std::unique_ptr<bpf_object, void (*)(bpf_object*)> object_;
  bpf_program* inject_ = nullptr;
  bpf_map* arrivals_ = nullptr;
  bpf_map* control_ = nullptr;
  std::unique_ptr<bpf_link, int (*)(bpf_link*)> watching_;
  std::unique_ptr<perf_buffer, void (*)(perf_buffer*)> records_;
  std::vector<Seen> taken_;
  std::uint64_t lost_ = 0;
};

}  // namespace netrx::conformance
