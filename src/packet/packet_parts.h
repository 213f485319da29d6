// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "netrx/packet.h"

namespace netrx {

/// Calls `use(part)` for the packet and then for each of its frags; `use` may give the part away.
template <class Use>
void for_each_part(Packet* packet, Use use) {
  Packet* frag = packet->frags;
  use(packet);
  while (frag != nullptr) {
    Packet* next = frag->next;
    use(frag);
    frag = next;
  }
}

}  // namespace netrx
