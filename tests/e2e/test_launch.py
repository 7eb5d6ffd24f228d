"""How a run starts and ends: a real mpirun, real processes and real signals, with stand-ins for coordinator and rank.

Each run carries a mark in its environment: whatever process has it when the launcher is gone was left behind."""

import json
import os
import pathlib
import secrets
import signal
import subprocess
import tempfile
import time
import unittest

from program import CADRE, marked

BUILD = CADRE.parent
DEADLINE = 30  # ends a hang; nothing here takes a third of it on a quiet machine


class Run:
    """A live fake_run, whose lines are what a test waits for."""

    def __init__(self, logs, islands=":3", rank=BUILD / "fake_rank", **orders):
        self.mark = "LAUNCH_TEST_MARK=" + secrets.token_hex(8)
        self.logs = logs
        self.lines = []
        self.process = subprocess.Popen(
            [BUILD / "fake_run", logs, islands, rank, self.mark, *(f"{name}={value}" for name, value in orders.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, **dict([self.mark.split("=")])})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in {self.process.pid, *marked(self.mark)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.communicate()

    def wait_for(self, key):
        for text in self.process.stdout:
            self.lines.append(json.loads(text))
            if key in self.lines[-1]:
                return self.lines[-1]
        raise AssertionError(f"no {key} in {self.lines}; stderr: {self.process.stderr.read()}; log: {self.log('launcher')}")

    def end(self):
        """Exit code and the lines by key, the last of each."""
        out, self.err = self.process.communicate(timeout=DEADLINE)
        self.lines += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, {key: line for line in self.lines for key in line}

    def said(self, key):
        return [line[key] for line in self.lines if key in line]

    def log(self, name):
        path = pathlib.Path(self.logs) / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def left_behind(self, within=0):
        """What still lives; a launcher that was killed gives its processes some seconds to end by themselves."""
        end = time.monotonic() + within
        while marked(self.mark) and time.monotonic() < end:
            time.sleep(0.02)
        return marked(self.mark)


class LaunchTest(unittest.TestCase):
    def run_with(self, *arguments, **orders):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        run = Run(pathlib.Path(folder.name) / "logs", *arguments, **orders)
        self.addCleanup(run.__exit__)
        return run

    def check_end(self, run, code):
        found, lines = run.end()
        self.assertEqual(found, code, (run.err, run.lines, run.log("launcher")))
        self.assertEqual(run.left_behind(), {})
        self.assertEqual(lines["exit_code"]["exit_code"], code)
        return lines["exit_code"]

    def test_to_the_end(self):
        run = self.run_with(":2,localhost:1", FAKE_RANKS=3)
        self.assertEqual(self.check_end(run, 0)["result"], {"how": "done"})
        self.assertEqual(sorted(line["rank"] for line in run.said("joined")), [0, 1, 2])
        for rank in range(3):
            self.assertIn(f"rank {rank} on ", run.log(f"rank-{rank:05d}"))
        self.assertNotIn("not for the command line", "".join(path.read_text() for path in run.logs.iterdir()))

    def test_exit_code_is_the_coordinators(self):
        self.check_end(self.run_with(FAKE_RANKS=3, FAKE_CODE=2), 2)

    def test_token_is_on_no_command_line_and_in_no_environment(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_ENDS="on_stop")
        run.wait_for("complete")
        secret = b"not for the command line".hex().encode()
        for pid in marked(run.mark):
            for name in ("cmdline", "environ"):
                text = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
                self.assertNotIn(secret, text)
                self.assertNotIn(b"not for the command line", text)
        run.process.send_signal(signal.SIGTERM)
        self.check_end(run, 75)

    def test_rank_that_dies_before_it_has_started(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_DEATH="1:before_mpi")
        self.assertIn("rank 1 ended before it had started, with signal 9 (Killed)", self.check_end(run, 1)["reason"])
        self.assertEqual([line["reason"] for line in run.said("heard") if line["control"] == "fail"],
                         [run.lines[-1]["reason"]])

    def test_last_words_of_a_rank_that_cannot_start(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_DEATH="2:before_mpi_exit")
        self.assertEqual(self.check_end(run, 1)["reason"],
                         "rank 2 ended before it had started, with exit code 3: a library is missing (rank-00002.log)")

    def test_rank_that_dies_before_it_has_joined(self):
        """The coordinator is told, and decides."""
        run = self.run_with(FAKE_RANKS=3, FAKE_DEATH="1:after_boot", FAKE_ENDS="on_stop")
        heard = {}
        while heard.get("control") != "rank_ended":
            heard = run.wait_for("heard")["heard"]
        self.assertEqual((heard["rank"], heard["how"]), (1, "signal 9 (Killed)"))
        run.process.send_signal(signal.SIGTERM)
        self.check_end(run, 75)

    def test_others_outlive_a_killed_rank(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_ENDS="on_stop")
        run.wait_for("complete")
        os.kill(next(line["pid"] for line in run.said("joined") if line["rank"] == 1), signal.SIGKILL)
        while run.wait_for("heard")["heard"]["control"] != "rank_ended":
            pass
        dead = next(line["pid"] for line in run.said("joined") if line["rank"] == 1)
        self.assertEqual([line["pid"] for line in run.said("heard")], [dead])
        # Another coordinator may wait for it, and hears it too.
        os.kill(next(line["pid"] for line in run.lines if "boot" in line), signal.SIGKILL)
        run.wait_for("boot")
        self.assertEqual(run.wait_for("heard")["heard"], run.said("heard")[0])
        for line in run.said("joined"):
            if line["rank"] != 1:
                os.kill(line["pid"], 0)
        run.process.send_signal(signal.SIGTERM)
        self.check_end(run, 75)

    def test_missing_executable(self):
        run = self.run_with(":2", "/nonexistent/cadre")
        code, _ = run.end()
        self.assertEqual(code, 2)
        self.assertIn("/nonexistent/cadre: expected a program", run.err)
        self.assertEqual(run.left_behind(), {})

    def test_coordinator_that_dies_comes_back_on_the_same_port(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_DIES=1)
        self.check_end(run, 0)
        self.assertEqual(run.said("boot"), ["term 1", "term 2"])

    def test_coordinator_that_dies_again_and_again(self):
        run = self.run_with(":1", FAKE_RANKS=1, FAKE_ENDS="never")
        for _ in range(3):
            os.kill(run.wait_for("boot")["pid"], signal.SIGKILL)
        self.assertIn("the coordinator was ended 3 times just after its start", self.check_end(run, 1)["reason"])

    def test_first_signal_stops_the_run(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            run = self.run_with(FAKE_RANKS=3, FAKE_ENDS="on_stop")
            run.wait_for("complete")
            run.process.send_signal(number)
            self.assertEqual(self.check_end(run, 75)["result"], {"how": "stopped"})
            self.assertEqual([line for line in run.said("heard") if line["control"] == "stop"],
                             [{"control": "stop", "reason": number.name}])

    def test_second_signal_ends_it_at_once(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_ENDS="never", FAKE_STUBBORN=1)
        run.wait_for("complete")
        run.process.send_signal(signal.SIGTERM)
        run.wait_for("heard")
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.check_end(run, 1)["reason"], "a second signal (SIGTERM) ended the run at once")

    def test_launcher_is_killed(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_ENDS="never")
        run.wait_for("complete")
        self.assertGreaterEqual(len(run.left_behind()), 9)  # the measure itself works
        run.process.kill()
        run.end()
        self.assertEqual(run.left_behind(within=10), {})

    def test_mpirun_is_killed(self):
        """The ranks go on: only their output is lost."""
        run = self.run_with(":2", FAKE_RANKS=2, FAKE_ENDS="on_stop")
        run.wait_for("complete")
        mpirun, = (pid for pid, words in marked(run.mark).items() if words.startswith("mpirun "))
        os.kill(mpirun, signal.SIGKILL)
        time.sleep(2)  # twice the time for which a run without a rank is waited for
        for line in run.said("joined"):
            os.kill(line["pid"], 0)
        run.process.send_signal(signal.SIGTERM)
        self.check_end(run, 75)
        self.assertEqual([line["control"] for line in run.said("heard")], ["stop"])

    def test_ranks_that_do_not_end(self):
        run = self.run_with(FAKE_RANKS=3, FAKE_STUBBORN=1)
        self.check_end(run, 0)
        self.assertIn("not ended yet, so that mpirun is told to: the ranks 0 to 2", run.log("launcher"))

    def test_ranks_that_are_lost_are_not_waited_for(self):
        run = self.run_with(":2,localhost:1", FAKE_RANKS=3, FAKE_STUBBORN=1, FAKE_LOSES=2)
        self.check_end(run, 0)
        log = run.log("launcher")
        self.assertIn("not ended yet, so that mpirun is told to: the ranks 0 to 1", log)
        self.assertNotIn("not ended yet, so that mpirun is told to: rank 2", log)

    def own_mpirun(self, **orders):
        """A user's own mpirun: the launcher is a supervisor that the first rank starts."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        logs = pathlib.Path(folder.name) / "logs"
        mark = "LAUNCH_TEST_MARK=" + secrets.token_hex(8)
        command = ["mpirun", *(["--allow-run-as-root"] if os.geteuid() == 0 else []), "--oversubscribe",
                   "--enable-recovery", "-n", "3", BUILD / "fake_rank"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   env={**os.environ, **dict([mark.split("=")]), "FAKE_OWN": str(logs), "FAKE_RANKS": "3",
                                        **{name: str(value) for name, value in orders.items()}})
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in marked(mark)])
        return process, mark, logs

    def wait_until(self, condition):
        end = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_users_own_mpirun(self):
        process, mark, logs = self.own_mpirun()
        self.assertEqual(process.wait(timeout=DEADLINE), 0)
        self.wait_until(lambda: not marked(mark))
        self.assertIn("the run ends with exit code 0", (logs / "launcher.log").read_text())

    def test_supervisor_outlives_users_own_mpirun(self):
        process, mark, logs = self.own_mpirun(FAKE_ENDS="on_stop")
        self.wait_until(lambda: sum("fake_rank" in words for words in marked(mark).values()) >= 3)
        self.wait_until(lambda: any("fake_coordinator" in words for words in marked(mark).values()))
        process.kill()
        process.wait()
        supervisor, = (pid for pid, words in marked(mark).items() if "fake_run supervise" in words)
        os.kill(supervisor, signal.SIGTERM)
        self.wait_until(lambda: not marked(mark))
        self.assertIn("the run ends with exit code 75", (logs / "launcher.log").read_text())

    def test_supervisor_that_cannot_start(self):
        process, mark, _ = self.own_mpirun(FAKE_OWN="/proc/nowhere")
        process.wait(timeout=DEADLINE)
        self.assertIn(b"/proc/nowhere/launcher.log cannot be written", process.stderr.read())
        self.wait_until(lambda: not marked(mark))


if __name__ == "__main__":
    unittest.main()
