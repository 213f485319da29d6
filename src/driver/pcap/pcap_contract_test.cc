// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "driver/device_contract_test_suite.h"
#include "driver/pcap/capture_writer_test_support.h"

namespace netrx {
namespace {

ContractCase of(std::string name, std::string spec, std::uint64_t frames, bool same_when_dry = true) {
  return {.name = std::move(name),
          .open = [spec] { return pcap_catalog().open(spec); },
          .frames = frames,
          .same_frames_when_dry = same_when_dry};
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DeviceContract,
    testing::Values(of("pcap", "pcap:" + sample("tiny.pcap"), 20),
                    of("pcapng", "pcap:" + sample("tiny.pcapng") + ",loop=9", 180),
                    of("pcap_damaged", "pcap:" + sample("truncated.pcap") + ",loop=2", 38),
                    of("pcap_queues", "pcap:" + sample("mixed.pcap") + ",max-frames=600,queues=4,rxhash=on", 600),
                    of("pcap_paced", "pcap:" + sample("mixed.pcap") + ",max-frames=600,queues=2,rate=500k", 600),
                    of("pcap_recorded", "pcap:" + sample("mixed.pcap") + ",max-frames=100,rate=recorded", 100),
                    of("dump", "dump:/dev/null//gen:count=300,queues=2", 300),
                    of("everything_at_once",
                       "trace:file=/dev/null//dump:/dev/null//fault:reorder=5%//pcap:" + sample("tiny.pcap") +
                           ",loop=5",
                       100, false)),
    contract_case_name);

}  // namespace
}  // namespace netrx
