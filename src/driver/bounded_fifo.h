// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "base/check.h"

namespace netrx {

/// First in, first out, with room for a number of elements that is fixed when it is made: what has arrived and waits.
/// One thread at a time.
template <class T>
class BoundedFifo {
 public:
  explicit BoundedFifo(std::size_t capacity) : capacity_(capacity), slots_(new T[capacity]) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t capacity() const { return capacity_; }
  std::size_t room() const { return capacity_ - size_; }

  /// There is room.
  void push(const T& value) {
    NETRX_CHECK(size_ < capacity_);
    const std::size_t at = first_ + size_++;
    slots_[at < capacity_ ? at : at - capacity_] = value;
  }
  /// It is not empty.
  const T& front() const { return slots_[first_]; }
  T pop() {
    NETRX_CHECK(size_ != 0);
    const T value = slots_[first_];
    first_ = first_ + 1 == capacity_ ? 0 : first_ + 1;
    --size_;
    return value;
  }

 private:
  std::size_t capacity_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::unique_ptr<T[]> slots_;
};

}  // namespace netrx
