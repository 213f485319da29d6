// SPDX-License-Identifier: Apache-2.0
// Any bytes as an Ethernet frame: dissector and hashes must agree with their naive twin. Start it with the frames in
// src/wire/corpus/flow.
#include <cstdio>
#include <cstdlib>

#include "wire/flow_check.h"
#include "wire/frame_builder.h"

namespace {

void require_agreement(const netrx::FlowInput& in) {
  static netrx::wire::HashCheck hashes({1, 2}, 3);
  const char* difference = netrx::wire::difference_from_naive(in);
  if (difference == nullptr) difference = hashes.difference_from_naive(in);
  if (difference == nullptr) return;
  std::fprintf(stderr, "flow_fuzz: fast and naive differ: %s\n", difference);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const netrx::wire::Frame frame{{data, data + size}};
  require_agreement(frame.flow_input());
  require_agreement(frame.untagged_input());
  if (size >= 2) {
    netrx::FlowInput switched = frame.flow_input();
    switched.dsa_tag_len = data[size - 1] & 15;
    switched.tipc_probe_key = data[size - 2];
    require_agreement(switched);
  }
  return 0;
}
