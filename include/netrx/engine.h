// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netrx/cpu_mask.h"
#include "netrx/deliver.h"
#include "netrx/device.h"
#include "netrx/error.h"
#include "netrx/flow.h"
#include "netrx/gro.h"
#include "netrx/packet.h"
#include "netrx/stats.h"
#include "netrx/trace.h"

namespace netrx {

struct EngineCore;
class Application;
class Consumer;

/// What is fixed for an engine's life.
struct EngineOptions {
  /// CPU numbers this engine owns, as in rps_cpus: with ThreadExecutor they are the host's, in simulation any.
  std::vector<std::uint16_t> cpus{0};
  /// Where queues' interrupts go, round robin, when their device is attached; empty: to every online CPU. bind_irq()
  /// moves them later, but a queue that always has something is not left by the CPU that polls it.
  std::vector<std::uint16_t> irq_cpus{};
  std::size_t pool_packets = 8192;  ///< packets a CPU; at least 64
  std::size_t frame_size = 2048;    ///< bytes a packet's own buffer holds
  /// Packets a backlog can hold whatever netdev_max_backlog says; 0: as many as all pools have, so that it never
  /// decides.
  std::uint32_t backlog_capacity = 0;
  std::uint32_t hz = 250;  ///< the tick, in which net_rx_action counts its time
  /// Keys of the flow hashes; drawn at random when absent, as the kernel does at boot.
  std::optional<SipHashKey> flow_hash_key{};
  std::vector<std::uint8_t> rss_key{Toeplitz::kMicrosoftKey.begin(), Toeplitz::kMicrosoftKey.end()};
};

/// The receive path of some CPUs: devices in, packets out, steered as Linux would.
///
///   auto engine = Engine::create({.cpus = {0, 1}});
///   (*engine)->attach(open_device("gen:flows=1024").value());
///   (*engine)->write("/sys/class/net/gen0/queues/rx-0/rps_cpus", "3");
///   (*engine)->add_handler(kEthPIp, my_handler);
///   ThreadExecutor threads(**engine, {});
///   threads.start();
///
/// Thread rules: every call from any thread that is not one of the engine's CPUs; calls that change something wait for
/// each other. Handlers and tracers must outlive the engine, or be removed first.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // -- devices
  /// Registers a device and brings it up; its queues' interrupts go round robin over EngineOptions::irq_cpus. Returns
  /// its ifindex. EEXIST: the name is taken. Kernel: register_netdev, dev_open.
  Result<std::uint32_t> attach(std::unique_ptr<NetDevice> device);
  /// Takes a device down and away; its queued packets are dropped with DEV_READY. ENODEV. Kernel: unregister_netdevice.
  Result<void> detach(std::string_view name);
  /// Up or down. Down: nothing is polled, and what is queued already is delivered. Kernel: dev_open, dev_close.
  Result<void> set_running(std::string_view name, bool running);
  /// Binds a queue's interrupt to a CPU. Kernel: /proc/irq/N/smp_affinity.
  Result<void> bind_irq(std::string_view name, std::size_t queue, std::uint16_t cpu);

  // -- who gets the packets
  /// kEthPAll: whatever no other handler takes. EEXIST: taken.
  Result<void> add_handler(Be16 type, PacketHandler& handler, std::string_view device = {});
  Result<void> remove_handler(PacketHandler& handler);
  Result<void> add_tap(Tap& tap, std::string_view device = {});
  Result<void> remove_tap(Tap& tap);
  /// Before the first executor starts.
  void set_tracer(Tracer* tracer);

  /// Replaces the local ports that change what GRO does with packets to them; at first there are none.
  void set_gro_endpoints(std::span<const GroEndpoint> endpoints);

  // -- settings: the kernel's paths, texts, ranges and errors (docs/configuration.md)
  /// /proc/sys/net/core/*, /sys/class/net/<device>/..., /sys/devices/system/cpu/cpuN/online; "net.core.x" for short.
  /// ENOENT: no such setting. A refused text changes nothing, unless the page says so.
  Result<void> write(std::string_view path, std::string_view text);
  Result<std::string> read(std::string_view path) const;
  /// Every path that write() or read() knows now.
  std::vector<std::string> settings() const;

  // -- what happened
  EngineStats stats() const;
  std::string softnet_stat() const;  ///< the text of /proc/net/softnet_stat
  /// True when every attached device is exhausted and no packet waits anywhere in the path.
  bool drained() const;

  /// A place for an application thread, from which it records its flows, frees packets and busy polls. One a thread.
  std::unique_ptr<Application> open_application();

  EngineCore& core() { return *core_; }  ///< for executors

 private:
  explicit Engine(std::unique_ptr<EngineCore> core);
  std::unique_ptr<EngineCore> core_;
};

/// An application thread's side of RFS: telling the stack where a flow is consumed. Kernel: what recvmsg does.
///
/// Thread rules: used by one thread at a time.
class Application {
 public:
  ~Application();
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  /// The flow with this hash is consumed on `cpu`. Nothing happens while no rps_sock_flow_table exists. Kernel:
  /// sock_rps_record_flow_hash.
  void record_flow(std::uint32_t hash, std::uint16_t cpu);
  /// The same for a batch just received.
  void record_flows(std::span<Packet* const> packets, std::uint16_t cpu);

  /// Ends packets the application kept; empties the batch.
  void free_packets(PacketBatch& packets);

  /// Puts Ethernet frames into the stack as received by `device`, without a NAPI, from CPU `cpu`: they always pass a
  /// backlog, this CPU's or the one that RPS chooses. Returns how many there was a packet for; the rest is the caller's
  /// to send again. ENODEV, ENETDOWN, EINVAL: `cpu` is not online, a frame is shorter than its header or longer than a
  /// packet's buffer. Kernel: loopback_xmit, netif_rx.
  Result<std::size_t> transmit(std::string_view device, std::uint16_t cpu,
                               std::span<const std::span<const std::uint8_t>> frames);

  /// Polls the queue behind `napi_id` from this thread, as CPU `cpu`, until `until` packets came or `turns` turns
  /// passed. Returns packets received; ENOENT: no such NAPI; EBUSY: never got it. Kernel: napi_busy_loop.
  struct BusyPollRequest {
    std::uint32_t napi_id = 0;
    std::uint16_t cpu = 0;
    std::uint32_t until = 1;
    std::uint32_t turns = 1000;
    std::uint16_t budget = 8;  ///< SO_BUSY_POLL_BUDGET
    bool prefer = false;       ///< SO_PREFER_BUSY_POLL
  };
  Result<std::uint32_t> busy_poll(const BusyPollRequest& request);

 private:
  friend class Engine;
  struct State;
  explicit Application(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace netrx
