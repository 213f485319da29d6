// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "driver/device_contract_test_suite.h"
#include "driver/live/live_frames_test_support.h"
#include "driver/live/netns_test_support.h"
#include "driver/vhost_user/vhost_pair_test_support.h"

namespace netrx {
namespace {

ContractCase of(std::string name, std::string spec, std::uint64_t frames, bool same_when_dry = true) {
  return {.name = std::move(name),
          .open = [spec] { return open_device(spec); },
          .frames = frames,
          .same_frames_when_dry = same_when_dry};
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DeviceContract,
    testing::Values(of("gen", "gen:count=500", 500),
                    of("gen_mixed", "gen:count=500,size=imix,proto=mix,ipv6=40,vlan=7,burst=3,queues=4,rxhash=on", 500),
                    of("gen_paced", "gen:count=700,rate=1M,queues=2,size=64-1500,burst=5", 700),
                    of("gen_fewer_flows_than_queues", "gen:count=50,flows=2,queues=8", 50), of("lo", "lo", 0),
                    of("fault_that_does_nothing", "fault//gen:count=500,queues=2", 500),
                    of("fault_loses_all", "fault:loss=100%//gen:count=500", 0),
                    of("fault_duplicates", "fault:dup=100%//gen:count=300", 600, false),
                    of("fault_corrupts", "fault:corrupt=50%//gen:count=300", 300),
                    of("fault_reorders", "fault:reorder=10%,gap=5//gen:count=500", 500, false),
                    of("fault_delays", "fault:delay=300us//gen:count=500,rate=1M", 500),
                    of("fault_delays_with_little_room", "fault:delay=20us,hold=3//gen:count=100,size=1000", 100),
                    of("fault_everything", "fault:reorder=5%,delay=90us,delayed=20%,corrupt=1%//gen:count=500,queues=2",
                       500, false),
                    of("fault_in_fault", "fault:delay=50us//fault:reorder=10%//gen:count=300", 300, false),
                    of("trace", "trace:file=/dev/null,polls=on//gen:count=200,ipv6=50,queues=2", 200),
                    of("trace_of_fault", "trace:file=/dev/null//fault:delay=30us//gen:count=200", 200)),
    contract_case_name);

ContractCase vhost(std::string name, std::string source, std::uint64_t frames, std::string keys,
                   std::size_t queues = 1) {
  return {.name = std::move(name), .open = [=] { return open_pair(source, queues, keys); }, .frames = frames};
}

INSTANTIATE_TEST_SUITE_P(
    VhostUser, DeviceContract,
    testing::Values(vhost("split", "gen:count=700,size=60,flows=5", 700, ""),
                    vhost("packed", "gen:count=700,size=60,flows=5", 700, ",packed=on"),
                    vhost("packed_odd", "gen:count=700,size=60,flows=5", 700, ",packed=on,ring=101"),
                    vhost("small", "gen:count=700,size=60,flows=5", 700, ",mrg_rxbuf=off,gso=off,event_idx=off"),
                    vhost("big", "gen:count=700,size=60,flows=5", 700, ",mrg_rxbuf=off,ring=64"),
                    vhost("in_order", "gen:count=700,size=60,flows=5", 700, ",in_order=on"),
                    vhost("tiny_ring", "gen:count=300,size=60,flows=5", 300, ",ring=8"),
                    vhost("queues", "gen:count=200,size=60,flows=50,queues=3", 200, ",queues=3", 3)),
    contract_case_name);
constexpr std::uint32_t kFrames = 300;

/// A device of this kernel in a namespace of its own, behind which a sender has sent everything.
ContractCase far_end(std::string name, std::string spec, bool ethernet) {
  const auto open = [spec, ethernet] {
    enter_new_netns();
    auto device = open_device(spec + ",count=" + std::to_string(kFrames));
    if (!device) return device;
    RawSocket sender("t0");
    for (std::uint32_t i = 0; i < kFrames; ++i) sender.send(live_frame(i, ethernet));
    return device;
  };
  return {.name = std::move(name), .open = open, .frames = kFrames, .missing = missing_for_tun};
}

/// An interface of the kernel whose other end a sender sends into, once the device is open.
ContractCase near_end(std::string name, std::string spec) {
  const auto open = [spec] {
    enter_new_netns();
    shell("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
    auto device = open_device(spec + ",count=" + std::to_string(kFrames));
    if (!device) return device;
    RawSocket sender("v1");
    for (std::uint32_t i = 0; i < kFrames; ++i) sender.send(live_frame(i));
    return device;
  };
  return {.name = std::move(name), .open = open, .frames = kFrames, .missing = missing_for_netns};
}

INSTANTIATE_TEST_SUITE_P(Live, DeviceContract,
                         testing::Values(far_end("tap", "tap:t0", true),
                                         far_end("tap_without_vnet_hdr", "tap:t0,vnet_hdr=off", true),
                                         far_end("tun", "tun:t0", false),
                                         far_end("tun_without_vnet_hdr", "tun:t0,vnet_hdr=off", false),
                                         near_end("af_packet", "af_packet:v0")),
                         contract_case_name);

}  // namespace
}  // namespace netrx
