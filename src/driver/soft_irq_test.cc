// SPDX-License-Identifier: Apache-2.0
#include "driver/soft_irq.h"

#include <gtest/gtest.h>

namespace netrx {
namespace {

TEST(SoftIrq, FiresOnceWhenDueAndUnmasked) {
  SoftIrq irq;
  irq.set_due(Nanos{100});
  EXPECT_FALSE(irq.take(Nanos{99}));
  EXPECT_TRUE(irq.take(Nanos{100}));
  EXPECT_FALSE(irq.take(Nanos{100})) << "the next one needs an unmask";
  irq.unmask();
  EXPECT_TRUE(irq.take(Nanos{200}));
}

TEST(SoftIrq, KeepsQuietWhileMasked) {
  SoftIrq irq;
  irq.mask();
  EXPECT_FALSE(irq.take(Nanos{5}));
  irq.unmask();
  EXPECT_TRUE(irq.take(Nanos{5}));
}

TEST(SoftIrq, TellsAfterUnmaskingWhatNoInterruptWillAnnounce) {
  SoftIrq irq;
  irq.set_due(Nanos{100});
  irq.unmask();
  EXPECT_TRUE(irq.missed(Nanos{100}));
  EXPECT_FALSE(irq.missed(Nanos{99}));
  irq.set_due(kNever);
  EXPECT_FALSE(irq.missed(kNever - Nanos{1}));
}

TEST(SoftIrq, AsksForAttentionWhenDueAndNowAndThenWhileMasked) {
  SoftIrq irq;
  irq.set_due(Nanos{100});
  EXPECT_EQ(irq.next_attention(Nanos{1}), Nanos{100});
  irq.mask();
  EXPECT_EQ(irq.next_attention(Nanos{1}), Nanos{1} + SoftIrq::kMaskedRecheck) << "another CPU may unmask it";
  irq.set_due(std::chrono::seconds(5));
  EXPECT_EQ(irq.next_attention(Nanos{1}), std::chrono::seconds(5));
  irq.set_due(kNever);
  EXPECT_EQ(irq.next_attention(Nanos{1}), kNever);
}

}  // namespace
}  // namespace netrx
