// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/vhost_user/rx_side.h"
#include "driver/wrapped_device.h"
#include "engine/engine_core.h"
#include "judged_queue.h"
#include "script_device.h"
#include "sim_rings.h"
#include "virtio/net_backend.h"
#include "virtio/ring_pair_test_support.h"

namespace netrx::simtest {

/// How one device of a run is a virtio-net device.
struct VirtioPlan {
  virtio::RingSetup ring;
  virtio::RxMode mode = virtio::RxMode::mergeable;
  bool short_buffers = false;  ///< mergeable ones that most frames need several of
  bool hash_report = false;
  std::size_t burst = 32;  ///< frames that the device gives before it shows them
  std::uint16_t core = 0xffff;

  /// What goes wrong, and when: before the arrival of that number.
  struct Mishap {
    enum class Kind : std::uint8_t {
      restart,         ///< the device goes and comes back
      forgetful,       ///< the same, with frames in the ring that it had not shown
      id_range,        ///< it gives back what does not exist
      id_twice,        ///< it gives the same buffer back twice
      used_too_often,  ///< it gives back more than it has
    };
    std::size_t before = 0;
    Kind kind = Kind::restart;
  };
  std::vector<Mishap> mishaps = {};  ///< by `before`

  std::string describe() const;
};

/// A queue pair's receive side: the driver's queue, as vhost-user has it, and behind it, as a task of its own, a device
/// that gives it the arrivals of a script. What comes up is compared with what was given, byte by byte.
class VirtioQueue final : public WrappedQueue, public JudgedQueue {
 public:
  VirtioQueue(ScriptQueue::Script script, const std::vector<Flow>& flows, const VirtioPlan& plan);
  ~VirtioQueue() override;

  /// Told of what must not be.
  std::function<void(const std::string&)> accuse;

  /// Starts the device. `call` raises the queue's interrupt. `waits`: the run waits for its end.
  void start(SimMachine& machine, const std::string& name, std::function<void()> call, bool waits);
  /// Nobody will poll any more: the device ends.
  void unplug();

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override;

  bool masked() const override { return side_.masked(); }
  bool due(Nanos now) override;
  bool would_interrupt(Nanos now) override;
  Nanos next_arrival() override;
  std::string stuck() override;

 private:
  struct Connection;
  struct Sent {
    std::vector<std::uint8_t> bytes;
    bool receivable;
  };
  using Kind = VirtioPlan::Mishap::Kind;

  void run();
  void connect();
  void disconnect();
  std::size_t give_burst(bool show = true);
  bool give(std::uint32_t arrival);
  void wait_for_buffers();
  bool mishap();
  bool lie(Kind kind);
  bool sleep(Nanos at_most);
  void check(const Packet& packet);
  std::string unreceived() const;
  Nanos dry_until();

  const ScriptQueue::Script script_;
  const std::vector<Flow>& flows_;
  const VirtioPlan plan_;
  vhost::BasicRxSide<SimHost> side_;
  virtio::NetRxStats rx_stats_;
  std::unique_ptr<Connection> connection_;
  StreamWriter streams_;
  SimTask* task_ = nullptr;
  std::size_t next_ = 0;     ///< arrival
  std::size_t mishaps_ = 0;  ///< of the plan, that have happened
  std::deque<Sent> sent_;    ///< and not received yet
  bool retried_ = false;     ///< as in VhostDevice::State
  bool waiting_ = false;     ///< asleep until a kick comes
  bool unplugged_ = false;
};

/// Raises a queue's interrupt: wakes the CPU that it is bound to now.
std::function<void()> interrupt_of(SimMachine& machine, EngineCore& core, NapiStruct& napi);

class VirtioDevice : public NetDevice {
 public:
  VirtioDevice(std::string name, const std::vector<ScriptQueue::Script>& scripts, const std::vector<Flow>& flows,
               const VirtioPlan& plan, FlowHashKind hash);
  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return queues_.size(); }
  VirtioQueue& queue(std::size_t index) override { return *queues_[index]; }
  FlowHashKind flow_hash() const override { return hash_; }

 private:
  const std::string name_;
  const FlowHashKind hash_;
  std::vector<std::unique_ptr<VirtioQueue>> queues_;
};

}  // namespace netrx::simtest
