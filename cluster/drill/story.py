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
    """Seconds are since the blow, of the coordinator's clock; None: not yet."""

    noticed: float | None = None
    committed: float | None = None  # the step that it hit
    back: float | None = None  # every rank is in the view again
    again: str = ""  # what was computed in the new view for it

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

    def since(line):
        return None if line is None else max(0.0, seconds(line) - blow.time)

    def first(condition):
        return next((line for line in lines if line["event"] != "commit" and seconds(line) >= blow.time - 0.001
                     and condition(line)), None)

    commits = [line for line in lines if line["event"] == "commit"]
    # One more may have been decided before the blow was felt.
    done = max((line["step"] for line in commits if line["view"] <= blow.view), default=0)
    later = [line for line in commits if line["view"] > blow.view]
    hit = next((line for line in later if line["step"] == done + 1), None)
    noticed = first(lambda line: line["event"] in ("lost", "term"))
    back = first(lambda line: line["event"] == "view" and line["view"] > blow.view and len(line["members"]) == ranks)
    return Story(since(noticed), since(hit), since(back), in_new_view(blow, done, later, hit) if hit else "")


def in_new_view(blow, done, later, hit):
    if steps := done + 1 - later[0]["step"]:
        return counted(steps, "step again", "steps again")
    parts = hit["micro_batches"]
    return f"{sum(view > blow.view for _, view, _ in parts)} of {counted(len(parts), 'micro-batch', 'micro-batches')}"
