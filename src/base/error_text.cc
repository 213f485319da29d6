// SPDX-License-Identifier: Apache-2.0
#include "base/error_text.h"

#include <algorithm>
#include <array>

namespace netrx {

namespace {

struct ErrnoName {
  int code;
  std::string_view name;
};

constexpr std::array kErrnoNames = {
    ErrnoName{EPERM, "EPERM"},           ErrnoName{ENOENT, "ENOENT"},
    ErrnoName{EINTR, "EINTR"},           ErrnoName{EIO, "EIO"},
    ErrnoName{ENXIO, "ENXIO"},           ErrnoName{E2BIG, "E2BIG"},
    ErrnoName{EBADF, "EBADF"},           ErrnoName{EAGAIN, "EAGAIN"},
    ErrnoName{ENOMEM, "ENOMEM"},         ErrnoName{EACCES, "EACCES"},
    ErrnoName{EFAULT, "EFAULT"},         ErrnoName{EBUSY, "EBUSY"},
    ErrnoName{EEXIST, "EEXIST"},         ErrnoName{ENODEV, "ENODEV"},
    ErrnoName{ENOTDIR, "ENOTDIR"},       ErrnoName{EISDIR, "EISDIR"},
    ErrnoName{EINVAL, "EINVAL"},         ErrnoName{ENFILE, "ENFILE"},
    ErrnoName{EMFILE, "EMFILE"},         ErrnoName{EFBIG, "EFBIG"},
    ErrnoName{ENOSPC, "ENOSPC"},         ErrnoName{EROFS, "EROFS"},
    ErrnoName{EPIPE, "EPIPE"},           ErrnoName{EDOM, "EDOM"},
    ErrnoName{ERANGE, "ERANGE"},         ErrnoName{ENAMETOOLONG, "ENAMETOOLONG"},
    ErrnoName{ENOSYS, "ENOSYS"},         ErrnoName{ENODATA, "ENODATA"},
    ErrnoName{EPROTO, "EPROTO"},         ErrnoName{EBADMSG, "EBADMSG"},
    ErrnoName{EOVERFLOW, "EOVERFLOW"},   ErrnoName{EILSEQ, "EILSEQ"},
    ErrnoName{EMSGSIZE, "EMSGSIZE"},     ErrnoName{EOPNOTSUPP, "EOPNOTSUPP"},
    ErrnoName{EADDRINUSE, "EADDRINUSE"}, ErrnoName{ENETDOWN, "ENETDOWN"},
    ErrnoName{ENOBUFS, "ENOBUFS"},       ErrnoName{ETIMEDOUT, "ETIMEDOUT"},
    ErrnoName{EALREADY, "EALREADY"},     ErrnoName{EINPROGRESS, "EINPROGRESS"},
    ErrnoName{ECANCELED, "ECANCELED"},
};

}  // namespace

std::string_view errno_name(int code) {
  const auto* found = std::ranges::find(kErrnoNames, code, &ErrnoName::code);
  return found == kErrnoNames.end() ? "E?" : found->name;
}

std::string in_quotes(std::string_view value) {
  constexpr std::size_t kShown = 60;
  constexpr std::string_view kHex = "0123456789abcdef";
  if (value.ends_with('\n')) value.remove_suffix(1);
  std::string text = "\"";
  for (const char c : value.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text + (value.size() > kShown ? "...\"" : "\"");
}

std::unexpected<Error> refuse(std::string_view value, int code, std::string_view reason) {
  std::string text = in_quotes(value);
  text.append(": ").append(errno_name(code)).append(": ").append(reason);
  return fail(code, std::move(text));
}

}  // namespace netrx
