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


def accounting(rows: int) -> pl.DataFrame:
    """PowerMTA's accounting file with the columns that it writes by default."""
    number = pl.int_range(rows)
    is_sent = number % 3 == 2
    replies = ["smtp;550 5.1.1 <u@example.org>: no such user", "smtp;452 4.2.2 mailbox full", None]
    sent_ip, domain = "198.51.100.7", pl.format("example{}.org", number % 1000)
    there = pl.format("192.0.2.{}", number % 250)
    return pl.select(
        type=pl.when(is_sent).then(pl.lit("d")).otherwise(pl.lit("b")),
        timeLogged=pl.lit("2024-03-01 10:00:00+0000"),
        timeQueued=pl.lit("2024-03-01 09:59:58+0000"),
        orig=pl.lit("bounces@news.example.com"),
        rcpt=pl.format("user{}@{}", number, domain),
        orcpt=pl.lit(None, pl.String),
        dsnAction=pl.when(is_sent).then(pl.lit("relayed")).otherwise(pl.lit("failed")),
        dsnStatus=pl.when(~is_sent).then(pl.lit("5.1.1 (bad destination mailbox address)")),
        dsnDiag=pl.lit(pl.Series(replies)).implode().list.get(number % 3),
        dsnMta=pl.format("mx1.{} ({})", domain, there),
        bounceCat=pl.when(~is_sent).then(pl.lit("bad-mailbox")),
        srcType=pl.lit("smtp"),
        srcMta=pl.lit("app1.example.com (10.0.0.5)"),
        dlvType=pl.lit("smtp"),
        dlvSourceIp=pl.lit(sent_ip),
        dlvDestinationIp=there,
        dlvEsmtpAvailable=pl.lit("SIZE,PIPELINING,8BITMIME,STARTTLS"),
        dlvSize=2000 + number % 5000,
        vmta=pl.lit("vmta-1"),
        jobId=pl.format("mailing {}", number % 50),
        envId=pl.format("{}", number),
        queue=pl.format("{}/vmta-1", domain),
        vmtaPool=pl.lit("pool-1"),
    )


def activity(rows: int) -> pl.DataFrame:
    """The columns that SendGrid's activity export fills, and as many that it leaves empty."""
    number = pl.int_range(rows)
    is_sent = number % 3 == 2
    return pl.select(
        pl.lit("2024-03-01 10:00:00").alias("processed"),
        pl.format("filter0042-{}-5D1E5CAC-{}-0", number % 9999, number).alias("message_id"),
        pl.when(is_sent).then(pl.lit("delivered")).otherwise(pl.lit("bounce")).alias("event"),
        pl.lit("kq0bJ9vGT2a").alias("api_key_id"),
        pl.format("{}-abcDEF", number).alias("recv_message_id"),
        pl.lit("1234567").alias("credential_id"),
        pl.format("News of week {}", number % 50).alias("subject"),
        pl.lit("news@example.com").alias("from"),
        pl.format("user{}@example{}.org", number, number % 1000).alias("email"),
        *(pl.lit(None, pl.String).alias(name) for name in ("asm_group_id", "template_id")),
        pl.lit("198.51.100.9").alias("originating_ip"),
        pl.when(~is_sent).then(pl.lit("550 5.1.1 <u@example.org>: no such user")).alias("reason"),
        pl.lit("198.51.100.7").alias("outbound_ip"),
        pl.lit("dedicated").alias("outbound_ip_type"),
        pl.format("mx1.example{}.org", number % 1000).alias("mx"),
        pl.lit(None, pl.String).alias("url"),
        pl.lit("1").alias("attempt"),
        pl.lit(None, pl.String).alias("user_agent"),
        pl.when(~is_sent).then(pl.lit("bounce")).alias("type"),
        pl.lit(None, pl.String).alias("is_unique"),
        pl.lit("sender").alias("username"),
        pl.lit('["news"]').alias("categories"),
        (number % 50).alias("marketing_campaign_id"),
        pl.format("mailing {}", number % 50).alias("marketing_campaign_name"),
        pl.lit(None, pl.String).alias("marketing_campaign_split_id"),
        pl.lit(None, pl.String).alias("marketing_campaign_version"),
        pl.lit("{}").alias("unique_args"),
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
    """Print tables of seconds and ratios."""
    for name, made in (
        ("6 columns", export),
        ("23 columns, PowerMTA accounting", accounting),
        ("28 columns, SendGrid activity", activity),
    ):
        with TemporaryDirectory() as folder:
            table = Path(folder) / "export.csv"
            made(rows).write_csv(table)
            compare(f"{rows:,} rows of CSV, {name}", table)
    with TemporaryDirectory() as folder:
        events = Path(folder) / "ses.ndjson"
        events.write_text(notifications(rows // 10))
        nested, _ = seconds(lambda: scan(events).collect(engine="streaming"))
    print(f"SES notifications: {rows / 10 / nested:,.0f} a second")


def compare(title: str, table: Path) -> None:
    """Print how long a table takes beside Polars' own scan of it."""
    plain = seconds(lambda: pl.scan_csv(table).collect(engine="streaming"))
    text = seconds(lambda: pl.scan_csv(table, infer_schema=False).collect(engine="streaming"))
    dated = seconds(lambda: pl.scan_csv(table, try_parse_dates=True).collect(engine="streaming"))
    ours = seconds(lambda: scan(table).collect(engine="streaming"))
    once = seconds(lambda: read(table))
    print(f"{title:<60}seconds   ratio  processors   ratio")
    for name, took in (
        ("pl.scan_csv", plain),
        ("pl.scan_csv, all text", text),
        ("pl.scan_csv, times parsed", dated),
        ("scan", ours),
        ("read, each event once", once),
    ):
        clock, spent = (f"{t:>9.2f}{t / p:>8.1f}" for t, p in zip(took, plain, strict=True))
        print(f"  {name:<56}{clock}   {spent}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
