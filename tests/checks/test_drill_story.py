"""What the drill tells of a fault, from lines of the coordinator's journals."""

import datetime
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cluster" / "drill"))

from story import Blow, Fault, Story, members, tell

BLOW = Blow(Fault(0.1, (1,), "rank 1"), time=100.0, step=7, view=1, processes=1)


def line(event, at, view, **fields):
    time = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat(timespec="milliseconds")
    return {"event": event, "time": time.replace("+00:00", "Z"), "view": view, **fields}


def commit(step, at, view, views):
    return line("commit", at, view, step=step, micro_batches=[[0, one, []] for one in views])


def view(number, at, ranks):
    return line("view", at, number, members=[{"rank": rank, "pid": 10 * number + rank} for rank in ranks])


BEFORE = [view(1, 90, (0, 1, 2)), commit(6, 99.8, 1, (1, 1)), commit(7, 99.9, 1, (1, 1))]


class DrillStoryTest(unittest.TestCase):
    def test_nothing_yet(self):
        self.assertEqual(tell(BLOW, BEFORE, 3), Story())

    def test_a_lost_rank(self):
        lines = [*BEFORE, line("lost", 100.02, 1), view(2, 100.03, (0, 2))]
        self.assertFalse(tell(BLOW, lines, 3).is_over())
        lines += [commit(8, 100.25, 2, (1, 2)), commit(9, 100.5, 2, (2, 2)), view(3, 102, (0, 1, 2))]
        story = tell(BLOW, lines, 3)
        self.assertTrue(story.is_over())
        self.assertEqual([round(one, 3) for one in (story.noticed, story.committed, story.back)], [0.02, 0.25, 2.0])
        self.assertEqual(story.again, "1 of 2 micro-batches")

    def test_a_step_that_was_decided_before_the_blow_was_felt_is_not_the_one_that_it_hit(self):
        lines = [*BEFORE, commit(8, 100.01, 1, (1, 1)), line("lost", 100.02, 1), view(2, 100.03, (0, 2)),
                 commit(9, 100.5, 2, (2, 2))]
        self.assertEqual(tell(BLOW, lines, 3).committed, 0.5)

    def test_a_fall_back_to_a_checkpoint(self):
        lines = [*BEFORE, line("lost", 100.5, 1), line("rollback", 100.5, 1, step=5), view(2, 100.5, (0, 2)),
                 commit(6, 101, 2, (2, 2)), commit(7, 102, 2, (2, 2))]
        self.assertIsNone(tell(BLOW, lines, 3).committed)
        story = tell(BLOW, [*lines, commit(8, 103, 2, (2, 2))], 3)
        self.assertEqual((story.committed, story.again), (3.0, "2 steps again"))

    def test_a_coordinator_of_the_next_term(self):
        lines = [*BEFORE, line("term", 100.5, 1), view(2, 100.5, (0, 1, 2)), commit(8, 101, 2, (2, 2))]
        self.assertEqual(tell(BLOW, lines, 3), Story(0.5, 1.0, 0.5, "2 of 2 micro-batches"))

    def test_members_are_those_of_the_newest_view(self):
        newest = members([*BEFORE, view(2, 101, (0, 2))])
        self.assertEqual({rank: one["pid"] for rank, one in newest.items()}, {0: 20, 2: 22})
        self.assertEqual(members([]), {})


if __name__ == "__main__":
    unittest.main()
