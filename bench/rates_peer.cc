// SPDX-License-Identifier: Apache-2.0
// What rates.py puts beside netrx: one sender for both, and the plainest receivers that an af_packet or AF_XDP socket
// can have. They count packets, read a byte of each and give them back: no path, no GRO, no steering. And the two ends
// of a wire whose delay is measured.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "two_cpus.h"

namespace netrx::bench {
namespace {

constexpr const char* kUsage =
    R"(usage: netrx_rates_peer probe                 nanoseconds a cache line takes from one CPU to the other, and what
                                                 the one and the other compute in a nanosecond
       netrx_rates_peer send INTERFACE CPU       60-byte UDP frames of 1024 flows by it, until a signal
       netrx_rates_peer tpacket INTERFACE CPU    counts what a TPACKET_V3 ring receives, until a signal
       netrx_rates_peer tpacket-wait INTERFACE CPU   the same; it sleeps while there is nothing
       netrx_rates_peer xdp INTERFACE CPU        counts what an AF_XDP socket receives, until a signal
       netrx_rates_peer cpumap INTERFACE CPU CPU   spreads over these CPUs what the interface receives, by XDP, for the
                                                 kernel's stack to take there, until a signal
       netrx_rates_peer pong ADDRESS CPU         answers datagrams, until a signal
       netrx_rates_peer ping ADDRESS CPU         how long an answer takes, one datagram a millisecond, until a signal
bench/rates.py starts it. tpacket, xdp and ping end with one line of JSON.
)";

volatile std::sig_atomic_t stopping = 0;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "netrx_rates_peer: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(2);
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("CPU " + std::to_string(cpu));
}

unsigned index_of(const char* interface) {
  const unsigned index = if_nametoindex(interface);
  if (index == 0) fail(interface);
  return index;
}

bpf_insn insn(std::uint8_t code, std::uint8_t to, std::uint8_t from, std::int16_t offset, std::int32_t value) {
  bpf_insn one{};
  one.code = code;
  one.dst_reg = to & 0xf;
  one.src_reg = from & 0xf;
  one.off = offset;
  one.imm = value;
  return one;
}

int load(const std::vector<bpf_insn>& code) {
  const int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "netrx_rates", "Apache-2.0", code.data(), code.size(), nullptr);
  if (program < 0) fail("loading an XDP program (needs root)");
  return program;
}

// ---- sending -------------------------------------------------------------------------------------------------------

/// Gives a frame one of 1024 source ports and sends it by the interface.
std::vector<bpf_insn> sender_code(unsigned interface) {
  constexpr std::int16_t kSourcePort = 34;
  return {
      insn(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
      insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32),
      insn(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 1023),
      insn(BPF_LDX | BPF_MEM | BPF_W, 2, 6, offsetof(xdp_md, data), 0),
      insn(BPF_LDX | BPF_MEM | BPF_W, 3, 6, offsetof(xdp_md, data_end), 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
      insn(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, kSourcePort + 2),
      insn(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 1, 0),
      insn(BPF_STX | BPF_MEM | BPF_H, 2, 0, kSourcePort, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, static_cast<std::int32_t>(interface)),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
      insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect),
      insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
}

/// 64 bytes on the wire, to an address that is nobody's, so that the kernel drops its own copy early.
std::array<std::uint8_t, 60> udp_frame() {
  std::array<std::uint8_t, 60> frame{2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46};
  constexpr std::array<std::uint8_t, 8> addresses{10, 9, 0, 1, 10, 9, 0, 2};
  frame[22] = 64;
  frame[23] = IPPROTO_UDP;
  std::ranges::copy(addresses, frame.begin() + 26);
  std::uint32_t sum = 0;
  for (std::size_t at = 14; at < 34; at += 2) sum += static_cast<std::uint32_t>(frame[at] << 8 | frame[at + 1]);
  sum = ~((sum & 0xffff) + (sum >> 16));
  frame[24] = static_cast<std::uint8_t>(sum >> 8);
  frame[25] = static_cast<std::uint8_t>(sum);
  frame[37] = 9;  // to "discard", without a checksum
  frame[39] = 26;
  return frame;
}

/// The kernel runs the program over frames of its own and carries out what it says (BPF_F_TEST_XDP_LIVE_FRAMES): the
/// fastest sender that needs no hardware. Each call has a fixed cost, hence the many frames a call.
int send(const char* interface) {
  constexpr int kFrames = 1'000'000;
  const int program = load(sender_code(index_of(interface)));
  auto frame = udp_frame();
  xdp_md context{};
  context.data_end = frame.size();
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = frame.size();
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = kFrames;
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  options.batch_size = 64;
  while (stopping == 0) {
    if (bpf_prog_test_run_opts(program, &options) != 0 && errno != EINTR) fail("sending (needs Linux 5.18)");
  }
  return 0;
}

// ---- receiving -----------------------------------------------------------------------------------------------------

/// What was received, and from when to when.
struct Count {
  std::uint64_t packets = 0, drops = 0, sum = 0;
  std::int64_t first = 0, last = 0;

  void add(std::uint64_t more) {
    last = now_ns();
    if (packets == 0) first = last;
    packets += more;
  }
  int print() const {
    std::printf("{\"packets\": %" PRIu64 ", \"drops\": %" PRIu64 ", \"ns\": %" PRId64 ", \"sum\": %" PRIu64 "}\n",
                packets, drops, last - first, sum);
    return 0;
  }
};

constexpr unsigned kBlockSize = 1 << 18, kBlocks = 64, kBlockTimeout = 1;  // as netrx's af_packet

std::uint8_t* packet_ring(int fd, unsigned interface) {
  const int version = TPACKET_V3;
  if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) fail("TPACKET_V3");
  tpacket_req3 ring{};
  ring.tp_block_size = kBlockSize;
  ring.tp_block_nr = kBlocks;
  ring.tp_frame_size = 2048;
  ring.tp_frame_nr = kBlockSize / ring.tp_frame_size * kBlocks;
  ring.tp_retire_blk_tov = kBlockTimeout;
  if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0) fail("a packet ring");
  void* at = mmap(nullptr, std::size_t{kBlockSize} * kBlocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) fail("mapping a packet ring");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(interface);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("binding a packet socket");
  return static_cast<std::uint8_t*>(at);
}

int receive_packets(const char* interface, bool spin) {
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) fail("a packet socket (needs root)");
  std::uint8_t* const ring = packet_ring(fd, index_of(interface));
  Count count;
  for (unsigned next = 0; stopping == 0;) {
    std::uint8_t* const block = ring + std::size_t{next} * kBlockSize;
    auto& head = reinterpret_cast<tpacket_block_desc*>(block)->hdr.bh1;
    if ((__atomic_load_n(&head.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) {
      pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
      if (spin)
        __builtin_ia32_pause();
      else
        poll(&waiting, 1, -1);
      continue;
    }
    const std::uint8_t* at = block + head.offset_to_first_pkt;
    for (unsigned i = 0; i < head.num_pkts; ++i) {
      const auto& packet = *reinterpret_cast<const tpacket3_hdr*>(at);
      count.sum += at[packet.tp_mac + 35];
      at += packet.tp_next_offset;
    }
    count.add(head.num_pkts);
    __atomic_store_n(&head.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    next = (next + 1) % kBlocks;
  }
  tpacket_stats_v3 stats{};
  socklen_t size = sizeof stats;
  if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) count.drops = stats.tp_drops;
  return count.print();
}

/// Redirects everything to the socket in the map.
std::vector<bpf_insn> redirect_code(int map) {
  return {
      insn(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(xdp_md, rx_queue_index), 0),
      insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
      insn(0, 0, 0, 0, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_DROP),
      insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
      insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
}

constexpr unsigned kXdpFrames = 4096, kXdpFrameSize = 4096;  // as netrx's af_xdp

struct XdpSocket {
  std::uint8_t* memory = nullptr;
  xsk_umem* umem = nullptr;
  xsk_socket* socket = nullptr;
  xsk_ring_prod fill{};
  xsk_ring_cons completion{}, rx{};
};

/// errno or 0.
int bind(XdpSocket& xdp, const char* interface) {
  constexpr std::size_t kSize = std::size_t{kXdpFrames} * kXdpFrameSize;
  xsk_umem_config memory{};
  memory.fill_size = kXdpFrames;
  memory.comp_size = 64;
  memory.frame_size = kXdpFrameSize;
  errno = -xsk_umem__create(&xdp.umem, xdp.memory, kSize, &xdp.fill, &xdp.completion, &memory);
  if (errno != 0) fail("sharing memory (needs root)");
  xsk_socket_config config{};
  config.rx_size = kXdpFrames;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  const int code = -xsk_socket__create(&xdp.socket, interface, 0, xdp.umem, &xdp.rx, nullptr, &config);
  if (code != 0) xsk_umem__delete(xdp.umem);
  return code;
}

void attach(int program, const char* interface) {
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = XDP_FLAGS_DRV_MODE;
  // Closed with the process, which detaches the program.
  if (bpf_link_create(program, static_cast<int>(index_of(interface)), BPF_XDP, &options) < 0)
    fail("attaching an XDP program");
}

void open(XdpSocket& xdp, const char* interface) {
  constexpr std::size_t kSize = std::size_t{kXdpFrames} * kXdpFrameSize;
  void* at = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) fail("memory for frames");
  xdp.memory = static_cast<std::uint8_t*>(at);
  errno = bind(xdp, interface);
  for (int again = 200; errno == EBUSY && again > 0; --again) {  // the kernel frees the last socket's queue later
    usleep(10'000);
    errno = bind(xdp, interface);
  }
  if (errno != 0) fail("an AF_XDP socket");
  const int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "netrx_rates", 4, 4, 1, nullptr);
  if (map < 0) fail("a map of sockets");
  errno = -xsk_socket__update_xskmap(xdp.socket, map);
  if (errno != 0) fail("into the map of sockets");
  attach(load(redirect_code(map)), interface);
}

int receive_xdp(const char* interface) {
  XdpSocket xdp;
  open(xdp, interface);
  std::uint32_t at = 0;
  const std::uint32_t room = xsk_ring_prod__reserve(&xdp.fill, kXdpFrames, &at);
  for (std::uint32_t i = 0; i < room; ++i)
    *xsk_ring_prod__fill_addr(&xdp.fill, at + i) = std::uint64_t{i} * kXdpFrameSize;
  xsk_ring_prod__submit(&xdp.fill, room);
  Count count;
  while (stopping == 0) {
    std::uint32_t from = 0, to = 0;
    const std::uint32_t got = xsk_ring_cons__peek(&xdp.rx, 64, &from);
    if (got == 0) {
      __builtin_ia32_pause();
      continue;
    }
    while (xsk_ring_prod__reserve(&xdp.fill, got, &to) != got) {  // never waits: there are as many places as frames
    }
    for (std::uint32_t i = 0; i < got; ++i) {
      const std::uint64_t frame = xsk_ring_cons__rx_desc(&xdp.rx, from + i)->addr;
      count.sum += xdp.memory[frame + 35];
      *xsk_ring_prod__fill_addr(&xdp.fill, to + i) = frame;
    }
    xsk_ring_prod__submit(&xdp.fill, got);
    xsk_ring_cons__release(&xdp.rx, got);
    count.add(got);
  }
  xdp_statistics stats{};
  socklen_t size = sizeof stats;
  if (getsockopt(xsk_socket__fd(xdp.socket), SOL_XDP, XDP_STATISTICS, &stats, &size) == 0)
    count.drops = stats.rx_dropped + stats.rx_ring_full;
  return count.print();
}

/// Redirects to one of two CPUs, by the lowest bit of the source port.
std::vector<bpf_insn> spread_code(int map, int even, int odd) {
  constexpr std::int16_t kSourcePort = 34;  // the sender counts in this byte
  return {
      insn(BPF_LDX | BPF_MEM | BPF_W, 4, 1, offsetof(xdp_md, data), 0),
      insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(xdp_md, data_end), 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_X, 5, 4, 0, 0),
      insn(BPF_ALU64 | BPF_ADD | BPF_K, 5, 0, 0, kSourcePort + 2),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, even),
      insn(BPF_JMP | BPF_JGT | BPF_X, 5, 3, 4, 0),
      insn(BPF_LDX | BPF_MEM | BPF_B, 0, 4, kSourcePort, 0),
      insn(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 1),
      insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, odd),
      insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
      insn(0, 0, 0, 0, 0),
      insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_DROP),
      insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
      insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
}

/// The kernel's own way to spread an XDP driver's packets. It counts nothing: the interface does.
int spread_by_cpumap(const char* interface, int even, int odd) {
  const auto places = static_cast<unsigned>(std::max(even, odd) + 1);
  const int map = bpf_map_create(BPF_MAP_TYPE_CPUMAP, "netrx_rates", 4, sizeof(bpf_cpumap_val), places, nullptr);
  if (map < 0) fail("a map of CPUs");
  bpf_cpumap_val queue{};
  queue.qsize = 2048;
  for (const int cpu : {even, odd})
    if (bpf_map_update_elem(map, &cpu, &queue, BPF_ANY) != 0) fail("into the map of CPUs");
  attach(load(spread_code(map, even, odd)), interface);
  while (stopping == 0) usleep(10'000);
  return 0;
}

// ---- delay ---------------------------------------------------------------------------------------------------------

constexpr std::uint16_t kPort = 7007;
constexpr std::size_t kPingSize = 18;  // 60 bytes as a frame

sockaddr_in address_of(const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
    errno = EINVAL;
    fail(text);
  }
  return address;
}

/// It waits a second at most, so that a signal or a loss is noticed.
int datagram_socket() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) fail("a socket");
  const timeval second{.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  return fd;
}

int pong(const char* at) {
  const int fd = datagram_socket();
  const sockaddr_in address = address_of(at);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(at);
  std::array<std::uint8_t, kPingSize> data;
  while (stopping == 0) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t n = recvfrom(fd, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n > 0) sendto(fd, data.data(), static_cast<std::size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
  return 0;
}

/// The time of one answer; 0: none came within a second.
std::int64_t round_trip(int fd, std::uint64_t number) {
  std::array<std::uint8_t, kPingSize> data{};
  std::memcpy(data.data(), &number, sizeof number);
  const std::int64_t begin = now_ns();
  if (::send(fd, data.data(), data.size(), 0) < 0) return 0;
  std::uint64_t answered = ~number;
  while (answered != number && recv(fd, data.data(), data.size(), 0) > 0)  // else one that was given up: it came late
    std::memcpy(&answered, data.data(), sizeof answered);
  return answered == number ? now_ns() - begin : 0;
}

int ping(const char* to) {
  const int fd = datagram_socket();
  const sockaddr_in address = address_of(to);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(to);
  std::vector<std::int64_t> times;
  std::uint64_t asked = 0;
  for (; stopping == 0; usleep(1000))
    if (const std::int64_t time = round_trip(fd, asked++); time != 0) times.push_back(time);
  std::ranges::sort(times);
  const auto share = [&](std::size_t percent) { return times.empty() ? 0 : times[times.size() * percent / 100]; };
  std::printf("{\"asked\": %" PRIu64 ", \"answered\": %zu, \"p50\": %" PRId64 ", \"p99\": %" PRId64 "}\n", asked,
              times.size(), share(50), share(99));
  return 0;
}

int probe() {
  const TwoCpus cpus;
  if (!cpus.both()) return std::fputs("netrx_rates_peer: probe: needs two CPUs\n", stderr), 2;
  cpus.take_first(true);
  const TwoCpus::Speeds speeds = cpus.speeds();
  std::printf("%.1f %.3f %.3f\n", cpus.probe_ns(), speeds.first, speeds.second);
  return 0;
}

void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stopping = 1; };
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

int run(int count, char** words) {
  const std::string verb = count > 1 ? words[1] : "";
  if (count == 2 && verb == "probe") return probe();
  if (count != (verb == "cpumap" ? 5 : 4)) return std::fputs(kUsage, stderr), 2;
  stop_on_signals();
  if (verb == "cpumap") return spread_by_cpumap(words[2], std::atoi(words[3]), std::atoi(words[4]));
  pin(std::atoi(words[3]));
  if (verb == "send") return send(words[2]);
  if (verb == "tpacket" || verb == "tpacket-wait") return receive_packets(words[2], verb == "tpacket");
  if (verb == "xdp") return receive_xdp(words[2]);
  if (verb == "pong") return pong(words[2]);
  if (verb == "ping") return ping(words[2]);
  return std::fputs(kUsage, stderr), 2;
}

}  // namespace
}  // namespace netrx::bench

int main(int count, char** words) { return netrx::bench::run(count, words); }
