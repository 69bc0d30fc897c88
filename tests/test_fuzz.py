"""Whatever bytes come, reading gives a frame or one error with the file's name in it."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_logs_servers import LOGS

from bouncekit.errors import BouncekitError
from bouncekit.read import load
from bouncekit.schema import BOUNCES

GOLDEN = json.loads((Path(__file__).parent / "data" / "sources.json").read_text("utf-8"))
SEEDS = [
    (case["text"] if isinstance(case["text"], str) else json.dumps(case["text"])).encode(
        case.get("encoding", "utf-8")
    )
    for case in GOLDEN
] + [log.encode() for log in LOGS.values()]

anything = st.one_of(
    st.binary(max_size=600),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
    st.text('{}[]",;:\t\n\r@.0aé', max_size=120).map(str.encode),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An export cut short, with bits flipped, or with bytes put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1)) if data else 0
        kind = draw(st.sampled_from(["cut", "flip", "put", "drop"]))
        if kind == "cut":
            del data[place:]
        elif kind == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "put":
            data[place:place] = draw(st.binary(max_size=6))
        else:
            del data[place : place + draw(st.integers(1, 20))]
    return bytes(data)


def holds(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        reading = load(path)
    except BouncekitError as error:
        said = str(error)
    else:
        assert dict(reading.frame.schema) == BOUNCES
        assert reading.records == reading.rows + reading.duplicates
        said = f"{path.name}: {reading.summary}"
        assert str(reading).startswith(reading.summary)
    assert path.name in said
    assert "\n" not in said


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=anything)
@example(data=b'\t"!\n!')
def test_random_bytes_never_end_in_a_traceback(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    holds(data, tmp_path_factory.mktemp("fuzz") / "export")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=damaged())
def test_a_damaged_export_never_ends_in_a_traceback(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    holds(data, tmp_path_factory.mktemp("fuzz") / "export")
