// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/check.h"

namespace netrx {

/// A link of a doubly linked intrusive list; derive an element type from it. An element is on at most one list.
struct ListNode {
  ListNode* prev = nullptr;
  ListNode* next = nullptr;

  bool linked() const { return next != nullptr; }

  void unlink() {
    NETRX_CHECK(linked());
    prev->next = next;
    next->prev = prev;
    prev = next = nullptr;
  }
};

/// A circular intrusive list of T (derived from ListNode). Owns nothing; not movable, because elements point at it.
template <class T>
class List {
 public:
  List() { reset(); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const { return head_.next == &head_; }

  void push_back(T& element) {
    ListNode& node = element;
    NETRX_CHECK(!node.linked());
    node.prev = head_.prev;
    node.next = &head_;
    head_.prev->next = &node;
    head_.prev = &node;
  }

  T& front() {
    NETRX_CHECK(!empty());
    return static_cast<T&>(*head_.next);
  }

  T& pop_front() {
    T& element = front();
    element.unlink();
    return element;
  }

  /// Moves every element of `other` to the end of this list, in order.
  void splice_back(List& other) {
    if (other.empty()) return;
    ListNode* first = other.head_.next;
    ListNode* last = other.head_.prev;
    first->prev = head_.prev;
    last->next = &head_;
    head_.prev->next = first;
    head_.prev = last;
    other.reset();
  }

 private:
  void reset() { head_.prev = head_.next = &head_; }

  ListNode head_;
};

}  // namespace netrx
