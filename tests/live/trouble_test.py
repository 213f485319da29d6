# SPDX-License-Identifier: Apache-2.0
"""Interfaces that go down, come back and disappear under `netrx run`: it says so, goes on, and ends only where nothing
can come any more. Each test is a process in a network namespace of its own, which goes with it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from wire import NETRX, wait_until

PATIENCE = 20  # seconds


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=PATIENCE)


class Trouble(unittest.TestCase):
    def setUp(self):
        # Of this process, and so of everything it starts.
        import ctypes
        self.assertEqual(ctypes.CDLL(None).unshare(0x40000000), 0)
        for which in ("all", "default"):
            with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w", encoding="ascii") as file:
                file.write("1")
        self.lay_wire()

    @staticmethod
    def lay_wire():
        ip("link", "add", "v0", "up", "type", "veth", "peer", "name", "v1")
        ip("link", "set", "v1", "up")

    def start(self, *arguments):
        self.said = tempfile.TemporaryFile("w+")
        self.addCleanup(self.said.close)
        process = subprocess.Popen([NETRX, "run", "--json", "-", *arguments], text=True, stdout=subprocess.PIPE,
                                   stderr=self.said)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        wait_until("its start", lambda: process.poll() is not None or self.cpus_run(process.pid))
        time.sleep(1)  # and its first look at the devices
        return process

    @staticmethod
    def cpus_run(pid):
        with contextlib.suppress(FileNotFoundError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as comm:
                    if comm.read().strip().removeprefix("netrx/").isdigit():
                        return True
        return False

    def hear(self, words):
        def heard():
            self.said.seek(0)
            return words in self.said.read()
        wait_until(f"hearing \"{words}\"", heard)

    @contextlib.contextmanager
    def traffic(self, interface):
        """All the time, whether the interface is there or not."""
        over = threading.Event()

        def send():
            while not over.wait(0.001):
                with contextlib.suppress(OSError):
                    self.send(interface, 20)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()

    def end(self, process):
        """Ctrl-C; what the run says of itself, all checks passed."""
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130)
        return json.loads(out)

    def arrives(self, interface):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as receiver:
            receiver.bind((interface, 3))
            receiver.settimeout(2)
            with contextlib.suppress(TimeoutError):
                deadline = time.monotonic() + 2
                while time.monotonic() < deadline:
                    if receiver.recvfrom(2048)[1][2] != socket.PACKET_OUTGOING:
                        return True
        return False

    def send(self, interface, number=1):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((interface, 0x88b5))
            for _ in range(number):
                sender.send(b"\x02\0\0\0\0\1" + b"\x02\0\0\0\0\2" + b"\x88\xb5" + bytes(60))

    def test_down_and_up_is_told_and_survived(self):
        for device in ("tap:t0", "af_packet:v0", "af_xdp:v0"):
            with self.subTest(device=device):
                interface, peer = ("t0", "t0") if device == "tap:t0" else ("v0", "v1")
                process = self.start("--dev", device + ",count=20")
                self.send(peer, 10)
                ip("link", "set", interface, "down")
                self.hear(f"{interface} is down; bring it up with: ip link set {interface} up")
                ip("link", "set", interface, "up")
                self.hear("all is well again")
                wait_until("its queues start", lambda: " state U" in subprocess.run(
                    ["ip", "link", "show", peer], capture_output=True, text=True).stdout)
                self.send(peer, 10)
                out, _ = process.communicate(timeout=PATIENCE)
                result = json.loads(out)
                self.assertEqual((process.returncode, result["ended"], result["packets"]), (0, "exhausted", 20))

    def test_an_interface_that_disappears_ends_the_run(self):
        for device in ("tap:t0", "af_packet:v0,reconnect=off", "af_xdp:v0,reconnect=off"):
            with self.subTest(device=device):
                if device != "tap:t0" and subprocess.run(["ip", "link", "show", "v0"], capture_output=True).returncode:
                    self.lay_wire()
                process = self.start("--dev", device)
                interface, peer = ("t0", "t0") if device == "tap:t0" else ("v0", "v1")
                self.send(peer, 5)
                time.sleep(0.1)
                ip("link", "del", interface)
                out, _ = process.communicate(timeout=PATIENCE)
                result = json.loads(out)
                self.assertEqual((process.returncode, result["ended"], result["packets"]), (0, "exhausted", 5))
                self.assertIn(f"{interface} is gone", result["devices"][0]["remark"])

    def test_an_interface_that_comes_back_is_taken_again(self):
        for device in ("af_packet:v0", "af_packet:v0,queues=2", "af_xdp:v0,mode=native", "af_xdp:v0,mode=generic"):
            with self.subTest(device=device), self.traffic("v1"):
                process = self.start("--dev", device, "--rps-cpus", "3")
                for times in ("taken again", "taken again, 2 times"):
                    time.sleep(0.3)
                    ip("link", "del", "v0")
                    self.hear("v0 is gone; it will be taken again when it is back")
                    self.lay_wire()
                    self.hear("v0 was gone and was " + times)
                time.sleep(0.3)
                result = self.end(process)
                self.assertGreater(result["packets"], 200)
                self.assertEqual(result["order"]["late"], 0)

    def test_a_sink_that_comes_back_is_taken_again(self):
        for sink in ("af_packet:v0", "af_xdp:v0"):
            with self.subTest(sink=sink):
                process = self.start("--dev", "gen:flows=8,rate=5000", "--sink", sink)
                wait_until("frames", lambda: self.arrives("v1"))
                ip("link", "del", "v0")
                self.hear("v0 is gone; it will be taken again when it is back")
                time.sleep(0.2)
                self.lay_wire()
                self.hear("v0 was gone and was taken again")
                wait_until("frames again", lambda: self.arrives("v1"))
                result = self.end(process)
                self.assertEqual(result["order"]["late"], 0)

    def test_another_mtu_is_told_and_survived(self):
        for device in ("af_packet:v0", "af_xdp:v0"):
            with self.subTest(device=device), self.traffic("v1"):
                process = self.start("--dev", device, "--sink", "v0")
                for mtu in ("1000", "3000"):
                    for interface in ("v0", "v1"):
                        ip("link", "set", interface, "mtu", mtu)
                    self.hear(f"v0 has MTU {mtu}, it had 1500")
                    self.assertTrue(self.arrives("v1"), "it goes on")
                for interface in ("v0", "v1"):
                    ip("link", "set", interface, "mtu", "1500")
                self.hear("all is well again")
                self.end(process)

    def test_a_sink_that_goes_down_costs_packets_and_no_more(self):
        ip("tuntap", "add", "out0", "mode", "tap", "multi_queue")
        process = self.start("--dev", "gen:flows=8,rate=1000,count=2000", "--sink", "tap:out0")
        ip("link", "set", "out0", "up")
        self.hear("all is well again")
        ip("link", "set", "out0", "down")
        self.hear("out0 is down")
        out, _ = process.communicate(timeout=PATIENCE)
        result = json.loads(out)
        self.assertEqual(process.returncode, 0)
        sink = result["sinks"][0]
        self.assertEqual(sink["whole"], 2000)
        refused = sum(queue["tx_errors"] for queue in sink["queues"])
        self.assertTrue(0 < refused < 2000, refused)


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("ip") or not os.path.exists("/dev/net/tun"):
        print("skipped: needs root, iproute2 and /dev/net/tun")
        sys.exit(77)
    unittest.main()
