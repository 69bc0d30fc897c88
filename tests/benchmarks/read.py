"""How long reading a table takes beside Polars' own scan of the same file, in one run.

python tests/benchmarks/read.py [ROWS]
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import polars as pl

from bouncekit.read import read, scan

RUNS = 3


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """The best of RUNS: by the clock, and of all processors together, which is less noisy."""
    times = []
    for _ in range(RUNS):
        start, spent = perf_counter(), process_time()
        work()
        times.append((perf_counter() - start, process_time() - spent))
    return min(clock for clock, _ in times), min(spent for _, spent in times)


def export(rows: int) -> pl.DataFrame:
    """A made-up export with the columns most services write."""
    number = pl.int_range(rows)
    replies = ["550 5.1.1 <u@example.org>: no such user", "452 4.2.2 mailbox full, try later", ""]
    return pl.select(
        timestamp=pl.lit("2024-03-01T10:00:00Z"),
        event=pl.when(number % 3 == 2).then(pl.lit("delivered")).otherwise(pl.lit("bounce")),
        email=pl.format("user{}@example{}.org", number, number % 1000),
        reason=pl.lit(pl.Series(replies)).implode().list.get(number % 3),
        campaign=pl.format("mailing {}", number % 50),
        message_id=pl.format("<{}@example.com>", number),
    )


def notifications(rows: int) -> str:
    """Amazon SES notifications, one a line."""
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "timestamp": "2024-03-01T10:00:00.123Z",
        "bouncedRecipients": [
            {"emailAddress": "N@example.org", "status": "5.1.1", "diagnosticCode": "smtp; 550 no"}
        ],
    }
    mail = {"messageId": "m-N", "source": "news@example.com", "destination": ["N@example.org"]}
    line = json.dumps({"notificationType": "Bounce", "bounce": bounce, "mail": mail})
    return "\n".join(line.replace("N@", f"{n}@").replace("m-N", f"m-{n}") for n in range(rows))


def main(rows: int) -> None:
    """Print a table of seconds and ratios."""
    with TemporaryDirectory() as folder:
        table, events = Path(folder) / "export.csv", Path(folder) / "ses.ndjson"
        export(rows).write_csv(table)
        events.write_text(notifications(rows // 10))
        plain = seconds(lambda: pl.scan_csv(table).collect(engine="streaming"))
        text = seconds(lambda: pl.scan_csv(table, infer_schema=False).collect(engine="streaming"))
        ours = seconds(lambda: scan(table).collect(engine="streaming"))
        once = seconds(lambda: read(table))
        nested = seconds(lambda: scan(events).collect(engine="streaming"))
    print(f"{rows:,} rows of CSV               seconds   ratio  processors   ratio")
    for name, took in (
        ("pl.scan_csv", plain),
        ("pl.scan_csv, all text", text),
        ("scan", ours),
        ("read, each event once", once),
    ):
        clock, spent = (f"{t:>9.2f}{t / p:>8.1f}" for t, p in zip(took, plain, strict=True))
        print(f"{name:<30}{clock}   {spent}")
    print(f"SES notifications: {rows / 10 / nested[0]:,.0f} a second")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
