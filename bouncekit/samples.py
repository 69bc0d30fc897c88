"""The article's quoted replies, as they come with bouncekit."""

from importlib.resources import files
from pathlib import Path

import polars as pl


def article_replies() -> pl.DataFrame:
    """Give the replies that the article on SMTP error 550 and its readers quote.

    Columns (String): id, where (article or comment), reply, category, also_accepted, fault: the
    last three as people labelled them.
    """
    installed = Path(str(files("bouncekit"))) / "_data" / "article_replies.csv"
    checkout = Path(__file__).parent.parent / "data" / "article_replies.csv"
    return pl.read_csv(installed if installed.exists() else checkout, infer_schema=False)
