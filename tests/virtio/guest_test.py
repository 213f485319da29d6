#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`netrx vhost-device` with a Linux guest of QEMU as its driver: what one side counts and sees, the other does too.

Real time, but nothing is judged by how long it took. One boot serves all; each kind of ring has a card of its own.
Exit code 0, 1, or 77: skipped, with the reason.
"""

import re
import signal
import struct
import sys
import tempfile
import time
import unittest
import zlib
from pathlib import Path

import guest
from guest import Device, Guest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "samples"))
from capture import read_pcap  # noqa: E402

MIXED = ROOT / "samples/mixed.pcap"
ECHOES = 1000
CARDS = {  # queue pairs, properties; each is a network card of the guest
    "split": (1, []),
    "packed": (1, ["packed=on"]),
    "plain": (1, ["mrg_rxbuf=off", "event_idx=off", "indirect_desc=off", "csum=off", "guest_csum=off"]),
    "packed-plain": (1, ["packed=on", "mrg_rxbuf=off", "event_idx=off", "indirect_desc=off"]),
    "queues": (2, []),
    "packed-queues": (2, ["packed=on"]),
}


def digest(frames):
    """As guest_agent prints it."""
    count = size = 0
    crcs = {}
    for frame in frames:
        kind = frame[12:14].hex()
        crcs[kind] = zlib.crc32(frame, zlib.crc32(struct.pack("<I", len(frame)), crcs.get(kind, 0)))
        count += 1
        size += len(frame)
    return f"frames={count} bytes={size} dropped=0{''.join(f' {kind}:{crcs[kind]:08x}' for kind in sorted(crcs))}\n"


class GuestTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="netrx_guest_"))
        cls.devices = {name: cls.device(name, f"pcap:{MIXED}") for name in CARDS}
        cls.guest = Guest(cls.folder, [(cls.socket(name), *card) for name, card in CARDS.items()])
        cls.addClassCleanup(cls.guest.kill)

    @classmethod
    def socket(cls, name):
        return f"{cls.folder}/{name}"

    @classmethod
    def device(cls, name, source="gen:count=1,size=60"):
        """A device for this card, which plays and echoes."""
        device = Device(cls.socket(name), "--dev", source, "--echo", "--queues", str(CARDS[name][0]))
        cls.addClassCleanup(device.kill)
        return device

    def follow(self, name):
        """A device takes the place of one that has ended; the guest sees the link go and come."""
        self.guest.run(f"ip link set {self.interface(name)} up")
        self.guest.wait_for_carrier(self.interface(name), 0)
        self.devices[name] = self.device(name)
        self.guest.wait_for_carrier(self.interface(name), 1)

    @staticmethod
    def interface(name):
        return f"eth{list(CARDS).index(name)}"

    def receive(self, name):
        """The guest sees every frame of the capture once; how many those are."""
        expected = digest(record.frame for record in read_pcap(MIXED))
        frames = int(expected.split()[0].partition("=")[2])
        self.assertEqual(self.guest.run(f"guest_agent receive {self.interface(name)} {frames}"), expected)
        return frames

    def echo(self, name):
        """Every frame that the guest sends comes back to it, on each pair of queues; how many those are."""
        queues = CARDS[name][0]
        for cpu in range(queues):  # the guest's driver sends by the queue of the CPU
            answer = self.guest.run(f"taskset {1 << cpu:x} guest_agent echo {self.interface(name)} {ECHOES}")
            self.assertEqual(answer, f"sent={ECHOES} back={ECHOES}\n", name)
        return ECHOES * queues

    def test_1_frames_and_counts_are_the_same_on_both_sides(self):
        for name in CARDS:
            with self.subTest(name):
                played, echoed = self.receive(name), self.echo(name)
                counters = self.guest.counters(self.interface(name))
                self.assertEqual((counters["rx_packets"], counters["tx_packets"]), (played + echoed, echoed), counters)
                self.assertEqual(counters["rx_errors"] + counters["tx_dropped"], 0, counters)
                to_guest, from_guest, out = self.devices[name].stop()
                self.assertEqual((to_guest, from_guest), (played, echoed), out)
                self.follow(name)

    def test_2_a_device_that_dies_under_traffic_is_followed_by_another(self):
        for name, how in (("split", signal.SIGKILL), ("queues", signal.SIGINT)):
            with self.subTest(name):
                self.guest.start(f"guest_agent echo {self.interface(name)} 1000000000")
                time.sleep(0.5)
                self.devices[name].stop(how)
                sent, back = map(int, re.fullmatch(r"sent=(\d+) back=(\d+)\n", self.guest.finish()).groups())
                self.assertGreater(back, 0)
                self.assertLess(back, sent)  # what was under way went with it
                self.follow(name)
                self.echo(name)

    def test_3_a_driver_that_is_unbound_and_bound_again(self):
        for name in CARDS:
            with self.subTest(name):
                interface = self.interface(name)
                self.guest.run(f"card=$(basename $(readlink -f /sys/class/net/{interface}/device)) && "
                               "cd /sys/bus/virtio/drivers/virtio_net && "
                               "echo $card >unbind && echo $card >bind; cd /")
                self.echo(name)

    def test_4_a_guest_that_reboots(self):
        self.guest.reboot()
        for name in CARDS:
            with self.subTest(name):
                echoed = self.echo(name)
                counters = self.guest.counters(self.interface(name))
                self.assertEqual(counters["tx_packets"], echoed, counters)


if __name__ == "__main__":
    if reason := guest.missing():
        guest.skip(reason)
    unittest.main(verbosity=2)
