// SPDX-License-Identifier: Apache-2.0
#include "softnet/schedule.h"

#include "softnet/napi_thread.h"

namespace netrx {

void raise_net_rx(Softnet& net, SoftnetData& sd) {
  if (net.tracer != nullptr && !sd.net_rx_pending) net.tracer->softirq_raise(sd.cpu.id());
  sd.net_rx_pending = true;
}

void schedule_owned(Softnet& net, SoftnetData& sd, NapiStruct& napi) {
  NETRX_CHECK(napi.state.test(kNapiSched));
  if (napi.state.test(kNapiThreaded)) {
    if (NapiThread* thread = napi.thread.load(std::memory_order_acquire)) {
      sd.cpu.at(Site::napi_state);
      napi.state.set(kNapiSchedThreaded);
      thread->wake();
      return;
    }
  }
  sd.poll_list.push_back(napi);
  napi.list_owner = sd.cpu.id();
  // While net_rx_action runs here it looks at poll_list again before it ends, so a raise would only cost a pass.
  if (!sd.in_net_rx_action) raise_net_rx(net, sd);
}

}  // namespace netrx
