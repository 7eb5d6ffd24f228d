"""What a fault did to a run, as the coordinator's journals tell it: a function of their lines, without a clock."""

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class Fault:
    """Who is killed, all at once, when this share of the steps is committed."""

    share: float
    victims: tuple  # of numbers of ranks, "island 1" and "coordinator"
    name: str


@dataclasses.dataclass(frozen=True)
class Blow:
    """A fault that was done: all its processes were stopped at `time`, then killed."""

    fault: Fault
    time: float  # seconds since the epoch
    step: int  # the last that was committed
    view: int
    processes: int


@dataclasses.dataclass(frozen=True)
class Story:
    """Seconds are since the blow; None: not yet."""

    noticed: float | None = None
    committed: float | None = None  # the step that it hit
    back: float | None = None  # every rank is in the view again
    again: str = ""  # what was computed in the new view until then

    def is_over(self):
        return None not in (self.noticed, self.committed, self.back)


def seconds(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


def members(lines):
    """Rank to its entry in the newest view."""
    views = [line for line in lines if line["event"] == "view"]
    return {member["rank"]: member for member in views[-1]["members"]} if views else {}


def counted(number, one, many):
    return f"{number} {one if number == 1 else many}"


def tell(blow, lines, ranks):
    """`lines`: of all terms, in their order."""
    since = [line for line in lines if line["view"] > blow.view or seconds(line) >= blow.time - 0.001]

    def first(condition):
        line = next(filter(condition, since), None)
        return (line, max(0.0, seconds(line) - blow.time)) if line else (None, None)

    _, noticed = first(lambda line: line["event"] in ("lost", "term"))
    # One more may have been decided before the blow was felt.
    done = max((line["step"] for line in lines if line["event"] == "commit" and line["view"] <= blow.view), default=0)
    later = [line for line in since if line["event"] == "commit" and line["view"] > blow.view]
    commit, committed = first(lambda line: line["event"] == "commit" and line["view"] > blow.view
                              and line["step"] == done + 1)
    _, back = first(lambda line: line["event"] == "view" and line["view"] > blow.view and len(line["members"]) == ranks)
    return Story(noticed, committed, back, computed_again(blow, done, later, commit) if commit else "")


def computed_again(blow, done, later, commit):
    if steps := done + 1 - min(line["step"] for line in later):
        return counted(steps, "step again", "steps again")
    parts = commit["micro_batches"]
    taken_over = sum(view > blow.view for _, view, _ in parts)
    return f"{taken_over} of {counted(len(parts), 'micro-batch', 'micro-batches')}"
