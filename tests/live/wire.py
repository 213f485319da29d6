# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces and what joins them: netrx, or the kernel's own bridge to compare with. Everything is made in
namespaces with names of this process and goes with them. live.py and bench/rates.py stand on it."""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import time

NETRX = os.environ.get("NETRX", "build/release/cli/netrx")
CLIENT, SERVER = "10.9.0.1", "10.9.0.2"
PATIENCE = 60  # seconds that any one program may take
# What four TCP senders may have on the way fits (tcp_wmem, 4 MiB each): there it waits while others have the CPUs.
RINGS = {"af_packet": ",blocks=128", "af_xdp": ",frames=16384"}
ENDS = (("vm0", "client", CLIENT), ("vm1", "server", SERVER))  # interface, namespace, address


def sh(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, timeout=PATIENCE, text=True, **more)


class Namespaces:
    """Namespaces with unlikely names, one a role, and every program that was started in them."""

    def __init__(self, roles=("client", "wire", "server")):
        self.stack = contextlib.ExitStack()
        self.names = {role: f"netrx-{os.getpid()}-{role}" for role in roles}

    def __enter__(self):
        with contextlib.ExitStack() as made:  # undone when one can't be
            for name in self.names.values():
                sh("ip", "netns", "add", name)
                made.callback(subprocess.run, ["ip", "netns", "del", name], timeout=PATIENCE)
                for which in ("all", "default"):
                    self.run_in(name, "sysctl", "-qw", f"net.ipv6.conf.{which}.disable_ipv6=1")
                self.run_in(name, "ip", "link", "set", "lo", "up")
            self.stack = made.pop_all()
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
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def wait_until(what, true):
    deadline = time.monotonic() + 15
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within 15 s")
        time.sleep(0.02)


# ---- what joins them -----------------------------------------------------------------------------------------------

def add_cable(spaces, interface, role, *more):
    """A veth pair from a program's namespace to the one in between, with one name at both ends."""
    sh("ip", "-n", spaces.names["wire"], "link", "add", interface, "up", "type", "veth", "peer", "name", interface,
       "netns", spaces.names[role])
    sh("ip", "-n", spaces.names["wire"], "link", "set", interface, *more)


def set_address(spaces, interface, role, address, *peer):
    sh("ip", "-n", spaces.names[role], "address", "add", address + ("" if peer else "/24"), *peer, "dev", interface)
    sh("ip", "-n", spaces.names[role], "link", "set", interface, "up")


def start_bridge(spaces):
    """The kernel between the two."""
    sh("ip", "-n", spaces.names["wire"], "link", "add", "br0", "up", "type", "bridge")
    for interface, role, address in ENDS:
        add_cable(spaces, interface, role, "master", "br0")
        set_address(spaces, interface, role, address)
    wait_until("a first answer through the bridge", lambda: answered(spaces))


def start_wire(spaces, kinds, *options):
    """netrx between the two, `kinds` of devices at vm0, the client's, and at vm1, the server's."""
    for (interface, role, _), kind in zip(ENDS, kinds):
        if kind not in ("tap", "tun"):
            add_cable(spaces, interface, role, "promisc", "on")
    devices = (word for (interface, *_), kind in zip(ENDS, kinds)
               for word in ("--dev", f"{kind}:{interface}{RINGS.get(kind, '')}"))
    wire = spaces.start("wire", NETRX, "run", *devices, "--sink", "vm0=vm1", "--sink", "vm1=vm0", *options,
                        stdout=subprocess.PIPE)
    for (interface, role, address), kind in zip(ENDS, kinds):
        wait_until(f"netrx making {interface}", lambda interface=interface: wire.poll() is not None or subprocess.run(
            ["ip", "-n", spaces.names["wire"], "link", "show", "up", interface],
            capture_output=True).stdout.strip() != b"")
        check_alive(wire)
        if kind in ("tap", "tun"):
            sh("ip", "-n", spaces.names["wire"], "link", "set", interface, "netns", spaces.names[role])
        set_address(spaces, interface, role, address,
                    *(["peer", SERVER if address == CLIENT else CLIENT] if kind == "tun" else []))
        if kind == "af_xdp":  # XDP sees frames as they are on the wire, and a veth's are unfinished: it has no wire
            spaces.run(role, "ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off",
                       stdout=subprocess.DEVNULL)
    # An interface that is there does not tell that netrx listens to it yet; a refusal from the far end does.
    wait_until("a first answer through netrx", lambda: wire.poll() is not None or answered(spaces))
    check_alive(wire)
    return wire


def check_alive(wire):
    if wire.poll() is not None:
        raise RuntimeError(f"netrx ended with {wire.returncode}")


def end_wire(wire):
    """By Ctrl-C; what it printed."""
    wire.send_signal(signal.SIGINT)
    table, _ = wire.communicate(timeout=20)
    if wire.returncode != 130:
        raise RuntimeError(f"netrx ended with {wire.returncode}: {table}")
    return table


def dropped_at_ends(spaces):
    """Packets that the interfaces at the two ends dropped themselves, on their way to what joins them."""
    def dropped(interface, role):
        found = spaces.run(role, "ip", "-s", "-j", "link", "show", interface, stdout=subprocess.PIPE).stdout
        return json.loads(found)[0]["stats64"]["tx"]["dropped"]
    return sum(dropped(interface, role) for interface, role, _ in ENDS)


def answered(spaces):
    with spaces.inside("client"):
        probe = socket.socket()
    with probe:
        probe.settimeout(1)
        return probe.connect_ex((SERVER, 9)) == errno.ECONNREFUSED


def iperf3(spaces, *options):
    """TCP from the client's to the server's, or as the options say; the sums that iperf3 ends with."""
    server = spaces.start("server", "iperf3", "-s", "-1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with spaces.inside("server"):
        wait_until("iperf3 listening", lambda: ":1451 " in open("/proc/thread-self/net/tcp6").read().upper())
    answer = spaces.run("client", "iperf3", "-c", SERVER, "-J", *options, stdout=subprocess.PIPE)
    spaces.end(server)
    return json.loads(answer.stdout)["end"]
