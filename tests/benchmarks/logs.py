"""How fast a Postfix log is read and in how much memory, beside what only counts its lines.

    python tests/benchmarks/logs.py [megabytes]

Makes the log of a mailing: a message to one recipient each, some five lines a message; every tenth
bounces and every tenth is put off, nine of ten of these for half an hour and the others until they
expire. pflogsumm is timed where it is installed. The peak of memory is that of a process of its
own, beyond what importing bouncekit takes.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

import bouncekit as bk

RUNS = 3
MESSAGES = 100_000  # that are written at once
A_SECOND = 20
HALF_AN_HOUR, FIVE_DAYS = 1_800, 432_000  # seconds

HOST = "mx{host}.example.org[192.0.2.25]"
TO = f"smtp[12]: {{id}}: to=<user{{number}}@mail{{host}}.example>, relay={HOST}:25, delay=1.2, "
SAID = {
    "smtpd": "smtpd[9]: {id}: client=localhost[127.0.0.1]",
    "cleanup": "cleanup[11]: {id}: message-id=<{number}@news.example.com>",
    "qmgr": "qmgr[7]: {id}: from=<news@example.com>, size=12345, nrcpt=1 (queue active)",
    "bounced": f"{TO}delays=0/0/0/1, dsn=5.1.1, status=bounced (host {HOST} said: 550 5.1.1 User "
    "unknown (in reply to RCPT TO command))",
    "deferred": f"{TO}delays=0/0/0/1, dsn=4.7.1, status=deferred (host {HOST} said: 451 4.7.1 "
    "Greylisted (in reply to RCPT TO command))",
    "sent": f"{TO}delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {{id}})",
    "expired": "qmgr[7]: {id}: from=<news@example.com>, status=expired, returned to sender",
    "removed": "qmgr[7]: {id}: removed",
}
BEGIN = [("smtpd", 0), ("cleanup", 0), ("qmgr", 0)]
# What is said of a message, by the last two digits of its number, and how many seconds after it.
FATES = {
    "sent": [*BEGIN, ("sent", 1), ("removed", 1)],
    "bounced": [*BEGIN, ("bounced", 1), ("removed", 1)],
    "late": [*BEGIN, ("deferred", 1), ("sent", HALF_AN_HOUR), ("removed", HALF_AN_HOUR)],
    "never": [
        *BEGIN,
        ("deferred", 1),
        ("deferred", HALF_AN_HOUR),
        ("expired", FIVE_DAYS),
        ("removed", FIVE_DAYS),
    ],
}
# The high-water mark of a process: that of getrusage() includes the parent before exec().
PEAK = "open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]"
WORK = f"""
import sys, bouncekit as bk
print({PEAK})
bk.scan(sys.argv[1]).sink_parquet(sys.argv[1] + ".parquet")
print({PEAK})
"""


def said_of(first: int) -> pl.DataFrame:
    """Give what is said of a number of messages: second and text."""
    number = pl.int_range(first, first + MESSAGES).alias("number")
    digit = pl.col("number") % 100
    fate = (
        pl.when(digit % 10 == 0)
        .then(pl.lit("bounced"))
        .when(digit == 1)
        .then(pl.lit("never"))
        .when(digit % 10 == 1)
        .then(pl.lit("late"))
        .otherwise(pl.lit("sent"))
    )
    messages = pl.select(number).with_columns(
        fate=fate,
        host=pl.col("number") % 997,
        # in no order, as those of a real queue
        id=(pl.col("number") * 2_654_435_761 % 10**10).cast(pl.String).str.zfill(10),
    )
    return pl.concat(
        messages.filter(fate=name).select(
            second=pl.col("number") // A_SECOND + later,
            text=pl.format(*fields(SAID[what])),
        )
        for name, course in FATES.items()
        for what, later in course
    )


def fields(template: str) -> tuple[str, ...]:
    """Give a template as `pl.format` asks for it: with marks, and the columns for them."""
    names = [part.partition("}")[0] for part in template.split("{")[1:]]
    marked = template
    for name in names:
        marked = marked.replace(f"{{{name}}}", "{}", 1)
    return (marked, *names)


def write_log(path: Path, size: int) -> int:
    """Write a log of some `size` bytes and give the number of its lines."""
    lines, first = 0, 0
    rest = pl.DataFrame(schema={"second": pl.Int64, "text": pl.String})
    stamp = (pl.datetime(2026, 3, 1) + pl.duration(seconds="second")).dt.strftime("%b %e %H:%M:%S")
    with path.open("wb") as log:
        while log.tell() < size:
            first += MESSAGES
            said = pl.concat([rest, said_of(first - MESSAGES)])
            now = said.filter(pl.col("second") < first // A_SECOND)
            rest = said.filter(pl.col("second") >= first // A_SECOND)
            text = now.sort("second", maintain_order=True).select(
                pl.concat_str(stamp, pl.lit(" mx postfix/"), "text").str.join("\n")
            )
            log.write(text.item().encode() + b"\n")
            lines += len(now)
    return lines


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Give the best time of several runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def memory(path: Path) -> str:
    """Say how much memory a process takes at most that reads a log and writes its events."""
    command = [sys.executable, "-c", WORK, str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    before, peak = (int(kilobytes) / 1e3 for kilobytes in said.stdout.split())
    return f"peak of memory, to Parquet: {peak:,.0f} MB, of which imports {before:,.0f} MB"


def main(size: int) -> None:
    """Print a table of what is measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mail.log"
        lines = write_log(path, size)
        plain = pl.scan_lines(path).select(pl.col("line").str.len_bytes().sum())
        counted = bk.scan(path).group_by("event").len()
        whole = bk.scan(path)
        works: dict[str, Callable[[], object]] = {
            "wc -l": lambda: subprocess.run(["wc", "-l", path], check=True, capture_output=True),
            "plain scan of the lines": lambda: plain.collect(engine="streaming"),
            "bk.scan, events counted": lambda: counted.collect(engine="streaming"),
            "bk.scan to Parquet": lambda: whole.sink_parquet(path.with_suffix(".parquet")),
        }
        if size <= 1 << 30:
            works["bk.read"] = lambda: bk.read(path)
        print(f"{lines:,} lines, {path.stat().st_size / 1e6:,.0f} MB; best of {RUNS} runs\n")
        took = {name: seconds(work) for name, work in works.items()}
        if shutil.which("pflogsumm"):
            command = ["pflogsumm", str(path)]
            took["pflogsumm, one run"] = seconds(
                lambda: subprocess.run(command, check=True, capture_output=True), 1
            )
        ours = took["bk.scan, events counted"]
        for name, time_taken in took.items():
            speed = f"{lines / time_taken:,.0f} lines/s"
            print(f"{name:<26}{time_taken:>8.2f} s{speed:>22}{time_taken / ours:>9.2f} x")
        print(f"\n{memory(path)}")


if __name__ == "__main__":
    main((int(sys.argv[1]) if len(sys.argv) > 1 else 250) << 20)
