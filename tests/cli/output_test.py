# SPDX-License-Identifier: Apache-2.0
"""What the command prints: the table, JSON whose keys stay, softnet_stat, help, progress."""

import json
import os
import pty
import re
import subprocess
import tempfile
import unittest

from command import CPUS, MIXED, NETRX, TINY, CommandTest, mask, netrx

RESULT_KEYS = """schema version ended signal exit_code ok wall_ns busy_ns packets bytes packets_per_second delay_p50_ns
    delay_p99_ns cpus devices sinks conservation flows unprotected_moves order order_at_applications applications
    left_with_applications checks settings softnet_stat""".split()
CPU_KEYS = """cpu online processed dropped time_squeeze received_rps flow_limit_count input_queue_len process_queue_len
    received delivered merged backlogged steered_in doorbells wakeups softirqs ksoftirqd polls empty_polls drops
    rules gro_refusals sent_to
    delay_p50_ns delay_p99_ns delay_max_ns""".split()
DEVICE_KEYS = "name running rx_dropped rx_nohandler remark queues".split()
QUEUE_KEYS = "rx_packets rx_bytes rx_missed_errors rx_length_errors rx_frame_errors rx_alloc_fail".split()
CONSERVATION_KEYS = "received delivered merged dropped held held_frags packets_out holds".split()
ORDER_KEYS = "checked unchecked late late_moving late_held repeated first".split()
APPLICATION_KEYS = "app cpu moves received on_its_cpu left".split()


class Output(CommandTest):
    def test_json_keys_are_a_promise(self):
        result = self.run_json("--dev", MIXED, "--rps-cpus", mask(CPUS), "--app-threads", 1)
        self.assertEqual(result["schema"], "netrx.run/1")
        for part, keys in ((result, RESULT_KEYS), (result["cpus"][0], CPU_KEYS), (result["devices"][0], DEVICE_KEYS),
                           (result["devices"][0]["queues"][0], QUEUE_KEYS), (result["conservation"], CONSERVATION_KEYS),
                           (result["order"], ORDER_KEYS), (result["order_at_applications"], ORDER_KEYS),
                           (result["applications"][0], APPLICATION_KEYS),
                           (result["checks"][0], ["name", "holds", "text"])):
            self.assertEqual(list(part), keys)
        self.assertEqual(len(result["cpus"]), len(CPUS))
        self.assertEqual(result["settings"]["/proc/sys/net/core/netdev_max_backlog"], "1000")
        self.assertEqual(result["settings"]["/sys/class/net/pcap0/queues/rx-0/rps_cpus"], mask(CPUS))

    def test_json_to_a_file_leaves_the_table(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            answer = netrx("run", "--dev", TINY, "--json", file.name)
            self.assertEqual(json.load(file)["packets"], 20)
        self.assertIn("✓ conservation", answer.stdout)

    def test_docs_name_every_key(self):
        docs = os.path.join(os.environ["SAMPLES"], "..", "docs", "run.md")
        with open(docs, encoding="utf-8") as file:
            text = file.read()
        for key in set(RESULT_KEYS + CPU_KEYS + DEVICE_KEYS + QUEUE_KEYS + CONSERVATION_KEYS + ORDER_KEYS +
                       APPLICATION_KEYS):
            self.assertIn(f"`{key}`", text)

    def test_softnet_stat_is_the_kernels_format(self):
        answer = netrx("run", "--dev", TINY, "--softnet-stat")
        lines = answer.stdout.splitlines()
        self.assertEqual(len(lines), len(CPUS))
        for line, cpu in zip(lines, CPUS):
            self.assertRegex(line, r"^[0-9a-f]{8}( [0-9a-f]{8}){14}$")
            self.assertEqual(int(line.split()[12], 16), cpu)
        self.assertEqual(sum(int(line.split()[0], 16) for line in lines), 20)

    def test_table_lists_cpus_queues_and_checks(self):
        answer = netrx("run", "--dev", MIXED, "--rps-cpus", mask(CPUS), "--app-threads", 1,
                       "--netdev-max-backlog", 100_000, "--pool-packets", 32768, "--app-capacity", 32768)
        self.assertEqual(answer.returncode, 0, answer.stdout)
        self.assertEqual(answer.stderr, "")
        for pattern in [r"^14,516 packets, 4\.26 MB in ", r"^  cpu +processed +share +delivered +steered in +doorbells",
                        r"^  pcap0 rx-0 +14,516 +4,259,535 ", r"^  steering decisions: map [\d,]+$",
                        r"^  GRO: [\d,]+ merged into others, 1\.\d\d segments a packet; ",
                        r"^  ✓ conservation +14,516 received = ",
                        r"^  ✓ order +[\d,]+ packets of [\d,]+ flows, 0 late"]:
            self.assertRegex(answer.stdout, re.compile(pattern, re.MULTILINE))
        for cpu in CPUS:
            self.assertRegex(answer.stdout, re.compile(rf"^  {cpu} +[\d,]+ ", re.MULTILINE))

    def test_a_full_order_table_says_so(self):
        result = self.run_json("--dev", MIXED, "--order-flows", 1)
        self.assertGreater(result["order"]["unchecked"], 0)
        self.assertEqual(result["order"]["checked"] + result["order"]["unchecked"], result["conservation"]["delivered"])

    def test_progress_on_request_and_on_a_terminal(self):
        paced = [NETRX, "run", "--dev", TINY + ",loop=40,rate=1k"]
        controller, terminal = pty.openpty()
        subprocess.run(paced, stdout=subprocess.DEVNULL, stderr=terminal, timeout=60, check=True)
        os.close(terminal)
        shown = os.read(controller, 65536).decode()
        os.close(controller)
        self.assertRegex(shown, r"\r.*pps.*cpu\d+")
        silent = subprocess.run(paced, capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(silent.stderr, "")

    def test_help(self):
        text = netrx("run", "--help").stdout
        for words in ("--rps-cpus MASK", "--app-migrate TIME", "Examples", "Exit code", "--config FILE.toml"):
            self.assertIn(words, text)
        devices = netrx("devices").stdout
        for words in ("pcap:FILE", "tap:INTERFACE", "lo  ", "RPS", "AF_XDP"):
            self.assertIn(words, devices)
        self.assertNotIn("Interfaces", netrx("devices", "--kinds").stdout)
        listed = json.loads(netrx("devices", "--json").stdout)
        self.assertEqual(listed["schema"], "netrx.devices/1")
        queues = [queue for interface in listed["interfaces"] for queue in interface["rx_queues"]]
        self.assertEqual({key for queue in queues for key in queue}, {"rps_cpus", "rps_flow_cnt"})
        self.assert_refused(("devices", "x"), "--json or --kinds")
        self.assertRegex(netrx("--version").stdout, r"^netrx \d+\.\d+\.\d+$")
        self.assertTrue(all(len(line) <= 132 for line in text.splitlines()))


if __name__ == "__main__":
    unittest.main()
