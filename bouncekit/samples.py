"""The article's codes and quoted replies, as they come with bouncekit."""

from importlib.resources import files
from pathlib import Path

import polars as pl


def article_replies() -> pl.DataFrame:
    """Give the replies that the article on SMTP error 550 and its readers quote.

    Columns (String): id, where (article or comment), reply, category, also_accepted, fault: the
    last three as people labelled them.
    """
    return pl.read_csv(_file("article_replies.csv"), infer_schema=False)


def article_codes() -> pl.DataFrame:
    """Give the reply codes that the article lists: code (Int16) and what it says of it (String)."""
    return pl.read_csv(_file("article_codes.csv"), schema={"code": pl.Int16, "says": pl.String})


def _file(name: str) -> Path:
    installed = Path(str(files("bouncekit"))) / "_data" / name
    return installed if installed.exists() else Path(__file__).parent.parent / "data" / name
