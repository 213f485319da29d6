// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "kernel.h"

namespace netrx::conformance {

/// Tests that ask the running kernel: one for all tests of a suite. Where it can't be asked they are skipped, with the
/// reason.
template <class Fixture>
class KernelTestWith : public Fixture {
 protected:
  static void SetUpTestSuite() { opened_ = std::make_unique<Result<std::unique_ptr<Kernel>>>(Kernel::open()); }
  static void TearDownTestSuite() { opened_.reset(); }
  void SetUp() override {
    Fixture::SetUp();
    if (!*opened_) GTEST_SKIP() << opened_->error().text;
  }
  Kernel& kernel() { return ***opened_; }

 private:
  inline static std::unique_ptr<Result<std::unique_ptr<Kernel>>> opened_;
};
using KernelTest = KernelTestWith<testing::Test>;

}  // namespace netrx::conformance
