// SPDX-License-Identifier: Apache-2.0
#include "driver/live/live_device.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <bit>
#include <utility>

#include "driver/live/helper_thread.h"
#include "driver/live/interface.h"

namespace netrx {

namespace {

struct AddressWord {
  std::array<std::uint8_t, 6> address;
  std::array<std::uint8_t, 2> unused;
};

}  // namespace

LiveDevice::LiveDevice(std::string interface, const LiveOptions& live, bool ethernet)
    : life_{FrameLimit(live.frames), live.reconnect},
      interface_(std::move(interface)),
      name_(live.name),
      ethernet_(ethernet),
      mtu_(interface_mtu(interface_)) {
  note_interface();
}

void LiveDevice::note_interface() {
  index_.store(interface_index(interface_), std::memory_order_relaxed);
  address_.store(std::bit_cast<std::uint64_t>(AddressWord{interface_address(interface_), {}}),
                 std::memory_order_relaxed);
}

std::array<std::uint8_t, 6> LiveDevice::address() const {
  return std::bit_cast<AddressWord>(address_.load(std::memory_order_relaxed)).address;
}

void LiveDevice::follow() {
  if (!life_.reconnect) return;
  stop_ = OwnedFd(eventfd(0, EFD_CLOEXEC));
  thread_ = start_helper_thread("netrx/live", [this] { look_after(); });
}

void LiveDevice::unfollow() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void LiveDevice::look_after() {
  constexpr int kOften = 100;  // milliseconds
  pollfd stop{.fd = stop_.get(), .events = POLLIN, .revents = 0};
  while (::poll(&stop, 1, kOften) == 0) {
    if (gone() && all_lost() && interface_index(interface_) != 0) take_again();
  }
}

void LiveDevice::take_again() {
  Result<void> taken = fail(EINVAL, ethernet_ ? "its frames have no Ethernet header now" : "it is an Ethernet now");
  const bool same_kind = interface_is_ethernet(interface_) == ethernet_;
  if (same_kind) {
    note_interface();  // before its first frame
    taken = reopen();
  }
  if (taken) returns_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  why_not_ = taken ? std::string() : taken.error().text;
}

/// What has become of the interface, worst first.
std::string LiveDevice::state_remark() const {
  if (gone()) {
    if (!life_.reconnect) return interface_ + " is gone; nothing more will come from it";
    const std::lock_guard lock(mutex_);
    if (interface_index(interface_) == 0 || why_not_.empty())
      return interface_ + " is gone; it will be taken again when it is back";
    return interface_ + " is back and can't be taken again: " + why_not_;
  }
  const std::string now = interface_name(index_.load(std::memory_order_relaxed));
  if (now.empty()) return {};  // the file of a tap or tun stays attached when it moves to another namespace
  if (!interface_is_up(now)) return now + " is down; bring it up with: ip link set " + now + " up";
  if (const int code = refusal(); code != 0) return now + ": the kernel refused a packet (" + errno_text(code) + ")";
  if (now != interface_) return interface_ + " is called " + now + " now";
  const std::uint32_t mtu = interface_mtu(now);
  if (mtu != mtu_ && mtu != 0) return now + " has MTU " + std::to_string(mtu) + ", it had " + std::to_string(mtu_);
  return {};
}

std::string LiveDevice::remark() const {
  std::string text = state_remark();
  const auto say = [&text](const std::string& more) {
    if (!more.empty()) text += (text.empty() ? "" : "; ") + more;
  };
  const std::uint32_t returns = returns_.load(std::memory_order_relaxed);
  if (returns != 0)
    say(interface_ + " was gone and was taken again" + (returns > 1 ? ", " + std::to_string(returns) + " times" : ""));
  say(more_remarks());
  return text;
}

}  // namespace netrx
