// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "kernel_records.h"

namespace netrx::conformance {

namespace {

constexpr const char* kSender = "va";
constexpr std::size_t kRingPages = 512;  // a CPU's; two of the largest polls
constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kPatienceForMost{200};

void command(const std::string& line) {
  if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + line);
}

std::uint32_t network_namespace() {
  struct stat status{};
  if (stat("/proc/thread-self/ns/net", &status) != 0) throw std::runtime_error("no /proc/thread-self/ns/net");
  return static_cast<std::uint32_t>(status.st_ino);
}

arrival_record record_of(const Arrival& arrival) {
  arrival_record record{.len = static_cast<std::uint32_t>(arrival.frame.size()),
                        .hash = arrival.hash,
                        .vlan_proto = static_cast<std::uint16_t>(arrival.vlan_proto),
                        .vlan_tci = arrival.vlan_tci,
                        .bytes = {}};
  if (record.len < NETRX_LINK_HEADER || record.len > NETRX_MAX_FRAME)
    throw std::logic_error("a frame of " + std::to_string(record.len) + " bytes");
  std::memcpy(record.bytes, arrival.frame.data(), record.len);
  return record;
}

int say_nothing(libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

PinnedTo::PinnedTo(int cpu) {
  sched_getaffinity(0, sizeof before_, &before_);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) throw std::runtime_error("no CPU " + std::to_string(cpu));
}
PinnedTo::~PinnedTo() { sched_setaffinity(0, sizeof before_, &before_); }

Kernel::Kernel()
    : object_(nullptr, bpf_object__close),
      watching_(nullptr, bpf_link__destroy),
      records_(nullptr, perf_buffer__free) {}
Kernel::~Kernel() { set_udp_sockets({}); }

Result<std::unique_ptr<Kernel>> Kernel::open() {
  if (geteuid() != 0) return fail(EPERM, "skipped: needs root, to make a network namespace and to watch the kernel");
  std::unique_ptr<Kernel> kernel(new Kernel);
  if (const auto made = kernel->make_network(); !made) return std::unexpected(made.error());
  if (const auto loaded = kernel->load(); !loaded) return std::unexpected(loaded.error());
  kernel->learn_gso_names();
  return kernel;
}

const NetworkNamespace& Kernel::home() {
  static const NetworkNamespace home;
  return home;
}

Result<void> Kernel::make_network() {
  home();
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
    return fail(errno, std::string("skipped: no network namespace of our own: ") + std::strerror(errno));
  // sysfs shows the devices of the namespace in which it was mounted.
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0)
    return fail(errno, std::string("skipped: no sysfs of our own: ") + std::strerror(errno));
  // IPv6 would talk of its own accord.
  for (const char* which : {"all", "default"})
    std::ofstream(std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6") << 1;
  command("ip link set lo up");
  // Without TSO at the sender the receiver's NAPI polls whatever comes, sockets or not.
  command(std::string("ip link add ") + kSender + " mtu 9202 type veth peer name " + kReceiver +
          " mtu 9202 address 02:00:00:00:00:01");
  command(std::string("ethtool -K ") + kSender + " tso off");
  command(std::string("ethtool -K ") + Kernel::kReceiver + " gro on");
  for (const char* device : {kSender, kReceiver}) command(std::string("ip link set up dev ") + device);
  return {};
}

Result<void> Kernel::load() {
  libbpf_set_print(say_nothing);
  object_.reset(bpf_object__open_file(NETRX_KERNEL_OBJECT, nullptr));
  if (!object_) return fail(errno, std::string("skipped: " NETRX_KERNEL_OBJECT ": ") + std::strerror(errno));
  if (const int error = bpf_object__load(object_.get()); error != 0)
    return fail(-error, std::string("skipped: the kernel takes no BPF programs from us: ") + std::strerror(-error));
  inject_ = bpf_object__find_program_by_name(object_.get(), "inject");
  arrivals_ = bpf_object__find_map_by_name(object_.get(), "arrivals");
  control_ = bpf_object__find_map_by_name(object_.get(), "control");
  watching_.reset(bpf_program__attach(bpf_object__find_program_by_name(object_.get(), "report")));
  if (!watching_) return fail(errno, std::string("skipped: no tracepoint netif_receive_skb: ") + std::strerror(errno));
  records_.reset(perf_buffer__new(
      bpf_map__fd(bpf_object__find_map_by_name(object_.get(), "seen")), kRingPages,
      [](void* self, int, void* record, __u32 size) { static_cast<Kernel*>(self)->take(record, size); },
      [](void* self, int, __u64 count) { static_cast<Kernel*>(self)->lost_ += count; }, this, nullptr));
  if (!records_) return fail(errno, std::string("skipped: no perf ring: ") + std::strerror(errno));
  return {};
}

/// The bits' numbers differ from kernel to kernel; their names are in its type information.
void Kernel::learn_gso_names() {
  constexpr std::string_view kPrefix = "SKB_GSO_";
  const std::unique_ptr<btf, void (*)(btf*)> types(btf__load_vmlinux_btf(), btf__free);
  for (std::uint32_t id = 1; types && id < btf__type_cnt(types.get()); ++id) {
    const btf_type* type = btf__type_by_id(types.get(), id);
    if (!btf_is_enum(type)) continue;
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
      const std::string_view name = btf__name_by_offset(types.get(), btf_enum(type)[i].name_off);
      if (name.starts_with(kPrefix))
        gso_names_.emplace_back(static_cast<std::uint32_t>(btf_enum(type)[i].val), name.substr(kPrefix.size()));
    }
  }
}

void Kernel::set_feature(const std::string& name, bool on) {
  std::string& last = settings_[name];
  const std::string word = on ? "on" : "off";
  if (last == word) return;
  command(std::string("ethtool -K ") + kReceiver + " " + name + " " + word);
  last = word;
}

void Kernel::set_link(const std::string& name, std::uint32_t value) {
  std::string& last = settings_[name];
  const std::string word = std::to_string(value);
  if (last == word) return;
  command(std::string("ip link set dev ") + kReceiver + " " + name + " " + word);
  last = word;
}

int Kernel::write(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::write(fd, text.data(), text.size()) < 0 ? errno : 0;
  close(fd);
  return error;
}

std::string Kernel::read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Kernel::set_vxlan(bool on) {
  std::string& last = settings_["vxlan"];
  const std::string word = on ? "add vx type vxlan external dstport 4789 udp6zerocsumrx" : "del vx";
  if (last == word || (last.empty() && !on)) return;
  command("ip link " + word);
  if (on) command("ip link set up dev vx");
  last = word;
}

void Kernel::set_udp_sockets(const std::vector<GroEndpoint>& sockets) {
  if (sockets == sockets_) return;
  for (const int fd : std::exchange(socket_fds_, {})) close(fd);
  sockets_ = sockets;
  for (const GroEndpoint& endpoint : sockets_) {
    const int fd = socket_fds_.emplace_back(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = static_cast<std::uint16_t>(to_be16(endpoint.port));
    const int gro = endpoint.kind == GroEndpoint::Kind::udp_gro ? 1 : 0;
    if (bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &gro, sizeof gro) != 0)
      throw std::runtime_error("no UDP socket at port " + std::to_string(endpoint.port));
  }
}

std::vector<int> Kernel::cpus() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> all;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) all.push_back(cpu);
  return all;
}

Result<std::vector<Seen>> Kernel::receive(std::span<const Arrival> arrivals) {
  const PinnedTo pinned(cpus().front());
  if (const auto sent = send(arrivals); !sent) return std::unexpected(sent.error());
  const std::size_t came = wait_for(arrivals.size(), kPatience);
  if (lost_ != 0) return fail(ENOBUFS, "the perf ring was too small");
  if (came != arrivals.size())
    return fail(ETIME, std::to_string(came) + " of " + std::to_string(arrivals.size()) + " packets came up");
  return std::move(taken_);
}

Result<std::vector<Seen>> Kernel::receive_on(int cpu, std::span<const Arrival> arrivals) {
  const PinnedTo pinned(cpu);
  if (const auto sent = send(arrivals); !sent) return std::unexpected(sent.error());
  wait_for(arrivals.size(), kPatienceForMost);
  if (lost_ != 0) return fail(ENOBUFS, "the perf ring was too small");
  return std::move(taken_);
}

Result<void> Kernel::send(std::span<const Arrival> arrivals) {
  if (arrivals.size() > NETRX_MAX_ARRIVALS) throw std::logic_error("more arrivals than one poll takes");
  control_record control{.arrivals = static_cast<std::uint32_t>(arrivals.size()),
                         .out_ifindex = if_nametoindex(kSender),
                         .netns = network_namespace(),
                         .ifindex = if_nametoindex(kReceiver),
                         .failures = 0};
  std::uint32_t key = 0;
  bpf_map__update_elem(control_, &key, sizeof key, &control, sizeof control, 0);
  for (; key < arrivals.size(); ++key) {
    const arrival_record record = record_of(arrivals[key]);
    bpf_map__update_elem(arrivals_, &key, sizeof key, &record, sizeof record, 0);
  }
  taken_.clear();
  lost_ = 0;
  std::array<std::uint8_t, 64> some_frame{};
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = some_frame.data(), .data_size_in = some_frame.size(), .repeat = 1);
  const int error = bpf_prog_test_run_opts(bpf_program__fd(inject_), &run);
  if (error != 0) return fail(-error, std::string("BPF_PROG_TEST_RUN: ") + std::strerror(-error));
  bpf_map__lookup_elem(control_, &(key = 0), sizeof key, &control, sizeof control, 0);
  if (control.failures != 0) return fail(EIO, std::to_string(control.failures) + " frames could not be sent");
  return {};
}

std::size_t Kernel::wait_for(std::size_t n, std::chrono::milliseconds patience) {
  std::size_t came = 0;
  auto last_news = std::chrono::steady_clock::now();
  for (;;) {
    perf_buffer__poll(records_.get(), 10);
    perf_buffer__consume(records_.get());  // a wake-up may have been for less than there is
    std::size_t now = 0;
    for (const Seen& one : taken_) now += one.handed.arrivals();
    if (now >= n) return now;
    if (now != came) last_news = std::chrono::steady_clock::now();
    came = now;
    if (std::chrono::steady_clock::now() - last_news > patience) return came;
  }
}

void Kernel::take(const void* record, std::size_t size) {
  seen_record seen;
  if (size < sizeof seen) return;
  std::memcpy(&seen, record, sizeof seen);
  const auto* bytes = static_cast<const std::uint8_t*>(record) + sizeof seen;
  taken_.push_back({.handed = {}, .cpu = seen.cpu, .l4_hash = seen.l4_hash != 0});
  Handed& handed = taken_.back().handed;
  handed.link_header.assign(seen.link_header, seen.link_header + NETRX_LINK_HEADER);
  handed.bytes.assign(bytes, bytes + std::min<std::size_t>({seen.len, NETRX_MAX_SEEN_BYTES, size - sizeof seen}));
  handed.len = seen.len;
  handed.protocol = Be16{static_cast<std::uint16_t>(seen.protocol)};
  handed.vlan_proto = Be16{static_cast<std::uint16_t>(seen.vlan_proto)};
  handed.vlan_tci = static_cast<std::uint16_t>(seen.vlan_tci);
  handed.hash = seen.hash;
  handed.ip_summed = static_cast<IpSummed>(seen.ip_summed);
  if (handed.ip_summed == IpSummed::unnecessary) handed.csum_level = seen.csum_level;
  if (handed.ip_summed == IpSummed::partial) {
    handed.csum_start = seen.csum_start;
    handed.csum_offset = seen.csum_offset;
  }
  handed.gso_size = seen.gso_size;
  handed.gso_segs = seen.gso_segs;
  for (const auto& [bit, name] : gso_names_)
    if ((seen.gso_type & bit) != 0) handed.gso_type.insert(name);
  handed.encapsulation = seen.encapsulation != 0;
  if (handed.encapsulation) {
    handed.inner_network = seen.inner_network;
    handed.inner_transport = seen.inner_transport;
  }
}

}  // namespace netrx::conformance
