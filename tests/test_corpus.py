"""Labelled real replies from the folder that BOUNCEKIT_CORPUS names are understood."""

import os
from pathlib import Path

import polars as pl
import pytest

from bouncekit.classify import classify
from bouncekit.schema import ACTION_OF

LEAST_RIGHT = 0.97
# A reply may be labelled so that the address is not to be blamed in any reading.
BLAMES_RECIPIENT = ("remove", "full", "refused", "none")

pytestmark = pytest.mark.skipif(
    "BOUNCEKIT_CORPUS" not in os.environ, reason="BOUNCEKIT_CORPUS names no folder of replies"
)


@pytest.fixture(scope="module")
def judged() -> pl.DataFrame:
    """Give the replies with `accepted` (list of categories) beside the `category` they get."""
    replies = Path(os.environ["BOUNCEKIT_CORPUS"]) / "replies.jsonl"
    labelled = pl.read_ndjson(
        replies,
        schema={
            "id": pl.String,
            "reply": pl.String,
            "category": pl.String,
            "alt": pl.List(pl.String),
        },
    )
    accepted = pl.concat_list("category", pl.col("alt").fill_null([]))
    return classify(labelled.select("id", "reply", accepted=accepted)).with_columns(
        pl.col("category").cast(pl.String)
    )


def named(rows: pl.DataFrame) -> str:
    return "\n".join(
        str(row) for row in rows.select("id", "accepted", "category", "because").rows()
    )


def test_nearly_all_replies_are_understood(judged: pl.DataFrame) -> None:
    is_right = pl.col("accepted").list.contains(pl.col("category"))
    lost = judged.filter(~is_right)
    assert 1 - lost.height / judged.height >= LEAST_RIGHT, named(lost)


def test_no_reply_is_turned_into_a_removal(judged: pl.DataFrame) -> None:
    actions = pl.col("accepted").list.eval(pl.element().replace_strict(ACTION_OF))
    is_blameless = actions.list.set_intersection(list(BLAMES_RECIPIENT)).list.len() == 0
    removed = judged.filter(is_blameless, pl.col("category").replace_strict(ACTION_OF) == "remove")
    assert removed.is_empty(), named(removed)
