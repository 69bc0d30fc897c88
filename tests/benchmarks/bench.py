"""Everything measured in one run, as one table: `make bench`, or with a part of the rows

    python tests/benchmarks/bench.py 0.1

Each line is a process of its own, so that its memory is its own: the median of some runs, the most
memory that was resident (what it reads in and the processes it starts included), and the time for
one of its things as a multiple of the first line of its block.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from itertools import chain, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import classify as replies
import duckdb
import large
import logs
import mails
import polars as pl
from flufl.bounce import all_failures

import bouncekit as bk
from bouncekit import rules as knowledge
from bouncekit.classify import classify_by
from bouncekit.cli import main as cli
from bouncekit.read import mailbox
from bouncekit.reply import words

RUNS = 3
ROWS = 1_000_000
TEMPLATES = 200
MAILS, MAILS_OF_OTHERS = 20_000, 2_000
MESSAGES = 200_000  # in the log: some five lines each
SAMPLE = Path(__file__).parent.parent.parent / "data" / "newsletter.csv.zst"

Work = Callable[[], object]
Made = tuple[float, Work]  # how many things, and what is done with them


def of_replies(name: str, expression: pl.Expr | None = None) -> Callable[[Path], Made]:
    """Classify, or only look at, the replies of a file."""

    def make(folder: Path) -> Made:
        scan = pl.scan_parquet(folder / name)
        if expression is None:
            lazy = classify_by(scan, knowledge.builtin()).group_by("category").len()
        else:
            lazy = scan.select(expression)
        return rows_in(folder / name), lambda: lazy.collect(engine="streaming")

    return make


def rows_in(path: Path) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def by_engine(name: str) -> Callable[[Path], Made]:
    """Search a sample of the same replies, made ready before, with another engine."""

    def make(folder: Path) -> Made:
        size, engine = replies.OTHERS[name]
        sample = pl.scan_parquet(folder / "different.parquet").head(size)
        texts = sample.select(words=words(pl.col("reply"))).collect()["words"]
        evidence = knowledge.builtin().evidence
        return texts.len(), engine(texts, evidence.filter(pl.col("kind") == "phrase"))

    return make


def plain_group_by(folder: Path) -> Made:
    lazy = pl.scan_csv(folder / "export.csv").group_by("email").agg(pl.len())
    return csv_rows(folder), lambda: lazy.collect(engine="streaming")


def decided(folder: Path) -> Made:
    return csv_rows(folder), lambda: bk.decide(bk.classify(bk.scan(folder / "export.csv")))


def removal_list(folder: Path) -> Made:
    sys.argv = ["bouncekit", "decide", str(folder / "export.csv"), "-o", str(folder / "out.csv")]
    sys.argv.append("--force")
    return csv_rows(folder), lambda: quietly(cli)


def csv_rows(folder: Path) -> int:
    return int(pl.scan_csv(folder / "export.csv").select(pl.len()).collect().item())


def quietly(run: Work) -> None:
    """Run what ends as a command does, and says something."""
    said, sys.stdout = sys.stdout, sys.stderr
    try:
        run()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.stdout = said


def mails_read(folder: Path) -> Made:
    mbox = folder / "bounces.mbox"
    return sum(1 for _ in _mails_in(mbox)), lambda: bk.read(mbox)


def _mails_in(mbox: Path) -> Iterator[bytes]:
    return chain.from_iterable(map(mailbox.mails, mailbox.blocks(mailbox.chunks_of(mbox))))


def mails_of_others(folder: Path) -> Made:
    few = list(islice(_mails_in(folder / "bounces.mbox"), MAILS_OF_OTHERS))
    return len(few), lambda: [all_failures(message_from_bytes(raw)) for raw in few]


def log_events(folder: Path) -> Made:
    lazy = bk.scan(folder / "mail.log").group_by("event").len()
    return log_lines(folder), lambda: lazy.collect(engine="streaming")


def plain_lines(folder: Path) -> Made:
    lazy = pl.scan_lines(folder / "mail.log").select(pl.col("line").str.len_bytes().sum())
    return log_lines(folder), lambda: lazy.collect(engine="streaming")


def log_lines(folder: Path) -> int:
    return int(pl.scan_lines(folder / "mail.log").select(pl.len()).collect().item())


def on_log(*command: str) -> Callable[[Path], Made]:
    return lambda folder: (log_lines(folder), process(*command, str(folder / "mail.log")))


def process(*command: str) -> Work:
    # Where Python may not keep bytecode, it compiles what pip would have: installed, it is there.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run(command, check=True, capture_output=True, env=env)


def of_python(*arguments: str) -> Callable[[Path], Made]:
    return lambda folder: (1, process(sys.executable, *arguments))


def report(folder: Path) -> Made:
    command = ("-m", "bouncekit", "report", str(SAMPLE), "-o", str(folder / "report"))
    return 1, process(sys.executable, *command)


FLOOR = pl.col("reply").str.to_lowercase().str.len_bytes().sum()
EXPLAINED = ("-m", "bouncekit", "explain", "550 5.7.1 blocked using zen.spamhaus.org")

# In each block the first line is what the others are compared to.
BLOCKS: dict[str, dict[str, Callable[[Path], Made]]] = {
    "different replies": {
        "classify": of_replies("different.parquet"),
        "floor: lower-case, sum": of_replies("different.parquet", FLOOR),
        **{name: by_engine(name) for name in replies.OTHERS},
    },
    f"replies of {TEMPLATES} templates": {
        "classify of few": of_replies("few.parquet"),
        "floor of few": of_replies("few.parquet", FLOOR),
    },
    "rows of CSV, 200 bytes each": {
        "plain scan and group_by": plain_group_by,
        "scan, classify, decide": decided,
        "bouncekit decide": removal_list,
    },
    "bounce mails": {"read mails": mails_read, "email + flufl.bounce, 1 core": mails_of_others},
    "lines of a Postfix log": {
        "scan, events counted": log_events,
        "plain scan of the lines": plain_lines,
        "wc -l": on_log("wc", "-l"),
        **({"pflogsumm": on_log("pflogsumm")} if shutil.which("pflogsumm") else {}),
    },
    "starts of Python": {
        "import polars": of_python("-c", "import polars"),
        "import bouncekit": of_python("-c", "import bouncekit"),
        "bouncekit explain": of_python(*EXPLAINED),
    },
    "reports on the sample (5 notebooks)": {"bouncekit report": report},
}
PIECES = {name: make for block in BLOCKS.values() for name, make in block.items()}


def make_data(folder: Path, share: float) -> None:
    """Write what is measured on: the same each time."""
    count = int(ROWS * share)
    different = replies.replies(count)
    different.write_parquet(folder / "different.parquet")
    few = different["reply"].head(TEMPLATES)
    few.gather(pl.select(pl.int_range(count).hash(1) % TEMPLATES).to_series()).to_frame(
        "reply"
    ).write_parquet(folder / "few.parquet")
    large.write_export(folder / "export.csv", count)
    logs.write_log(folder / "mail.log", int(MESSAGES * share))
    with (folder / "bounces.mbox").open("wb") as mbox:
        for mail in islice(mails.made(), int(MAILS * share)):
            mbox.write(b"From a Mon Jun  3 10:00:00 2024\n" + mail + b"\n\n")


def measure(piece: str, folder: Path) -> None:
    """Print things, seconds and resident bytes of a piece, in the process that is only its own."""
    things, work = PIECES[piece](folder)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    print(things, median(times), large.most_resident())


def measured(piece: str, folder: Path) -> tuple[float, float, float]:
    """Give what `measure` prints, of a process of its own."""
    command = [sys.executable, __file__, piece, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    things, seconds, resident = map(float, done.stdout.splitlines()[-1].split())
    return things, seconds, resident


def table(share: float) -> None:
    """Print the table."""
    versions = f"Polars {pl.__version__}, DuckDB {duckdb.__version__}"
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ",
        end="",
    )
    print(f"{versions}; median of {RUNS} runs; load before: {busy}\n")
    with TemporaryDirectory() as place:
        folder = Path(place)
        make_data(folder, share)
        for block, pieces in BLOCKS.items():
            print(f"{block:<36}{'things':>12}{'seconds':>10}{'a second':>14}{'GB':>7}{'time':>9}")
            base = None
            for piece in pieces:
                things, seconds, resident = measured(piece, folder)
                base = base or seconds / things
                ratio = f"{seconds / things / base:,.2f} x"
                said = f"  {piece:<34}{things:>12,.0f}{seconds:>10.2f}{things / seconds:>14,.0f}"
                print(f"{said}{resident / 1e9:>7.2f}{ratio:>9}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        table(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
