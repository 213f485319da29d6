// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/back_end.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>

#include "driver/vhost_user/shared_block.h"
#include "virtio/tracked_ring.h"

namespace netrx::vhost {

namespace {

using virtio::Feature;

constexpr std::uint64_t kProtocolOffered =
    bit(kProtocolMq) | bit(kProtocolReplyAck) | bit(kProtocolInflightShmfd) | bit(kProtocolStatus);

std::unexpected<Error> wrong(const std::string& what) {
  return fail(EPROTO, "the driver's " + what + ": the connection was closed");
}

}  // namespace

void MappedMemory::clear() {
  (void)guest_.set({});
  (void)user_.set({});
  for (const Mapping& mapping : mappings_) munmap(mapping.memory, mapping.bytes);
  mappings_.clear();
}

Result<void> MappedMemory::map(const MemoryTable& table, std::vector<OwnedFd> files) {
  clear();
  if (table.count == 0 || table.count > MemoryTable::kMost || files.size() != table.count)
    return wrong("memory table has no regions, too many, or not as many files");
  std::vector<virtio::GuestMemory::Region> guest, user;
  for (std::uint32_t i = 0; i < table.count; ++i) {
    const MemoryRegion& region = table.regions[i];
    struct stat about{};
    std::uint64_t end = 0;
    const bool overflow = __builtin_add_overflow(region.size, region.mmap_offset, &end);
    if (overflow || region.size == 0 || region.mmap_offset % 4096 != 0 || fstat(files[i].get(), &about) != 0 ||
        end > static_cast<std::uint64_t>(about.st_size))
      return wrong("memory table names more than its files hold");
    void* memory = mmap(nullptr, end, PROT_READ | PROT_WRITE, MAP_SHARED, files[i].get(), 0);
    if (memory == MAP_FAILED) return wrong("memory can't be mapped");
    mappings_.push_back({memory, end});
    auto* host = static_cast<std::uint8_t*>(memory) + region.mmap_offset;
    guest.push_back({.address = region.guest_address, .size = region.size, .host = host});
    user.push_back({.address = region.user_address, .size = region.size, .host = host});
  }
  if (guest_.set(std::move(guest)) && user_.set(std::move(user))) return {};
  clear();
  return wrong("memory regions overlap");
}

std::uint8_t* MappedMemory::user(std::uint64_t address, std::size_t bytes, std::size_t alignment) const {
  const std::span<std::uint8_t> found = user_.at(address, bytes);
  const bool aligned = reinterpret_cast<std::uintptr_t>(found.data()) % alignment == 0;
  return found.size() == bytes && aligned ? found.data() : nullptr;
}

void InflightMemory::clear() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
  memory_ = nullptr;
}

Result<void> InflightMemory::map(const InflightArea& area, virtio::RingKind kind, const OwnedFd& file) {
  clear();
  const std::size_t stride = virtio::in_flight_region_bytes(kind, area.ring_size);
  struct stat about{};
  std::uint64_t end = 0;
  if (__builtin_add_overflow(area.bytes, area.offset, &end) || area.offset % 64 != 0 || area.rings == 0 ||
      area.ring_size == 0 || area.bytes < stride * area.rings || fstat(file.get(), &about) != 0 ||
      end > static_cast<std::uint64_t>(about.st_size))
    return wrong("in-flight area is larger than its file, or too small for its rings");
  void* memory = mmap(nullptr, end, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return wrong("in-flight area can't be mapped");
  memory_ = static_cast<std::uint8_t*>(memory);
  bytes_ = end;
  area_ = area;
  kind_ = kind;
  return {};
}

std::uint8_t* InflightMemory::region(std::size_t index, virtio::RingKind kind, std::uint32_t ring_size) const {
  if (memory_ == nullptr || kind != kind_ || index >= area_.rings || ring_size > area_.ring_size) return nullptr;
  return memory_ + area_.offset + index * virtio::in_flight_region_bytes(kind, area_.ring_size);
}

virtio::RingKind BackEnd::kind() const {
  return features_.has(Feature::kRingPacked) ? virtio::RingKind::packed : virtio::RingKind::split;
}

/// Makes the ring once everything it needs is known. A ring that has not been kicked yet is not: the driver may still
/// be at it.
Result<void> BackEnd::start(Vring& vring, std::size_t index) {
  if (!vring.kicked || !vring.address || vring.size == 0 || memory_.guest().empty()) return {};
  const bool packed = kind() == virtio::RingKind::packed;
  const virtio::RingSetup setup{.kind = kind(),
                                .size = static_cast<std::uint16_t>(vring.size),
                                .event_idx = features_.has(Feature::kEventIdx),
                                .indirect = features_.has(Feature::kIndirectDesc),
                                .in_order = features_.has(Feature::kInOrder)};
  const virtio::RingParts parts = ring_parts(setup);
  const virtio::RingMemory memory{.descriptors = memory_.user(vring.address->descriptors, parts.descriptors, 16),
                                  .driver = memory_.user(vring.address->available, parts.driver, packed ? 4 : 2),
                                  .device = memory_.user(vring.address->used, parts.device, 4)};
  if (memory.descriptors == nullptr || memory.driver == nullptr || memory.device == nullptr)
    return wrong("ring lies outside its memory, or is not aligned");
  std::uint8_t* region = in_flight_.region(index, kind(), vring.size);
  auto ring = region != nullptr ? virtio::make_tracked_ring(setup, memory, memory_.guest(), vring.base, region)
                                : virtio::DeviceRing::create(setup, memory, memory_.guest(), vring.base);
  if (!ring) return wrong("ring can't be made: " + ring.error().text);
  vring.ring = std::move(*ring);
  if (index % 2 == 0)
    vring.filler.emplace(*vring.ring, features_);
  else
    vring.drainer.emplace(*vring.ring, features_);
  if (!features_.has(Feature::kProtocolFeatures)) vring.enabled = true;
  vring.ring->disable_kicks();
  return {};
}

void BackEnd::stop(Vring& vring) {
  if (vring.ring != nullptr) vring.base = vring.ring->base();
  vring.filler.reset();
  vring.drainer.reset();
  vring.ring.reset();
}

Result<void> BackEnd::set_memory(Message& message) {
  // Running rings go on in the new memory, where it has them.
  for (Vring& vring : vrings_) stop(vring);
  if (const auto ok = memory_.map(message.as<MemoryTable>(), std::move(message.files)); !ok) return ok;
  for (std::size_t i = 0; i < vrings_.size(); ++i)
    if (const auto ok = start(vrings_[i], i); !ok) return ok;
  return {};
}

/// An area for the rings that the driver names, empty; it comes back by SET_INFLIGHT_FD, from this driver or to the
/// device after this one.
Result<void> BackEnd::get_inflight(const Message& message) {
  auto area = message.as<InflightArea>();
  if (area.rings == 0 || area.rings > vrings_.size() || area.ring_size == 0 || area.ring_size > 32768)
    return wrong("in-flight area is for no rings, or for more than there are");
  area.bytes = virtio::in_flight_region_bytes(kind(), area.ring_size) * area.rings;
  area.offset = 0;
  const auto block = SharedBlock::create(area.bytes);
  if (!block) return std::unexpected(block.error());
  const int fd = block->fd();
  return connection_.send(message.request, Message::kReply, area, {&fd, 1});
}

Result<void> BackEnd::set_inflight(const Message& message) {
  if (message.files.size() != 1) return wrong("in-flight area has no file");
  for (Vring& vring : vrings_) stop(vring);
  if (const auto ok = in_flight_.map(message.as<InflightArea>(), kind(), message.files.front()); !ok) return ok;
  for (std::size_t i = 0; i < vrings_.size(); ++i)
    if (const auto ok = start(vrings_[i], i); !ok) return ok;
  return {};
}

Result<void> BackEnd::set_file(Message& message) {
  const auto value = message.as<std::uint64_t>();
  Vring& vring = vrings_[value & kIndexMask];
  OwnedFd file;
  if ((value & kNoFile) == 0) {
    if (message.files.size() != 1) return wrong("request needs one file");
    file = std::move(message.files.front());
  }
  switch (message.request) {
    case Request::set_vring_call: vring.call = std::move(file); return {};
    case Request::set_vring_err: vring.error = std::move(file); return {};
    default: break;
  }
  stop(vring);
  vring.kick = std::move(file);
  vring.kicked = true;
  return start(vring, value & kIndexMask);
}

/// Where a ring goes on by what the driver says: as it was stopped, fresh (0), or elsewhere. DPDK's driver of packed
/// rings says 16 bits, where it offers; what is used goes on there too.
std::optional<std::uint32_t> BackEnd::resumed(const Vring& vring, std::uint32_t said) const {
  if (vring.base == said) return said;  // also a packed ring with both counters at 0
  if (said == 0) return std::nullopt;
  return kind() == virtio::RingKind::packed && said >> 16 == 0 ? said | said << 16 : said;
}

Result<void> BackEnd::act_on_vring(Message& message, bool& answered) {
  const auto state = message.as<VringState>();
  const std::uint32_t index = state.index & static_cast<std::uint32_t>(kIndexMask);
  if (index >= vrings_.size()) return wrong("request names ring " + std::to_string(index));
  Vring& vring = vrings_[index];
  switch (message.request) {
    case Request::set_vring_num:
      if (state.value == 0 || state.value > 32768) return wrong("ring has no size");
      vring.size = state.value;
      return {};
    case Request::set_vring_base: vring.base = resumed(vring, state.value); return {};
    case Request::set_vring_addr:
      stop(vring);
      vring.address = message.as<VringAddress>();
      return start(vring, index);
    case Request::set_vring_enable: vring.enabled = state.value != 0; return {};
    case Request::get_vring_base: {
      stop(vring);
      vring.kicked = false;
      answered = true;
      return answer(message, VringState{index, vring.base.value_or(0)});
    }
    default: return set_file(message);
  }
}

Result<void> BackEnd::act(Message& message, bool& answered) {
  const auto value = message.as<std::uint64_t>();
  const auto reply = [&](std::uint64_t with) {
    answered = true;
    return answer(message, with);
  };
  switch (message.request) {
    case Request::get_features: return reply(offered_.bits());
    case Request::get_protocol_features: return reply(kProtocolOffered);
    case Request::get_queue_num: return reply(vrings_.size() / 2);
    case Request::get_status: return reply(status_);
    case Request::set_status: status_ = value; return {};
    case Request::set_protocol_features:
      if ((value & ~kProtocolOffered) != 0) return wrong("protocol features were not offered");
      protocol_ = value;
      return {};
    case Request::set_features:
      if ((value & ~offered_.bits()) != 0) return wrong("features were not offered");
      features_ = virtio::Features(value);
      return {};
    case Request::set_mem_table: return set_memory(message);
    case Request::get_inflight_fd: answered = true; return get_inflight(message);
    case Request::set_inflight_fd: return set_inflight(message);
    case Request::set_vring_num:
    case Request::set_vring_addr:
    case Request::set_vring_base:
    case Request::get_vring_base:
    case Request::set_vring_enable:
    case Request::set_vring_kick:
    case Request::set_vring_call:
    case Request::set_vring_err: return act_on_vring(message, answered);
    case Request::set_owner:
    case Request::send_rarp:
    case Request::net_set_mtu: return {};
    case Request::reset_owner:
      for (Vring& vring : vrings_) stop(vring);
      return {};
    default: return wrong("request " + std::to_string(static_cast<std::uint32_t>(message.request)) + " is unknown");
  }
}

Result<void> BackEnd::handle() {
  Result<Message> message = connection_.receive(std::chrono::seconds(5));
  if (!message) return std::unexpected(message.error());
  bool answered = false;
  if (const auto ok = act(*message, answered); !ok) return ok;
  const bool asked = (message->flags & Message::kNeedReply) != 0 && (protocol_ & bit(kProtocolReplyAck)) != 0;
  if (answered || !asked) return {};
  return answer(*message, std::uint64_t{0});
}

}  // namespace netrx::vhost
