"""A run of `cadre train` as a process of the drill: followed through the journals in its folder, hit by real signals,
ended with all that it has started. Its processes carry a mark in their environment, by which all are found."""

import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import time

from story import Blow, members

PATIENCE = 15.0  # seconds for a run that was told to end; then it is killed


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def term_of(journal):
    return int(journal.name.split("-")[1].split(".")[0])


class LiveRun:
    def __init__(self, cadre, arguments, folder):
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.words = folder.with_name(f"{folder.name}.txt")  # what the command says
        self.lines = []  # of the journals of all terms
        self._read = {}  # path to the bytes that were read of it
        self._steps = None
        self._mark = "CADRE_DRILL=" + secrets.token_hex(8)
        with open(self.words, "wb") as out:
            self.launcher = subprocess.Popen(
                [str(cadre), "train", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **dict([self._mark.split("=")])},
                start_new_session=True)  # so that a terminal's ^C reaches the drill alone

    # ---- what it does

    def steps(self):
        """In all; 0 before this start has written them down."""
        if not self._steps:
            try:
                record = json.loads((self.folder / "run.json").read_text())
            except OSError:
                return 0
            self._steps = record["max_steps"] if record["pid"] == self.launcher.pid else 0
        return self._steps

    def read(self):
        """New lines of the journals; true if there were some."""
        if not self.steps():
            return False  # what lies there is of a run before
        before = len(self.lines)
        for path in sorted(self.folder.glob("journal.term-*.jsonl"), key=term_of):
            with open(path, "rb") as file:
                file.seek(self._read.get(path, 0))
                text = file.read()
            whole = text.rfind(b"\n") + 1
            self._read[path] = self._read.get(path, 0) + whole
            self.lines += [json.loads(line) for line in text[:whole].splitlines() if line.startswith(b"{")]
        return len(self.lines) > before

    def step(self):
        """The last that was committed, and not taken back."""
        return next((line["step"] for line in reversed(self.lines) if line["event"] in ("commit", "rollback")), 0)

    def processes(self):
        """The live ones."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if (entry.name.isdigit() and self._mark.encode() in (entry / "environ").read_bytes()
                        and (entry / "stat").read_text().rsplit(") ", 1)[1][0] != "Z"):
                    found.append(int(entry.name))
            except OSError:
                pass  # it has ended meanwhile, or is another user's
        return found

    # ---- what is done to it

    def _pids(self, victim):
        ranks, log = members(self.lines), (self.folder / "logs" / "launcher.log").read_text()
        if victim == "coordinator":
            return [int(re.findall(r"coordinator of term \d+ is process (\d+)", log)[-1])]
        if isinstance(victim, int):
            return [ranks[victim]["pid"]]
        island = int(victim.split()[1])
        mpirun = int(re.findall(r"mpirun of .* is process (\d+)", log)[island])
        return [mpirun, *(member["pid"] for member in ranks.values() if member["island"] == island)]

    def hit(self, fault):
        ours = set(self.processes())
        pids = [pid for victim in fault.victims for pid in self._pids(victim) if pid in ours]
        for pid in pids:
            send(pid, signal.SIGSTOP)  # all at once: none acts on the end of another
        blow = Blow(fault, time.time(), self.step(), self.lines[-1]["view"], len(pids))
        for pid in pids:
            send(pid, signal.SIGKILL)
        return blow

    def end(self):
        """Whatever it was doing: nothing of it is left."""
        limit = time.monotonic() + PATIENCE
        for _ in range(2):  # the second: at once, without a checkpoint
            if self.launcher.poll() is None:
                self.launcher.terminate()
                time.sleep(0.2)
        while self.processes() and time.monotonic() < limit:
            self.launcher.poll()
            time.sleep(0.05)
        while left := self.processes():
            for pid in left:
                send(pid, signal.SIGKILL)
            self.launcher.poll()
            time.sleep(0.05)
