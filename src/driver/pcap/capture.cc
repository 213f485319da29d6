// SPDX-License-Identifier: Apache-2.0
#include "driver/pcap/capture.h"

#include <pcap/pcap.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <utility>

#include "driver/big_frames.h"

namespace netrx {

namespace {

struct ClosePcap {
  void operator()(pcap_t* pcap) const { pcap_close(pcap); }
};
using Pcap = std::unique_ptr<pcap_t, ClosePcap>;

std::string megabytes(std::uint64_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

Error does_not_fit(const std::string& name, std::uint64_t bytes, std::uint64_t limit) {
  return {ENOMEM, name + ": the capture needs " + megabytes(bytes) + " of memory, and " + megabytes(limit) +
                      " are free; read part of it with max-frames=N, or split the file"};
}

/// What a file that libpcap does not know is, where its first bytes say so.
std::string_view compression_of(std::span<const std::uint8_t> start) {
  struct Magic {
    std::string_view bytes, tool;
  };
  constexpr std::array<Magic, 4> kMagics{{{"\x1f\x8b", "gunzip"},
                                          {"\xfd"
                                           "7zXZ",
                                           "unxz"},
                                          {"\x28\xb5\x2f\xfd", "unzstd"},
                                          {"BZh", "bunzip2"}}};
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  for (const Magic& magic : kMagics)
    if (text.starts_with(magic.bytes)) return magic.tool;
  return {};
}

/// The first bytes of a file that can be read twice; the file stands where it stood.
std::vector<std::uint8_t> peek(std::FILE* file) {
  std::vector<std::uint8_t> start(8);
  const long at = std::ftell(file);
  if (at < 0) return {};
  start.resize(std::fread(start.data(), 1, start.size(), file));
  std::clearerr(file);
  if (std::fseek(file, at, SEEK_SET) != 0) start.clear();
  return start;
}

Result<Pcap> open_pcap(File& file, const std::string& name) {
  const std::vector<std::uint8_t> start = peek(file.get());
  std::array<char, PCAP_ERRBUF_SIZE> why{};
  std::FILE* const raw = file.release();  // pcap_close() closes it
  Pcap pcap(pcap_fopen_offline_with_tstamp_precision(raw, PCAP_TSTAMP_PRECISION_NANO, why.data()));
  if (pcap == nullptr) {
    file.reset(raw);
    if (const std::string_view tool = compression_of(start); !tool.empty())
      return fail(EINVAL, name + ": a compressed file; unpack it first with " + std::string(tool));
    return fail(EINVAL, name + ": not a pcap or pcapng capture (" + why.data() + ")");
  }
  const int type = pcap_datalink(pcap.get());
  if (!link_type_handled(type))
    return fail(EPROTONOSUPPORT,
                name + ": link type " + link_type_name(type) + " is not handled; handled are " + handled_link_types());
  return pcap;
}

/// Puts one frame after another into a capture.
class CaptureReader {
 public:
  CaptureReader(Pcap pcap, const std::string& name, const CaptureOptions& options)
      : pcap_(std::move(pcap)), name_(name), options_(options) {
    capture_.link_type = pcap_datalink(pcap_.get());
    if (const long size = file_size(); size > 0) total_ = static_cast<std::uint64_t>(size);
    if (total_ != 0 && total_ <= options_.memory_limit && options_.max_frames > total_ / 16)
      capture_.bytes.reserve(total_);
  }

  Result<Capture> read() {
    while (capture_.frames.size() < options_.max_frames) {
      const long at = position();
      pcap_pkthdr* header = nullptr;
      const std::uint8_t* data = nullptr;
      const int got = pcap_next_ex(pcap_.get(), &header, &data);
      if (got == PCAP_ERROR_BREAK) break;
      if (got != 1) {
        note_damage(at);
        break;
      }
      add(*header, data);
      if (used() > options_.memory_limit)
        return std::unexpected(does_not_fit(name_, std::max(used(), total_), options_.memory_limit));
      report(false);
    }
    report(true);
    return std::move(capture_);
  }

 private:
  std::FILE* file() const { return pcap_file(pcap_.get()); }
  long position() const { return std::ftell(file()); }

  long file_size() const {
    const long at = position();
    if (at < 0 || std::fseek(file(), 0, SEEK_END) != 0) return -1;
    const long size = position();
    return std::fseek(file(), at, SEEK_SET) == 0 ? size : -1;
  }

  std::uint64_t used() const { return capture_.bytes.size() + capture_.frames.size() * sizeof(CapturedFrame); }

  void add(const pcap_pkthdr& header, const std::uint8_t* data) {
    std::span<const std::uint8_t> bytes(data, header.caplen);
    if (header.caplen < header.len) ++capture_.cut_frames;
    CapturedFrame frame{.at = capture_.bytes.size(), .time = time_of(header)};
    if (!capture_.has_link_header()) {
      const std::optional<LinkHeader> link = read_link_header(capture_.link_type, bytes);
      frame.size = link ? 0 : CapturedFrame::kNotReceivable;
      frame.protocol = link ? link->protocol : Be16{};
      frame.kind = link ? link->kind : PacketKind::host;
      bytes = bytes.subspan(link ? link->size : 0);
    }
    if (bytes.size() > BigFrames::kLargest) frame.size = CapturedFrame::kNotReceivable;
    if (frame.receivable()) {
      frame.size = static_cast<std::uint32_t>(bytes.size());
      capture_.largest_frame = std::max(capture_.largest_frame, frame.size);
      capture_.bytes.insert(capture_.bytes.end(), bytes.begin(), bytes.end());
    }
    capture_.frames.push_back(frame);
  }

  /// Since the first frame. The clocks of several CPUs, or a clock that was set, make times go back; here they stand
  /// still until the clock has caught up.
  Nanos time_of(const pcap_pkthdr& header) {
    constexpr std::int64_t kMostSeconds = std::int64_t{1} << 32;
    const std::int64_t seconds = std::clamp<std::int64_t>(header.ts.tv_sec, -kMostSeconds, kMostSeconds);
    const Nanos time{seconds * 1'000'000'000 + std::clamp<std::int64_t>(header.ts.tv_usec, 0, 999'999'999)};
    if (capture_.frames.empty()) {
      first_time_ = time;
      return Nanos{0};
    }
    return std::max(time - first_time_, capture_.frames.back().time);
  }

  void note_damage(long at) {
    const std::string frames = std::to_string(capture_.frames.size());
    capture_.damage = "damaged behind frame " + frames;
    if (at >= 0) capture_.damage += ", at byte " + std::to_string(at) + " of " + std::to_string(total_);
    capture_.damage += std::string(" (") + pcap_geterr(pcap_.get()) + "); the " + frames + " frames before are used";
  }

  void report(bool at_end) {
    constexpr std::uint64_t kEvery = 8u << 20;
    if (!options_.progress || (!at_end && capture_.bytes.size() < next_report_)) return;
    next_report_ = capture_.bytes.size() + kEvery;
    const long at = position();
    options_.progress(at >= 0 ? static_cast<std::uint64_t>(at) : capture_.bytes.size(), total_);
  }

  Pcap pcap_;
  const std::string& name_;
  const CaptureOptions& options_;
  Capture capture_;
  Nanos first_time_{0};
  std::uint64_t total_ = 0;
  std::uint64_t next_report_ = 0;
};

/// Bytes of memory that can be had without swapping; no limit where the system does not say.
std::uint64_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  std::uint64_t kilobytes = 0;
  std::string unit;
  while (meminfo >> key >> kilobytes && std::getline(meminfo, unit))
    if (key == "MemAvailable:") return kilobytes * 1024;
  return ~std::uint64_t{0};
}

std::string_view open_remedy(int code) {
  if (code == ENOENT) return "; give the path of a capture file";
  if (code == EACCES) return "; make it readable for this user";
  return "";
}

Result<File> open_file(const std::string& path) {
  if (path == "-") return File(::fdopen(::dup(0), "rb"));
  File file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    const int code = errno;
    return fail(code, path + ": " + std::strerror(code) + std::string(open_remedy(code)));
  }
  struct stat status{};
  if (::fstat(::fileno(file.get()), &status) != 0) return fail(errno, path + ": " + std::strerror(errno));
  if (S_ISDIR(status.st_mode)) return fail(EISDIR, path + ": a directory; give the path of a capture file");
  if (S_ISREG(status.st_mode) && status.st_size == 0)
    return fail(ENODATA, path + ": the file is empty; a capture has at least a header");
  return file;
}

}  // namespace

Result<Capture> read_capture(File file, const std::string& name, const CaptureOptions& options) {
  auto pcap = open_pcap(file, name);
  if (!pcap) return std::unexpected(pcap.error());
  try {
    return CaptureReader(std::move(*pcap), name, options).read();
  } catch (const std::bad_alloc&) {
    return fail(ENOMEM, name + ": not enough memory for the capture; read part of it with max-frames=N");
  }
}

Result<Capture> read_capture_file(const std::string& path, CaptureOptions options) {
  auto file = open_file(path);
  if (!file) return std::unexpected(file.error());
  options.memory_limit = std::min(options.memory_limit, available_memory());
  return read_capture(std::move(*file), path, options);
}

}  // namespace netrx
