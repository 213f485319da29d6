// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace netrx {

/// A pointer the control plane swaps and the data path reads without a lock. Kernel: rcu_assign_pointer and
/// rcu_dereference.
///
/// Thread safety: read() inside a Cpu occupation or a reader's turn (Softnet::Reader); the object stays valid until
/// that ends. exchange() from the control plane, which must let a grace period pass (Softnet::synchronize_net) before
/// the returned object is destroyed. The release store pairs with the acquire load: a reader sees the object as
/// built.
template <class T>
class Published {
 public:
  Published() = default;
  ~Published() {
    if (T* last = pointer_.load(std::memory_order_relaxed)) destroy_(last);
  }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  T* read() const { return pointer_.load(std::memory_order_acquire); }

  [[nodiscard]] std::unique_ptr<T> exchange(std::unique_ptr<T> next) {
    destroy_ = [](T* last) { delete last; };
    return std::unique_ptr<T>(pointer_.exchange(next.release(), std::memory_order_acq_rel));
  }

 private:
  std::atomic<T*> pointer_{nullptr};
  void (*destroy_)(T*) = nullptr;  // taken down where T is complete, which it need not be where this ends
};

}  // namespace netrx
