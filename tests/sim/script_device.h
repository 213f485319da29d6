// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpu/clock.h"
#include "judged_queue.h"
#include "netrx/device.h"

namespace netrx::simtest {

/// The frame that every packet of a flow is. Its source MAC address names the flow, so that a packet says what it is
/// wherever it is met.
struct Flow {
  std::vector<std::uint8_t> frame;
  bool tcp = false;        ///< segments of a stream: GRO merges them
  std::uint32_t hash = 0;  ///< what the device gives as an L4 hash; 0: none
};

std::uint32_t flow_of(const Packet& packet);
/// The kinds of frames differ by `id`: UDP or TCP over IPv4 or IPv6, tagged, ARP, too short for a link header.
Flow make_flow(std::uint32_t id, bool exotic);

struct Arrival {
  Nanos at;
  std::uint32_t flow;
};

/// Makes a flow's next frame of it: a stream's segments follow each other, but for a gap now and then.
class StreamWriter {
 public:
  /// `frame` holds flow.frame already.
  void write(std::uint8_t* frame, const Flow& flow, std::uint32_t arrival);

 private:
  std::unordered_map<const Flow*, std::uint32_t> positions_;
};

/// How a queue's interrupt behaves.
enum class IrqKind : std::uint8_t {
  level,  ///< wanted as long as something waits unmasked
  edge,   ///< once after each unmask, for what arrived after it: a lost one is lost
};

/// A queue whose arrivals are written down beforehand.
class ScriptQueue : public RxQueue, public JudgedQueue {
 public:
  struct Script {
    std::vector<Arrival> arrivals;  ///< by time
    IrqKind irq = IrqKind::edge;
    std::size_t ring = SIZE_MAX;  ///< frames that can wait; more are missed
  };

  ScriptQueue(Script script, const std::vector<Flow>& flows, Clock& clock)
      : script_(std::move(script)), flows_(flows), clock_(clock) {}

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override;
  void irq_mask() override { masked_ = true; }
  IrqCookie irq_unmask() override;
  bool irq_missed(IrqCookie cookie) override;
  bool irq_take(Nanos now) override;
  Nanos next_attention(Nanos now) override;
  bool exhausted() const override { return arrived_ == script_.arrivals.size() && waiting_.empty(); }

  bool masked() const override { return masked_; }
  bool due(Nanos now) override {
    arrive(now);
    return !waiting_.empty();
  }
  bool would_interrupt(Nanos now) override;
  Nanos next_arrival() override { return arrived_ < script_.arrivals.size() ? script_.arrivals[arrived_].at : kNever; }

 private:
  void arrive(Nanos now);
  void fill(Packet& packet, const Flow& flow, std::uint32_t arrival);

  const Script script_;
  const std::vector<Flow>& flows_;
  Clock& clock_;
  std::size_t arrived_ = 0;             // of script_.arrivals
  std::vector<std::uint32_t> waiting_;  // indices of arrivals, oldest first
  StreamWriter streams_;
  bool masked_ = true;
  bool signalled_ = false;
  std::size_t announced_from_ = 0;  // arrivals from here on raise the interrupt
};

class ScriptDevice : public NetDevice {
 public:
  ScriptDevice(std::string name, std::vector<ScriptQueue::Script> scripts, const std::vector<Flow>& flows, Clock& clock,
               FlowHashKind hash);
  std::string_view name() const override { return name_; }
  std::size_t queue_count() const override { return queues_.size(); }
  ScriptQueue& queue(std::size_t index) override { return *queues_[index]; }
  FlowHashKind flow_hash() const override { return hash_; }

 private:
  const std::string name_;
  const FlowHashKind hash_;
  std::vector<std::unique_ptr<ScriptQueue>> queues_;
};

}  // namespace netrx::simtest
