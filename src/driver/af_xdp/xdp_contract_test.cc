// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "driver/af_xdp/xdp_test_support.h"
#include "driver/device_contract_test_suite.h"

namespace netrx {
namespace {

constexpr std::uint32_t kFrames = 300;

ContractCase on_veth(std::string name, std::string keys) {
  const auto open = [keys] {
    enter_new_netns();
    shell("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
    auto device = xdp_catalog().open("af_xdp:v0,count=" + std::to_string(kFrames) + keys);
    if (!device) return device;
    RawSocket sender("v1");
    for (std::uint32_t i = 0; i < kFrames; ++i) sender.send(live_frame(i));
    return device;
  };
  return {.name = std::move(name), .open = open, .frames = kFrames, .missing = missing_for_xdp};
}

INSTANTIATE_TEST_SUITE_P(Live, DeviceContract,
                         testing::Values(on_veth("af_xdp_native", ",mode=native"),
                                         on_veth("af_xdp_generic", ",mode=generic")),
                         contract_case_name);

}  // namespace
}  // namespace netrx
