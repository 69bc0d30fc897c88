"""Whatever bytes come, what promises.py says holds: here for minutes, with fuzz.py for hours.

Each run tries the same, so that what fails is the change at hand. BOUNCEKIT_FUZZ=10 tries ten times
as many, and others each time. What breaks a promise is printed, and becomes a case of BROKEN.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from promises import PROMISES, seeds, table

# How many take some six seconds; the tables, whose readers are many, and the replies longer.
EXAMPLES = {
    "table": 500,
    "mail": 2_000,
    "mbox": 2_000,
    "reply": 50,
    "rules": 50,
    "policy": 1_200,
    "sent": 1_500,
    "previous": 2_000,
}
ANYTHING = 1_000
TIMES = float(os.environ.get("BOUNCEKIT_FUZZ", "1"))
SEEDS = {name: seeds(name) for name in PROMISES}

# What once broke a promise.
BROKEN = {
    "a sent list that is no UTF-8": ("sent", b"mail;reason\n'org;\x80:"),
    "a sent list whose heading has two lines": ("sent", b'"\n"\n'),
    "an empty sent list": ("sent", b"\n"),
    "a policy with a number that is none": (
        "policy",
        b"[own]\nthreshold = 0\nweights = { recipient = 1 }\n",
    ),
    "objects deeper than Python goes": ("table", b'{"a":' * 9_000 + b"1" + b"}" * 9_000),
    "a date that looks like an enhanced code": ("reply", b"5.4.06:"),
    "a header and a quote alone": ("table", b'\t"!\n!'),
}

anything = st.one_of(
    st.binary(max_size=600),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
    st.text('{}[]",;:\t\n\r@.0aé', max_size=120).map(str.encode),
)


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A text cut short, with bits flipped, or with bytes put in."""
    data = bytearray(draw(st.sampled_from(SEEDS[name])))
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


def holds(name: str, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        PROMISES[name](data, Path(folder))


@pytest.mark.parametrize("name", BROKEN)
def test_what_once_broke_a_promise_keeps_it(name: str) -> None:
    holds(*BROKEN[name])


def tries(examples: int) -> settings:
    return settings(
        max_examples=max(1, round(examples * TIMES)),
        derandomize="BOUNCEKIT_FUZZ" not in os.environ,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )


@tries(ANYTHING)
@given(data=anything)
@example(data=b"")
def test_random_bytes_never_end_in_a_traceback(data: bytes) -> None:
    holds(table.__name__, data)


@pytest.mark.parametrize("name", PROMISES)
def test_damaged_text_keeps_the_promise(name: str) -> None:
    @tries(EXAMPLES[name])
    @given(damaged(name))
    def tried(data: bytes) -> None:
        holds(name, data)

    tried()
