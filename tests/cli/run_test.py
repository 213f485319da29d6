# SPDX-License-Identifier: Apache-2.0
"""`netrx run` on good input."""

import tempfile
import unittest

from command import CPUS, MIXED, TINY, TRUNCATED, CommandTest, delivered, drops, mask, netrx, rules

TWO = CPUS[:2]
QUIET = ("--netdev-max-backlog", "100000", "--pool-packets", "32768")  # so that nothing is dropped for want of room


class Run(CommandTest):
    def test_without_steering_everything_stays_where_it_is_polled(self):
        result = self.run_json("--dev", MIXED, "--cpus", CPUS[0])
        handed_up = result["conservation"]["delivered"]
        self.assertEqual(result["packets"], delivered(result))
        self.assertEqual(result["cpus"][0]["processed"], handed_up)
        self.assertEqual(rules(result, "not_asked"), handed_up)
        self.assertGreater(result["packets"], 10_000)
        self.assertGreater(result["conservation"]["merged"], 1000)
        self.assertEqual(result["order"]["checked"], handed_up)
        self.assertEqual(result["ended"], "exhausted")

    @unittest.skipIf(len(CPUS) < 2, "one CPU")
    def test_rps_spreads_over_both_cpus(self):
        result = self.run_json("--dev", MIXED, "--cpus", f"{TWO[0]},{TWO[1]}", "--rps-cpus", mask(TWO), *QUIET)
        self.assertEqual(drops(result, "CPU_BACKLOG"), 0)
        self.assertEqual(result["packets"], delivered(result))
        self.assertEqual(rules(result, "map"), result["conservation"]["delivered"])
        for cpu in result["cpus"]:
            self.assertGreater(cpu["processed"], result["packets"] // 10)
        steered = sum(cpu["steered_in"] for cpu in result["cpus"])
        self.assertEqual(steered, sum(sum(cpu["sent_to"].values()) for cpu in result["cpus"])
                         - sum(cpu["sent_to"].get(str(cpu["cpu"]), 0) for cpu in result["cpus"]))
        self.assertGreater(sum(cpu["doorbells"] for cpu in result["cpus"]), 0)

    def test_gro_as_told(self):
        def run(*options):
            return self.run_json("--dev", MIXED, "--cpus", CPUS[0], *options)
        on, off = run(), run("--rx-gro", 0)
        self.assertEqual(off["conservation"]["merged"], 0)
        self.assertEqual(off["cpus"][0]["gro_refusals"]["off"], off["packets"])
        self.assertGreater(on["cpus"][0]["gro_refusals"]["udp_off"], 0)
        udp = run("--rx-udp-gro-forwarding", 1)
        self.assertEqual(udp["cpus"][0]["gro_refusals"]["udp_off"], 0)
        self.assertGreater(udp["conservation"]["merged"], on["conservation"]["merged"])
        by_flow = run("--gro-flow-buckets", 64, "--gro-in-order", 1)
        self.assertEqual(by_flow["order"]["late_held"], 0)
        reasons = netrx("run", "--dev", MIXED, "--gro-reasons").stdout
        self.assertIn("  GRO: ", reasons)
        self.assertRegex(reasons, r"udp_off +[\d,]+ +nobody asked")

    def test_backlog_of_one_overflows_with_counted_drops(self):
        result = self.run_json("--dev", MIXED, "--cpus", CPUS[0], "--rps-cpus", mask(CPUS[:1]), "--netdev-max-backlog",
                               0)
        self.assertGreater(drops(result, "CPU_BACKLOG"), 0)
        self.assertEqual(sum(cpu["dropped"] for cpu in result["cpus"]), drops(result, "CPU_BACKLOG"))

    def test_loop_and_rate(self):
        once = self.run_json("--dev", TINY)["packets"]
        result = self.run_json("--dev", TINY + ",loop=20,rate=2k", "--idle", "interrupt")
        self.assertEqual(result["packets"], 20 * once)
        self.assertEqual(result["order"]["checked"], 20 * once)
        self.assertGreater(result["busy_ns"], 0.15e9)  # 400 packets at 2,000 a second

    def test_several_devices_and_queues(self):
        result = self.run_json("--dev", MIXED + ",queues=4", "--dev", "gen:flows=64,count=5000,name=g", *QUIET)
        self.assertEqual([device["name"] for device in result["devices"]][1], "g")
        used = [queue for queue in result["devices"][0]["queues"] if queue["rx_packets"] > 0]
        self.assertGreater(len(used), 1)
        self.assertEqual(result["devices"][1]["queues"][0]["rx_packets"], 5000)

    def test_idle_policies_and_threaded_mode(self):
        for flags in (("--idle", "poll"), ("--idle", "interrupt"), ("--idle", "adaptive", "--spin", "5us"),
                      ("--threaded", "1"),
                      ("--napi-defer-hard-irqs", "2", "--gro-flush-timeout", "50000")):
            with self.subTest(flags=flags):
                result = self.run_json("--dev", MIXED, "--rps-cpus", mask(CPUS), *QUIET, *flags)
                self.assertEqual(result["packets"], delivered(result))

    @unittest.skipIf(len(CPUS) < 2, "one CPU")
    def test_irq_cpus_choose_who_polls(self):
        result = self.run_json("--dev", TINY, "--cpus", f"{TWO[0]},{TWO[1]}", "--irq-cpus", TWO[1])
        self.assertEqual([cpu["received"] for cpu in result["cpus"]], [0, result["packets"]])

    def test_truncated_capture_is_used_up_to_the_damage(self):
        result = self.run_json("--dev", TRUNCATED)
        self.assertEqual(result["conservation"]["delivered"], 19)
        self.assertIn("truncated.pcap", result["devices"][0]["remark"])
        self.assertIn("damaged behind frame 19", netrx("run", "--dev", TRUNCATED).stdout)

    def test_a_sink_gets_the_frames_as_they_were(self):
        def digests(file):  # of the frames, whatever their order and time
            with open(file, "rb") as capture:
                data = capture.read()
            frames, at = [], 24
            while at < len(data):
                size = int.from_bytes(data[at + 8:at + 12], "little")
                frames.append(data[at + 16:at + 16 + size])
                at += 16 + size
            return sorted(frames)
        with tempfile.NamedTemporaryFile(suffix=".pcap") as out:
            result = self.run_json("--dev", MIXED, "--rps-cpus", mask(CPUS), *QUIET, "--sink", f"pcap:{out.name}")
            self.assertEqual(digests(out.name), digests(MIXED.removeprefix("pcap:")))
        sink = result["sinks"][0]
        self.assertGreater(sink["cut"], 100)  # what GRO merged is cut again
        self.assertEqual(sink["whole"] + sink["segments"], result["packets"])
        self.assertEqual(sink["packets"], result["conservation"]["delivered"])

    def test_duration_ends_what_has_no_end(self):
        result = self.run_json("--dev", "gen:flows=16,rate=20k", "--duration", "300ms")
        self.assertEqual(result["ended"], "duration")
        self.assertGreater(result["packets"], 100)

    def test_faults_are_not_the_paths(self):
        result = self.run_json("--dev", f"fault:loss=10%,corrupt=5%,seed=3//{MIXED}", "--rps-cpus", mask(CPUS), *QUIET)
        self.assertLess(result["packets"], 14_500)


class Config(CommandTest):
    def write(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def test_file_has_the_same_keys_and_the_command_line_wins(self):
        config = self.write(f'dev = ["{TINY}"]\ncpus = "{CPUS[0]}"\nnetdev-budget = 77\nrps-flow-cnt = 5\n'
                            'quiet = true\n'
                            '[set]\n"net.core.netdev_max_backlog" = 55\n')
        settings = netrx("run", "--config", config, "--list-settings", "--rps-flow-cnt", 9).stdout.splitlines()
        self.assertIn("/proc/sys/net/core/netdev_budget = 77", settings)
        self.assertIn("/proc/sys/net/core/netdev_max_backlog = 55", settings)
        self.assertIn("/sys/class/net/pcap0/queues/rx-0/rps_flow_cnt = 16", settings)
        answer = netrx("run", "--config", config)
        self.assertEqual((answer.returncode, answer.stdout, answer.stderr), (0, "", ""))

    def test_mistakes_name_file_and_line(self):
        dev = f'dev = "{TINY}"\n'
        for text, words in ((dev + "\nrps-cpu = 3\n", (":3:", "rps-cpu", "did you mean rps-cpus?")),
                            (dev + 'rps-cpus = "g"\n', (":2:", "rps_cpus", "EINVAL")),
                            (dev + "rps-cpus =\n", (":2:", "not TOML")),
                            (dev + "quiet = 3\n", (":2:", "true or false")),
                            (dev + "cpus = [0, 1]\n", (":2:", "one value")),
                            (dev + "[rps]\ncpus = 3\n", (":2:", "unknown key rps"))):
            with self.subTest(text=text):
                self.assert_refused(("run", "--config", self.write(text)), *words)


if __name__ == "__main__":
    unittest.main()
