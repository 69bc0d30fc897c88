"""A JSON document gives its records one after the other, as it would from a tree of all of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_sources import GOLDEN

from bouncekit.read import load, objects, read
from bouncekit.read.documents import records_of, records_of_frame
from bouncekit.read.envelopes import LISTS, _lists

KEYS = st.sampled_from([*LISTS[:4], "Items", "page", 'odd "\\ ü'])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.lists(VALUES, max_size=4) | st.dictionaries(KEYS, VALUES, max_size=4)


def told(value: Any) -> list[Any] | None:
    """The list that the keys of `opened` lead to."""
    keys = next(_lists(value), None)
    if keys is None:
        return None
    for key in keys:
        value = value[key]
    return value if isinstance(value, list) else None


@given(document=DOCUMENTS, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_the_records_are_those_of_the_tree(
    document: Any, indent: int | None, ascii_only: bool
) -> None:
    records = records_of(json.dumps(document, indent=indent, ensure_ascii=ascii_only))
    expected = told(document)
    if expected is None:
        assert records is None
        return
    assert records is not None
    for record, item in zip(records, expected, strict=True):
        assert (record if isinstance(item, str) else json.loads(record or "null")) == item
        assert isinstance(item, str) or "\n" not in (record or "")


@given(document=DOCUMENTS, data=st.data())
def test_a_document_cut_anywhere_has_no_records(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document)
    assert records_of(text[: data.draw(st.integers(0, len(text) - 1))]) is None


@pytest.mark.parametrize(
    "text", ['[{"a": NaN}]', "[{}] {}", "[{},]", '{"items": [{}],}', "[{} {}]"]
)
def test_what_is_no_json_has_no_records(text: str) -> None:
    assert records_of(text) is None


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["case"])
def test_an_export_reads_alike_with_and_without_its_tree(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(case["text"], str):
        return
    path = tmp_path / "export"
    path.write_text(json.dumps(case["text"]), "utf-8")
    by_record = load(path)
    monkeypatch.setattr(objects, "records_of", lambda text: None)
    assert by_record.frame.equals(load(path).frame)


@given(DOCUMENTS)
def test_any_document_is_a_frame_or_none(document: Any) -> None:
    rows = records_of_frame(json.dumps(document))
    assert rows is None or all(isinstance(json.loads(row), dict) for row in rows)


BOUNCED = {"ann@example.org": "550 no such user", "bob@example.org": "452 mailbox full"}
FRAMES: dict[str, Any] = {
    "columns": {
        "email": dict(zip("01", BOUNCED, strict=True)),
        "reason": dict(zip("01", BOUNCED.values(), strict=True)),
    },
    "index": {str(n): {"email": a, "reason": r} for n, (a, r) in enumerate(BOUNCED.items())},
    "index of addresses": {address: {"reason": reason} for address, reason in BOUNCED.items()},
    "split": {
        "columns": ["email", "reason"],
        "index": [0, 1],
        "data": [list(item) for item in BOUNCED.items()],
    },
    "records": [{"email": address, "reason": reason} for address, reason in BOUNCED.items()],
    "table": {
        "schema": {"fields": [{"name": "email", "type": "string"}]},
        "data": [{"email": address, "reason": reason} for address, reason in BOUNCED.items()],
    },
}


@pytest.mark.parametrize("orient", FRAMES)
def test_a_frame_that_pandas_wrote_is_read_however_it_lies(orient: str, tmp_path: Path) -> None:
    path = tmp_path / "frame.json"
    path.write_text(json.dumps(FRAMES[orient]))
    assert dict(read(path).select("recipient", "reply").iter_rows()) == BOUNCED
