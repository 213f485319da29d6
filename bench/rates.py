#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""netrx over real devices, beside peers on the same devices. docs/benchmarks.md explains the method.

    usage: ./dev bench rates [virtio] [af_packet] [af_xdp] [tcp] [latency] [--runs N] [--seconds S] [--json FILE]

  virtio       64-byte frames from dpdk-testpmd (vhost back end): netrx's vhost-user device against DPDK's
               net_virtio_user, over split and packed rings, with mergeable buffers and without; and netrx with RPS to
               the sender's CPU, against the same and against a DPDK program that spreads the queue as well
  af_packet    frames over a veth pair: netrx's af_packet device against a plain reader of a TPACKET_V3 ring
  af_xdp       the same: netrx's af_xdp device against a plain reader of an AF_XDP socket; and with RPS over both CPUs
               against the kernel's own RPS in front of one packet socket, and against XDP's cpumap
  tcp          iperf3 between two namespaces: over netrx and two taps, against the kernel's bridge and two veth pairs
  latency      a datagram and its answer, one a millisecond, over netrx with each kind of device and each --idle policy,
               against the same bridge
               (default: all)

  --runs N     pairs of ours and the peer's, in turn (default 7)
  --seconds S  how long each of them receives (default 3)
  --json FILE  also one object a row, as ./dev bench writes it
  --cases EXPR only cases in whose name this regular expression is found

The sender has the first CPU, the receiver the second; both receivers poll. Needs two CPUs; all but virtio need root
and make network namespaces of their own, which go with the program also when it fails; virtio needs Debian's dpdk-dev.
What can't be measured is named with its reason. Exit code 0, also when every pair was disturbed; 1 when something
failed; 77 when nothing could be measured.

Examples
  ./dev bench rates                                 about half an hour
  ./dev bench rates virtio --runs 3 --seconds 1     a look
  ./dev bench rates af_xdp --json rates.json
"""

import argparse
import contextlib
import dataclasses
import json
import operator
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests/live"))
from wire import CLIENT, SERVER, NETRX, Namespaces, end_wire, iperf3, start_bridge, start_wire, wait_until  # noqa: E402

PEER = os.environ.get("NETRX_RATES_PEER", "build/release/bench/netrx_rates_peer")
SPREADER = os.environ.get("NETRX_RATES_DPDK", "build/release/bench/netrx_rates_dpdk")  # not there without libdpdk-dev
SENDER_CPU, RECEIVER_CPU = (sorted(os.sched_getaffinity(0)) * 2)[:2]
BOTH_CPUS = f"{1 << SENDER_CPU | 1 << RECEIVER_CPU:x}"
PATIENCE = 20  # seconds any one step may take
NEAR_NS, FAR_NS = 60, 80  # as in two_cpus.cc
ALIKE = 0.8  # of the other speeds: a CPU that has less shares its core with somebody else's work
DIFFERENCE = 0.01  # between what the sender counted and what the receivers did; more is not the same work
POOL = 32768  # enough for what is under way while the sender has the CPU, and no more: it all goes round


class Skip(Exception):
    """This machine can't measure it, for the reason given."""


# ---- programs ------------------------------------------------------------------------------------------------------

def heeds_ctrl_c(pid):
    """A program has come so far that SIGINT ends it in its own way."""
    masks = re.findall(r"Sig(?:Cgt|Blk):\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return any(int(mask, 16) >> (signal.SIGINT - 1) & 1 for mask in masks)


class Program:
    """A program that was started, with its output read as it comes; it ends, at the latest, with the `with` block."""

    def __init__(self, words, folder):
        self.words = [str(word) for word in words]
        self.lines = []  # (when, text)
        self.child = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, bufsize=1,
                                      env={**os.environ, "RUNTIME_DIRECTORY": str(folder)})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.stop()

    def output(self):
        return "\n".join(text for _, text in self.lines)

    def values(self, name, since):
        """The numbers behind `name:` in lines that came after `since`."""
        found = (re.search(rf"{name}:\s+(\d+)", text) for when, text in list(self.lines) if when > since)
        return [int(match[1]) for match in found if match]

    def stop(self):
        """By SIGINT, then harder; its output."""
        for way in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.child.poll() is not None:
                break
            self.child.send_signal(way)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(5)
        self.reader.join(5)
        return self.output()

    def wait_until(self, what, true):
        deadline = time.monotonic() + PATIENCE
        while not true():
            if self.child.poll() is not None:
                raise RuntimeError(f"{' '.join(self.words)} ended with {self.child.returncode}: {self.output()[-600:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not happen within {PATIENCE} s: {self.output()[-600:]}")
            time.sleep(0.01)


@dataclasses.dataclass(frozen=True)
class Probe:
    """How things stood at a moment: nanoseconds that a cache line takes between the two CPUs, and what each computes in
    a nanosecond."""

    line: float
    speeds: tuple

    @staticmethod
    def now():
        words = subprocess.run([PEER, "probe"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        line, *speeds = map(float, words.split())
        return Probe(line, tuple(speeds))


def netrx_words(device, report, *more):
    return [NETRX, "run", "--dev", device, "--cpus", RECEIVER_CPU, "--irq-cpus", RECEIVER_CPU, "--idle", "poll",
            "--order-flows", 0, "--progress", "off", "--duration", "60s", "--json", report, *more]


def netrx_report(program, path):
    """Ends `netrx run` and returns what it wrote; it has checked itself."""
    output = program.stop()
    try:
        report = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        raise RuntimeError(f"{program.words} ended with {program.child.returncode}: {output[-600:]}") from None
    if not report["ok"]:
        raise RuntimeError(f"netrx run found itself wrong: {output[-600:]}")
    return report


# ---- rows ----------------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Case:
    """A row to be: what of a side's result it shows."""

    name: str
    target: float | None
    unit: str = "M/s"  # more is better; "us": less
    of: typing.Callable = float

    def ratio(self, ours, peer):
        """How many times the peer's speed is ours."""
        return peer / ours if self.unit == "us" else ours / peer


@dataclasses.dataclass(frozen=True)
class Pair:
    """Ours and the peer's result, and how things stood before and after each."""

    ours: float
    peer: float
    probes: list

    def placement(self):
        lines = [probe.line for probe in self.probes]
        return "near" if max(lines) < NEAR_NS else "far" if min(lines) > FAR_NS else "unclear"

    def speeds(self):
        """The least and the most that either CPU computed."""
        every = [speed for probe in self.probes for speed in probe.speeds]
        return min(every), max(every)

    def undisturbed(self):
        """The CPUs stayed where they were, and neither was slower than the other or than at another time: else ours and
        the peer would not have had the same."""
        least, most = self.speeds()
        return self.placement() != "unclear" and least >= ALIKE * most


class Rows:
    """Pairs of rates, by case and by where the two CPUs were; a row each in the end."""

    def __init__(self):
        self.pairs = {}  # Case -> [Pair]

    def add(self, case, ours, peer):
        pair = Pair(case.of(ours.result), case.of(peer.result), ours.probes + peer.probes)
        self.pairs.setdefault(case, []).append(pair)
        least, most = pair.speeds()
        print(f"  {case.name:<36} {pair.placement():<8} {least:4.1f}..{most:<4.1f} {pair.ours:7.3f} {pair.peer:7.3f}  "
              f"{case.ratio(pair.ours, pair.peer):.2f}{'' if pair.undisturbed() else '  disturbed'}", flush=True)

    def finished(self):
        """A row for the pairs of a case that were near, one for those that were far; where each was disturbed, one for
        all of them, which is the best there is to say."""
        for case, pairs in self.pairs.items():
            good = [pair for pair in pairs if pair.undisturbed()]
            places = {place: [pair for pair in good if pair.placement() == place] for place in ("near", "far")}
            for place, some in (places if good else {"unclear": pairs}).items():
                if some:
                    yield self.row(case, place, some)

    @staticmethod
    def row(case, place, pairs):
        ratios = [case.ratio(pair.ours, pair.peer) for pair in pairs]
        low, _, high = statistics.quantiles(ratios, method="inclusive") if len(ratios) > 1 else ratios * 3
        return {"name": case.name, "ours": round(statistics.median(pair.ours for pair in pairs), 4),
                "peer": round(statistics.median(pair.peer for pair in pairs), 4), "unit": case.unit,
                "ratio": round(statistics.median(ratios), 4), "target": case.target,
                "spread": [round(low, 4), round(high, 4)], "runs": len(pairs), "placement": place, "checksum": None}

    def disturbed(self):
        return sum(not pair.undisturbed() for pairs in self.pairs.values() for pair in pairs)


def print_table(rows):
    print(f"\n{'case':<38} {'where':<8} {'ours':>9} {'peer':>9} {'unit':<6} {'ratio':>7} {'quartiles':>15} "
          f"{'target':>7} {'runs':>5}")
    for row in rows:
        spread = f"{row['spread'][0]:.2f}..{row['spread'][1]:.2f}"
        target = "" if row["target"] is None else f"{row['target']:.2f}"
        verdict = "  below target" if target and row["ratio"] < row["target"] else ""
        print(f"{row['name']:<38} {row['placement']:<8} {row['ours']:>9.2f} {row['peer']:>9.2f} {row['unit']:<6} "
              f"{row['ratio']:>7.2f} {spread:>15} {target:>7} {row['runs']:>5}{verdict}", flush=True)


def write_json(path, rows):
    Path(path).write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


class Run:
    """What one side did, and how far the two CPUs were from each other before and after."""

    def __init__(self, side, before):
        self.result = side()
        self.probes = [before, Probe.now()]


def in_turn(options, sides):
    """Runs each side once, in an order that alternates; yields the runs of a round, in the order of `sides`."""
    for turn in range(options.runs):
        order = list(range(len(sides)))[::1 if turn % 2 == 0 else -1]
        runs, last = {}, Probe.now()
        for index in order:
            runs[index] = Run(sides[index], last)
            last = runs[index].probes[1]
        yield [runs[index] for index in range(len(sides))]


# ---- virtio --------------------------------------------------------------------------------------------------------

TESTPMD = "dpdk-testpmd"


def testpmd_words(cpu, prefix, vdev, forward, *more):
    return ["stdbuf", "-oL", TESTPMD, "--lcores", f"0@{cpu},1@{cpu}", "--no-huge", "-m", "256", "--no-pci",
            "--no-telemetry", f"--file-prefix={prefix}", "--vdev", vdev, "--", "--nb-cores=1",
            "--total-num-mbufs=8192", "--stats-period=1", "--no-flush-rx", f"--forward-mode={forward}", *more]


class Virtio:
    """One vhost back end that sends all the time; receivers attach to its socket in turn. Both are measured by what it
    says: packets a second that the ring took, which is what the receiver made room for."""

    def __init__(self, options, folder, packed, mergeable):
        self.options, self.folder = options, folder
        self.packed, self.mergeable = packed, mergeable
        self.received = 0  # by all that attached
        self.socket = Path(folder) / f"{'packed' if packed else 'split'}-{int(mergeable)}"
        self.sender = Program(testpmd_words(SENDER_CPU, "netrx_sender", f"net_vhost0,iface={self.socket},queues=1",
                                            "txonly"), folder)

    def __enter__(self):
        try:
            self.sender.wait_until("dpdk-testpmd making its socket", lambda: self.sender.values("Tx-pps", 0))
        except BaseException:
            self.sender.stop()
            raise
        return self

    def __exit__(self, *why):
        self.sender.stop()

    def sent_meanwhile(self, receiver):
        """Packets a second, over whole seconds of its reports. The first two with traffic don't count: one may have
        begun with the receiver before, one before this receiver."""
        begin = time.monotonic()

        def busy():
            rates = self.sender.values("Tx-pps", begin)
            return rates[max((at + 1 for at, rate in enumerate(rates) if rate == 0), default=0):]
        receiver.wait_until("traffic", lambda: len(busy()) >= self.options.seconds + 2)
        return statistics.mean(busy()[2:self.options.seconds + 2])

    def ours(self, *more):
        """Million packets a second that were delivered. What a poll takes goes up together, not by eights: the peers
        work in bursts, too."""
        report = Path(self.folder) / "report.json"
        report.unlink(missing_ok=True)
        keys = f"wait=5s,packed={'on' if self.packed else 'off'}"
        if not self.mergeable:
            keys += ",mrg_rxbuf=off,gso=off"
        words = netrx_words(f"vhost-user:{self.socket},{keys}", report, "--gro-normal-batch", 64, *more)
        with Program(words, self.folder) as receiver:
            rate = self.sent_meanwhile(receiver)
            counts = netrx_report(receiver, report)["conservation"]
        self.received += counts["received"]
        return rate / 1e6 * counts["delivered"] / counts["received"]

    def ours_with_rps(self):
        """Every packet is processed on the sender's CPU, which ours leaves to the sender when it has nothing to do. The
        backlog holds what the pool has, so that its being full becomes the ring's being full and not a drop."""
        return self.ours("--cpus", f"{SENDER_CPU},{RECEIVER_CPU}", "--rps-cpus", f"{1 << SENDER_CPU:x}", "--idle",
                         "adaptive", "--netdev-max-backlog", POOL, "--pool-packets", POOL)

    def peer(self):
        """The driver that DPDK has for the same device."""
        vdev = f"net_virtio_user0,path={self.socket},queues=1,queue_size=256,{self.peer_keys()}"
        with Program(testpmd_words(RECEIVER_CPU, "netrx_receiver", vdev, "rxonly"), self.folder) as receiver:
            rate = self.sent_meanwhile(receiver)
            receiver.stop()
            received = receiver.values("RX-packets", 0)
        if not received:
            raise RuntimeError(f"dpdk-testpmd told no counts: {receiver.output()[-600:]}")
        self.received += received[-1]
        return rate / 1e6

    def peer_that_spreads(self):
        """The same driver in a program that hashes each packet's flow and hands it to the sender's CPU."""
        with Program([SPREADER, self.socket, self.peer_keys(), POOL, RECEIVER_CPU, SENDER_CPU],
                     self.folder) as receiver:
            rate = self.sent_meanwhile(receiver)
            count = parsed(receiver)
        self.received += count["received"]
        return rate / 1e6 * count["delivered"] / count["received"]

    def peer_keys(self):
        return f"packed_vq={int(self.packed)},mrg_rxbuf={int(self.mergeable)}"

    def check_same_work(self):
        """All that the sender counted so far came to one of the receivers; asked when two of its reports are alike."""
        counts, begin = [], time.monotonic()

        def settled():
            counts[:] = self.sender.values("TX-packets", begin)
            return len(counts) >= 2 and counts[-1] == counts[-2]
        self.sender.wait_until("the sender coming to rest", settled)
        if abs(counts[-1] - self.received) > DIFFERENCE * counts[-1]:
            raise RuntimeError(f"{self.received:,} packets were received of {counts[-1]:,} that the sender counted")


def measure_virtio(options, rows, folder):
    if not shutil.which(TESTPMD):
        raise Skip(f"{TESTPMD} is not installed (Debian's dpdk-dev; ./dev setup bench)")
    if not shutil.which("stdbuf"):
        raise Skip("stdbuf is not installed (Debian's coreutils)")
    for packed in (False, True):
        for mergeable in (True, False):
            case = f"virtio/{'packed' if packed else 'split'}{'-mergeable' if mergeable else ''}"
            wanted = [Against(Case(case, 1.0), Virtio.ours, Virtio.peer)]
            if mergeable:
                wanted.append(Against(Case(case + "-rps", 0.8), Virtio.ours_with_rps, Virtio.peer))
            if mergeable and Path(SPREADER).exists():
                wanted.append(Against(Case(case + "-rps/spreading", None), Virtio.ours_with_rps,
                                      Virtio.peer_that_spreads))
            wanted = [one for one in wanted if re.search(options.cases, one.case.name)]
            if wanted:
                measure_rings(options, rows, Virtio(options, folder, packed, mergeable), wanted)


@dataclasses.dataclass(frozen=True)
class Against:
    """A case with the two sides it compares."""

    case: Case
    ours: typing.Callable
    peer: typing.Callable


def measure_rings(options, rows, virtio, wanted):
    """Every side that is wanted, in turn."""
    ways = list(dict.fromkeys(way for one in wanted for way in (one.peer, one.ours)))
    with virtio:
        for runs in in_turn(options, [lambda way=way: way(virtio) for way in ways]):
            virtio.check_same_work()
            result = dict(zip(ways, runs))
            for one in wanted:
                rows.add(one.case, result[one.ours], result[one.peer])


# ---- a veth pair ---------------------------------------------------------------------------------------------------

class Veth:
    """Two namespaces joined by a cable, v1 to v0, and a sender at v1 that never stops."""

    def __init__(self, options, folder, kind):
        self.options, self.folder, self.kind = options, folder, kind
        self.lost = {}  # who received -> shares of what the sender sent, one a run
        self.stack = contextlib.ExitStack()
        self.spaces = Namespaces(("send", "receive"))
        self.there, self.here = self.spaces.names.values()

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *why):
        self.stack.close()

    def make(self):
        self.stack.enter_context(self.spaces)
        run("ip", "-n", self.here, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", self.there)
        for name, interface in ((self.here, "v0"), (self.there, "v1")):
            # With GRO a veth has NAPI, by which it takes a sender's frames in batches.
            run("ip", "netns", "exec", name, "ethtool", "-K", interface, "gro", "on")
            run("ip", "-n", name, "link", "set", interface, "up")
        self.sender = self.stack.enter_context(self.start(self.there, PEER, "send", "v1", SENDER_CPU))

    def start(self, name, *words):
        return Program(["ip", "netns", "exec", name, *words], self.folder)

    def let(self, receiver):
        receiver.wait_until("its start", lambda: heeds_ctrl_c(receiver.child.pid))
        end = time.monotonic() + self.options.seconds
        receiver.wait_until("its time", lambda: time.monotonic() > end)

    def ours(self, name="ours", keys="", more=()):
        report = Path(self.folder) / "report.json"
        report.unlink(missing_ok=True)
        with self.start(self.here, *netrx_words(f"{self.kind}:v0{keys}", report, *more)) as receiver:
            self.let(receiver)
            result = netrx_report(receiver, report)
        missed = sum(queue["rx_missed_errors"] for device in result["devices"] for queue in device["queues"])
        dropped = result["conservation"]["dropped"]
        self.note_lost(name, missed + dropped, missed + result["packets"])
        return enough(result["conservation"]["delivered"], result["busy_ns"])

    def ours_with_rps(self):
        """Both CPUs process, the sender's too, which lets a backlog wait for milliseconds; and what waits there has
        frames of the socket's, hence so many of them."""
        return self.ours("ours_with_rps", ",frames=16384", [
            "--cpus", f"{SENDER_CPU},{RECEIVER_CPU}", "--rps-cpus", BOTH_CPUS, "--idle", "adaptive",
            "--netdev-max-backlog", POOL, "--pool-packets", POOL])

    def plain(self):
        return self.peer({"af_packet": "tpacket", "af_xdp": "xdp"}[self.kind])

    def peer(self, verb):
        with self.start(self.here, PEER, verb, "v0", RECEIVER_CPU) as receiver:
            self.let(receiver)
            count = parsed(receiver)
        self.note_lost(verb, count["drops"], count["drops"] + count["packets"])
        return enough(count["packets"], count["ns"])

    def note_lost(self, name, lost, all_that_came):
        self.lost.setdefault(name, []).append(lost / max(1, all_that_came))

    def kernel_rps(self, mask=BOTH_CPUS):
        """The kernel spreads over both CPUs what one packet socket receives."""
        self.set_rps(mask)
        try:
            return self.peer("tpacket-wait")
        finally:
            self.set_rps("0")

    def set_rps(self, mask):
        run("ip", "netns", "exec", self.here, "sh", "-c", f"echo {mask} > /sys/class/net/v0/queues/rx-0/rps_cpus")

    def kernel_rps_second(self):
        """The sender's CPU is spared: the best the kernel can do here."""
        return self.kernel_rps(f"{1 << RECEIVER_CPU:x}")

    def cpumap_second(self):
        return self.cpumap(RECEIVER_CPU)

    def cpumap(self, first=SENDER_CPU):
        """XDP spreads over both CPUs what the kernel's stack receives and, as nobody's, drops first thing."""
        threads = set(cpumap_threads())
        with self.start(self.here, PEER, "cpumap", "v0", first, RECEIVER_CPU) as spreader:
            spreader.wait_until("packets in the kernel's stack", lambda begin=self.for_nobody(): (
                self.for_nobody() > begin + 1000))
            for thread in set(cpumap_threads()) - threads:
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0))
            before, begin = self.for_nobody(), time.monotonic_ns()
            self.let(spreader)
            return enough(self.for_nobody() - before, time.monotonic_ns() - begin)

    def for_nobody(self):
        """Packets that the kernel's IP took from v0 and dropped for their address."""
        links = json.loads(run("ip", "-n", self.here, "-s", "-s", "-j", "link", "show", "v0"))
        return links[0]["stats64"]["rx"].get("otherhost", 0)  # left out while it is 0


def check_spaces(*more):
    """That namespaces can be made here, and `more` programs run in them."""
    if os.geteuid() != 0:
        raise Skip("it makes network namespaces: needs root")
    for program, package in (("ip", "iproute2"), ("ethtool", "ethtool"), ("sysctl", "procps"), *more):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed (Debian's {package}; ./dev setup bench)")


def cpumap_threads():
    """The kernel's threads that take what a cpumap brings."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().startswith("cpumap/"):
                yield int(comm.parent.name)


def run(*words):
    answer = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    if answer.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {answer.stderr.strip()}")
    return answer.stdout


def parsed(program):
    """Ends a peer and returns the line that it ends with."""
    output = program.stop()
    try:
        return json.loads(output.rpartition("\n")[2])
    except ValueError:
        raise RuntimeError(f"{' '.join(program.words)}: {output[-600:]}") from None


def enough(packets, nanoseconds):
    """Million packets a second."""
    if packets < 1000 or nanoseconds <= 0:
        raise RuntimeError(f"only {packets} packets came")
    return packets * 1e3 / nanoseconds


VETH_CASES = {
    "af_packet": [("af_packet/veth", 0.97, Veth.ours, Veth.plain)],
    "af_xdp": [("af_xdp/veth", 0.97, Veth.ours, Veth.plain),
               ("af_xdp/veth-rps/kernel", 1.0, Veth.ours_with_rps, Veth.kernel_rps),
               ("af_xdp/veth-rps/kernel-second", 1.0, Veth.ours_with_rps, Veth.kernel_rps_second),
               ("af_xdp/veth-rps/cpumap", 1.0, Veth.ours_with_rps, Veth.cpumap),
               ("af_xdp/veth-rps/cpumap-second", 1.0, Veth.ours_with_rps, Veth.cpumap_second)],
}


def measure_veth(options, rows, folder, kind):
    check_spaces()
    wanted = [case for case in VETH_CASES[kind] if re.search(options.cases, case[0])]
    if not wanted:
        return
    with Veth(options, folder, kind) as veth:
        sides = list(dict.fromkeys(side for *_, ours, peer in wanted for side in (ours, peer)))
        for runs in in_turn(options, [lambda side=side: side(veth) for side in sides]):
            for case, target, ours, peer in wanted:
                rows.add(Case(case, target), runs[sides.index(ours)], runs[sides.index(peer)])
        lost = (f"{name} {statistics.median(shares):.1%}" for name, shares in veth.lost.items())
        print(f"  {kind}/veth lost in full rings: {', '.join(lost)} (nothing: the sender is the limit)", flush=True)


# ---- a wire between two namespaces ---------------------------------------------------------------------------------

def over_netrx(kind, measure, *options):
    """A side: what `measure` finds between a client and a server with nothing but netrx between them."""
    def side():
        with Namespaces() as spaces:
            wire = start_wire(spaces, (kind, kind), *options)
            result = measure(spaces)
            end_wire(wire)
            return result
    return side


def over_bridge(measure):
    """The same over two veth pairs and a bridge of the kernel's."""
    def side():
        with Namespaces() as spaces:
            start_bridge(spaces)
            return measure(spaces)
    return side


def measure_tcp(options, rows, _):
    check_spaces(("iperf3", "iperf3"))
    case = Case("tcp/tap", None, "Gbit/s")
    if not re.search(options.cases, case.name):
        return
    retransmits = {"ours": 0, "peer": 0}

    def bulk(who, spaces):
        """One connection, its ends on a CPU each."""
        sums = iperf3(spaces, "-t", options.seconds, "-A", f"{SENDER_CPU},{RECEIVER_CPU}")
        retransmits[who] += sums["sum_sent"]["retransmits"]
        return sums["sum_received"]["bits_per_second"] / 1e9
    both = f"{SENDER_CPU},{RECEIVER_CPU}"
    sides = [over_netrx("tap", lambda spaces: bulk("ours", spaces), "--cpus", both, "--irq-cpus", both),
             over_bridge(lambda spaces: bulk("peer", spaces))]
    for runs in in_turn(options, sides):
        rows.add(case, *runs)
    print(f"  {case.name} retransmissions: ours {retransmits['ours']}, peer {retransmits['peer']}", flush=True)


def ping_pong(options, spaces):
    """Microseconds from a datagram to its answer, one a millisecond; both ends on the first CPU."""
    pong = spaces.start("server", PEER, "pong", SERVER, SENDER_CPU)
    ping = spaces.start("client", PEER, "ping", SERVER, SENDER_CPU, stdout=subprocess.PIPE)
    wait_until("pings", lambda: heeds_ctrl_c(ping.pid))
    time.sleep(options.seconds)
    ping.send_signal(signal.SIGINT)
    output, _ = ping.communicate(timeout=PATIENCE)
    spaces.end(pong)
    if ping.returncode != 0:
        raise RuntimeError(f"netrx_rates_peer ping ended with {ping.returncode}")
    found = json.loads(output)
    if found["answered"] < max(10, 0.9 * found["asked"]):
        raise RuntimeError(f"answers were lost: {output}")
    return {"p50": found["p50"] / 1e3, "p99": found["p99"] / 1e3}


def measure_latency(options, rows, _):
    check_spaces()
    sides, cases = [over_bridge(lambda spaces: ping_pong(options, spaces))], []
    for kind in ("tap", "af_packet", "af_xdp"):
        for idle in ("poll", "adaptive", "interrupt"):
            wanted = [Case(f"latency/{kind}-{idle}/{part}", None, "us", operator.itemgetter(part))
                      for part in ("p50", "p99") if re.search(options.cases, f"latency/{kind}-{idle}/{part}")]
            if wanted:
                cases += [(case, len(sides)) for case in wanted]
                sides.append(over_netrx(kind, lambda spaces: ping_pong(options, spaces), "--cpus", RECEIVER_CPU,
                                        "--idle", idle))
    with real_time():
        for runs in in_turn(options, sides) if cases else ():
            for case, side in cases:
                rows.add(case, runs[side], runs[0])


MEASURES = {
    "virtio": measure_virtio,
    "af_packet": lambda *all: measure_veth(*all, "af_packet"),
    "af_xdp": lambda *all: measure_veth(*all, "af_xdp"),
    "tcp": measure_tcp,
    "latency": measure_latency,
}


@contextlib.contextmanager
def real_time():
    """What is woken runs at once, where that is allowed; being ahead of others only makes its share larger."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def ahead_of_others():
    """This program, with all that it starts, goes before ordinary ones where that is allowed. The kernel weighs
    sessions against each other first (CONFIG_SCHED_AUTOGROUP), so this one's is told as well."""
    session = Path("/proc/self/autogroup")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        before = session.read_text().split()[-1]
        session.write_text("-20")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, NameError):
            session.write_text(before)


def parse(arguments):
    parser = argparse.ArgumentParser(add_help=False, usage="./dev bench rates [KIND ...] [options]")
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--json")
    parser.add_argument("--cases", default="")
    parser.add_argument("-h", "--help", action="store_true")
    options = parser.parse_args(arguments)
    for kind in options.kinds:
        if kind not in MEASURES:
            parser.error(f"{kind}: there are {' '.join(MEASURES)}")
    try:
        re.compile(options.cases)
    except re.error as error:
        parser.error(f"--cases {options.cases}: {error}")
    if options.runs < 1 or not 1 <= options.seconds <= 30:
        parser.error("--runs is 1 or more, --seconds 1 to 30")
    return options


def main():
    options = parse(sys.argv[1:])
    if options.help:
        print(__doc__, end="")
        return 0
    if not Path(PEER).exists() or not Path(NETRX).exists():
        print(f"rates.py: {PEER} or {NETRX} is not built; ./dev bench rates builds both (libxdp-dev, libbpf-dev)",
              file=sys.stderr)
        return 2
    if SENDER_CPU == RECEIVER_CPU:
        print("skipped: needs two CPUs, one to send and one to receive")
        return 77
    rows, failed = Rows(), False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="netrx_rates_") as folder, ahead_of_others():
        for kind in options.kinds or list(MEASURES):
            try:
                MEASURES[kind](options, rows, folder)
            except Skip as reason:
                print(f"skipped: {kind}: {reason}", flush=True)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                print(f"rates.py: {kind}: {error}", file=sys.stderr, flush=True)
                failed = True
    finished = list(rows.finished())
    print_table(finished)
    if rows.disturbed():
        print(f"{rows.disturbed()} pairs were disturbed: the host moved a CPU meanwhile, or gave half its core away; "
              "they count only where a case has no others, in rows that say unclear")
    if options.json:
        write_json(options.json, finished)
    return 1 if failed else 0 if rows.pairs else 77


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
