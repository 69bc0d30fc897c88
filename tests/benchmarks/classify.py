"""How fast replies are classified: beside the floor, with fewer rules, and beside other engines.

    python tests/benchmarks/classify.py [replies]

Makes replies that are all different from the wordings of the sample data. The floor reads,
lower-cases and adds up the same text. The other engines search for the same spelled-out phrases
on a sample, and are favoured: they get the words that `reply.words` made of it, outside the
measured time, and look for no codes, delays or names. `re` and DuckDB have one alternation a
category and so take the first category, whichever phrase stands in the text.
"""

import os
import platform
import random
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import re2  # type: ignore[import-untyped]

import bouncekit as bk
from bouncekit import reply as reply_text
from bouncekit import rules as knowledge
from bouncekit.classify import _classified
from bouncekit.rules import Rules

DATA = Path(__file__).parent.parent.parent / "data"
RUNS = 3
CORES = os.cpu_count() or 1

# What stands around a reply: in exports nothing but an id, in the logs of Postfix and Exim more.
AROUND = (
    *["{reply} {id}"] * 3,
    "host {host}[{ip}] said: {reply} (in reply to RCPT TO command)",
    "SMTP error from remote mail server after RCPT TO:<{email}>: host {host} [{ip}]: {reply}",
)

Work = tuple[str, int, Callable[[], object]]  # what, of how many replies, how


def replies(count: int) -> pl.DataFrame:
    """Give `count` different replies."""
    rng = random.Random(550)
    servers = tomllib.loads((DATA / "wordings.toml").read_text(encoding="utf-8"))["servers"]
    wordings = [text for s in servers.values() for texts in s["replies"].values() for text in texts]

    def one(number: int) -> str:
        user, domain = f"{rng.getrandbits(32):x}", f"mail{number % 997}.example"
        filled = {
            "user": user,
            "domain": domain,
            "email": f"{user}@{domain}",
            "target": f"{user}@new.example",
            "ip": f"198.51.100.{rng.randrange(16)}",
            "host": f"mx{number}.example.org",
            "id": f"{number:08x}",
            "hex": f"{rng.getrandbits(24):06x}",
            "n": rng.randrange(1, 10),
        }
        return rng.choice(AROUND).format(reply=rng.choice(wordings).format(**filled), **filled)

    return pl.DataFrame({"reply": [one(number) for number in range(count)]})


def seconds(works: list[Work]) -> list[float]:
    """Give the median time of each; they take turns, so that a busy moment hits all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(RUNS):
        for (_, _, work), took in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            took.append(time.perf_counter() - start)
    return [sorted(took)[RUNS // 2] for took in times]


def every(nth: int, rules: Rules) -> Rules:
    """Give the rules with every nth spelled-out phrase only."""
    number = pl.col("number")
    rows = rules.evidence.with_row_index("number")
    kept = rows.filter((pl.col("kind") != "phrase") | (number % nth == 0))
    vague_from = kept.filter(number < rules.vague_from).height
    return replace(rules, evidence=kept.drop("number"), vague_from=vague_from)


def ours(path: Path, made: pl.DataFrame, words: pl.DataFrame, rules: Rules) -> list[Work]:
    """Give what bouncekit does; the first is the one that all others are compared to."""
    scan = pl.scan_parquet(path)
    floor = scan.select(pl.col("reply").str.to_lowercase().str.len_bytes().sum())
    keys = list(rules.numbers("phrase"))
    search = words.lazy().select(knowledge.first_of(pl.col("words"), keys).sum())

    def by_category(nth: int) -> Callable[[], object]:
        classified = _classified(scan, ["reply"], every(nth, rules))
        return lambda: classified.group_by("category").len().collect(engine="streaming")

    size = made.height
    return [
        ("classify, streaming", size, by_category(1)),
        ("  with 1/2 of the phrases", size, by_category(2)),
        ("  with 1/4 of the phrases", size, by_category(4)),
        ("classify, eager, all columns", size, lambda: bk.classify(made)),
        ("floor: read, lower-case, sum", size, lambda: floor.collect(engine="streaming")),
        ("phrases only, in words", size, lambda: search.collect(engine="streaming")),
    ]


def by_re(words: pl.Series, phrases: pl.DataFrame) -> Callable[[], object]:
    """Search each text with one expression a category, in their order."""
    found = [(c, re.compile(either)) for c, either in alternations(phrases).items()]
    texts = words.to_list()
    return lambda: [next((c for c, e in found if e.search(text)), None) for text in texts]


def by_duckdb(words: pl.Series, phrases: pl.DataFrame) -> Callable[[], object]:
    """Let DuckDB do the same, on all cores."""
    database = duckdb.connect(config={"threads": CORES})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.parquet"
        words.to_frame("words").write_parquet(path)
        database.execute(f"CREATE TABLE replies AS FROM '{path}'")
    cases = " ".join(  # words have no marks: there is no apostrophe to escape
        f"WHEN regexp_matches(words, '{either}') THEN '{category}'"
        for category, either in alternations(phrases).items()
    )
    query = f"SELECT CASE {cases} END AS category, count(*) FROM replies GROUP BY category"
    return lambda: database.execute(query).fetchall()


def by_re2(words: pl.Series, phrases: pl.DataFrame) -> Callable[[], object]:
    """Search for all phrases at once, with RE2's set of expressions."""
    options = re2.Options()
    options.max_mem = 1 << 30
    literals = re2.Set.SearchSet(options)
    for key in phrases["key"]:
        literals.Add(re.escape(key))
    literals.Compile()
    texts = words.to_list()
    return lambda: [min(literals.Match(text) or [-1]) for text in texts]


def alternations(phrases: pl.DataFrame) -> dict[str, str]:
    """Give all spelled-out phrases of each category as one expression."""
    return {
        str(category): "|".join(map(re.escape, group["key"]))
        for (category,), group in phrases.group_by("category", maintain_order=True)
    }


# What is compared, with how many replies.
OTHERS = {
    "Python re, 1 core": (2_000, by_re),
    f"DuckDB CASE, {CORES} cores": (50_000, by_duckdb),
    "google-re2 Set, 1 core": (200_000, by_re2),
}


def others(words: pl.DataFrame, phrases: pl.DataFrame) -> list[Work]:
    """Give what the other engines do, each on a sample."""
    return [
        (name, min(size, words.height), make(words["words"].head(size), phrases))
        for name, (size, make) in OTHERS.items()
    ]


def main(count: int) -> None:
    """Print what is measured, and a table of it."""
    rules = knowledge.builtin()
    phrases = rules.evidence.filter(pl.col("kind") == "phrase")
    made = replies(count)
    words = made.select(reply_text.words(pl.col("reply")))
    length = made["reply"].str.len_bytes()
    least, most = (length.quantile(part) for part in (0.25, 0.75))
    versions = f"Polars {pl.__version__}, DuckDB {duckdb.__version__}"
    print(f"{platform.machine()}, {CORES} cores, Python {platform.python_version()}, {versions}")
    print(f"{len(rules.phrases):,} phrases, spelled out as {phrases.height:,} literals")
    different, mean = made["reply"].n_unique(), length.sum() / count
    print(f"{different:,} different replies of {mean:.0f} bytes ", end="")
    print(f"(middle half {least:.0f} to {most:.0f}); medians of {RUNS} runs in turns\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replies.parquet"
        made.write_parquet(path)
        works = [*ours(path, made, words, rules), *others(words, phrases)]
        times = seconds(works)
    base = times[0] / count
    print(f"{'':<30}{'replies':>10}{'seconds':>10}{'replies/s':>13}{'time a reply':>15}")
    for (name, size, _), took in zip(works, times, strict=True):
        ratio = f"{took / size / base:,.2f} x"
        print(f"{name:<30}{size:>10,}{took:>10.2f}{size / took:>13,.0f}{ratio:>15}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
