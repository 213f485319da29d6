# SPDX-License-Identifier: Apache-2.0
"""Calls the netrx command for the tests beside this file."""

import json
import os
import subprocess
import unittest

NETRX = os.environ["NETRX"]
SAMPLES = os.environ["SAMPLES"]
MIXED, TINY, TRUNCATED = (f"pcap:{SAMPLES}/{name}.pcap" for name in ("mixed", "tiny", "truncated"))
CPUS = sorted(os.sched_getaffinity(0))
PATIENCE = 120  # seconds; a hang is a failure


def netrx(*arguments):
    """Runs `netrx ARGUMENTS`; a subprocess.CompletedProcess with text."""
    return subprocess.run([NETRX, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE)


def mask(cpus):
    return f"{sum(1 << cpu for cpu in cpus):x}"


class CommandTest(unittest.TestCase):
    def run_json(self, *arguments, code=0):
        """`netrx run --json`, parsed; whatever else happens, every packet must be accounted for."""
        answer = netrx("run", "--json", "-", *arguments)
        self.assertEqual(answer.returncode, code, answer.stdout + answer.stderr)
        result = json.loads(answer.stdout)
        self.assert_accounted(result)
        return result

    def assert_accounted(self, result):
        sums = result["conservation"]
        self.assertEqual(sums["received"], sums["delivered"] + sums["merged"] + sums["dropped"] + sums["held"])
        self.assertEqual(sums["packets_out"], sums["held"] + sums["held_frags"], "packets leaked from their pools")
        given = sum(queue["rx_packets"] for device in result["devices"] for queue in device["queues"])
        self.assertEqual(given, sums["received"])
        for where in ("order", "order_at_applications"):
            self.assertEqual(result[where]["late"], 0, result[where])
            self.assertEqual(result[where]["repeated"], 0, result[where])

    def assert_refused(self, arguments, *words):
        """Exit code 2, nothing on stdout, and one line on stderr that has all the words in it."""
        answer = netrx(*arguments)
        self.assertEqual(answer.returncode, 2, answer.stdout + answer.stderr)
        self.assertEqual(answer.stdout, "")
        self.assertTrue(answer.stderr.startswith("netrx: ") and answer.stderr.count("\n") == 1, answer.stderr)
        for word in words:
            self.assertIn(word, answer.stderr)


def delivered(result):
    """Packets that reached a handler, by themselves or as part of another."""
    return result["conservation"]["delivered"] + result["conservation"]["merged"]


def drops(result, reason):
    return sum(cpu["drops"][reason] for cpu in result["cpus"])


def rules(result, rule):
    return sum(cpu["rules"][rule] for cpu in result["cpus"])
