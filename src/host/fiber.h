// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace netrx {

/// Memory for fibers' stacks, each with a page below it that must not be touched, so that an overflow is a crash and
/// not a corruption. Stacks given back are used again.
///
/// Thread rules: one thread at a time; outlives its fibers.
class FiberStacks {
 public:
  explicit FiberStacks(std::size_t stack_bytes = 256 * 1024);
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;

  std::size_t stack_bytes() const { return stack_bytes_; }
  /// The lowest usable address. Aborts when the system has no memory.
  std::byte* take();
  void give_back(std::byte* stack);

 private:
  const std::size_t stack_bytes_;
  const std::size_t guard_bytes_;
  std::vector<std::byte*> idle_;
};

/// A flow of control of its own on the thread that made it: what a simulated CPU runs on. AddressSanitizer and
/// ThreadSanitizer are told of every switch.
///
/// Thread rules: all fibers that switch to one another belong to one thread. A fiber destroyed before its body ended is
/// forgotten, not unwound: what its stack owned leaks.
class Fiber {
 public:
  /// The thread that calls: where other fibers are started from and come back to.
  Fiber();
  /// Runs `body` when first switched to; `body` returns the fiber to go on with after it.
  Fiber(FiberStacks& stacks, std::function<Fiber&()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves this fiber, which must be the running one, for `next`; returns when somebody switches back here.
  void switch_to(Fiber& next);

 private:
  struct Context;
  static void enter(unsigned high, unsigned low);
  [[noreturn]] void run();

  std::unique_ptr<Context> context_;
};

}  // namespace netrx
