"""Draws the terminal of a command as SVG: what `demo` prints, for those who do not run it.

The command runs for real; a folder of results whose stages are up to date makes it short. The
drawing names no font and loads nothing.

python -m handbook.terminal docs/demo.svg -- distilled-recommender demo --once
"""

import html
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from training.cli import USER_ERROR, say
from training.stage import write_text

COLUMNS = 179  # the table of `evaluate` has 178
MAX_LINES = 49
_FONT_OF_A_HOST = re.compile(r"\s*@font-face \{\{.*?\}\}", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command after `--` and draws its terminal; returns the command's exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) < 3 or words[1] != "--":
        sys.stderr.write("error: give a file and a command: FILE -- COMMAND\n")
        return USER_ERROR
    path, command = Path(words[0]), words[2:]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        shown = shlex.join([Path(command[0]).name, *command[1:]])
        write_text(path, drawn(shown, done.stdout))
        say(f"written: {path}")
    return done.returncode


def text_of(svg: str) -> str:
    """Returns the text of a drawing, a line for each line of the terminal."""
    lines: dict[float, str] = {}
    for height, text in re.findall(r'<text [^>]*\by="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        lines[float(height)] = lines.get(float(height), "") + html.unescape(text).strip("\n")
    return "\n".join(lines.values()).replace("\N{NO-BREAK SPACE}", " ")


def drawn(command: str, printed: str) -> str:
    """Returns the SVG of a terminal in which `command` printed `printed`.

    Of a long output the first lines are left out, and a line says so.
    """
    lines = printed.rstrip().splitlines()
    if len(lines) > MAX_LINES:
        lines = ["…", *lines[-MAX_LINES:]]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    console.print(Text(f"$ {command}", style="bold green"))
    for line in lines:
        console.print(Text(line), soft_wrap=False)
    return console.export_svg(
        title=command,
        theme=MONOKAI,
        code_format=_FONT_OF_A_HOST.sub("", CONSOLE_SVG_FORMAT),
        unique_id="terminal",
    )


if __name__ == "__main__":
    sys.exit(main())
