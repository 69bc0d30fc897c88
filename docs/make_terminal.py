"""Draw what a terminal shows of `explain` and `report`: python docs/make_terminal.py."""

import os
import tempfile
from pathlib import Path
from textwrap import wrap

from click.testing import CliRunner
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from bouncekit.cli import app

HERE = Path(__file__).parent
SAMPLE = "newsletter.csv.zst"
REPLY = (
    "550-Requested action not taken: mailbox unavailable "
    "550 invalid DNS MX or A/AAAA resource record"
)
WIDTH = 100
HANGING = " " * 16  # under what `explain` says, beside its headings
INK, PAPER, SOFT = (227, 232, 238), (21, 25, 31), (130, 187, 247)
THEME = TerminalTheme(PAPER, INK, [SOFT] * 8)
# Rich's own frame loads its font from a server; this one asks for nothing.
FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>bouncekit explain and bouncekit report in a terminal</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px "Liberation Mono", Menlo, Consolas, monospace; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def session(folder: Path) -> list[tuple[str, str]]:
    """Give two commands as they are typed, with what each of them says, run in a folder."""
    (folder / SAMPLE).symlink_to(HERE.parent / "data" / SAMPLE)
    before = Path.cwd()
    os.chdir(folder)
    try:
        explain, report = ["explain", REPLY], ["report", SAMPLE, "-o", "report"]
        typed = (f'explain "{REPLY}"', " ".join(report))
        said = [CliRunner().invoke(app, command).output for command in (explain, report)]
    finally:
        os.chdir(before)
    return list(zip(typed, said, strict=True))


def drawn(commands: list[tuple[str, str]]) -> str:
    """Give the commands and their answers as SVG, the same bytes each time."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        for command, answer in commands:
            console.print(Text(f"$ bouncekit {command}", style="bold color(4)"))
            for line in answer.splitlines():
                for part in wrap(line, WIDTH, subsequent_indent=HANGING) or [""]:
                    console.print(Text(part))
            console.print()
    return console.export_svg(
        title="", theme=THEME, code_format=FRAME, unique_id="terminal", font_aspect_ratio=0.6
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        picture = drawn(session(Path(place)))
    (HERE / "terminal.svg").write_text(picture, encoding="utf-8")
