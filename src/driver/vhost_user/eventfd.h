// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "driver/live/owned_fd.h"

namespace netrx::vhost {

/// An eventfd, as kicks and calls go through.
OwnedFd make_eventfd();
/// Adds one. Fails only when nobody has read for 2^64 - 2 times, and then it is readable anyway.
void signal(int fd);
/// Takes what is there; false: there was nothing. The other end shares the file's flags and may have made it blocking:
/// this never waits.
bool drain(int fd);

}  // namespace netrx::vhost
