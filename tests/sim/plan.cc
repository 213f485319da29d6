// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "base/prng.h"

namespace netrx::simtest {

namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

class Drawer {
 public:
  explicit Drawer(std::uint64_t seed) : prng_(seed ^ 0x5eed) {}

  Plan draw() {
    plan_.engine.cpus = cpus();
    plan_.engine.pool_packets = one_of({64, 64, 128, 512});
    plan_.engine.frame_size = 128;
    plan_.engine.backlog_capacity = prng_.chance_ppm(100'000) ? 64 : 0;
    plan_.engine.hz = static_cast<std::uint32_t>(one_of({100, 250, 250, 1000}));
    plan_.engine.flow_hash_key = SipHashKey{prng_.next(), prng_.next()};
    draw_execution();
    draw_traffic();
    draw_apps();
    draw_sysctls();
    for (const DevicePlan& device : plan_.devices) draw_device_settings(device);
    draw_control();
    return std::move(plan_);
  }

 private:
  std::uint64_t one_of(std::initializer_list<std::uint64_t> values) {
    return values.begin()[prng_.below(values.size())];
  }
  bool half() { return (prng_.next() & 1) != 0; }
  Nanos up_to(Nanos limit) { return Nanos(prng_.below(static_cast<std::uint64_t>(limit.count()) + 1)); }
  std::uint16_t any_cpu() { return plan_.engine.cpus[prng_.below(plan_.engine.cpus.size())]; }
  std::string any_value(std::initializer_list<std::uint64_t> values) { return std::to_string(one_of(values)); }

  std::vector<std::uint16_t> cpus() {
    const std::uint64_t count = one_of({1, 2, 2, 2, 3, 3, 4, 4, 5, 8});
    const bool holes = prng_.chance_ppm(200'000);
    std::vector<std::uint16_t> list;
    std::uint16_t next = 0;
    while (list.size() < count) {
      if (holes) next = static_cast<std::uint16_t>(next + prng_.below(3));
      list.push_back(next++);
    }
    return list;
  }

  std::string any_mask() {
    std::uint32_t mask = 0;
    for (const std::uint16_t cpu : plan_.engine.cpus)
      if (half()) mask |= 1u << cpu;
    char text[16];
    std::snprintf(text, sizeof text, "%x", mask);
    return text;
  }

  void draw_execution() {
    SimOptions& sim = plan_.sim;
    sim.seed = prng_.next();
    sim.idle = static_cast<IdlePolicy>(one_of({0, 1, 1, 1, 2, 2}));
    sim.spin = Nanos(one_of({1'000, 10'000, 50'000}));
    sim.max_steps = 3'000'000;
    if (half()) {  // every step costs about the same, and waking is cheap: more orders are close to each other
      sim.costs = SimCosts{.occupy = 30,
                           .lock = 30,
                           .relax = 50,
                           .ring = 40,
                           .wake = 100,
                           .wake_latency = 300,
                           .interrupt = 40,
                           .poll = 30,
                           .packet = 10,
                           .gro = 10,
                           .dissect = 10,
                           .steer = 10,
                           .enqueue = 10,
                           .deliver = 20,
                           .free_packet = 10,
                           .publish = 100,
                           .step = 30};
    }
    SimDisturbance& how = sim.disturbance;
    how.slack = Nanos(one_of({0, 0, 100, 1000}));
    how.delay_ppm = static_cast<std::uint32_t>(one_of({0, 2'000, 20'000, 100'000}));
    how.delay = Nanos(one_of({200, 2'000, 10'000}));
    how.stall_ppm = static_cast<std::uint32_t>(one_of({0, 100, 1'000, 5'000}));
    how.stall = Nanos(one_of({10'000, 50'000, 300'000}));
    how.hot_site_ppm = static_cast<std::uint32_t>(one_of({0, 20'000, 200'000}));
  }

  void draw_traffic() {
    const bool exotic = prng_.chance_ppm(300'000);
    const std::size_t devices = one_of({1, 1, 2});
    const std::size_t total = one_of({30, 100, 300, 600});
    for (std::size_t i = 0; i < devices; ++i) {
      DevicePlan device;
      device.name = "sim" + std::to_string(i);
      device.hash = half() ? FlowHashKind::siphash : FlowHashKind::toeplitz;
      const std::size_t queues = one_of({1, 1, 2, 4});
      const bool hardware_hash = prng_.chance_ppm(300'000);
      for (std::size_t q = 0; q < queues; ++q)
        device.queues.push_back(draw_queue(total / (devices * queues) + 1, exotic, hardware_hash));
      plan_.devices.push_back(std::move(device));
    }
  }

  ScriptQueue::Script draw_queue(std::size_t packets, bool exotic, bool hardware_hash) {
    const std::size_t first = plan_.flows.size();
    const std::size_t flows = one_of({1, 2, 4, 16});
    for (std::size_t i = 0; i < flows; ++i) {
      plan_.flows.push_back(make_flow(static_cast<std::uint32_t>(plan_.flows.size()), exotic));
      if (hardware_hash) plan_.flows.back().hash = static_cast<std::uint32_t>(prng_.next());
    }
    ScriptQueue::Script script;
    script.irq = half() ? IrqKind::edge : IrqKind::level;
    if (prng_.chance_ppm(150'000)) script.ring = one_of({1, 8, 64});
    const std::uint64_t burst = one_of({1, 4, 32, 100});
    const Nanos gap = Nanos(one_of({500, 5'000, 50'000}));
    const Nanos spacing = Nanos(one_of({0, 20, 100}));
    Nanos at = up_to(microseconds(20));
    while (script.arrivals.size() < packets) {
      for (std::uint64_t n = prng_.between(1, burst); n > 0 && script.arrivals.size() < packets; --n) {
        script.arrivals.push_back({at, static_cast<std::uint32_t>(first + prng_.below(flows))});
        at += spacing;
      }
      at += up_to(gap);
    }
    plan_.last_arrival = std::max(plan_.last_arrival, script.arrivals.back().at);
    plan_.arrivals += script.arrivals.size();
    return script;
  }

  void draw_apps() {
    const std::size_t count = one_of({0, 1, 2, 3});
    const bool transmits = prng_.chance_ppm(250'000);
    const bool busy_polls = prng_.chance_ppm(400'000);
    const std::uint32_t migrate = static_cast<std::uint32_t>(one_of({0, 20'000, 300'000}));
    for (std::size_t i = 0; i < count; ++i) {
      AppPlan app;
      if (half()) app.core = any_cpu();
      app.capacity = static_cast<std::uint32_t>(one_of({2, 16, 64, 1024}));
      app.migrate_ppm = migrate;
      if (transmits) {
        app.transmit_ppm = 100'000;
        plan_.flows.push_back(make_flow(static_cast<std::uint32_t>(plan_.flows.size()), false));
      }
      if (busy_polls) app.busy_poll_ppm = static_cast<std::uint32_t>(one_of({0, 50'000, 500'000}));
      app.prefer_busy_poll = half();
      app.nap = Nanos(one_of({1'000, 10'000, 60'000}));
      plan_.apps.push_back(app);
    }
  }

  void set(std::string path, std::string text) { plan_.settings.emplace_back(std::move(path), std::move(text)); }

  void draw_sysctls() {
    set("net.core.netdev_max_backlog", any_value({0, 2, 10, 100, 1000, 1000, 1000}));
    set("net.core.netdev_budget", any_value({0, 1, 8, 64, 300, 300}));
    set("net.core.dev_weight", any_value({1, 2, 16, 64, 64}));
    set("net.core.gro_normal_batch", any_value({1, 8, 8, 64}));
    set("net.core.max_skb_frags", any_value({1, 2, 17}));
    set("net.netrx.gro_flow_buckets", any_value({0, 0, 8, 64}));
    set("net.netrx.gro_in_order", any_value({0, 1}));
    set("net.core.skb_defer_max", any_value({0, 1, 2, 64, 256}));
    set("net.core.rps_sock_flow_entries", any_value({0, 1, 2, 8, 256}));
    set("net.core.netdev_tstamp_prequeue", any_value({0, 1}));
    if (prng_.chance_ppm(300'000)) {
      set("net.core.flow_limit_table_len", any_value({1, 2, 16, 256}));
      set("net.core.flow_limit_cpu_bitmap", any_mask());
    }
  }

  static std::string queue_path(const DevicePlan& device, std::size_t queue, const char* file) {
    return "/sys/class/net/" + device.name + "/queues/rx-" + std::to_string(queue) + "/" + file;
  }

  void draw_device_settings(const DevicePlan& device) {
    for (std::size_t i = 0; i < device.queues.size(); ++i) {
      if (prng_.chance_ppm(800'000)) set(queue_path(device, i, "rps_cpus"), any_mask());
      if (prng_.chance_ppm(700'000)) set(queue_path(device, i, "rps_flow_cnt"), any_value({1, 2, 8, 64}));
    }
    const std::string path = "/sys/class/net/" + device.name + "/";
    if (prng_.chance_ppm(400'000)) {
      set(path + "napi_defer_hard_irqs", any_value({1, 2, 100}));
      set(path + "gro_flush_timeout", any_value({1'000, 20'000, 200'000}));
    }
    if (prng_.chance_ppm(300'000)) set(path + "threaded", "1");
    if (prng_.chance_ppm(200'000)) set(path + "rx_gro", "0");
    if (prng_.chance_ppm(200'000)) set(path + "rx_gro_list", "1");
    if (prng_.chance_ppm(300'000)) set(path + "rx_udp_gro_forwarding", "1");
    if (prng_.chance_ppm(200'000)) set(path + "gro_max_size", any_value({60, 100, 524280}));
  }

  void draw_control() {
    const std::size_t count = one_of({0, 1, 3, 10, 20});
    for (std::size_t i = 0; i < count; ++i) {
      plan_.control.push_back(draw_operation());
      plan_.control.back().after = up_to(plan_.last_arrival / 3 + microseconds(10));
    }
  }

  ControlPlan draw_operation() {
    using Kind = ControlPlan::Kind;
    const DevicePlan& device = plan_.devices[prng_.below(plan_.devices.size())];
    const std::size_t queue = prng_.below(device.queues.size());
    const auto write = [](std::string path, std::string text) {
      return ControlPlan{.kind = Kind::write, .path = std::move(path), .text = std::move(text)};
    };
    switch (prng_.below(16)) {
      case 0: return write("net.core.netdev_max_backlog", any_value({0, 3, 100, 1000}));
      case 1: return write("net.core.netdev_budget", any_value({1, 16, 300}));
      case 2: return write("net.core.dev_weight", any_value({1, 8, 64}));
      case 3: return write("net.core.rps_sock_flow_entries", any_value({0, 4, 256}));
      case 4: return write(queue_path(device, queue, "rps_cpus"), any_mask());
      case 5: return write(queue_path(device, queue, "rps_flow_cnt"), any_value({0, 4, 64}));
      case 6: return write("/sys/class/net/" + device.name + "/threaded", any_value({0, 1}));
      case 7: return write("/sys/class/net/" + device.name + "/gro_flush_timeout", any_value({0, 5'000, 100'000}));
      case 8: return {.kind = Kind::set_running, .path = device.name, .on = half()};
      case 9:
        if (prng_.chance_ppm(700'000)) return {.kind = Kind::set_running, .path = device.name, .on = false};
        return {.kind = Kind::detach, .path = device.name};
      case 10: return {.kind = Kind::bind_irq, .path = device.name, .queue = queue, .cpu = any_cpu()};
      case 11: return {.kind = Kind::stats};
      case 12: return write("/sys/class/net/" + device.name + "/rx_gro", any_value({0, 1}));
      case 13: return write("net.netrx.gro_flow_buckets", any_value({0, 8, 64}));
      default: break;
    }
    const std::string cpu = std::to_string(any_cpu());
    return write("/sys/devices/system/cpu/cpu" + cpu + "/online", half() ? "1" : "0");
  }

  Prng prng_;
  Plan plan_;
};

/// Makes virtio-net devices of some. Drawn from a stream of its own: the rest of a seed's plan is what it was before
/// there were any.
class VirtioDrawer {
 public:
  VirtioDrawer(std::uint64_t seed, Plan& plan) : prng_(seed ^ 0x71e7), plan_(plan) {}

  void draw() {
    if (!prng_.chance_ppm(400'000)) return;
    plan_.vring_stall_ppm = static_cast<std::uint32_t>(one_of({0, 1'000, 10'000}));
    for (DevicePlan& device : plan_.devices)
      if (prng_.chance_ppm(800'000)) device.virtio = virtio(device);
  }

 private:
  std::uint64_t one_of(std::initializer_list<std::uint64_t> values) {
    return values.begin()[prng_.below(values.size())];
  }
  bool half() { return (prng_.next() & 1) != 0; }

  VirtioPlan virtio(const DevicePlan& device) {
    VirtioPlan plan;
    plan.mode = static_cast<virtio::RxMode>(one_of({0, 1, 2, 2}));
    plan.short_buffers = plan.mode == virtio::RxMode::mergeable && half();
    plan.ring.kind = half() ? virtio::RingKind::packed : virtio::RingKind::split;
    const bool packed = plan.ring.kind == virtio::RingKind::packed;
    plan.ring.size =
        static_cast<std::uint16_t>(packed ? one_of({2, 3, 7, 16, 61, 256}) : one_of({1, 2, 4, 16, 64, 256}));
    if (plan.short_buffers) plan.ring.size = std::max<std::uint16_t>(plan.ring.size, 4);  // for the longest frame twice
    plan.ring.event_idx = half();
    plan.ring.in_order = prng_.chance_ppm(300'000);
    plan.hash_report = half();
    plan.burst = one_of({1, 2, 8, 32});
    if (prng_.chance_ppm(200'000)) plan.core = plan_.engine.cpus[prng_.below(plan_.engine.cpus.size())];
    std::size_t before = 0;
    for (std::uint64_t n = one_of({0, 0, 1, 3}); n > 0; --n) {
      before += prng_.below(device.queues.front().arrivals.size());
      plan.mishaps.push_back({before, static_cast<VirtioPlan::Mishap::Kind>(prng_.below(5))});
    }
    return plan;
  }

  Prng prng_;
  Plan& plan_;
};

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  Plan plan = Drawer(seed).draw();
  plan.seed = seed;
  VirtioDrawer(seed, plan).draw();
  return plan;
}

std::string Plan::describe() const {
  std::string text = "cpus";
  for (const std::uint16_t cpu : engine.cpus) text += " " + std::to_string(cpu);
  text += ", pool " + std::to_string(engine.pool_packets) + ", " + std::to_string(arrivals) + " arrivals until " +
          std::to_string(last_arrival.count() / 1000) + " us, " + std::to_string(flows.size()) + " flows, " +
          std::to_string(apps.size()) + " apps, idle policy " + std::to_string(static_cast<int>(sim.idle)) + "\n";
  for (const DevicePlan& device : devices)
    text += device.name + ": " + std::to_string(device.queues.size()) + " queues" +
            (device.virtio ? ", " + device.virtio->describe() : "") + "\n";
  for (const auto& [path, value] : settings) text += path + " = " + value + "\n";
  for (const AppPlan& app : apps)
    text += "app: capacity " + std::to_string(app.capacity) + ", ppm migrate " + std::to_string(app.migrate_ppm) +
            " transmit " + std::to_string(app.transmit_ppm) + " busy poll " + std::to_string(app.busy_poll_ppm) + "\n";
  for (const ControlPlan& step : control)
    text += "then after " + std::to_string(step.after.count() / 1000) +
            " us: " + std::to_string(static_cast<int>(step.kind)) + " " + step.path + " " + step.text + " cpu " +
            std::to_string(step.cpu) + (step.on ? " on" : "") + "\n";
  return text;
}

}  // namespace netrx::simtest
