"""Runs the program that was built, and reads what a run leaves."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import time
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CADRE = pathlib.Path(os.environ.get("CADRE_BUILD", REPOSITORY / "build")).resolve() / "cadre"
DATA = REPOSITORY.parent / "shared" / "data"

# Without these the program sets them and starts itself anew, which takes as long again as a tiny run;
# test_command_line.py leaves them out. The instructions are those that every machine has: the same numbers everywhere.
SETTINGS = {"GOMP_SPINCOUNT": "1000", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
ENVIRONMENT = {**os.environ, **SETTINGS}

DONE, FAILED, USER_MUST_MEND, RESUMABLE = 0, 1, 2, 75
# None of these runs takes a tenth of it on a quiet machine: it ends a hang, and decides nothing else.
DEADLINE = 240


def needs_data(*names):
    missing = [name for name in names if not (DATA / name).exists()]
    return unittest.skipIf(missing, f"not found beside the repository: shared/data/{', shared/data/'.join(missing)}")


@dataclasses.dataclass
class Ended:
    code: int
    out: str
    err: str


def cadre(*words, folder=None, environment=None):
    """Runs it to its end."""
    ended = subprocess.run([str(CADRE), *map(str, words)], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=DEADLINE, env={**ENVIRONMENT, **(environment or {})})
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode("utf-8", "strict"))


def marked(mark):
    """The live processes whose environment holds the mark: number to command line."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes() and (entry / "stat").read_text().split(") ")[1][0] != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            pass  # it has ended meanwhile, or is another user's
    return found


def wait_until(condition):
    """For what is said by nobody."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.01)


class Live:
    """A run of the program, with its stderr as a pipe that is read line by line: what it says is what a test waits for,
    so that no test sleeps. Ends all its processes when the block ends: they carry a mark in their environment."""

    def __init__(self, *words, folder=None, command=(str(CADRE),), environment=None):
        self.mark = "CADRE_TEST_MARK=" + secrets.token_hex(8)
        self.process = subprocess.Popen([*command, *map(str, words)], cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        env={**ENVIRONMENT, **(environment or {}), **dict([self.mark.split("=")])})
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.power_off()
        self.process.stderr.close()

    def processes(self, verb):
        """Of `cadre VERB`, oldest first."""
        return sorted(pid for pid, words in marked(self.mark).items() if words.startswith(f"{CADRE} {verb} "))

    def power_off(self):
        """All at once, as when a machine is lost: each is stopped first, so that none can act on the end of another."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in marked(self.mark):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        self.process.wait()
        wait_until(lambda: not marked(self.mark))

    def wait_for_line(self, start):
        """True when a line has come that begins with this regular expression, False when the process ended before."""
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if re.match(start, line):
                return True
        return False

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        """The exit code, negative for a signal; stderr as a whole."""
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
        return Ended(self.process.wait(timeout=DEADLINE), "", "\n".join(self.lines) + "\n")


def write_config(path, **keys):
    """JSON is YAML: no writer of ours is needed."""
    path.write_text(json.dumps(keys, indent=1) + "\n")
    return path


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_json(path):
    return json.loads(path.read_text())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shards(checkpoint):
    """The files of a checkpoint that hold state."""
    return sorted(checkpoint.glob("state-*.safetensors"))


def ledger(run):
    """What each step was made of; which rank did it, and in which view, is left out."""
    return [(line["step"], [(part["micro_batch"], part["samples"]) for part in line["micro_batches"]])
            for line in read_lines(run / "ledger.jsonl")]


def losses(run):
    """(step, loss or validation loss) of every line, as Python's exact doubles."""
    return [(line["step"], "loss" in line, line.get("loss", line.get("eval_loss")))
            for line in read_lines(run / "metrics.jsonl")]


def flip_byte(path, position=-1):
    blob = bytearray(path.read_bytes())
    blob[position] ^= 0x40
    path.write_bytes(blob)


def checkpoints(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())
