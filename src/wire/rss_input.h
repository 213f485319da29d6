// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/flow.h"

namespace netrx::wire {

/// rss_input() for callers that keep tuples of each kind packed: fills `v4`, `v6` or neither, as the result says.
RssKind read_rss_tuple(const FlowInput& in, RssTuple4& v4, RssTuple6& v6);

}  // namespace netrx::wire
