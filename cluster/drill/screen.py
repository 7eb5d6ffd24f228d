"""The drill on a terminal: lines, and below them one that is written again and again. A pipe gets the lines alone."""

import os
import shutil
import sys

BAR = 16  # cells
TITLE, GOOD, BAD, FAINT = "1;36", "1;32", "1;31", "2"


class Screen:
    def __init__(self, out=sys.stdout):
        self._out = out
        self._is_terminal = out.isatty()
        self._has_colours = self._is_terminal and not os.environ.get("NO_COLOR")
        self._live = ""

    def colour(self, text, style):
        return f"\033[{style}m{text}\033[0m" if self._has_colours else text

    def line(self, text=""):
        self._out.write(("\r\033[K" if self._live else "") + text + "\n")
        self._live = ""
        self._out.flush()

    def live(self, left, right="", style=FAINT):
        """`right` is cut where the terminal ends."""
        if not self._is_terminal:
            return
        right = right[:max(0, shutil.get_terminal_size().columns - len(left) - 1)]
        shown = left + (self.colour(right, style) if right else "")
        if shown != self._live:
            self._out.write(f"\r{shown}\033[K")
            self._out.flush()
        self._live = shown

    def title(self, text):
        self.line("\n" + self.colour(f"== {text}", TITLE))


def bar(step, steps):
    full = round(BAR * step / steps) if steps else 0
    return f"  {100 * step // max(1, steps):3}% {step}/{steps} {'━' * full}{'─' * (BAR - full)}"
