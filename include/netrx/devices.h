// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netrx/device.h"
#include "netrx/error.h"
#include "netrx/time.h"

/// Devices by name. A device specification is one word:
///
///   gen:flows=16,rate=100k                          a device and its keys
///   pcap:samples/mixed.pcap,loop=3                  a device with an argument of its own, then keys
///   fault:loss=1%,seed=7//gen:flows=16              the same generator behind middleware
///   trace//dump:seen.pcap//gen:count=100            middleware behind middleware: the leftmost sees the frames last
///
/// Middleware stands left of the device it wraps, and `//` ends its arguments. Keys are separated by commas; a comma
/// that is not followed by `key=` belongs to the value before it, so file names may hold commas.
namespace netrx {

/// One key of a device kind, for help() and for checking.
struct DeviceKey {
  std::string name;
  std::string values;  ///< what may stand behind `=`: "N", "on|off"
  std::string help;    ///< one line, the default in it
};

/// The arguments of one device in a specification, already split and free of unknown keys. Every getter names the key,
/// returns the fallback where it is not given, and keeps the first complaint, so that a factory reads all its keys and
/// then asks error() once.
class DeviceArguments {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  DeviceArguments(std::string kind, std::string argument, Pairs pairs)
      : kind_(std::move(kind)), argument_(std::move(argument)), pairs_(std::move(pairs)) {}

  const std::string& kind() const { return kind_; }
  const std::string& argument() const { return argument_; }  ///< what stands before the first key: a file name
  bool given(std::string_view key) const { return find(key) != nullptr; }

  std::string text(std::string_view key, std::string_view fallback) const;
  /// A whole number in [low, high]; 10k, 2M and 1G are understood.
  std::uint64_t number(std::string_view key, std::uint64_t fallback, std::uint64_t low, std::uint64_t high);
  /// A decimal number in thousandths: 1.25 is 1250. `fallback`, `low` and `high` are thousandths too.
  std::uint64_t thousandths(std::string_view key, std::uint64_t fallback, std::uint64_t low, std::uint64_t high);
  /// Parts in a million: a whole number, or a percentage such as 0.5%.
  std::uint32_t ppm(std::string_view key, std::uint32_t fallback);
  /// A duration with its unit: 50us, 2ms, 10s, 800ns.
  Nanos duration(std::string_view key, Nanos fallback, Nanos low, Nanos high);
  bool on_off(std::string_view key, bool fallback);
  /// The index of the value among `known`.
  std::size_t choice(std::string_view key, std::size_t fallback, std::initializer_list<std::string_view> known);

  /// Complains about a value that a getter accepted; `remedy` ends the line.
  void refuse(std::string_view key, std::string_view remedy, int code = EINVAL);
  const std::optional<Error>& error() const { return error_; }

 private:
  const std::string* find(std::string_view key) const;

  std::string kind_;
  std::string argument_;
  Pairs pairs_;
  std::optional<Error> error_;
};

/// What a catalog knows of one kind of device or middleware: exactly one of `open` and `wrap` is set; `open_sink` too
/// where packets can be sent.
struct DeviceKind {
  std::string name;
  std::string argument;  ///< what the argument before the keys is ("FILE"); empty: there is none
  std::string summary;   ///< one line
  std::vector<DeviceKey> keys;
  std::function<Result<std::unique_ptr<NetDevice>>(DeviceArguments&)> open;
  std::function<Result<std::unique_ptr<NetDevice>>(DeviceArguments&, std::unique_ptr<NetDevice>)> wrap;
  /// Opens it to send by, with so many queues unless its keys say otherwise; fewer where it has no more.
  std::function<Result<std::unique_ptr<NetDevice>>(DeviceArguments&, std::size_t queues)> open_sink = {};

  bool is_middleware() const { return wrap != nullptr; }
};

/// The kinds of devices a program can open by name. Constant once filled; then any thread may use it.
class DeviceCatalog {
 public:
  /// gen, lo, tap, tun, af_packet, vhost-user and the middleware fault and trace. Components add theirs:
  /// add_pcap_devices() in netrx/pcap.h.
  static DeviceCatalog builtin();

  /// A kind added later replaces one of the same name.
  void add(DeviceKind kind);

  /// Makes the device that `spec` describes. ENODEV: no such kind; EINVAL, ERANGE: a key or a value is not right; the
  /// kind's own errors. The text names the culprit, what is known and, for a slip of the pen, what was meant.
  Result<std::unique_ptr<NetDevice>> open(std::string_view spec) const;

  /// Makes the device that `spec` describes to send by, with a queue for each of `queues` CPUs where it can have that
  /// many. EOPNOTSUPP: the kind only receives; otherwise as open().
  Result<std::unique_ptr<NetDevice>> open_sink(std::string_view spec, std::size_t queues) const;

  /// Every kind with its keys, for a person to read.
  std::string help() const;
  const std::vector<DeviceKind>& kinds() const { return kinds_; }

 private:
  const DeviceKind* find(std::string_view name) const;
  Error unknown_kind(std::string_view name) const;

  std::vector<DeviceKind> kinds_;
};

/// DeviceCatalog::builtin().open(spec).
Result<std::unique_ptr<NetDevice>> open_device(std::string_view spec);

/// What a traced device tells, and to whom. See the middleware `trace`.
struct TraceOptions {
  std::function<void(std::string_view line)> sink;  ///< called by whoever polls, line without its end
  bool frames = true;                               ///< a line a frame
  bool polls = false;                               ///< a line a poll
};

/// `device` with a line for every frame or poll, for programs that want the lines themselves.
std::unique_ptr<NetDevice> trace_device(std::unique_ptr<NetDevice> device, TraceOptions options);

}  // namespace netrx
