// SPDX-License-Identifier: Apache-2.0
#include "host/fiber.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace netrx {
namespace {

TEST(Fiber, SwitchesBackAndForthAndKeepsItsLocals) {
  FiberStacks stacks;
  Fiber thread;
  std::string log;
  std::unique_ptr<Fiber> a, b;
  a = std::make_unique<Fiber>(stacks, [&]() -> Fiber& {
    int turns = 0;
    log += 'a';
    a->switch_to(*b);
    log += static_cast<char>('0' + ++turns);
    a->switch_to(*b);
    log += static_cast<char>('0' + ++turns);
    return thread;
  });
  b = std::make_unique<Fiber>(stacks, [&]() -> Fiber& {
    log += 'b';
    b->switch_to(*a);
    log += 'B';
    return *a;
  });
  thread.switch_to(*a);
  EXPECT_EQ(log, "ab1B2");
}

TEST(Fiber, StacksAreUsedAgain) {
  FiberStacks stacks;
  Fiber thread;
  std::byte* first = stacks.take();
  stacks.give_back(first);
  for (int i = 0; i < 100; ++i) {
    bool ran = false;
    Fiber fiber(stacks, [&]() -> Fiber& {
      ran = true;
      return thread;
    });
    thread.switch_to(fiber);
    EXPECT_TRUE(ran);
  }
  EXPECT_EQ(stacks.take(), first);
}

TEST(Fiber, OneThatNeverEndsIsForgotten) {
  FiberStacks stacks;
  Fiber thread;
  int entered = 0;
  for (int i = 0; i < 10; ++i) {
    std::unique_ptr<Fiber> fiber;
    fiber = std::make_unique<Fiber>(stacks, [&]() -> Fiber& {
      ++entered;
      fiber->switch_to(thread);
      return thread;
    });
    thread.switch_to(*fiber);
  }
  EXPECT_EQ(entered, 10);
}

// Recursion that the optimiser can't turn into a loop.
int sink_deeper(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : sink_deeper(depth - 1) + frame[0];
}

TEST(FiberDeathTest, OverflowHitsTheGuardPage) {
  EXPECT_DEATH(
      {
        FiberStacks stacks(64 * 1024);
        Fiber thread;
        int sum = 0;
        Fiber fiber(stacks, [&]() -> Fiber& {
          sum = sink_deeper(1 << 20);
          return thread;
        });
        thread.switch_to(fiber);
        EXPECT_EQ(sum, -1);
      },
      "");
}

}  // namespace
}  // namespace netrx
