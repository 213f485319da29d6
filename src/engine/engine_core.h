// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "deliver/packet_types.h"
#include "engine/control_lock.h"
#include "netrx/engine.h"
#include "softnet/softnet.h"

namespace netrx {

/// Starts and ends the threads of NAPIs in threaded mode: the executor's part.
class NapiThreads {
 public:
  virtual ~NapiThreads() = default;
  virtual Result<void> start(NapiStruct& napi) = 0;  ///< leaves napi.thread set
  virtual void stop(NapiStruct& napi) = 0;           ///< nobody will wake it any more; leaves napi.thread null
};

/// An attached device: the driver's half, and the path's.
struct Attached {
  std::unique_ptr<NetDevice> device;
  std::unique_ptr<Netif> netif;
};

/// What is behind Engine: the path's shared state plus what only the control plane needs.
///
/// Thread safety: everything but `net` under `control`. The control plane acts as `control_actor`; whoever changes what
/// a CPU reads publishes it or occupies that Cpu.
struct EngineCore {
  explicit EngineCore(const EngineOptions& with) : options(with) {}

  const EngineOptions options;
  Softnet net;

  mutable ControlLock control;
  Actor* control_actor = &own_actor;  ///< the simulator puts a fiber here
  std::vector<Attached> devices;
  std::vector<Attached> detached;  ///< gone from view; kept because packets in applications' hands name them
  bool executing = false;          ///< an executor runs the CPUs; else the control plane does what it waits for
  std::uint32_t next_ifindex = 1;
  std::uint32_t next_napi_id = 0;
  std::size_t next_irq = 0;
  CpuMask rps_default_mask;
  NapiThreads* napi_threads = nullptr;  ///< null: no executor runs; `threaded` takes effect when one does

  Netif* find(std::string_view name) const;
  std::vector<std::uint16_t> online_cpus() const;
  std::vector<std::uint16_t> irq_cpus() const;  ///< where new queues' interrupts may go; never empty

  // Each with `control` held.
  Result<std::uint32_t> attach(std::unique_ptr<NetDevice> device);
  Result<void> detach(std::string_view name);
  Result<void> set_running(Netif& netif, bool running);
  Result<void> set_threaded(Netif& netif, bool threaded);
  Result<void> bind_irq(NapiStruct& napi, std::uint16_t cpu);
  Result<void> disable_napi(NapiStruct& napi);
  /// EBUSY: the last online CPU stays. Kernel: cpu_up, cpu_down.
  Result<void> set_online(std::uint16_t cpu, bool online);

  /// Swaps a published object and frees the old one after a grace period.
  template <class T>
  void replace(Published<T>& where, std::unique_ptr<T> next) {
    std::unique_ptr<T> old = where.exchange(std::move(next));
    if (old != nullptr) net.synchronize_net(*control_actor);
  }

 private:
  void run_pending_softirqs();
  void forget_interrupts(const Netif& netif);
  void give_up_gro(Netif& netif);  ///< drops what is held for its queues; the device is down
  void unlink_from_doorbells(SoftnetData& sd, const SoftnetData& dead);

  Actor own_actor;
};

}  // namespace netrx
