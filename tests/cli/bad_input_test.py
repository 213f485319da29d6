# SPDX-License-Identifier: Apache-2.0
"""Bad usage, configuration and input: exit code 2 and one line that names key, value, reason and remedy."""

import os
import subprocess
import tempfile
import unittest

from command import CPUS, NETRX, SAMPLES, TINY, CommandTest, drops, netrx

DEV = ("run", "--dev", TINY)
NO_CPU = CPUS[-1] + 1


class BadInput(CommandTest):
    def refused(self, *cases):
        for arguments, *words in cases:
            with self.subTest(arguments=arguments):
                self.assert_refused(arguments, *words)

    def test_usage(self):
        self.refused((("rnu",), "rnu", "did you mean run?"), (("run",), "no device", "--dev"),
                     ((*DEV, "--rps-cpu", "3"), "--rps-cpu", "did you mean --rps-cpus?"),
                     ((*DEV, "junk"), "junk", "--dev junk"),
                     (("run", "--dev"), "--dev", "SPEC"),
                     ((*DEV, "--idle", "lazy"), "--idle lazy", "poll, interrupt, adaptive"),
                     ((*DEV, "--json", "--softnet-stat"), "both want stdout"), (("devices", "x"), "devices"),
                     ((*DEV, "--app-migrate", "50ms"), "--app-threads"), ((*DEV, "--app-migrate", "50"), "50ms"),
                     ((*DEV, "--duration", "0s"), "--duration"), ((*DEV, "--app-threads", "1000"), "ERANGE", "256"))

    def test_devices(self):
        self.refused((("run", "--dev", "foo:x"), 'no device kind "foo"', "pcap", "ENODEV"),
                     (("run", "--dev", TINY + ",lop=3"), '"lop"', "did you mean loop?"),
                     (("run", "--dev", TINY + ",loop=x"), "loop", "x"),
                     ((*DEV, "--dev", TINY), "EEXIST", "name="))

    def test_sinks(self):
        gen = ("run", "--dev", "gen:count=1")
        self.refused(((*gen, "--sink", "lo"), "can't be sent to", "tap", "EOPNOTSUPP"),
                     ((*gen, "--sink", "x=pcap:/dev/null"), "no device x", "gen0", "ENODEV"),
                     ((*gen, "--sink", "gen0"), "only receives"),
                     ((*gen, "--sink", "pcap:/dev/null", "--sink", "gen0=pcap:/nonexistent/x"), "can be written"),
                     ((*gen, "--sink", "pcap:/dev/null", "--sink", "pcap:/dev/null,name=b"), "EEXIST"),
                     ((*gen, "--sink", "pcap:/dev/null", "--app-threads", "1"), "--sink and --app-threads"))

    def test_files(self):
        with tempfile.NamedTemporaryFile(suffix=".pcap") as empty:
            self.refused((("run", "--dev", "pcap:/nonexistent"), "/nonexistent", "No such file or directory"),
                         (("run", "--dev", f"pcap:{SAMPLES}"), "directory"),
                         (("run", "--dev", f"pcap:{NETRX}"), "not a pcap"),
                         (("run", "--dev", f"pcap:{empty.name}"), "empty"),
                         ((*DEV, "--config", "/nonexistent"), "ENOENT"), ((*DEV, "--config", "/tmp"), "EISDIR"),
                         ((*DEV, "--json", "/nonexistent/x"), "/nonexistent/x", "ENOENT"))

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_unreadable_file(self):
        with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
            os.chmod(file.name, 0)
            self.assert_refused(("run", "--dev", f"pcap:{file.name}"), "Permission denied")

    def test_cpus(self):
        self.refused(((*DEV, "--cpus", NO_CPU), f"CPU {NO_CPU}", "EINVAL", "it may use"),
                     ((*DEV, "--cpus", ""), "no CPU", "0-3"),
                     ((*DEV, "--cpus", "x"), '"x"', "EINVAL"), ((*DEV, "--cpus", "1-0"), '"1-0"', "EINVAL"),
                     ((*DEV, "--cpus", "99999"), "ERANGE"), ((*DEV, "--irq-cpus", NO_CPU), "irq-cpus", f"CPU {NO_CPU}"))

    def test_masks_have_the_kernels_errors(self):
        beyond = f"{1 << NO_CPU:x}"
        self.refused(((*DEV, "--rps-cpus", "g"), "rps_cpus", '"g"', "EINVAL", "Invalid argument"),
                     ((*DEV, "--rps-cpus", "0x3"), "EINVAL"),
                     ((*DEV, "--rps-cpus", beyond), "EOVERFLOW", "Value too large for defined data type",
                      f"CPU {NO_CPU}"),
                     ((*DEV, "--rps-cpus", "123456789"), "EOVERFLOW"),
                     ((*DEV, "--flow-limit-cpu-bitmap", "z"), "EINVAL"))

    def test_numbers_have_the_kernels_ranges(self):
        self.refused(((*DEV, "--rps-flow-cnt", "x"), "rps_flow_cnt", "EINVAL"),
                     ((*DEV, "--rps-flow-cnt", 2**32 + 1), "EINVAL"),
                     ((*DEV, "--rps-sock-flow-entries", "-1"), "rps_sock_flow_entries", "EINVAL"),
                     ((*DEV, "--rps-sock-flow-entries", 2**29 + 1), "EINVAL"),
                     ((*DEV, "--flow-limit-table-len", "3"), "flow_limit_table_len", "power of two"),
                     ((*DEV, "--threaded", "7"), "threaded", "EOPNOTSUPP"),
                     ((*DEV, "--netdev-budget-usecs", "1"), "netdev_budget_usecs", "EINVAL"),
                     ((*DEV, "--set", "net.core.nothing=1"), "net.core.nothing", "ENOENT"),
                     ((*DEV, "--set", "netdev_budget"), "PATH=VALUE"))

    def test_sizes(self):
        self.refused(((*DEV, "--pool-packets", "0"), "--pool-packets", "ERANGE", "64"),
                     ((*DEV, "--pool-packets", "1"), "64"),
                     ((*DEV, "--frame-size", "10"), "frame-size", "10", "64"))

    def test_tiny_pool_backlog_and_ring_lose_nothing_silently(self):
        for flags in (("--pool-packets", "64"),
                      ("--pool-packets", "64", "--rps-cpus", "1", "--netdev-max-backlog", "1"),
                      ("--frame-size", "64")):
            with self.subTest(flags=flags):
                self.run_json("--dev", "gen:flows=64,count=20000", "--cpus", CPUS[0], *flags)
        result = self.run_json("--dev", "gen:flows=64,count=20000,rate=2M,ring=64", "--cpus", CPUS[0])
        missed = sum(queue["rx_missed_errors"] for queue in result["devices"][0]["queues"])
        self.assertEqual(missed + result["packets"], 20000)

    def test_frames_too_long_for_the_pool_are_counted(self):
        result = self.run_json("--dev", f"pcap:{SAMPLES}/mixed.pcap", "--frame-size", "256")
        errors = sum(queue["rx_length_errors"] for queue in result["devices"][0]["queues"])
        self.assertEqual(errors + result["packets"], self.run_json("--dev", f"pcap:{SAMPLES}/mixed.pcap")["packets"])
        self.assertEqual(drops(result, "NOMEM"), 0)

    def test_closed_stdout_is_an_error(self):
        with open("/dev/full", "w") as full:
            answer = subprocess.run([NETRX, *DEV], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(answer.returncode, 2)
        self.assertIn("No space left on device", answer.stderr)


if __name__ == "__main__":
    unittest.main()
