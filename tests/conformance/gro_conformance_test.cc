// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gro/gro_fixture.h"
#include "gro_scenario.h"
#include "kernel.h"

namespace netrx::conformance {
namespace {

TEST(Try, One) {
  auto k = Kernel::open();
  ASSERT_TRUE(k) << k.error().text;
  GroScenario s{"x", {}, {}};
  for (std::uint32_t i = 0; i < 4; ++i) s.poll.push_back({.frame = tcp(Family::ipv4, {.at = 1000 * i}), .hash = 0});
  auto r = kernel_gro(**k, s);
  ASSERT_TRUE(r) << r.error().text;
  std::cout << side_by_side(*r, netrx_gro(s));
}

}  // namespace
}  // namespace netrx::conformance
