#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""netrx as the wire between two network namespaces, under real programs. docs/live.md explains it.

    usage: live.py [tap|tun|af_packet|af_xdp] [--table]

A client's namespace and a server's are joined by nothing but `netrx run`, which receives from each side's interface and
sends by the other's. Checked: bytes (SHA-256 of a download, a CRC in every datagram), the order of every flow, and that
every CPU worked. Needs root and iproute2; iperf3, nginx with curl, and dnsperf with dnsmasq are used where they are
installed. Exit code 0, 1, or 77: skipped, with the reason. Everything it makes is in namespaces of its own and goes
with them, also when it fails.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

NETRX = os.environ.get("NETRX", "build/release/cli/netrx")
CPUS = sorted(os.sched_getaffinity(0))[:2]
CLIENT, SERVER = "10.9.0.1", "10.9.0.2"
PATIENCE = 60  # seconds that any one program may take


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def sh(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, timeout=PATIENCE, text=True, **more)


class Namespaces:
    """Three namespaces with unlikely names, and every program that was started in them."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.names = {role: f"netrx-{os.getpid()}-{role}" for role in ("client", "wire", "server")}

    def __enter__(self):
        for name in self.names.values():
            sh("ip", "netns", "add", name)
            self.stack.callback(subprocess.run, ["ip", "netns", "del", name])
            for which in ("all", "default"):
                self.run_in(name, "sysctl", "-qw", f"net.ipv6.conf.{which}.disable_ipv6=1")
            self.run_in(name, "ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *why):
        self.stack.close()

    def run_in(self, name, *words, **more):
        return sh("ip", "netns", "exec", name, *words, **more)

    def run(self, role, *words, **more):
        return self.run_in(self.names[role], *words, **more)

    def start(self, role, *words, **more):
        """A program that ends, at the latest, with this object."""
        process = subprocess.Popen(["ip", "netns", "exec", self.names[role], *map(str, words)], text=True, **more)
        self.stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def inside(self, role):
        """This thread's sockets are made in the namespace."""
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self.names[role]}") as there:
            os_setns(there.fileno())
            try:
                yield
            finally:
                os_setns(here.fileno())


def os_setns(fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def wait_until(what, true):
    deadline = time.monotonic() + 15
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within 15 s")
        time.sleep(0.02)


# ---- the wire ------------------------------------------------------------------------------------------------------

def start_wire(spaces, kind, report):
    """netrx between two interfaces, vm0 at the client and vm1 at the server."""
    mask = f"{sum(1 << cpu for cpu in CPUS):x}"
    devices = [f"{kind}:vm0", f"{kind}:vm1"]
    if kind not in ("tap", "tun"):
        for interface in ("vm0", "vm1"):  # a cable each, from the namespace of its program to netrx's
            sh("ip", "-n", spaces.names["wire"], "link", "add", interface, "up", "type", "veth", "peer", "name",
               interface, "netns", spaces.names["client" if interface == "vm0" else "server"])
            spaces.run("wire", "ip", "link", "set", interface, "promisc", "on")
    wire = spaces.start("wire", NETRX, "run", "--cpus", ",".join(map(str, CPUS)), "--irq-cpus", CPUS[0],
                        "--rps-cpus", mask, "--netdev-max-backlog", 10000,
                        "--dev", devices[0], "--dev", devices[1], "--sink", "vm0=vm1", "--sink", "vm1=vm0",
                        "--json", report, stdout=subprocess.PIPE)
    for interface, role, address in (("vm0", "client", CLIENT), ("vm1", "server", SERVER)):
        wait_until(f"netrx making {interface}", lambda interface=interface: wire.poll() is not None or subprocess.run(
            ["ip", "-n", spaces.names["wire"], "link", "show", "up", interface],
            capture_output=True).stdout.strip() != b"")
        if wire.poll() is not None:
            raise RuntimeError(f"netrx ended with {wire.returncode}")
        if kind in ("tap", "tun"):
            sh("ip", "-n", spaces.names["wire"], "link", "set", interface, "netns", spaces.names[role])
        peer = ["peer", SERVER if address == CLIENT else CLIENT] if kind == "tun" else []
        sh("ip", "-n", spaces.names[role], "address", "add", address + ("" if peer else "/24"), *peer,
           "dev", interface)
        sh("ip", "-n", spaces.names[role], "link", "set", interface, "up")
        if kind == "af_xdp":  # XDP sees frames as they are on the wire, and a veth's are unfinished: it has no wire
            spaces.run(role, "ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off",
                       stdout=subprocess.DEVNULL)
    # An interface that is there does not tell that netrx listens to it yet; a refusal from the far end does.
    wait_until("a first answer through netrx", lambda: wire.poll() is not None or answered(spaces))
    if wire.poll() is not None:
        raise RuntimeError(f"netrx ended with {wire.returncode}")
    return wire


def answered(spaces):
    with spaces.inside("client"):
        probe = socket.socket()
    with probe:
        probe.settimeout(1)
        return probe.connect_ex((SERVER, 9)) == errno.ECONNREFUSED


# ---- what goes over it ---------------------------------------------------------------------------------------------

def datagrams(spaces):
    """64 flows of numbered datagrams, each with its CRC: whatever comes is intact, and no flow comes out of order."""
    flows, each = 64, 300
    with spaces.inside("server"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        server.bind((SERVER, 7000))
        server.settimeout(1)
    clients = []
    with spaces.inside("client"):
        for _ in range(flows):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.connect((SERVER, 7000))
            clients.append(client)
    last, seen = {}, 0

    def take(block):
        nonlocal seen
        server.settimeout(1) if block else server.setblocking(False)
        try:
            while True:
                data, _ = server.recvfrom(2048)
                flow, number, crc = struct.unpack("!III", data[:12])
                assert zlib.crc32(data[12:]) == crc, f"datagram {number} of flow {flow} was changed"
                assert number > last.get(flow, -1), f"flow {flow}: {number} came behind {last[flow]}"
                last[flow] = number
                seen += 1
        except (BlockingIOError, TimeoutError):
            pass
    for number in range(each):
        for flow, client in enumerate(clients):
            body = bytes((flow + number + i) & 0xff for i in range(100 + flow * 7))
            client.send(struct.pack("!III", flow, number, zlib.crc32(body)) + body)
        take(block=False)
        time.sleep(0.001)  # an interface's queue holds 500
    take(block=True)
    for one in [server, *clients]:
        one.close()
    assert seen >= flows * each * 9 // 10, f"only {seen} of {flows * each} datagrams came"
    return f"{seen:,} of {flows * each:,} datagrams of {flows} flows, intact and in order"


def download(spaces, folder):
    """nginx to curl."""
    if not (shutil.which("nginx") and shutil.which("curl")):
        return "skipped: nginx or curl is not installed"
    content = os.urandom(1 << 20) * 64
    (folder / "file").write_bytes(content)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; user root; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;"
        f" fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;"
        f" sendfile on; server {{ listen {SERVER}:80; root {folder}; }} }}\n")
    nginx = spaces.start("server", "nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf")
    time.sleep(0.3)
    began = time.monotonic()
    got = spaces.run("client", "sh", "-c",
                     f"curl -sS --retry 5 --retry-connrefused http://{SERVER}/file | sha256sum",
                     stdout=subprocess.PIPE).stdout.split()[0]
    took = time.monotonic() - began
    spaces.end(nginx)
    assert got == hashlib.sha256(content).hexdigest(), "the download was changed"
    return f"{len(content) >> 20} MiB from nginx to curl in {took:.2f} s, SHA-256 equal"


def bandwidth(spaces, reverse):
    if not shutil.which("iperf3"):
        return "skipped: iperf3 is not installed"
    server = spaces.start("server", "iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    answer = spaces.run("client", "iperf3", "-c", SERVER, "-t", 3, "-P", 4, "-J", *(["-R"] if reverse else []),
                        stdout=subprocess.PIPE)
    spaces.end(server)
    sums = json.loads(answer.stdout)["end"]
    rate = sums["sum_received"]["bits_per_second"] / 1e9
    assert rate > 0.01, f"{rate} Gbit/s"
    return f"{rate:.2f} Gbit/s over 4 connections, {sums['sum_sent']['retransmits']} retransmissions"


def queries(spaces, folder):
    """dnsperf to dnsmasq."""
    if not (shutil.which("dnsperf") and shutil.which("dnsmasq")):
        return "skipped: dnsperf or dnsmasq is not installed"
    (folder / "queries").write_text("".join(f"host{i}.example A\n" for i in range(100)))
    server = spaces.start("server", "dnsmasq", "-k", "-C", "/dev/null", "--no-resolv", "--no-hosts", "-u", "root",
                          f"--listen-address={SERVER}", "--bind-interfaces", "--address=/example/192.0.2.1",
                          f"--pid-file={folder}/dnsmasq.pid")
    time.sleep(0.3)
    answer = spaces.run("client", "dnsperf", "-s", SERVER, "-d", folder / "queries", "-l", 2, "-c", 8,
                        stdout=subprocess.PIPE).stdout
    spaces.end(server)
    numbers = {line.split(":")[0].strip(): line.split(":")[1].split()[0] for line in answer.splitlines()
               if line.strip().startswith(("Queries completed", "Queries lost", "Queries per second"))}
    assert int(numbers["Queries completed"]) > 100, answer
    return f"{float(numbers['Queries per second']):,.0f} answers a second, {numbers['Queries lost']} queries lost"


# ---- the whole -----------------------------------------------------------------------------------------------------

def judge(report):
    result = json.loads(report.read_text())
    failed = [check for check in result["checks"] if not check["holds"]]
    assert not failed, failed
    shares = {cpu["cpu"]: cpu["processed"] for cpu in result["cpus"]}
    assert len(CPUS) == 1 or min(shares.values()) * 20 > sum(shares.values()), f"not every CPU worked: {shares}"
    sent = {sink["name"]: sink["whole"] + sink["segments"] for sink in result["sinks"]}
    return (f"{result['packets']:,} packets; processed " + ", ".join(f"{n:,} on cpu {cpu}" for cpu, n in shares.items())
            + f"; sent {sent}; late {result['order']['late']}")


def main(kind):
    if os.geteuid() != 0:
        skip("needs root for network namespaces")
    if not shutil.which("ip"):
        skip("needs Debian's iproute2")
    if kind in ("tap", "tun") and not os.path.exists("/dev/net/tun"):
        skip("needs /dev/net/tun (modprobe tun)")
    if kind == "af_xdp" and not shutil.which("ethtool"):
        skip("needs Debian's ethtool")
    with tempfile.TemporaryDirectory(prefix="netrx-live-") as name, Namespaces() as spaces:
        folder = Path(name)
        report = folder / "report.json"
        wire = start_wire(spaces, kind, report)
        print(f"client {CLIENT} -- vm0 -- netrx run -- vm1 -- server {SERVER}   ({kind})")
        for title, test in (("datagrams", lambda: datagrams(spaces)), ("download", lambda: download(spaces, folder)),
                            ("iperf3 to the server", lambda: bandwidth(spaces, False)),
                            ("iperf3 to the client", lambda: bandwidth(spaces, True)),
                            ("dnsperf", lambda: queries(spaces, folder))):
            print(f"  {title:<21} {test()}", flush=True)
        wire.send_signal(signal.SIGINT)
        wire.wait(20)
        table = wire.stdout.read()
        if wire.returncode != 130:
            print(table)
            raise AssertionError(f"netrx ended with {wire.returncode}")
        print(f"  {'netrx':<21} {judge(report)}")
        if "--table" in sys.argv:
            print(table)
    return 0


if __name__ == "__main__":
    kinds = [word for word in sys.argv[1:] if not word.startswith("--")] or ["tap"]
    sys.exit(main(kinds[0]))
