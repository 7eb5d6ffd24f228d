"""A host is emptied before maintenance: its ranks leave at the end of a step, and not a bit, a step or a micro-batch is
lost; then they are asked back."""

import json
import os
import signal
import socket
import subprocess
import unittest

from changing_ranks import ChangingRanks, slowly
from many_ranks import bits
from program import CADRE, DONE, ENVIRONMENT, RESUMABLE, USER_MUST_MEND, Live, cadre, read_lines, wait_until

SLOWLY = slowly(2)
# Two names of this machine: two islands.
HERE = socket.gethostname()
HOSTS = f"localhost:2,{HERE}:1"


class DrainTest(ChangingRanks):
    def check_nothing_was_done_again(self, run, expected=None):
        self.assertEqual(bits(run), bits(expected or self.undisturbed))
        self.assertEqual(self.events(run, "lost") + self.events(run, "rollback"), [])
        self.assertEqual(cadre("verify", run).code, DONE)

    def check_nothing_was_lost(self, run, expected=None):
        self.check_nothing_was_done_again(run, expected)
        for step in read_lines(run / "ledger.jsonl"):
            self.assertEqual(step["generation"], 0)
            # No step was taken from one view into the next.
            self.assertEqual(len({part["view"] for part in step["micro_batches"]}), 1, step)

    def check_drained(self, run, live):
        """Ranks 0 and 1 of three."""
        ended = cadre("drain", run, "localhost")
        self.assertEqual((ended.code, ended.err), (DONE, ""))
        self.assertIn("host localhost is drained: ranks 0 and 1 left", ended.out)
        self.assertEqual(len(live.processes("rank")), 1, "their processes have ended")
        facts = json.loads(cadre("status", run, "--json").out)
        self.assertEqual([(rank["rank"], rank["state"]) for rank in facts["ranks"]],
                         [(0, "drained"), (1, "drained"), (2, "live")])
        self.assertEqual(facts["drained_hosts"], ["localhost"])
        self.assertRegex(cadre("status", run).out, "drained +localhost; ")
        drained = self.events(run, "drained")
        self.assertEqual([(line["rank"], line["host"]) for line in drained], [(0, "localhost"), (1, "localhost")])
        for line in drained:
            self.assertTrue(line["time"] and line["reason"])
        views = self.events(run, "view")
        self.assertEqual([[member["rank"] for member in view["members"]] for view in views],
                         [[0, 1, 2], [0, 1, 2], [2]])
        self.assertEqual([member.get("is_leaving", False) for member in views[1]["members"]], [True, True, False])
        self.assertEqual([view["load"] for view in views], [True, False, False])
        self.assertIn("ranks 0 and 1 leave: host localhost is drained", views[1]["reason"])
        self.assertIn("ranks 0 and 1 have left: host localhost is drained", views[2]["reason"])

    def drain(self, name, expected=None, **more):
        config, run = self.config(name, **more)
        with Live("train", config, "--hosts", HOSTS, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            self.check_drained(run, live)
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_nothing_was_lost(run, expected)
        checkpoints = [line["step"] for line in self.events(run, "checkpoint")]
        self.assertEqual(checkpoints, [line["step"] for line in self.events(expected or self.undisturbed, "checkpoint")])
        log = (run / "logs" / "launcher.log").read_text()
        for rank in (0, 1):
            self.assertIn(f"rank {rank} ended: exit code 0", log)
        self.assertNotIn("is started again", log)
        self.assertEqual(self.at_work(run), {2})

    def test_what_others_hold_too(self):
        self.drain("two-copies")

    def test_what_nobody_else_holds_goes_to_them_first(self):
        # Six chunks: no rank holds all of them.
        large = {"max_steps": 60, "lora_r": 64, "lora_alpha": 64}
        config, expected = self.config("large-undisturbed", **large)
        self.assertEqual(cadre("train", config, "--ranks", 1).code, DONE)
        self.drain("one-copy", expected, state_copies=1, **large)

    def test_sharded_gradients(self):
        config, run = self.config("rounds", zero_stage=2)
        with Live("train", config, "--hosts", HOSTS, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            self.check_drained(run, live)
            self.assertEqual(live.end().code, DONE)
        self.assertEqual(bits(run), bits(self.undisturbed))
        self.assertEqual(cadre("verify", run).code, DONE)

    def test_drained_host_comes_back(self):
        config, run = self.config("back")
        with Live("train", config, "--hosts", HOSTS, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            self.check_drained(run, live)
            again = cadre("drain", run, "localhost")
            self.assertEqual(again.code, USER_MUST_MEND)
            self.assertIn("host localhost is drained already", again.err)
            # Another coordinator hears who has left.
            os.kill(live.processes("coordinator")[0], signal.SIGKILL)
            wait_until(lambda: len(self.events(run, "view")) == 4)
            self.assertEqual([member["rank"] for member in self.events(run, "view")[-1]["members"]], [2])
            self.assertEqual(json.loads(cadre("status", run, "--json").out)["drained_hosts"], ["localhost"])
            joined = cadre("join", run, "localhost")
            self.assertEqual((joined.code, joined.err), (DONE, ""))
            self.assertIn("ranks 0 and 1 have come in", joined.out)
            facts = json.loads(cadre("status", run, "--json").out)
            self.assertEqual([(rank["rank"], rank["state"]) for rank in facts["ranks"]],
                             [(0, "live"), (1, "live"), (2, "live")])
            self.assertEqual(facts["drained_hosts"], [])
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_nothing_was_done_again(run)
        self.assertEqual([member["incarnation"] for member in self.events(run, "view")[-1]["members"]], [2, 2, 1])
        self.assertGreaterEqual(self.at_work(run), {0, 1})

    def check_refused(self, reason, *words):
        ended = cadre("drain", *words)
        self.assertEqual((ended.code, ended.out), (USER_MUST_MEND, ""), ended.err)
        self.assertEqual(ended.err.count("\n"), 1, ended.err)
        self.assertRegex(ended.err, reason)

    def check_hostile_are_left_alone(self, box):
        self.assertEqual(box.stat().st_mode & 0o777, 0o700)
        good = json.dumps({"verb": "drain", "host": HERE, "ranks": 0})

        def put(number, text, mode=0o600):
            path = box / f"{number:032x}.request"
            path.write_text(text)
            path.chmod(mode)
            return path

        left = [put(1, good, 0o644), put(2, " " * 5000 + good)]
        (self.folder / "elsewhere").write_text(good)
        (self.folder / "elsewhere").chmod(0o600)
        (box / f"{3:032x}.request").symlink_to(self.folder / "elsewhere")
        os.mkfifo(box / f"{4:032x}.request", 0o600)
        broken = [put(5, "["), put(6, json.dumps({"verb": "stop", "host": "x"})), put(7, "{" * 3000),
                  put(8, json.dumps({"verb": "drain", "host": "x y"})),
                  put(9, json.dumps({"verb": "join", "host": "", "ranks": -1})),
                  put(10, json.dumps({"verb": "join", "host": "", "ranks": 1 << 40}))]
        # Each answered: one that is asked later is taken later.
        self.assertEqual(cadre("drain", box.parent, "nobody").code, USER_MUST_MEND)
        for path in broken:
            self.assertFalse(path.exists(), path)
            answer = json.loads(path.with_suffix(".answer").read_text())
            self.assertIn("a request: expected", answer["problem"])
        for path in left:
            self.assertTrue(path.exists(), path)

    def test_wrong_requests_change_nothing(self):
        self.check_refused("no run is here", self.folder / "nowhere", "b")
        self.check_refused("the run is not alive; it is succeeded", self.undisturbed, "localhost")
        self.check_refused("expected cadre drain RUN HOST", self.undisturbed)
        config, run = self.config("wrong", min_ranks=2)
        with Live("train", config, "--hosts", HOSTS, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            hosts = ", ".join(sorted({HERE, "localhost"}))
            self.check_refused(f"host elsewhere has no rank of the run; expected one of: {hosts}", run, "elsewhere")
            self.check_refused("it would leave 1 of 3 ranks, and min_ranks: 2 are needed", run, "localhost")
            self.check_refused("expected a host's name, found 'a;reboot'", run, "a;reboot")
            self.check_hostile_are_left_alone(run / ".requests")
            ended = live.end()
        self.assertEqual(ended.code, DONE, ended.err)
        self.check_nothing_was_lost(run)
        self.assertEqual(self.events(run, "draining") + self.events(run, "invited"), [])
        self.assertFalse((run / ".requests").exists(), "it ends with the run")

    @unittest.skipIf(os.geteuid() != 0, "needs root to be another user")
    def test_another_user_may_not_ask(self):
        config, run = self.config("others")
        with Live("train", config, "--hosts", HOSTS, environment=SLOWLY) as live:
            self.assertTrue(live.wait_for_line("step 2/"))
            for path in (self.folder, run):
                path.chmod(0o777)
            ended = subprocess.run([str(CADRE), "drain", str(run), "localhost"], user=65534, group=65534, extra_groups=[],
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT)
            self.assertEqual(ended.returncode, USER_MUST_MEND, ended.stderr)
            self.assertIn("ask as the user that started", ended.stderr)
            live.send(signal.SIGTERM)
            self.assertEqual(live.end().code, RESUMABLE)
        self.assertEqual(self.events(run, "draining"), [])


if __name__ == "__main__":
    unittest.main()
