// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "harness.h"

namespace netrx::bench {

/// Toeplitz against rte_thash_gfni_bulk, SipHash against a scalar one, dissect() against rte_net_get_ptype.
void hash_cases(Harness& harness);

/// GRO against rte_gro_reassemble_burst; checksums by the vector unit against scalar ones.
void gro_cases(Harness& harness);

/// A backlog's ring against rte_ring, one producer and one consumer.
void handoff_case(Harness& harness);

/// Poll to delivery on another CPU against rte_distributor.
void path_cases(Harness& harness);

}  // namespace netrx::bench
