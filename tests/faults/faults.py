"""Faults as data: who, what, and when; which of them a run suffers; and the campaign, which is a list of those."""

import dataclasses
import random
import re

RANKS = 3

# Of runtime/failpoints.h, in the order of a run. `move` and `recovery` are only reached after a loss.
RANK_PHASES = ("start", "join", "data", "load", "forward", "backward", "exchange", "prepared", "committed", "apply",
               "gather", "evaluate", "checkpoint", "shard", "end")
COORDINATOR_PHASES = ("start", "join", "prepared", "committed", "apply", "checkpoint", "recovery", "end")
LAUNCHER_PHASES = ("data", "start", "end")
BEFORE_THE_FIRST_VIEW = ("start", "join", "data", "load")
# What a run of eight steps that evaluates each third and saves each second has; where nothing stands, step 3.
STEP_OF = {"start": "*", "join": "*", "data": "*", "load": "*", "evaluate": 3, "checkpoint": 4, "shard": 4, "end": "*",
           "recovery": "*", "move": "*"}


@dataclasses.dataclass(frozen=True)
class Fault:
    """`who`: a rank's number, `coordinator`, `launcher`, `island N`, `all`, `disk`; of two hosts `host a` and `host b`;
    `a rank more`.
    `what`: `kill`; `stop` (longer than the limit of silence, then it goes on), `freeze` (for good), `blink` (shorter),
    `slow` (stopped for half of the time, to the end), `pause`, `error`; of a disk `small`; of a checkpoint or journal
    `flip` and `tear`; of a host `cut`, `gap` (it comes back), `mute` (what it sends to the coordinator is lost, it still
    hears), `apart` (the hosts do not reach each other, and both the coordinator), `narrow` (its line carries 20 megabits
    a second). And what is no fault, but asked for: of an island's host `drain` and `join`, `join` of a rank more.
    `when`: PHASE@STEP is hit exactly, by a failpoint in the process; `commit STEP` from outside, when that is journaled."""

    who: str
    what: str
    when: str

    @property
    def is_inside(self):
        return "@" in self.when

    @property
    def phase(self):
        return self.when.split("@")[0]

    @property
    def is_early(self):
        return self.phase in BEFORE_THE_FIRST_VIEW

    @property
    def is_asked(self):
        return self.what in ("drain", "join")

    def __str__(self):
        return f"{self.what} {self.who} at {self.when}"


@dataclasses.dataclass(frozen=True)
class Scenario:
    shape: str  # of arena.SHAPES
    layout: str  # `3`: ranks; `2+1`: of two islands here; `a:2,b:1`: of two hosts that are network namespaces
    faults: tuple
    may_end: bool = False  # it may end early, and goes on when it is started again

    def __str__(self):
        return f"{self.shape} on {self.layout}: " + " + ".join(map(str, self.faults))


def ranks_of(layout):
    return sum(map(int, re.findall(r"\d+", layout)))


def at(phase, step=None):
    return f"{phase}@{STEP_OF.get(phase, 3) if step is None else step}"


def scenario(shape, *faults, layout=str(RANKS), may_end=False):
    ends = any(fault.who in ("launcher", "all") for fault in faults)
    gone = {fault.who for fault in faults if fault.what in ("kill", "stop", "freeze") and fault.who.isdigit()}
    ends = ends or len(gone) == ranks_of(layout)
    return Scenario(shape, layout, faults, may_end or ends)


def each_phase():
    """Each phase with each fault that a process can suffer, once."""
    for who, phases in (("1", RANK_PHASES), ("coordinator", COORDINATOR_PHASES), ("launcher", LAUNCHER_PHASES)):
        for phase in phases:
            # Only the first member writes the result.
            victim = "0" if who == "1" and phase == "end" else who
            # A fence is only told after a loss.
            before = (Fault("2", "kill", at("exchange")),) if phase == "recovery" else ()
            for what in ("kill", "stop", "blink", "pause"):
                if who == "launcher" and what in ("stop", "pause"):
                    continue
                yield (*before, Fault(victim, what, at(phase)))
    for phase in ("recovery", "move"):
        for what in ("kill", "stop", "blink", "pause"):
            yield Fault("2", "kill", at("backward")), Fault("1", what, at(phase))
    for phase in ("checkpoint", "shard"):
        yield (Fault("1", "error", at(phase)),)
    # Another process takes the place of one that never goes on; those that train do not wait for it.
    for phase in (*BEFORE_THE_FIRST_VIEW, "exchange", "shard"):
        yield (Fault("1", "freeze", at(phase)),)


# Two at once, and one during the recovery from another.
PAIRS = (
    (Fault("0", "kill", at("exchange")), Fault("1", "kill", at("exchange"))),
    (Fault("0", "kill", at("gather")), Fault("2", "kill", at("gather"))),
    (Fault("1", "kill", at("apply")), Fault("2", "kill", at("committed"))),
    (Fault("0", "kill", at("prepared")), Fault("coordinator", "kill", at("prepared"))),
    (Fault("1", "kill", at("committed")), Fault("coordinator", "kill", at("committed"))),
    (Fault("2", "kill", at("gather")), Fault("coordinator", "kill", at("apply"))),
    (Fault("1", "kill", at("forward")), Fault("coordinator", "kill", at("recovery"))),
    (Fault("1", "kill", at("forward")), Fault("2", "kill", at("recovery")), Fault("coordinator", "kill", "commit 5")),
    (Fault("0", "kill", at("shard")), Fault("coordinator", "kill", "commit 5")),
    (Fault("0", "kill", at("end")), Fault("1", "kill", at("end"))),
    (Fault("0", "kill", at("end")), Fault("coordinator", "kill", at("end"))),
    (Fault("0", "kill", "gather@7"), Fault("1", "kill", "evaluate@8")),
    (Fault("1", "stop", at("exchange")), Fault("2", "kill", at("recovery"))),
)

FROM_OUTSIDE = (
    *((Fault(who, what, "commit 3"),) for who in ("0", "coordinator") for what in ("kill", "stop", "blink", "slow")),
    (Fault("launcher", "kill", "commit 3"),),
    (Fault("launcher", "blink", "commit 3"),),
    (Fault("all", "kill", "commit 5"),),
    (Fault("0", "kill", "commit 4"), Fault("1", "kill", "commit 4")),
    (Fault("0", "kill", "commit 4"), Fault("1", "kill", "commit 4"), Fault("2", "kill", "commit 4")),
    (Fault("1", "kill", "commit 2"), Fault("2", "kill", "commit 3")),
    (Fault("1", "kill", "commit 8"),),
    (Fault("0", "kill", "commit 8"),),
    (Fault("1", "slow", "commit 1"), Fault("2", "slow", "commit 1")),
)


def islands():
    """Of two islands, 0 to 1 and 2."""
    for island in (0, 1):
        for step in (1, 4, 7):
            yield scenario("lora", Fault(f"island {island}", "kill", f"commit {step}"), layout="2+1")
    yield scenario("full", Fault("island 0", "stop", "commit 3"), layout="2+1")
    yield scenario("lora", Fault("island 1", "kill", "commit 3"), Fault("coordinator", "kill", at("recovery")), layout="2+1")


def changes():
    """Hosts are emptied and come back, ranks are added, and others suffer meanwhile."""
    drain, back = Fault("island 0", "drain", "commit 1"), Fault("island 0", "join", "commit 2")
    more = Fault("a rank more", "join", "commit 1")
    yield scenario("lora", drain, layout="2+1")
    yield scenario("full", drain, layout="2+2")
    yield scenario("rounds", drain, back, layout="2+1")
    yield scenario("one copy", drain, back, layout="2+1")
    yield scenario("early", more)
    yield scenario("full", more, layout="1")
    # The one that leaves, the one that stays, the coordinator.
    for who in ("0", "2", "coordinator"):
        yield scenario("lora", drain, Fault(who, "kill", "commit 1"), layout="2+2")
    yield scenario("full", drain, Fault("2", "kill", at("gather", 2)), layout="2+1")
    yield scenario("rounds", drain, Fault("coordinator", "kill", at("committed", 2)), layout="2+2")
    yield scenario("lora", drain, Fault("0", "stop", "commit 1"), layout="2+1")
    yield scenario("lora", drain, back, Fault("coordinator", "kill", "commit 5"), layout="2+1")
    yield scenario("full", drain, back, Fault("1", "kill", at("move", "*")), layout="2+1")
    for who in ("0", "coordinator"):
        yield scenario("lora", more, Fault(who, "kill", "commit 1"))
    yield scenario("full", more, Fault("3", "blink", at("move", "*")))
    yield scenario("lora", more, Fault("3", "kill", at("load", "*")))


def disks():
    yield scenario("lora", Fault("disk", "small", "start"))
    yield scenario("full", Fault("disk", "small", "start"), Fault("1", "kill", at("gather")))
    for kill in ("coordinator", "all"):
        yield scenario("lora", Fault("checkpoint", "flip", "commit 5"), Fault(kill, "kill", "commit 5"))
        yield scenario("full", Fault("checkpoint", "tear", "commit 5"), Fault(kill, "kill", "commit 5"))
    # With two of three ranks a chunk goes, and all go back to what is damaged.
    yield scenario("lora", Fault("checkpoint", "flip", "commit 5"), Fault("0", "kill", "commit 5"),
                   Fault("1", "kill", "commit 5"))
    yield scenario("full", Fault("checkpoint", "tear", "commit 5"), Fault("0", "kill", "commit 5"),
                   Fault("2", "kill", "commit 5"))
    yield scenario("lora", Fault("journal", "tear", "commit 5"))
    yield scenario("rounds", Fault("journal", "tear", "commit 2"))


def networks():
    for what in ("cut", "gap", "mute", "apart", "narrow"):
        yield scenario("lora", Fault("host a", what, "commit 3"), layout="a:1,b:2")
    yield scenario("full", Fault("host b", "gap", "commit 2"), Fault("coordinator", "kill", "commit 3"), layout="a:2,b:2")


def fixed():
    shapes = ("lora", "full", "rounds", "early", "one copy")
    for number, faults in enumerate((*each_phase(), *PAIRS, *FROM_OUTSIDE)):
        # With one copy all go back to a checkpoint, and nothing moves.
        moves = any(fault.phase == "move" for fault in faults)
        yield scenario(shapes[number % (3 if moves else len(shapes))], *faults)
    yield from islands()
    yield from changes()
    yield from disks()
    yield from networks()


def drawn(seed, number):
    """The `number`th of the random campaign of this seed: one to three faults anywhere."""
    source = random.Random(f"{seed}/{number}")
    layout = source.choice(("2", "3", "3", "4", "2+1", "2+2"))
    ranks = ranks_of(layout)
    shape = source.choice(("lora", "lora", "full", "full", "rounds", "early", "one copy"))
    faults = []
    for _ in range(source.choice((1, 1, 2, 2, 3))):
        if source.random() < 0.15:
            what = source.choice(("drain", "join"))
            if what == "drain" and "+" in layout:  # the other host is this machine, whose name all ranks say
                step = source.randint(1, 5)
                faults.append(Fault("island 0", "drain", f"commit {step}"))
                if source.random() < 0.5:
                    faults.append(Fault("island 0", "join", f"commit {step + 1}"))
            else:
                faults.append(Fault("a rank more", "join", f"commit {source.randint(1, 5)}"))
            continue
        who = source.choice([*map(str, range(ranks))] * 2 + ["coordinator", "coordinator", "launcher"])
        if source.random() < 0.3:
            what = source.choice(("kill", "kill", "blink", "slow"))
            step = source.randint(1, 8)
            faults.append(Fault(who, "kill" if who == "launcher" and what == "slow" else what, f"commit {step}"))
            continue
        phases = {"coordinator": COORDINATOR_PHASES, "launcher": LAUNCHER_PHASES}.get(who, (*RANK_PHASES, "recovery", "move"))
        phase = source.choice(phases)
        step = STEP_OF.get(phase)
        if phase in ("checkpoint", "shard"):
            step = source.choice((2, 4, 6, 8))
        elif step is None:
            step = source.randint(0, 7)
        what = source.choice(("kill", "kill", "kill", "blink", "pause") if who == "launcher" or source.random() < 0.9 else ("stop",))
        faults.append(Fault(who, what, at(phase, step)))
    return scenario(shape, *faults, layout=layout)
