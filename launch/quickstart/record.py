"""Records what a command shows on a terminal, as one SVG that plays in a README. Only Python's library.

    record.py OUT.svg [--columns 100] [--rows 30] [--seconds 24] [--title TEXT] -- COMMAND...

The picture is a tape of lines: a line may be written again (a progress bar) and the tape moves up, nothing else. Each
state of a line is one element with the span of time in which it is seen. Viewers that do not animate, and people who
asked for less motion, see the last screen. The exit code is the command's; of one that fails nothing is written.
"""

import argparse
import codecs
import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios
import time

# What is understood: text, \n, \r, clearing to the end of the line, and these graphic renditions.
CONTROL = re.compile("\r|\n|\033\\[K|\033\\[([0-9;]*)m")
UNFINISHED = re.compile("\033(\\[[0-9;]*)?$")
STYLES = {"": "", "0": "", "1": "b", "1;36": "h", "1;31": "r", "1;32": "g", "2": "d"}

# Pixels.
FONT, CELL, LINE, MARGIN, TITLE_BAR = 14, 8.4, 18, 16, 34
IDLE_SECONDS = 1.5  # a longer silence is shown as this long
HOLD_SECONDS = 9  # the last screen stays for so long before it all begins again
FRAMES_PER_SECOND = 6  # states of a line that follow faster than this are left out


class Tape:
    """Every line that was written: for each its states, as (time, cells); a cell is (character, style)."""

    def __init__(self, columns):
        self._columns = columns
        self._column = 0
        self._style = ""
        self._cells = []
        self.lines = [[]]

    def write(self, text, now):
        at = 0
        for control in CONTROL.finditer(text):
            self._put(text[at : control.start()], now)
            at = control.end()
            if control[0] == "\n":
                self._keep(now)
                self._new_line()
            elif control[0] == "\r":
                self._column = 0
            elif control[0] == "\033[K":
                del self._cells[self._column :]
            else:
                self._style = STYLES[control[1]]
        self._put(text[at:], now)
        self._keep(now)

    def _put(self, text, now):
        for character in text:
            if self._column == self._columns:
                self._keep(now)
                self._new_line()
            self._cells += [(" ", "")] * (self._column + 1 - len(self._cells))
            self._cells[self._column] = (character, self._style)
            self._column += 1

    def _new_line(self):
        self.lines.append([])
        self._cells = []
        self._column = 0

    def _keep(self, now):
        states = self.lines[-1]
        if not states or states[-1][1] != self._cells:
            states.append((now, list(self._cells)))


def record(command, columns, rows):
    """Runs the command. Returns (its tape with times from 0, its exit code)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", COLUMNS=str(columns), LINES=str(rows))
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    tape, decoder, kept = Tape(columns), codecs.getincrementaldecoder("utf-8")("replace"), ""
    clock = last = time.monotonic()
    shown = 0.0
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            data = b""
        if not data:
            break
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        clock, last = time.monotonic(), clock
        shown += min(clock - last, IDLE_SECONDS)
        kept += decoder.decode(data)
        cut = UNFINISHED.search(kept)
        end = cut.start() if cut else len(kept)
        tape.write(kept[:end], shown)
        kept = kept[end:]
    return tape, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def thinned(states, scale):
    """The states in the picture's time, without those that nobody could see."""
    kept = []
    for index, (at, cells) in enumerate(states):
        at *= scale
        following = states[index + 1][0] * scale if index + 1 < len(states) else float("inf")
        if following == at or (kept and index + 1 < len(states) and at - kept[-1][0] < 1 / FRAMES_PER_SECOND):
            continue
        kept.append((at, cells))
    return kept


def spans(cells):
    """SVG text of a line, a tspan for each stretch of another style."""
    out, at = "", 0
    while at < len(cells):
        end = at
        while end < len(cells) and cells[end][1] == cells[at][1]:
            end += 1
        text = html.escape("".join(character for character, _ in cells[at:end]), quote=False)
        out += f'<tspan class="{cells[at][1]}">{text}</tspan>' if cells[at][1] else text
        at = end
    return out


def stripped(cells):
    end = len(cells)
    while end and cells[end - 1][0] == " ":
        end -= 1
    return cells[:end]


def picture(tape, columns, rows, seconds, title):
    """The SVG. `seconds`: how long the recording plays, before it holds its last screen."""
    lines = tape.lines if tape.lines[-1] and tape.lines[-1][-1][1] else tape.lines[:-1]
    length = max(states[-1][0] for states in lines)
    scale = min(1.0, seconds / length) if length else 1.0
    lines = [thinned(states, scale) for states in lines]
    total = length * scale + HOLD_SECONDS
    rules, body = {}, []

    def share(at):
        return f"{100 * at / total:.2f}%"

    def seen(begin, end):
        """The name of the rule that shows its element from `begin` to `end`; None: to the end."""
        first, then = share(begin), "to{opacity:1}" if end is None else f"{share(end)},to{{opacity:0}}"
        return rules.setdefault((first, then), f"k{len(rules)}")

    for row, states in enumerate(lines):
        for index, (at, cells) in enumerate(states):
            cells = stripped(cells)
            if not cells:
                continue
            end = states[index + 1][0] if index + 1 < len(states) else None
            hidden = "" if end is None else ' class="o"'
            body.append(f'<text{hidden} y="{LINE * row + FONT}" textLength="{CELL * len(cells):g}" '
                        f'style="animation-name:{seen(at, end)}">{spans(cells)}</text>')

    moves, last = ["0%{transform:none}"], 0
    for row, states in enumerate(lines):
        up = row + 1 - rows
        if up > 0 and states:
            if states[0][0] == last:
                moves.pop()
            last = states[0][0]
            moves.append(f"{share(last)}{{transform:translateY({-LINE * up}px)}}")
    final = max(0, len(lines) - rows) * LINE
    moves.append(f"to{{transform:translateY({-final}px)}}")

    shown = [f"@keyframes {name}{{0%{{opacity:0}}{first}{{opacity:1}}{then}}}" for (first, then), name in rules.items()]
    width, height = round(columns * CELL + 2 * MARGIN), rows * LINE + TITLE_BAR + 2 * MARGIN
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title>{html.escape(title)}</title>
<style>
text{{font:{FONT}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace;fill:#d5d8de;white-space:pre}}
#tape text,#tape{{animation:{total:.2f}s step-end infinite}}
#tape{{animation-name:tape}}
.o{{opacity:0}}.b{{font-weight:bold}}.h{{font-weight:bold;fill:#6cc4e8}}.r{{font-weight:bold;fill:#e0655c}}.g{{font-weight:bold;fill:#8fd18f}}.d{{fill:#8b919c}}
@keyframes tape{{{''.join(moves)}}}
{os.linesep.join(shown)}
@media (prefers-reduced-motion:reduce){{#tape text,#tape{{animation:none}}}}
</style>
<rect width="{width}" height="{height}" rx="9" fill="#16191f"/>
<circle cx="20" cy="18" r="6" fill="#e0655c"/><circle cx="40" cy="18" r="6" fill="#e3b341"/><circle cx="60" cy="18" r="6" fill="#61b35c"/>
<text x="{width / 2:g}" y="23" text-anchor="middle" class="d">{html.escape(title)}</text>
<svg x="{MARGIN}" y="{TITLE_BAR + MARGIN // 2}" width="{width - MARGIN}" height="{rows * LINE + 4}" xml:space="preserve">
<g id="tape" transform="translate(0,{-final})">
{os.linesep.join(body)}
</g>
</svg>
</svg>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=24, help="how long the recording plays")
    parser.add_argument("--title", default="")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    tape, code = record(options.command, options.columns, options.rows)
    if code == 0:
        title = options.title or " ".join(options.command)
        with open(options.out, "w", encoding="utf-8") as out:
            out.write(picture(tape, options.columns, options.rows, options.seconds, title))
    return code


if __name__ == "__main__":
    sys.exit(main())
