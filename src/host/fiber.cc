// SPDX-License-Identifier: Apache-2.0
#include "host/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NETRX_ASAN_FIBERS 1
#endif
#if __has_feature(thread_sanitizer)
#define NETRX_TSAN_FIBERS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define NETRX_ASAN_FIBERS 1
#endif
#if defined(__SANITIZE_THREAD__)
#define NETRX_TSAN_FIBERS 1
#endif

#if defined(NETRX_ASAN_FIBERS)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(NETRX_TSAN_FIBERS)
#include <sanitizer/tsan_interface.h>
#endif

namespace netrx {

FiberStacks::FiberStacks(std::size_t stack_bytes)
    : stack_bytes_(stack_bytes), guard_bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {}

FiberStacks::~FiberStacks() {
  for (std::byte* stack : idle_) munmap(stack - guard_bytes_, guard_bytes_ + stack_bytes_);
}

std::byte* FiberStacks::take() {
  if (!idle_.empty()) {
    std::byte* stack = idle_.back();
    idle_.pop_back();
#if defined(NETRX_ASAN_FIBERS)
    __asan_unpoison_memory_region(stack, stack_bytes_);  // a fiber that never ended left its marks
#endif
    return stack;
  }
  void* memory = mmap(nullptr, guard_bytes_ + stack_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  std::byte* stack = static_cast<std::byte*>(memory) + guard_bytes_;
  if (mprotect(stack, stack_bytes_, PROT_READ | PROT_WRITE) != 0) std::abort();
  return stack;
}

void FiberStacks::give_back(std::byte* stack) { idle_.push_back(stack); }

// In the function that switches and not in one that it calls: ThreadSanitizer counts entries and exits of functions on
// the stack of the fiber that is current, and each must find its own.
#if defined(NETRX_TSAN_FIBERS)
#define NETRX_SWITCH_SHADOW(next) __tsan_switch_to_fiber((next).shadow, 0)
#else
#define NETRX_SWITCH_SHADOW(next) void(0)
#endif

struct Fiber::Context {
  ucontext_t registers{};
  FiberStacks* stacks = nullptr;
  std::byte* stack = nullptr;  // null: the thread's own
  std::function<Fiber&()> body;
  Fiber* came_from = nullptr;

  // For AddressSanitizer; a thread's own stack is learned when it is first left.
  const void* bottom = nullptr;
  std::size_t size = 0;
  void* fake_stack = nullptr;
  // For ThreadSanitizer.
  void* shadow = nullptr;

  void leaving([[maybe_unused]] Context& next, [[maybe_unused]] bool for_good) {
#if defined(NETRX_ASAN_FIBERS)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack, next.bottom, next.size);
#endif
  }

  void arrived([[maybe_unused]] Context& from) {
#if defined(NETRX_ASAN_FIBERS)
    const void* bottom_left = nullptr;
    std::size_t size_left = 0;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom_left, &size_left);
    if (from.stack == nullptr) {
      from.bottom = bottom_left;
      from.size = size_left;
    }
#endif
  }
};

Fiber::Fiber() : context_(std::make_unique<Context>()) {
#if defined(NETRX_TSAN_FIBERS)
  context_->shadow = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(FiberStacks& stacks, std::function<Fiber&()> body) : context_(std::make_unique<Context>()) {
  Context& context = *context_;
  context.stacks = &stacks;
  context.stack = stacks.take();
  context.body = std::move(body);
  context.bottom = context.stack;
  context.size = stacks.stack_bytes();
#if defined(NETRX_TSAN_FIBERS)
  context.shadow = __tsan_create_fiber(0);
#endif
  getcontext(&context.registers);
  context.registers.uc_stack.ss_sp = context.stack;
  context.registers.uc_stack.ss_size = stacks.stack_bytes();
  context.registers.uc_link = nullptr;
  const std::uintptr_t self = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&context.registers, reinterpret_cast<void (*)()>(&Fiber::enter), 2, static_cast<unsigned>(self >> 32),
              static_cast<unsigned>(self));
}

Fiber::~Fiber() {
  if (context_->stack == nullptr) return;
#if defined(NETRX_TSAN_FIBERS)
  __tsan_destroy_fiber(context_->shadow);
#endif
  context_->stacks->give_back(context_->stack);
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): makecontext hands on nothing but ints.
void Fiber::enter(unsigned high, unsigned low) { reinterpret_cast<Fiber*>((std::uintptr_t{high} << 32) | low)->run(); }

void Fiber::run() {
  context_->arrived(*context_->came_from->context_);
  Fiber& next = context_->body();
  next.context_->came_from = this;
  context_->leaving(*next.context_, true);
  NETRX_SWITCH_SHADOW(*next.context_);
  setcontext(&next.context_->registers);
  std::abort();
}

void Fiber::switch_to(Fiber& next) {
  next.context_->came_from = this;
  context_->leaving(*next.context_, false);
  NETRX_SWITCH_SHADOW(*next.context_);
  swapcontext(&context_->registers, &next.context_->registers);
  // Not a tail call, then: ThreadSanitizer would count this function's exit before it, on the next fiber's stack.
  asm volatile("" ::: "memory");
  context_->arrived(*context_->came_from->context_);
}

}  // namespace netrx
