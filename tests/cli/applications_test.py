# SPDX-License-Identifier: Apache-2.0
"""`netrx run --app-threads`: consumers that RFS follows, slow ones, dead ones."""

import unittest

from command import CPUS, MIXED, CommandTest, drops, mask, netrx, rules

RFS = ("--rps-cpus", mask(CPUS), "--rps-flow-cnt", "4096", "--rps-sock-flow-entries", "32768")


class Applications(CommandTest):
    @unittest.skipIf(len(CPUS) < 2, "one CPU")
    def test_rfs_follows_applications_that_migrate(self):
        paced = ("--dev", MIXED + ",loop=4,rate=40k", "--app-threads", len(CPUS), "--app-migrate", "200ms")
        result = self.run_json(*paced, *RFS, "--netdev-max-backlog", "100000", "--pool-packets", "65536")
        received = sum(app["received"] for app in result["applications"])
        followed = sum(app["on_its_cpu"] for app in result["applications"])
        self.assertEqual(received, result["conservation"]["delivered"])
        self.assertEqual(result["order_at_applications"]["checked"], received)
        self.assertGreater(rules(result, "follows_flow"), 0)
        self.assertGreater(rules(result, "switched"), len(CPUS))
        self.assertTrue(all(app["moves"] >= 3 for app in result["applications"]), result["applications"])

        by_hash = self.run_json(*paced, "--rps-cpus", mask(CPUS), "--netdev-max-backlog", "100000", "--pool-packets",
                                "65536")
        blind = sum(app["on_its_cpu"] for app in by_hash["applications"])
        self.assertEqual(rules(by_hash, "follows_flow"), 0)
        # With RPS alone a packet meets its application by chance.
        self.assertGreater(followed / received, blind / sum(app["received"] for app in by_hash["applications"]))

    @unittest.skipIf(len(CPUS) < 2, "one CPU")
    def test_with_the_map_in_order_no_move_is_excused(self):
        result = self.run_json("--dev", MIXED + ",loop=10,rate=200k", "--app-threads", 2, "--app-migrate", "10ms", *RFS,
                               "--rps-map-in-order", 1, "--netdev-max-backlog", "100000", "--pool-packets", "65536")
        self.assertGreater(rules(result, "switched"), 100)
        self.assertEqual(result["order"]["late_moving"] + result["order_at_applications"]["late_moving"], 0)
        self.assertEqual(result["unprotected_moves"], 0)

    @unittest.skipIf(len(CPUS) < 2, "one CPU")
    def test_application_where_rps_never_sends_has_its_flows_brought(self):
        result = self.run_json("--dev", MIXED + ",rate=40k", "--app-threads", 1, *RFS, "--rps-cpus", mask(CPUS[1:]),
                               "--netdev-max-backlog", "100000")
        app = result["applications"][0]
        self.assertEqual(app["received"], result["conservation"]["delivered"])
        self.assertEqual(app["cpu"], CPUS[0])
        self.assertGreater(app["on_its_cpu"], app["received"] // 10)

    def test_application_that_hangs_costs_counted_drops(self):
        result = self.run_json("--dev", "gen:flows=64,count=20000", "--app-threads", 2, "--app-stall",
                               "--app-capacity", 100)
        self.assertGreater(drops(result, "SOCKET_RCVBUFF"), 10_000)
        self.assertEqual(sum(app["received"] for app in result["applications"]), 0)
        self.assertEqual(result["left_with_applications"], result["conservation"]["delivered"])

    def test_slow_application_drops_and_ends(self):
        result = self.run_json("--dev", "gen:flows=8,count=3000", "--app-threads", 1, "--app-rate", "2k",
                               "--app-capacity", 500)
        self.assertGreater(drops(result, "SOCKET_RCVBUFF"), 0)
        self.assertEqual(result["applications"][0]["received"], result["conservation"]["delivered"])
        self.assertEqual(result["left_with_applications"], 0)

    def test_queues_larger_than_the_pool_end_in_a_stall_that_says_so(self):
        arguments = ("run", "--dev", "gen:flows=8,count=5000", "--app-threads", 1, "--app-stall", "--app-capacity",
                     100_000,
                     "--pool-packets", 1024)
        answer = netrx(*arguments, "--quiet")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("no progress for", answer.stderr)
        self.assertIn("--pool-packets", answer.stderr)


if __name__ == "__main__":
    unittest.main()
