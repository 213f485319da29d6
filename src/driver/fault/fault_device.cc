// SPDX-License-Identifier: Apache-2.0
#include "driver/fault/fault_device.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "driver/bounded_fifo.h"
#include "driver/fault/packet_keeper.h"
#include "driver/soft_irq.h"
#include "driver/wrapped_device.h"
#include "netrx/packet_bytes.h"

namespace netrx {

namespace {

/// The fate of one frame. Everything is drawn for every frame, so that one key does not change what another does.
struct Fate {
  bool lost, duplicated, corrupted, reordered, delayed;
  std::uint64_t bit;  ///< which to flip, modulo the frame's bits

  static Fate draw(const FaultOptions& options, Prng prng) {
    Fate fate{};
    fate.lost = prng.chance_ppm(options.loss);
    fate.duplicated = prng.chance_ppm(options.duplicate);
    fate.corrupted = prng.chance_ppm(options.corrupt);
    fate.reordered = prng.chance_ppm(options.reorder);
    fate.delayed = prng.chance_ppm(options.delayed);
    fate.bit = prng.next();
    return fate;
  }
};

/// What happened to one queue's frames, counted by whoever polls it.
struct Counts {
  std::atomic<std::uint64_t> received{0}, lost{0}, duplicated{0}, not_duplicated{0}, corrupted{0}, reordered{0},
      delayed{0};
};

struct Held {
  Packet* packet;
  Nanos until;               ///< comes out then at the latest
  std::uint64_t passed = 0;  ///< or when so many frames have come out
};

/// `to` gets all that a device says of a packet, and room for the same bytes; false when its buffer is too small.
bool describe_copy(const Packet& from, Packet& to) {
  if (from.headroom() + from.len > to.buffer_size) return false;
  to.data = to.head + from.headroom();
  to.len = from.len;
  to.tstamp = from.tstamp;
  to.hash = from.hash;
  to.l4_hash = from.l4_hash;
  to.sw_hash = from.sw_hash;
  to.protocol = from.protocol;
  to.vlan_present = from.vlan_present;
  to.vlan_proto = from.vlan_proto;
  to.vlan_tci = from.vlan_tci;
  to.mac_header = from.mac_header;
  to.network_header = from.network_header;
  to.transport_header = from.transport_header;
  to.pkt_type = from.pkt_type;
  to.ip_summed = from.ip_summed;
  to.csum_level = from.csum_level;
  to.csum = from.csum;
  to.gso_type = from.gso_type;
  to.gso_size = from.gso_size;
  to.gso_segs = from.gso_segs;
  return true;
}

}  // namespace

class FaultQueue final : public WrappedQueue {
 public:
  FaultQueue(RxQueue& inner, const FaultOptions& options, Prng prng)
      : WrappedQueue(inner),
        options_(options),
        prng_(prng),
        ready_(2 * std::size_t{options.hold} + 4 * PacketBatch::kCapacity),
        reordered_(options.hold),
        delayed_(options.hold) {
    irq_.set_due(kNever);
  }

  ~FaultQueue() override {
    while (!ready_.empty()) keeper_.give_back(ready_.pop());
    for (BoundedFifo<Held>* held : {&reordered_, &delayed_})
      while (!held->empty()) keeper_.give_back(held->pop().packet);
  }

  std::size_t poll(PollContext& context, PacketBatch& batch, std::size_t budget) override {
    // Not exhausted while this poll may still take something in.
    held_.store(held() + 1, std::memory_order_seq_cst);
    keeper_.polled_with(context.pool);
    polled_at_ = context.now;
    budget = std::min(budget, batch.room());
    release_until(delayed_, context.now);
    release_until(reordered_, context.now);
    const bool more = take_in(context, budget);
    if (inner_.exhausted()) release_until(reordered_, kNever);  // nobody will pass them any more
    const std::size_t given = give_out(batch, budget);
    copy_losses();
    set_next(more);
    held_.store(held(), std::memory_order_seq_cst);
    return given;
  }

  void irq_mask() override {
    irq_.mask();
    inner_.irq_mask();
  }
  /// A queue that can hold no more keeps the inner one masked: it has nothing to ask for.
  IrqCookie irq_unmask() override {
    irq_.unmask();
    if (!full()) return inner_.irq_unmask();
    inner_.irq_mask();
    return 0;
  }
  bool irq_missed(IrqCookie cookie) override {
    return irq_.missed(polled_at_) || (!full() && inner_.irq_missed(cookie));
  }
  /// One interrupt for what is held here and for what is behind.
  bool irq_take(Nanos now) override {
    return irq_.armed() && (irq_.due() <= now || inner_.irq_take(now)) && irq_.fire();
  }
  Nanos next_attention(Nanos now) override {
    const Nanos own = irq_.next_attention(now);
    return full_.load(std::memory_order_relaxed) ? own : std::min(own, inner_.next_attention(now));
  }
  bool exhausted() const override { return inner_.exhausted() && held_.load(std::memory_order_seq_cst) == 0; }

  FaultCounts counts() const {
    const auto read = [](const std::atomic<std::uint64_t>& count) { return count.load(std::memory_order_relaxed); };
    return {.received = read(counts_.received),
            .lost = read(counts_.lost),
            .duplicated = read(counts_.duplicated),
            .not_duplicated = read(counts_.not_duplicated),
            .corrupted = read(counts_.corrupted),
            .reordered = read(counts_.reordered),
            .delayed = read(counts_.delayed),
            .held = held_.load(std::memory_order_relaxed)};
  }

 private:
  std::size_t held() const { return ready_.size() + reordered_.size() + delayed_.size(); }
  std::size_t room() const { return std::min(reordered_.room(), delayed_.room()); }
  bool full() const { return room() == 0; }

  /// A frame comes out, and with it those that waited for as many to pass.
  void emit(Packet* packet) {
    ready_.push(packet);
    ++emitted_;
    for (; !reordered_.empty() && reordered_.front().passed <= emitted_; ++emitted_)
      ready_.push(reordered_.pop().packet);
  }

  void release_until(BoundedFifo<Held>& from, Nanos now) {
    while (!from.empty() && from.front().until <= now) ready_.push(from.pop().packet);
  }

  /// Takes frames in until `budget` are ready. True: more may be there, though less is ready.
  bool take_in(PollContext& context, std::size_t budget) {
    const std::size_t most = 4 * budget;  // a link that loses everything shall not hold the poll for ever
    std::size_t taken = 0;
    while (ready_.size() < budget) {
      if (taken >= most) return true;
      const std::size_t wanted = std::min(budget - ready_.size(), room());
      if (wanted == 0) return false;  // something comes out first
      PacketBatch batch;
      const std::size_t got = inner_.poll(context, batch, wanted);
      for (Packet* packet : batch) treat(packet, context);
      batch.released();
      taken += got;
      if (got < wanted) return false;
    }
    return false;
  }

  void treat(Packet* packet, PollContext& context) {
    const Fate fate = Fate::draw(options_, prng_.fork());
    RxQueueStats::add(counts_.received);
    if (fate.lost) {
      RxQueueStats::add(counts_.lost);
      return PacketKeeper::drop(packet, context.pool, keeper_);
    }
    if (fate.corrupted && packet->headlen() != 0) {
      const std::uint64_t bit = fate.bit % (std::uint64_t{packet->headlen()} * 8);
      packet->data[bit / 8] = static_cast<std::uint8_t>(packet->data[bit / 8] ^ 1u << bit % 8);
      RxQueueStats::add(counts_.corrupted);
    }
    if (fate.duplicated) duplicate(*packet, context.pool);
    if (fate.reordered) {
      RxQueueStats::add(counts_.reordered);
      reordered_.push({packet, context.now + FaultOptions::kReorderWait, emitted_ + options_.gap});
    } else if (fate.delayed) {
      RxQueueStats::add(counts_.delayed);
      delayed_.push({packet, context.now + options_.delay});
    } else {
      emit(packet);
    }
  }

  void duplicate(const Packet& packet, PacketPool& pool) {
    Packet* copy = nullptr;
    if (pool.alloc({&copy, 1}) == 0) return RxQueueStats::add(counts_.not_duplicated);
    if (!describe_copy(packet, *copy)) {
      pool.put({&copy, 1});
      return RxQueueStats::add(counts_.not_duplicated);
    }
    copy_bits(packet, 0, {copy->data, copy->len});
    RxQueueStats::add(counts_.duplicated);
    emit(copy);
  }

  std::size_t give_out(PacketBatch& batch, std::size_t budget) {
    const std::size_t n = std::min(budget, ready_.size());
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < n; ++i) {
      Packet* packet = ready_.pop();
      packet->rx_seq = rx_seq_++;
      bytes += packet->len;
      batch.push_back(packet);
    }
    RxQueueStats::add(stats_.rx_packets, n);
    RxQueueStats::add(stats_.rx_bytes, bytes);
    return n;
  }

  void set_next(bool more) {
    full_.store(full(), std::memory_order_relaxed);
    Nanos next = kNever;
    if (!reordered_.empty()) next = reordered_.front().until;
    if (!delayed_.empty()) next = std::min(next, delayed_.front().until);
    if (more || !ready_.empty()) next = polled_at_;
    irq_.set_due(next);
  }

  const FaultOptions options_;
  Prng prng_;
  PacketKeeper keeper_;
  BoundedFifo<Packet*> ready_;  ///< next to be given out
  BoundedFifo<Held> reordered_;
  BoundedFifo<Held> delayed_;
  std::uint64_t emitted_ = 0;
  std::uint64_t rx_seq_ = 0;
  Nanos polled_at_{0};
  SoftIrq irq_;  ///< for what is held here
  std::atomic<std::size_t> held_{0};
  std::atomic<bool> full_{false};
  Counts counts_;
};

FaultDevice::FaultDevice(std::unique_ptr<NetDevice> inner, const FaultOptions& options)
    : WrappedDevice(std::move(inner)) {
  Prng prng(options.seed);
  for (std::size_t i = 0; i < inner_->queue_count(); ++i) {
    auto queue = std::make_unique<FaultQueue>(inner_->queue(i), options, prng.fork());
    fault_queues_.push_back(queue.get());
    queues_.push_back(std::move(queue));
  }
}

FaultCounts FaultDevice::counts(std::size_t queue) const { return fault_queues_[queue]->counts(); }

std::string FaultDevice::remark() const {
  FaultCounts all;
  for (const FaultQueue* queue : fault_queues_) {
    const FaultCounts one = queue->counts();
    all.lost += one.lost;
    all.duplicated += one.duplicated;
    all.not_duplicated += one.not_duplicated;
    all.corrupted += one.corrupted;
    all.reordered += one.reordered;
    all.delayed += one.delayed;
  }
  std::string text;
  const auto say = [&](std::uint64_t count, const char* what) {
    if (count != 0) text += (text.empty() ? "fault: " : ", ") + std::to_string(count) + what;
  };
  say(all.lost, " lost");
  say(all.duplicated, " duplicated");
  say(all.not_duplicated, " not duplicated for want of a packet");
  say(all.corrupted, " corrupted");
  say(all.reordered, " reordered");
  say(all.delayed, " delayed");
  return remark_and(text);
}

namespace {

Result<std::unique_ptr<NetDevice>> wrap_fault(DeviceArguments& arguments, std::unique_ptr<NetDevice> inner) {
  FaultOptions options;
  options.loss = arguments.ppm("loss", 0);
  options.duplicate = arguments.ppm("dup", 0);
  options.corrupt = arguments.ppm("corrupt", 0);
  options.reorder = arguments.ppm("reorder", 0);
  options.gap = static_cast<std::uint32_t>(arguments.number("gap", options.gap, 1, 1000));
  options.delay = arguments.duration("delay", Nanos{0}, Nanos{0}, std::chrono::seconds(10));
  options.delayed = arguments.ppm("delayed", options.delay > Nanos{0} ? 1'000'000 : 0);
  options.hold = static_cast<std::uint32_t>(arguments.number("hold", options.hold, 1, 1u << 16));
  options.seed = arguments.number("seed", options.seed, 0, ~std::uint64_t{0});
  if (arguments.given("delayed") && !arguments.given("delay"))
    arguments.refuse("delayed", "for how long? give delay=DURATION too");
  if (arguments.error()) return std::unexpected(*arguments.error());
  return std::make_unique<FaultDevice>(std::move(inner), options);
}

}  // namespace

DeviceKind fault_device_kind() {
  return {.name = "fault",
          .argument = {},
          .summary = "a bad link, the same for the same seed; SHARE is in parts in a million, or as 0.1%",
          .keys = {{"loss", "SHARE", "frames lost (default 0)"},
                   {"dup", "SHARE", "frames that come twice (default 0)"},
                   {"corrupt", "SHARE", "frames with one bit flipped (default 0)"},
                   {"reorder", "SHARE", "frames that later ones overtake (default 0)"},
                   {"gap", "N", "frames that overtake one, unless 1 ms passes before (default 3)"},
                   {"delay", "DURATION", "how long frames are held back, such as 50us (default 0)"},
                   {"delayed", "SHARE", "frames held back (default: all, where delay is given)"},
                   {"hold", "N", "frames held back at once in each queue, at most (default 256)"},
                   {"seed", "N", "decides which frames (default 1)"}},
          .open = {},
          .wrap = wrap_fault};
}

}  // namespace netrx
