"""How fast a Postfix log is read, beside a plain scan of its lines.

    python tests/benchmarks/logs.py [messages]

Makes the log of a mailing: a message to one recipient each, some five lines a message, every tenth
bounced and every tenth deferred first.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

import bouncekit as bk

RUNS = 3


SERVER = "mx{host}.example.org[192.0.2.{ip}]"
LINES = (
    "smtpd[9]: {queue}: client=localhost[127.0.0.1]",
    "cleanup[11]: {queue}: message-id=<{number}@news.example.com>",
    "qmgr[7]: {queue}: from=<news@example.com>, size=12345, nrcpt=1 (queue active)",
)
TO = "smtp[12]: {queue}: to=<user{number}@mail{host}.example>, relay=" + SERVER + ":25, delay=1.2, "
OUTCOMES = {
    "bounced": "delays=0/0/0/1, dsn=5.1.1, status=bounced (host "
    + SERVER
    + " said: 550 5.1.1 User "
    "unknown (in reply to RCPT TO command))",
    "deferred": "delays=0/0/0/1, dsn=4.7.1, status=deferred (host " + SERVER + " said: 451 4.7.1 "
    "Greylisted (in reply to RCPT TO command))",
    "sent": "delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {number:X})",
}


def write_log(path: Path, messages: int) -> int:
    """Write the log and give the number of its lines."""
    lines = 0
    with path.open("w", encoding="utf-8") as log:
        for number in range(messages):
            minute, second = divmod(number, 60)
            day, hour = minute // 1440 % 28 + 1, minute // 60 % 24
            outcomes = {0: ("bounced",), 1: ("deferred", "sent")}.get(number % 10, ("sent",))
            texts = [
                *LINES,
                *(TO + OUTCOMES[name] for name in outcomes),
                "qmgr[7]: {queue}: removed",
            ]
            values = {
                "number": number,
                "queue": f"{number + 0x4F3B2C1D0A:X}",
                "host": number % 997,
                "ip": number % 250,
            }
            stamp = f"Mar {day:>2} {hour:02}:{minute % 60:02}:{second:02} mx postfix/"
            log.writelines(f"{stamp}{text.format(**values)}\n" for text in texts)
            lines += len(texts)
    return lines


def seconds(work: Callable[[], object]) -> float:
    """Give the best time of several runs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main(messages: int) -> None:
    """Print a table of what is measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mail.log"
        lines = write_log(path, messages)
        plain = pl.scan_lines(path).select(pl.col("line").str.len_bytes().sum())
        works: dict[str, Callable[[], object]] = {
            "plain scan of the lines": lambda: plain.collect(engine="streaming"),
            "bk.scan, events counted": lambda: (
                bk.scan(path).group_by("event").len().collect(engine="streaming")
            ),
            "bk.read": lambda: bk.read(path),
        }
        print(f"{lines:,} lines, {path.stat().st_size / 1e6:.0f} MB; best of {RUNS} runs\n")
        for name, work in works.items():
            took = seconds(work)
            print(f"{name:<26}{took:>8.2f} s{lines / took:>14,.0f} lines/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000)
