// SPDX-License-Identifier: Apache-2.0
#include "virtio_device.h"

#include <algorithm>
#include <cstring>

#include "softnet/free_packets.h"
#include "virtio/packed_device.h"
#include "virtio/split_device.h"
#include "virtio/split_driver.h"

namespace netrx::simtest {

namespace {

using std::chrono::microseconds;
using virtio::ChainId;
using virtio::DeviceRing;
using virtio::DriverRing;
using virtio::NetFiller;
using virtio::NetHeader;
using virtio::RingFault;

constexpr Nanos kTooLittle = microseconds(50);  // as VhostDevice waits, in a world that has less time
constexpr Nanos kLook = microseconds(20);
constexpr std::uint16_t kHashTcpv4 = 2;
constexpr std::size_t kLinkHeader = 14;

virtio::Features features(const VirtioPlan& plan) {
  return virtio::Features{}
      .with(virtio::kVersion1)
      .with(virtio::kGuestCsum)
      .with(virtio::kHashReport, plan.hash_report)
      .with(virtio::kMrgRxbuf, plan.mode == virtio::RxMode::mergeable);
}

virtio::RxGeometry geometry(const VirtioPlan& plan) {
  const std::uint32_t mtu = plan.mode == virtio::RxMode::big ? 2000 : 0;
  auto geometry = virtio::RxGeometry::of(features(plan), plan.ring.size, mtu);
  if (plan.short_buffers) geometry.shortest_body = 40;
  return geometry;
}

std::unique_ptr<DriverRing> driver_ring(const virtio::RingSetup& setup, const virtio::RingMemory& memory) {
  if (setup.kind == virtio::RingKind::packed)
    return std::make_unique<virtio::BasicPackedDriver<SimMemory>>(setup, memory);
  return std::make_unique<virtio::BasicSplitDriver<SimMemory>>(setup, memory);
}

std::unique_ptr<DeviceRing> device_ring(const virtio::RingSetup& setup, const virtio::TestMemory& memory) {
  if (setup.kind == virtio::RingKind::packed)
    return std::make_unique<virtio::BasicPackedDevice<SimMemory>>(setup, memory.ring(), memory.guest(), std::nullopt);
  return std::make_unique<virtio::BasicSplitDevice<SimMemory>>(setup, memory.ring(), memory.guest(), std::nullopt);
}

}  // namespace

std::string VirtioPlan::describe() const {
  constexpr const char* kModes[] = {"small", "big", "mergeable"};
  std::string text = "virtio: " + virtio::name_of(ring) + ", " + kModes[static_cast<std::size_t>(mode)] +
                     (short_buffers ? " of few bytes" : "") + ", burst " + std::to_string(burst);
  constexpr const char* kMishaps[] = {"restart", "forgetful restart", "id out of range", "id twice", "used too often"};
  for (const Mishap& one : mishaps)
    text += ", " + std::string(kMishaps[static_cast<std::size_t>(one.kind)]) + " before " + std::to_string(one.before);
  return text;
}

/// Memory and rings of one connection, with both ends' queues over them.
struct VirtioQueue::Connection {
  Connection(const VirtioPlan& plan, virtio::NetRxStats& stats, RxQueueStats& queue_stats)
      : memory(plan.ring, geometry(plan).bytes(plan.ring.size)),
        driver(driver_ring(plan.ring, memory.ring())),
        device(device_ring(plan.ring, memory)),
        rx(*driver, geometry(plan), {memory.frames(), memory.frames_address()}, stats, queue_stats),
        filler(*device, features(plan)) {}

  virtio::TestMemory memory;
  std::unique_ptr<DriverRing> driver;
  std::unique_ptr<DeviceRing> device;
  virtio::NetRx rx;
  NetFiller filler;
  SimHost::Event kick = SimHost::make_event();
};

VirtioQueue::VirtioQueue(ScriptQueue::Script script, const std::vector<Flow>& flows, const VirtioPlan& plan)
    : WrappedQueue(side_), script_(std::move(script)), flows_(flows), plan_(plan) {}

VirtioQueue::~VirtioQueue() = default;

// ---- the driver's end ----------------------------------------------------------------------------------------------

std::size_t VirtioQueue::poll(PollContext& context, PacketBatch& batch, std::size_t budget) {
  const std::size_t before = batch.size();
  const std::size_t got = WrappedQueue::poll(context, batch, budget);
  for (const Packet* packet : batch.packets().subspan(before)) {
    check(*packet);
    if (on_received) on_received(*packet);
  }
  return got;
}

void VirtioQueue::check(const Packet& packet) {
  while (!sent_.empty() && !sent_.front().receivable) sent_.pop_front();
  if (sent_.empty()) return accuse("a frame came up that was not given, or came before");
  const std::vector<std::uint8_t>& bytes = sent_.front().bytes;
  const std::span<const std::uint8_t> linear = packet.linear();
  if (packet.len != bytes.size() || linear.size() != bytes.size() || !std::ranges::equal(linear, bytes))
    return accuse("a frame came up that is not the next one given");
  sent_.pop_front();
}

std::string VirtioQueue::unreceived() const {
  const auto left = std::ranges::count_if(sent_, &Sent::receivable);
  if (left == 0 && stats_.rx_frame_errors.load() == 0) return {};
  return std::to_string(left) + " frames that were given did not come up, " +
         std::to_string(stats_.rx_frame_errors.load()) + " did not agree with their headers";
}

Nanos VirtioQueue::dry_until() { return side_.next_attention(Nanos{0}); }

bool VirtioQueue::due(Nanos now) {
  const RingStage::Look look;
  return side_.has_work() && (dry_until() == kNever || dry_until() <= now);
}

// Whoever was called would be awake, and nobody is asked then: only the end of a dry time comes by itself.
bool VirtioQueue::would_interrupt(Nanos now) {
  const RingStage::Look look;
  return dry_until() <= now;
}

Nanos VirtioQueue::next_arrival() {
  const RingStage::Look look;
  return dry_until();
}

std::string VirtioQueue::stuck() {
  const RingStage::Look look;
  if (!waiting_ || !connection_->device->has_available()) return {};
  return "its device sleeps until it is told of buffers, and there are some";
}

// ---- the device's end ----------------------------------------------------------------------------------------------

void VirtioQueue::start(SimMachine& machine, const std::string& name, std::function<void()> call, bool waits) {
  side_.call()->wake = std::move(call);
  task_ = &machine.spawn(name, plan_.core, !waits, [this](SimTask&) { run(); });
}

void VirtioQueue::unplug() {
  unplugged_ = true;
  if (task_ != nullptr) task_->machine.wake(*task_);
}

/// True: woken.
bool VirtioQueue::sleep(Nanos at_most) {
  return task_->machine.sleep(at_most == kNever ? kNever : task_->time + at_most);
}

void VirtioQueue::run() {
  connect();
  while (next_ < script_.arrivals.size() && !unplugged_) {
    if (mishap()) continue;
    if (const Nanos wait = script_.arrivals[next_].at - task_->machine.now(); wait > Nanos{0})
      sleep(wait);
    else if (give_burst())
      retried_ = false;
    else
      wait_for_buffers();
  }
  if (unplugged_) return;
  side_.end();
  disconnect();
}

void VirtioQueue::connect() {
  if (unplugged_) return;
  connection_ = std::make_unique<Connection>(plan_, rx_stats_, side_.rx_stats());
  connection_->kick->wake = [this] { task_->machine.wake(*task_); };
  (void)connection_->rx.fill();
  retried_ = false;
  side_.attach(connection_->rx, connection_->kick);
}

/// What was given is received first, as VhostUserDevice has it.
void VirtioQueue::disconnect() {
  SimHost::signal(side_.call());
  while (!unplugged_ && side_.has_work()) sleep(kLook);
  if (unplugged_) return;
  side_.detach();
  if (const std::string left = unreceived(); !left.empty()) accuse(left);
  sent_.clear();
}

bool VirtioQueue::give(std::uint32_t arrival) {
  const Flow& flow = flows_[script_.arrivals[arrival].flow];
  std::vector<std::uint8_t> bytes = flow.frame;
  NetHeader header;
  header.hash_value = flow.hash;
  if (flow.hash != 0) header.hash_report = kHashTcpv4;
  if (flow.tcp) {
    header.base.flags = VirtioNetHdr::kDataValid;
    streams_.write(bytes.data(), flow, arrival);
  } else if (bytes.size() >= kLinkHeader) {  // no two frames are alike
    const auto* number = reinterpret_cast<const std::uint8_t*>(&arrival);
    bytes.insert(bytes.end(), number, number + sizeof arrival);
  }
  Packet packet;
  packet.head = packet.data = bytes.data();
  packet.len = packet.buffer_size = static_cast<std::uint32_t>(bytes.size());
  switch (connection_->filler.put(header, packet)) {
    case NetFiller::Put::done: break;
    case NetFiller::Put::no_room: return false;
    case NetFiller::Put::refused: accuse("no frame fits the driver's buffers"); return false;
    case NetFiller::Put::broken:
      accuse("the driver broke its ring: " + std::string(text(connection_->device->fault())));
  }
  const bool receivable = bytes.size() >= kLinkHeader;
  sent_.push_back({std::move(bytes), receivable});
  return true;
}

/// Gives what has arrived, up to a burst; `show`: and shows it. Returns how much.
std::size_t VirtioQueue::give_burst(bool show) {
  const std::size_t limit = mishaps_ < plan_.mishaps.size() && show
                                ? std::min(plan_.mishaps[mishaps_].before, script_.arrivals.size())
                                : script_.arrivals.size();
  std::size_t given = 0;
  while (given < plan_.burst && next_ < limit && script_.arrivals[next_].at <= task_->machine.now() &&
         give(static_cast<std::uint32_t>(next_))) {
    ++next_;
    ++given;
  }
  if (given != 0 && show && connection_->filler.call()) SimHost::signal(side_.call());
  return given;
}

/// As VhostDevice::State::sleep does it for a receive ring.
void VirtioQueue::wait_for_buffers() {
  const bool available = connection_->device->enable_kicks();
  const bool more = available && !retried_;
  retried_ = more;
  if (!more) {
    waiting_ = !available;
    sleep(available ? kTooLittle : kNever);
    waiting_ = false;
  }
  connection_->device->disable_kicks();
}

/// True: one was due, and may have happened.
bool VirtioQueue::mishap() {
  if (mishaps_ == plan_.mishaps.size() || plan_.mishaps[mishaps_].before > next_) return false;
  const Kind kind = plan_.mishaps[mishaps_].kind;
  switch (kind) {
    case Kind::restart: break;
    case Kind::forgetful:
      for (std::size_t n = give_burst(false); n > 0; --n, --next_) sent_.pop_back();
      break;
    default:
      if (!lie(kind)) {
        wait_for_buffers();
        return true;
      }
  }
  ++mishaps_;
  disconnect();
  if (!unplugged_) sleep(kLook);  // nobody is there for a while
  connect();
  return true;
}

/// Gives a buffer back as no honest device does, interrupts, and waits until the driver has seen it. False: it has
/// none.
bool VirtioQueue::lie(Kind kind) {
  virtio::Chain chain;
  if (!connection_->device->take(chain)) return false;
  ChainId named = chain.name();
  std::size_t times = 1;
  if (kind == Kind::id_range) named.id = static_cast<std::uint16_t>(plan_.ring.size + 7);
  if (kind == Kind::id_twice) times = 2;
  if (kind == Kind::used_too_often) times = plan_.ring.size + 2u;
  // More than the ring has room for would take back what was shown before.
  while (!unplugged_ && times != 1 && side_.has_work()) sleep(kLook);
  for (; times > 0; --times) connection_->device->complete(named, 4);
  (void)connection_->device->call_prepare();
  SimHost::signal(side_.call());
  // The buffer that was given back twice may be in flight again by then, and nothing is wrong with it.
  while (!unplugged_ && connection_->driver->fault() == RingFault::none && side_.has_work()) sleep(kLook);
  return true;
}

// An interrupt that moves is announced to the CPU it moves to, which looks at the queue then: a call that still went to
// the old one is not lost.
std::function<void()> interrupt_of(SimMachine& machine, EngineCore& core, NapiStruct& napi) {
  return [&machine, &core, &napi] {
    const std::uint16_t cpu = napi.irq_cpu.load(std::memory_order_seq_cst);
    if (machine.current() != nullptr && core.net.possible(cpu))
      ring_doorbell(core.net.of(cpu), machine.current()->actor, kBellKick);
  };
}

VirtioDevice::VirtioDevice(std::string name, const std::vector<ScriptQueue::Script>& scripts,
                           const std::vector<Flow>& flows, const VirtioPlan& plan, FlowHashKind hash)
    : name_(std::move(name)), hash_(hash) {
  for (const ScriptQueue::Script& script : scripts)
    queues_.push_back(std::make_unique<VirtioQueue>(script, flows, plan));
}

}  // namespace netrx::simtest
