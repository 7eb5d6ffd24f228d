import importlib.util
import pathlib
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("record", ROOT / "launch/quickstart/record.py")
record = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(record)
SVG = "{http://www.w3.org/2000/svg}"


def tape_of(*writes, columns=20):
    tape = record.Tape(columns)
    for at, text in enumerate(writes):
        tape.write(text, float(at))
    return tape


def last_screen(svg):
    """What a viewer shows that does not animate: line number to text."""
    lines = xml.etree.ElementTree.fromstring(svg).find(f".//*[@id='tape']").findall(f"{SVG}text")
    shown = [((int(line.get("y")) - record.FONT) // record.LINE, "".join(line.itertext()))
             for line in lines if line.get("class") != "o"]
    assert len(dict(shown)) == len(shown), "two states of a line at once"
    return dict(shown)


class Recording(unittest.TestCase):
    def states(self, tape):
        return [["".join(character for character, _ in cells) for _, cells in line] for line in tape.lines]

    def test_a_bar_is_one_line_with_many_states(self):
        tape = tape_of("10% ==\033[K", "\r20% =\033[K", "\r\033[Kdone\r\n")
        self.assertEqual([["10% ==", "20% =", "done"], [""]], self.states(tape))

    def test_long_lines_wrap(self):
        self.assertEqual([["abcd"], ["efgh"], ["ij"]], self.states(tape_of("abcdefghij", columns=4)))

    def test_the_last_screen_is_what_a_still_shows(self):
        svg = record.picture(tape_of("one\r", "two <&>\r\n", "\033[1;36mthree\033[0m\r\n", "four"), 20, 2, 9, "a & b")
        self.assertEqual({0: "two <&>", 1: "three", 2: "four"}, last_screen(svg))
        self.assertIn(f'id="tape" transform="translate(0,-{record.LINE})"', svg)

    def test_states_that_nobody_could_see_are_left_out(self):
        states = [(step / 100, [(str(step % 10), "")]) for step in range(300)]
        kept = record.thinned(states, 1.0)
        self.assertLess(len(kept), 3 * record.FRAMES_PER_SECOND + 2)
        self.assertEqual(states[-1], kept[-1])

    def test_the_picture_in_the_readme(self):
        path = ROOT / "launch/quickstart/quickstart.svg"
        text = path.read_text(encoding="utf-8")
        self.assertLess(len(text), 200_000)
        self.assertTrue(any("tuned" in line for line in last_screen(text).values()))
        self.assertNotIn(str(ROOT), text)


if __name__ == "__main__":
    unittest.main()
