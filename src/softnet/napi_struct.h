// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/list.h"
#include "netrx/packet.h"
#include "netrx/time.h"
#include "softnet/gro_node.h"
#include "softnet/napi_state.h"

namespace netrx {

struct Softnet;
struct SoftnetData;
struct Netif;
class RxQueue;
class NapiThread;

/// One polling context. Kernel: struct napi_struct.
///
/// Ownership: everything but `state`, `timer_deadline` and the settings belongs to whoever holds SCHED.
struct NapiStruct : ListNode {
  static constexpr int kPollWeight = 64;
  static constexpr std::uint32_t kInitialState = kNapiSched | kNapiNpsvc;  // disabled until napi_enable

  NapiStruct() = default;
  NapiStruct(Netif* on, RxQueue* from) : netif(on), queue(from) { gro.make_room(); }

  NapiState state{kInitialState};
  int weight = kPollWeight;

  Netif* netif = nullptr;    ///< null for a backlog
  RxQueue* queue = nullptr;  ///< null for a backlog
  std::uint16_t queue_index = 0;
  std::uint32_t napi_id = 0;

  GroNode gro;
  std::uint32_t defer_hard_irqs_count = 0;
  std::uint16_t list_owner = kNoCpu;  ///< whose poll_list it is on

  /// The CPU that takes this queue's interrupt and runs its timer. Changed by the control plane only.
  std::atomic<std::uint16_t> irq_cpu{kNoCpu};
  /// When the watchdog schedules it, kNever when it is not armed. Kernel: napi_struct.timer.
  std::atomic<Nanos::rep> timer_deadline{kNever.count()};
  /// Its thread in threaded mode.
  std::atomic<NapiThread*> thread{nullptr};

  bool is_backlog() const { return queue == nullptr; }
};

}  // namespace netrx
