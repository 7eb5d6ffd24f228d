"""Where a run suffers its faults: starts it, hits it, starts it again where it may end, and says what is wrong with what
it leaves. Every process of a run carries a mark in its environment, by which all are found."""

import functools
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

for suite in ("e2e", "cluster"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / suite))

from hosts import Hosts, ip  # noqa: E402
from many_ranks import Scene, bits  # noqa: E402
from program import CADRE, ENVIRONMENT, cadre, flip_byte, marked, read_lines, shards, write_config  # noqa: E402

STEPS = 8
SECONDS = 120.0  # a run takes two or three; on a busy machine some more
LONG, SHORT = 4.5, 0.3  # of being stopped: the limit of silence is 3 s
MOST_STARTS = 6
DISK_BYTES = 3 << 20  # data, records and result, and no checkpoint beside them

# What is the same for all, then the mathematics of each.
COMMON = {"max_steps": STEPS, "eval_steps": 3, "save_steps": 2, "save_total_limit": 3, "warmup_steps": 1}
SHAPES = {
    "lora": ("lora", {}),
    "full": ("full", {}),
    "rounds": ("full", {"zero_stage": 2}),
    "early": ("lora", {"early_stopping_patience": 9, "eval_steps": 1, "learning_rate": 0.2}),
    "one copy": ("lora", {"state_copies": 1}),
}


class Arena:
    """Base, data and the bits of each shape's undisturbed run."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.scene = Scene(folder)
        self.references = {}

    def config(self, shape, run):
        make, keys = SHAPES[shape]
        return write_config(run.parent / f"{run.name}.yaml", **getattr(self.scene, make)(run, **{**COMMON, **keys}))

    def reference(self, shape):
        if shape not in self.references:
            run = self.folder / f"undisturbed-{shape.replace(' ', '-')}"
            ended = cadre("train", self.config(shape, run), "--ranks", 3, "--quiet")
            assert ended.code == 0, ended.err
            self.references[shape] = bits(run)
        return self.references[shape]


def options_of(layout, hosts):
    if hosts is not None:
        return ["--hosts", ",".join(f"{hosts.address(part[0])}:{part[2:]}" for part in layout.split(","))]
    islands = layout.split("+")
    if len(islands) == 1:
        return ["--ranks", islands[0]]
    return ["--hosts", f"localhost:{islands[0]},{socket.gethostname()}:{islands[1]}"]


class Hung(Exception):
    pass


class Wrong(Exception):
    pass


class Disturbed:
    """One scenario, to its end."""

    def __init__(self, arena, scenario, name):
        self.arena, self.scenario = arena, scenario
        self.run = arena.folder / name
        self.marks = arena.folder / f"{name}.marks"
        self.marks.mkdir()
        self.mark = "CADRE_TEST_MARK=" + secrets.token_hex(8)
        self.outside = [fault for fault in scenario.faults if not fault.is_inside]
        self.continues = []  # (when, what then)
        self.slow = []  # pids
        self.seen = set()
        self.starts = 0
        self.said = ""
        self.fired = set()
        self.asked = []  # (fault, the command that asks)
        self.is_mounted = False
        self.hosts = Hosts(["a", "b"]) if ":" in scenario.layout else None

    # ---- the run

    def suffer(self):
        """Raises Hung or Wrong."""
        self.arena.reference(self.scenario.shape)
        self.deadline = time.monotonic() + SECONDS
        try:
            if self.hosts:
                self.hosts.make()
            if any(fault.what == "small" for fault in self.scenario.faults):
                self.mount()
            config = self.arena.config(self.scenario.shape, self.run)
            while self.start(config) != 0:
                pass
            self.judge()
        except Hung:
            self.dump()
            raise
        finally:
            self.power_off()
            self.save_words()
            if self.hosts:
                self.hosts.remove()

    def clean_up(self):
        self.unmount()
        for path in (self.run, self.marks):
            shutil.rmtree(path, ignore_errors=True)
        for suffix in (".yaml", ".txt"):
            self.run.with_name(self.run.name + suffix).unlink(missing_ok=True)

    def environment(self):
        inside = [f"{fault.when}/{fault.who}={action_of(fault.what)}" for fault in self.scenario.faults if fault.is_inside]
        if any(fault.is_asked for fault in self.scenario.faults):
            inside.append("committed@*/coordinator=slow:400")  # else the run would be over before
        points = {"CADRE_FAILPOINTS": ";".join([f"marks={self.marks}", *inside])} if inside else {}
        agent = {"OMPI_MCA_plm_rsh_agent": str(self.hosts.remote_shell(self.marks.parent))} if self.hosts else {}
        return {**ENVIRONMENT, **dict([self.mark.split("=")]), **points, **agent}

    def start(self, config):
        self.starts += 1
        if self.starts > MOST_STARTS:
            raise Wrong(f"not done after {MOST_STARTS} starts: {last_lines(self.said)}")
        words = self.arena.folder / f"{self.run.name}.txt"
        with open(words, "ab") as out:
            process = subprocess.Popen([str(CADRE), "train", str(config), *options_of(self.scenario.layout, self.hosts)],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment())
        self.launcher = process.pid
        while process.poll() is None:
            self.tick()
            time.sleep(0.01)
        self.said = words.read_text(errors="replace")
        while self.left():  # they end by themselves
            self.tick()
            time.sleep(0.02)
        code = process.returncode
        if code != 0 and not self.scenario.may_end:
            raise Wrong(f"ended with {code}: {last_lines(self.said)}")
        return code

    def left(self):
        return marked(self.mark)

    def tick(self):
        now = time.monotonic()
        if now > self.deadline:
            raise Hung(f"not at its end after {SECONDS:.0f} s: {self.said[-200:]}")
        for mark in self.marks.iterdir():
            process = mark.read_text()
            if mark.name in self.seen or not process.endswith("\n"):
                continue
            self.seen.add(mark.name)
            when, who = mark.name.rsplit(".", 1)
            for fault in self.scenario.faults:
                if (fault.when, fault.who) == (when, who):
                    self.fired.add(fault)
                    if fault.what in ("stop", "blink"):
                        self.goes_on(int(process), fault.what)
        for due, what in [entry for entry in self.continues if entry[0] <= now]:
            self.continues.remove((due, what))
            what()
        for pid in self.slow:
            send(pid, signal.SIGSTOP if int(now * 20) % 2 else signal.SIGCONT)
        if self.outside:
            done = self.committed()
            for fault in [fault for fault in self.outside if fault.when.startswith("commit ")]:
                if int(fault.when.split()[1]) <= done and self.may_hit(fault):
                    self.outside.remove(fault)
                    if fault.is_asked:
                        self.ask(fault)
                    else:
                        self.fired.add(fault)
                        self.hit(fault)

    def goes_on(self, pid, what):
        self.continues.append((time.monotonic() + (LONG if what == "stop" else SHORT), functools.partial(send, pid, signal.SIGCONT)))

    # ---- faults from outside

    def committed(self):
        """The last step whose commit is journaled, by any coordinator."""
        found = [0]
        for path in self.run.glob("journal.term-*.jsonl"):
            found += [int(step) for step in re.findall(rb'"event":"commit","step":(\d+)', path.read_bytes())]
        return max(found)

    def checkpoints(self):
        return sorted((self.run / "checkpoints").glob("step-*"))

    def ranks(self):
        """Rank to (process, island), the newest of each."""
        found = {}
        for line in read_lines(self.run / "journal.jsonl"):
            if line["event"] == "joined":
                found[line["rank"]] = (line["pid"], line["island"])
        return found

    def coordinator(self):
        log = (self.run / "logs" / "launcher.log").read_text()
        return int(re.findall(r"coordinator of term \d+ is process (\d+)", log)[-1])

    def victims(self, who):
        if who == "launcher":
            return [self.launcher]
        if who == "coordinator":
            return [self.coordinator()]
        if who == "all":
            return sorted(self.left())
        if who.startswith("island "):
            island = int(who.split()[1])
            log = (self.run / "logs" / "launcher.log").read_text()
            mpirun = int(re.findall(r"mpirun of .* is process (\d+)", log)[island])
            return [mpirun, *(pid for pid, of in self.ranks().values() if of == island)]
        return [self.ranks()[int(who)][0]] if int(who) in self.ranks() else []

    def may_hit(self, fault):
        """What it is for is there, and what was asked of this host before is answered."""
        if fault.who == "checkpoint":
            return bool(self.checkpoints())
        return not any(process.poll() is None for asked, process in self.asked if fault.is_asked and asked.who == fault.who)

    def hit(self, fault):
        if fault.who == "checkpoint":
            return damage(self.checkpoints()[-1], fault.what)
        if fault.who == "journal":
            return self.tear_journal()
        if fault.who.startswith("host "):
            return self.disconnect(fault.who.split()[1], fault.what)
        pids = [pid for pid in self.victims(fault.who) if pid in self.left()]
        if fault.what == "kill":
            for pid in pids:
                send(pid, signal.SIGSTOP)  # all at once: none acts on the end of another
            for pid in pids:
                send(pid, signal.SIGKILL)
        elif fault.what == "slow":
            self.slow += pids
        else:
            for pid in pids:
                send(pid, signal.SIGSTOP)
                self.goes_on(pid, fault.what)

    def ask(self, fault):
        """It has come about when this was answered so."""
        words = ["--ranks", "1"]
        if fault.who.startswith("island "):
            words = [("localhost", socket.gethostname())[int(fault.who.split()[1])]]
        with open(self.arena.folder / f"{self.run.name}.txt", "ab") as out:
            self.asked.append((fault, subprocess.Popen([str(CADRE), fault.what, str(self.run), *words],
                                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                       env=self.environment())))

    def disconnect(self, name, what):
        hosts = self.hosts
        cable = f"cv{hosts.key}{name}"
        if what in ("cut", "gap"):
            hosts.cut(name)
            if what == "gap":
                self.continues.append((time.monotonic() + LONG, functools.partial(ip, "link", "set", cable, "up")))
        elif what == "mute":  # to a station that does not exist
            ip("-n", hosts.namespace(name), "neigh", "replace", f"{hosts.network}.1", "lladdr", "02:00:00:00:00:99", "dev",
               "eth0", "nud", "permanent")
        elif what == "apart":
            for one in hosts.names:
                ip("link", "set", f"cv{hosts.key}{one}", "type", "bridge_slave", "isolated", "on")
        elif what == "narrow":
            subprocess.run(["tc", "qdisc", "add", "dev", cable, "root", "tbf", "rate", "20mbit", "burst", "64k", "latency",
                            "400ms"], check=True, capture_output=True)

    def tear_journal(self):
        """As when the machine of the coordinator dies in the middle of a write."""
        pid = self.coordinator()
        send(pid, signal.SIGSTOP)
        newest = max(self.run.glob("journal.term-*.jsonl"), key=lambda path: int(path.name.split("-")[1].split(".")[0]))
        with open(newest, "ab") as out:
            out.write(b'{"event":"commit","step":')
        send(pid, signal.SIGKILL)

    def mount(self):
        self.run.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.run)], check=True)
        self.is_mounted = True

    def unmount(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.run)], check=False)
            self.is_mounted = False

    # ---- what it leaves

    def judge(self):
        self.fired |= {fault for fault, process in self.asked if process.wait(timeout=SECONDS) == 0}
        missing = [str(fault) for fault in self.scenario.faults
                   if fault not in self.fired and fault.what != "small"]
        verified = cadre("verify", self.run)
        found = re.findall(r"^FAILED +(.*)", verified.out, re.MULTILINE)
        if verified.code != 0 and not (found and all(self.has_damaged(line) for line in found)):
            raise Wrong(f"cadre verify: {verified.err.strip() or verified.out.strip()}")
        found, expected = bits(self.run), self.arena.reference(self.scenario.shape)
        for what, one, other in zip(("result", "losses", "metrics", "ledger"), found, expected):
            if one != other:
                raise Wrong(f"another {what} than undisturbed: {first_difference(one, other)}")
        self.not_reached = missing
        undone = self.steps_done_again()
        if undone and self.needs_no_rollback():
            raise Wrong(f"{undone} steps were done again though only one rank was lost")

    def has_damaged(self, line):
        return any(fault.who == "checkpoint" for fault in self.scenario.faults) and line.startswith("checkpoints/")

    def steps_done_again(self):
        found = [re.search(r"(\d+) steps? (?:is|are) done again", line["reason"])
                 for line in read_lines(self.run / "journal.jsonl") if line["event"] == "rollback"]
        return sum(int(match.group(1)) for match in found if match)

    def needs_no_rollback(self):
        return (len(self.scenario.faults) == 1 and self.starts == 1
                and (self.scenario.faults[0].who.isdigit() or self.scenario.faults[0].is_asked)
                and self.scenario.shape not in ("one copy", "early"))

    def power_off(self):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.left():
                send(pid, number)
        while self.left():
            time.sleep(0.01)

    def save_words(self):
        path = self.arena.folder / f"{self.run.name}.txt"
        self.said = path.read_text(errors="replace") if path.exists() else ""

    def dump(self):
        """What each process is doing, beside the run's folder."""
        lines = []
        for pid, words in self.left().items():
            lines.append(f"== {pid} {words}")
            for task in sorted(pathlib.Path(f"/proc/{pid}/task").glob("*")):
                lines.append(" ".join([task.name, *(read(task / name) for name in ("comm", "wchan", "syscall"))]))
            if shutil.which("gdb"):
                told = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 20"], timeout=60,
                                      capture_output=True, check=False)
                lines.append(told.stdout.decode(errors="replace"))
        (self.arena.folder / f"{self.run.name}.hang.txt").write_text("\n".join(lines) + "\n")


def action_of(what):
    return {"blink": "stop", "freeze": "stop", "pause": "pause:300"}.get(what, what)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def last_lines(words):
    """The last first, since a record is cut."""
    return "; ".join(reversed(words.strip().splitlines()[-4:]))


def read(path):
    try:
        return path.read_text().strip()
    except OSError:
        return "?"


def damage(checkpoint, what):
    shard = shards(checkpoint)[0]
    if what == "flip":
        flip_byte(shard, -100)
    else:
        os.truncate(shard, shard.stat().st_size // 2)


def first_difference(one, other):
    if isinstance(one, str):
        return f"{one} instead of {other}"
    for number, (left, right) in enumerate(zip(one, other)):
        if left != right:
            return f"entry {number}: {json.dumps(left)[:200]} instead of {json.dumps(right)[:200]}"
    return f"{len(one)} entries instead of {len(other)}"
