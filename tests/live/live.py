#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""netrx as the wire between two network namespaces, under real programs. docs/live.md explains it.

    usage: live.py [tap|tun|af_packet|af_xdp] [the same, for the server's side] [--table]

A client's namespace and a server's are joined by nothing but `netrx run`, which receives from each side's interface and
sends by the other's. Both sides' are of one kind unless two are named (tun only with tun: it has no Ethernet). Checked:
bytes (SHA-256 of a download, a CRC in every datagram), the order of every flow, and that every CPU worked. Needs root
and iproute2; iperf3, nginx with curl, and dnsperf with dnsmasq are used where they are installed. Exit code 0, 1, or
77: skipped, with the reason. Everything it makes is in namespaces of its own and goes with them, also when it fails.
"""

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

from wire import CLIENT, SERVER, Namespaces, dropped_at_ends, end_wire, iperf3, start_wire

CPUS = sorted(os.sched_getaffinity(0))[:2]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


# ---- what goes over it ---------------------------------------------------------------------------------------------

def datagrams(spaces, lost):
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
        deadline = time.monotonic() + 1
        while (number + 1) * flows - seen > 256 and time.monotonic() < deadline:  # an interface's queue holds 500
            take(block=False)
            time.sleep(0.001)
    take(block=True)
    for one in [server, *clients]:
        one.close()
    assert seen >= flows * each * 9 // 10, f"only {seen} of {flows * each} datagrams came"
    lost["datagrams"] = flows * each - seen
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
    sender = "server" if reverse else "client"
    before = tcp_counters(spaces, sender)
    sums = iperf3(spaces, "-t", 3, "-P", 4, *(["-R"] if reverse else []))
    after = tcp_counters(spaces, sender)
    rate = sums["sum_received"]["bits_per_second"] / 1e9
    assert rate > 0.01, f"{rate} Gbit/s"
    again, needless, timeouts = (after[name] - before[name] for name in (
        "RetransSegs", "TCPDSACKRecvSegs", "TCPTimeouts"))
    return (f"{rate:.2f} Gbit/s over 4 connections, {again} retransmissions"
            + (f" ({needless} of what had come already, {timeouts} timeouts)" if again else ""))


def tcp_counters(spaces, role):
    """What nstat shows of a namespace's TCP. Kernel: struct tcp_mib, enum of LINUX_MIB_*."""
    found = {}
    with spaces.inside(role):
        for file in ("snmp", "netstat"):
            lines = Path(f"/proc/thread-self/net/{file}").read_text().splitlines()
            for names, values in zip(lines[::2], lines[1::2]):
                if names.startswith("Tcp"):
                    found |= zip(names.split()[1:], map(int, values.split()[1:]))
    return found


def queries(spaces, folder, lost):
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
    lost["queries"] = int(numbers["Queries lost"])
    return f"{float(numbers['Queries per second']):,.0f} answers a second, {numbers['Queries lost']} queries lost"


# ---- the whole -----------------------------------------------------------------------------------------------------

def drops(result, at_ends, lost):
    """Where packets ended early. What netrx and the rings in front of it dropped must all be datagrams, which nobody
    sends again: then no segment of TCP was sent again because of them."""
    rings = sum(queue["rx_missed_errors"] for device in result["devices"] for queue in device["queues"])
    inside = result["conservation"]["dropped"] + sum(sink["segments_lost"] for sink in result["sinks"])
    refused = sum(queue["tx_errors"] for sink in result["sinks"] for queue in sink["queues"])
    caused = max(0, rings + inside + refused - sum(lost.values()))
    text = f"{at_ends} by the ends' interfaces, {rings} by full rings, {inside} in netrx, {refused} refused behind it"
    assert caused == 0, f"dropped: {text}; TCP had to send {caused} again ({sum(lost.values())} lost datagrams apart)"
    return f"{text}; retransmissions caused by netrx: {caused}"


def judge(result):
    failed = [check for check in result["checks"] if not check["holds"]]
    assert not failed, failed
    shares = {cpu["cpu"]: cpu["processed"] for cpu in result["cpus"]}
    assert len(CPUS) == 1 or min(shares.values()) * 20 > sum(shares.values()), f"not every CPU worked: {shares}"
    sent = {sink["name"]: sink["whole"] + sink["segments"] for sink in result["sinks"]}
    return (f"{result['packets']:,} packets; processed " + ", ".join(f"{n:,} on cpu {cpu}" for cpu, n in shares.items())
            + f"; sent {sent}; late {result['order']['late']}")


def check_needs(kinds):
    if os.geteuid() != 0:
        skip("needs root for network namespaces")
    if not shutil.which("ip"):
        skip("needs Debian's iproute2")
    if {"tap", "tun"} & set(kinds) and not os.path.exists("/dev/net/tun"):
        skip("needs /dev/net/tun (modprobe tun)")
    if "af_xdp" in kinds and not shutil.which("ethtool"):
        skip("needs Debian's ethtool")


def main(kinds):
    check_needs(kinds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made goes then, too
    with tempfile.TemporaryDirectory(prefix="netrx-live-") as name, Namespaces() as spaces:
        folder = Path(name)
        report = folder / "report.json"
        wire = start_wire(spaces, kinds, "--cpus", ",".join(map(str, CPUS)), "--irq-cpus", CPUS[0], "--rps-cpus",
                          f"{sum(1 << cpu for cpu in CPUS):x}", "--netdev-max-backlog", 10000, "--json", report)
        lost = {}  # what, and how many packets of it at most
        print(f"client {CLIENT} -- {kinds[0]}:vm0 -- netrx run -- {kinds[1]}:vm1 -- server {SERVER}")
        for title, test in (("datagrams", lambda: datagrams(spaces, lost)),
                            ("download", lambda: download(spaces, folder)),
                            ("iperf3 to the server", lambda: bandwidth(spaces, False)),
                            ("iperf3 to the client", lambda: bandwidth(spaces, True)),
                            ("dnsperf", lambda: queries(spaces, folder, lost))):
            print(f"  {title:<21} {test()}", flush=True)
        at_ends = dropped_at_ends(spaces)
        table = end_wire(wire)
        result = json.loads(report.read_text())
        print(f"  {'netrx':<21} {judge(result)}")
        print(f"  {'dropped':<21} {drops(result, at_ends, lost)}")
        if "--table" in sys.argv:
            print(table)
    return 0


def parse(words):
    """The kinds of device at the client and at the server."""
    kinds = [word for word in words if not word.startswith("--")] or ["tap"]
    known = {"tap", "tun", "af_packet", "af_xdp"}
    if len(kinds) > 2 or not set(kinds) <= known or (len(kinds) == 2 and kinds.count("tun") == 1):
        sys.exit(__doc__)
    return kinds[0], kinds[-1]


if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
