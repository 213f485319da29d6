# SPDX-License-Identifier: Apache-2.0
"""Interfaces that go down, come back and disappear under `netrx run`: it says so, goes on, and ends only where nothing
can come any more. Each test is a process in a network namespace of its own, which goes with it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from live import NETRX, wait_until

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
        return process

    def hear(self, words):
        def heard():
            self.said.seek(0)
            return words in self.said.read()
        wait_until(f"hearing \"{words}\"", heard)

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
                wait_until("its start", lambda: os.path.exists(f"/proc/{process.pid}/fd") and subprocess.run(
                    ["ip", "link", "show", "up", interface], capture_output=True).stdout != b"")
                time.sleep(0.5)
                self.send(peer, 10)
                ip("link", "set", interface, "down")
                self.hear(f"{interface} is down; bring it up with: ip link set {interface} up")
                ip("link", "set", interface, "up")
                self.hear("all is well again")
                self.send(peer, 10)
                out, _ = process.communicate(timeout=PATIENCE)
                result = json.loads(out)
                self.assertEqual((process.returncode, result["ended"], result["packets"]), (0, "exhausted", 20))

    def test_an_interface_that_disappears_ends_the_run(self):
        for device in ("tap:t0", "af_packet:v0", "af_xdp:v0"):
            with self.subTest(device=device):
                if device != "tap:t0" and subprocess.run(["ip", "link", "show", "v0"], capture_output=True).returncode:
                    ip("link", "add", "v0", "up", "type", "veth", "peer", "name", "v1")
                    ip("link", "set", "v1", "up")
                process = self.start("--dev", device)
                interface, peer = ("t0", "t0") if device == "tap:t0" else ("v0", "v1")
                wait_until("its start", lambda: subprocess.run(["ip", "link", "show", "up", interface],
                                                               capture_output=True).stdout != b"")
                time.sleep(0.5)
                self.send(peer, 5)
                time.sleep(0.1)
                ip("link", "del", interface)
                out, _ = process.communicate(timeout=PATIENCE)
                result = json.loads(out)
                self.assertEqual((process.returncode, result["ended"], result["packets"]), (0, "exhausted", 5))
                self.assertIn(f"{interface} is gone", result["devices"][0]["remark"])

    def test_a_sink_that_goes_down_costs_packets_and_no_more(self):
        ip("tuntap", "add", "out0", "mode", "tap", "multi_queue")
        process = self.start("--dev", "gen:flows=8,rate=1000,count=2000", "--sink", "tap:out0")
        wait_until("its start", lambda: "out0" in subprocess.run(["ip", "link", "show", "out0"], capture_output=True,
                                                                 text=True).stdout)
        time.sleep(0.5)
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
