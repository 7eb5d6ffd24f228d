"""What the runs on many ranks have in common that must compute the bits of one rank, and how one is stopped in a step."""

import itertools
import os
import pathlib
import signal
import socket
import tempfile

from in_folder import InFolder
from many_ranks import Scene, bits
from program import (DONE, RESUMABLE, Live, cadre, checkpoints, read_json, read_lines, shards, wait_until,
                     write_config)

RANKS = (2, 3, 4, 7, 8)


class RanksCase(InFolder):
    """Runs on any number of ranks beside one of one rank. `make_scene` gives the keys of runs, a method for each kind."""

    make_scene = Scene

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scene = cls.make_scene(cls.folder)
        cls.references = {}

    def config(self, name, keys, **more):
        run = self.folder / name
        return write_config(self.folder / f"{name}.yaml", **keys(run, **more)), run

    def train(self, name, keys, *options):
        config, run = self.config(name, keys)
        ended = cadre("train", config, *options)
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(cadre("verify", run).code, DONE)
        return run

    def reference(self, keys):
        """The bits of one rank that nobody disturbs."""
        if keys not in self.references:
            self.references[keys] = bits(self.train(f"{keys.__name__}-1", keys, "--ranks", 1))
        return self.references[keys]

    def assert_equal_bits(self, run, keys):
        result, logged, metrics, made_of = bits(run)
        expected = self.reference(keys)
        self.assertEqual(logged, expected[1])
        self.assertEqual(metrics, expected[2])
        self.assertEqual(made_of, expected[3])
        self.assertEqual(result, expected[0])

    def check_numbers(self, keys):
        for ranks in RANKS:
            with self.subTest(ranks=ranks):
                run = self.train(f"{keys.__name__}-{ranks}", keys, "--ranks", ranks)
                self.assert_equal_bits(run, keys)
                self.assertEqual({line["ranks"] for line in read_lines(run / "metrics.jsonl") if "ranks" in line}, {ranks})
                worked = {part["rank"] for line in read_lines(run / "ledger.jsonl") for part in line["micro_batches"]}
                self.assertEqual(worked, set(range(ranks)))
                if ranks < 4:  # state is written where it is held: by several ranks
                    self.assertEqual(len(shards(run / "checkpoints" / checkpoints(run)[-1])), ranks)

    def check_two_islands(self, keys):
        run = self.train(f"{keys.__name__}-islands", keys, "--hosts", f"localhost:2,{socket.gethostname()}:1")
        self.assert_equal_bits(run, keys)
        log = (run / "logs" / "launcher.log").read_text()
        self.assertRegex(log, "started: the ranks 0 to 1")
        self.assertRegex(log, "started: rank 2")

    def check_resumed(self, keys, numbers):
        """Each start but the last is stopped in a step, the first one in its second."""
        config, run = self.config(f"{keys.__name__}-resumed", keys, heartbeat_limit=60)
        for start, ranks in enumerate(numbers[:-1], 1):
            ended = stop_in_step(start, config, run, "--ranks", ranks)
            self.assertEqual(ended.code, RESUMABLE, ended.err)
            self.assertEqual(ended.err.count("the same command goes on from here"), 1, ended.err)
            self.assertEqual(read_json(run / "run.json")["starts"], start)
        ended = cadre("train", config, "--ranks", numbers[-1])
        self.assertEqual(ended.code, DONE, ended.err)
        self.assertEqual(ended.err.count("going on from step "), 1, ended.err)
        self.assert_equal_bits(run, keys)
        self.assertEqual(cadre("verify", run).code, DONE)
        steps = [line["ranks"] for line in read_lines(run / "metrics.jsonl") if "ranks" in line]
        self.assertEqual([ranks for ranks, _ in itertools.groupby(steps)], numbers, steps)
        views = [line for line in read_lines(run / "journal.jsonl") if line["event"] == "view"]
        self.assertEqual([len(view["members"]) for view in views], numbers)
        parts = [part for line in read_lines(run / "ledger.jsonl") for part in line["micro_batches"]]
        for view, ranks in zip(views, numbers):
            self.assertEqual({part["rank"] for part in parts if part["view"] == view["view"]}, set(range(ranks)))


def stop_in_step(done, config, run, *options):
    """Ends a start by SIGTERM in the step after so many, on a machine of any speed: rank 0 stands still there until the
    coordinator has been told. Needs a long heartbeat_limit."""
    with tempfile.TemporaryDirectory() as marks:
        mark = pathlib.Path(marks) / f"forward@{done}.0"
        points = {"CADRE_FAILPOINTS": f"marks={marks};forward@{done}/0=stop"}
        with Live("train", config, *options, environment=points) as live:
            wait_until(lambda: mark.exists() and mark.read_text())
            pid = int(mark.read_text())
            wait_until(lambda: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] == "T")
            log = run / "logs" / "launcher.log"
            before = log.read_text().count("SIGTERM received")
            live.send(signal.SIGTERM)
            wait_until(lambda: log.read_text().count("SIGTERM received") > before)
            # The launcher says so when it has passed the signal on.
            refused = cadre("drain", run, socket.gethostname())
            assert "the run is about to end" in refused.err, refused
            os.kill(pid, signal.SIGCONT)
            return live.end()
