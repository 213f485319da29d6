// SPDX-License-Identifier: Apache-2.0
#include "driver/vhost_user/message.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <string>

namespace netrx::vhost {

namespace {

struct Header {
  std::uint32_t request;
  std::uint32_t flags;
  std::uint32_t size;
};

int milliseconds(Nanos time) { return static_cast<int>(time / std::chrono::milliseconds(1)) + 1; }

/// True: readable or at its end.
bool wait_readable(int fd, Nanos patience) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&one, 1, milliseconds(patience)) > 0;
}

/// Room for the files beside a message.
union FilesBuffer {
  cmsghdr header;
  std::uint8_t bytes[CMSG_SPACE(sizeof(int) * Message::kMostFiles)];
};

void take_files(msghdr& message, std::vector<OwnedFd>& files) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      files.emplace_back(fd);
    }
  }
}

std::string said(int code) { return std::strerror(code); }

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(ENAMETOOLONG, path + ": a socket's path has 1 to 107 bytes; give a shorter one");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Result<void> Connection::send(Request request, std::uint32_t flags, std::span<const std::uint8_t> payload,
                              std::span<const int> files) {
  std::array<std::uint8_t, sizeof(Header) + Message::kMostPayload> bytes;
  const Header header{static_cast<std::uint32_t>(request), Message::kVersion | flags,
                      static_cast<std::uint32_t>(payload.size())};
  std::memcpy(bytes.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
  iovec data{.iov_base = bytes.data(), .iov_len = sizeof header + payload.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  FilesBuffer buffer{};
  if (!files.empty()) {
    message.msg_control = &buffer;
    message.msg_controllen = CMSG_SPACE(files.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(part), files.data(), files.size_bytes());
  }
  // A message is short, and the other end reads before it answers: a full socket is a dead one.
  const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<ssize_t>(data.iov_len)) return {};
  const int code = sent < 0 ? errno : EPIPE;
  if (code == EPIPE || code == ECONNRESET) return fail(code, "the other end of the socket has gone");
  return fail(code, "the other end of the socket does not take messages: " + said(code));
}

Result<void> Connection::read_all(std::span<std::uint8_t> into, std::vector<OwnedFd>& files, Nanos patience) {
  while (!into.empty()) {
    if (!wait_readable(socket_.get(), patience)) return fail(ETIMEDOUT, "the other end of the socket does not answer");
    iovec data{.iov_base = into.data(), .iov_len = into.size()};
    FilesBuffer buffer;
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = &buffer;
    message.msg_controllen = sizeof buffer;
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return fail(ECONNRESET, "the other end of the socket has gone");
    take_files(message, files);
    if ((message.msg_flags & MSG_CTRUNC) != 0 || files.size() > Message::kMostFiles)
      return fail(EPROTO, "more files beside a message than vhost-user allows");
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<Message> Connection::receive(Nanos patience) {
  Message message;
  std::array<std::uint8_t, sizeof(Header)> bytes;
  if (const auto ok = read_all(bytes, message.files, patience); !ok) return std::unexpected(ok.error());
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if ((header.flags & Message::kVersionMask) != Message::kVersion)
    return fail(EPROTO, "not a vhost-user message, or of another version of the protocol");
  if (header.size > Message::kMostPayload)
    return fail(EPROTO, "a vhost-user message of " + std::to_string(header.size) + " bytes is longer than any we know");
  message.request = static_cast<Request>(header.request);
  message.flags = header.flags;
  message.size = header.size;
  const std::span<std::uint8_t> payload = std::span(message.payload).first(header.size);
  if (const auto ok = read_all(payload, message.files, patience); !ok) return std::unexpected(ok.error());
  return message;
}

Result<OwnedFd> connect_to(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  OwnedFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0) return socket_fd;
  const int code = errno;
  return fail(code, path + ": no vhost-user back end listens there (" + said(code) +
                        "); start it first, or let it connect here with server=on");
}

Result<OwnedFd> listen_at(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  struct stat about{};
  if (lstat(path.c_str(), &about) == 0) {
    if (!S_ISSOCK(about.st_mode)) return fail(EEXIST, path + ": is there and no socket; give another path");
    if (connect_to(path)) return fail(EADDRINUSE, path + ": somebody listens there already; give another path");
    unlink(path.c_str());
  }
  OwnedFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0 &&
      listen(socket_fd.get(), 1) == 0)
    return socket_fd;
  const int code = errno;
  return fail(code, path + ": can't listen there: " + said(code) + "; give a path in a folder that can be written");
}

Result<OwnedFd> accept_from(int listening, Nanos patience) {
  if (!wait_readable(listening, patience)) return fail(ETIMEDOUT, "nobody has connected");
  OwnedFd accepted(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  if (accepted.valid()) return accepted;
  return fail(errno == EAGAIN ? ETIMEDOUT : errno, "nobody has connected");
}

}  // namespace netrx::vhost
