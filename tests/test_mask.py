"""Masking: no address is left to read, and equal addresses stay equal where a key is given."""

import re

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from payloads import FORMS
from polars.testing import assert_frame_equal

from bouncekit.errors import BouncekitError
from bouncekit.hidden import masked
from bouncekit.mask import mask
from bouncekit.schema import Event

SHOWN = [
    ("ann@example.org", "a***@e***.org"),
    ("a@example.co.uk", "a***@e***.uk"),
    ("ann@localhost", "a***@l***"),
    ("ann@[192.0.2.1]", "a***@***"),
    ("ann@", "a***@***"),
    ("jürgen@bücher.example", "j***@b***.example"),
    ("o'brien@example.org", "o***@e***.org"),
    ('to=<"ann lee"@example.org>, relay=none', "to=<a***@e***.org>, relay=none"),
    ("550 5.1.1 <Ann.Lee@Example.ORG>: unknown", "550 5.1.1 <A***@E***.ORG>: unknown"),
    ("no such user 'ann@example.org'.", "no such user 'a***@e***.org'."),
    ("<bounce-7-ann=example.org@lists.example.net>", "<b***@l***.net>"),
    ("SMTP:ann@example.org,bob@example.net;", "SMTP:a***@e***.org,b***@e***.net;"),
    ("see http://spf.example/?id=ann%40example.org;x", "see http:/***%40e***.org;x"),
    ("xx*******@Ec******.com", "x***@E***.com"),
    ("host mx.example.org said: 550 user unknown", "host mx.example.org said: 550 user unknown"),
    ("552 5.2.2 over quota @ 100 %", "552 5.2.2 over quota @ 100 %"),
]

LOCAL = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+_=%'-]{1,20}", fullmatch=True)
ADDRESS = st.builds(
    "{}@{}".format, LOCAL, st.from_regex(r"[a-z]{1,9}\.(org|example)", fullmatch=True)
)
AROUND = st.text(st.sampled_from(" <>()[]:;,\"@*'=.%40&#6;_+-aé\ue000\ue001\n"), max_size=12)
TEXT = st.builds("{}{}{}".format, AROUND, ADDRESS, AROUND) | AROUND | st.text(max_size=30)
KEYS: list[str | None] = [None, "a secret"]


PEOPLE = ["zebedee.quill@qux-family.example", "o'zyx@example.org", "jürgen@bücher-zyx.example"]


def shown(text: str) -> str:
    return str(pl.select(masked(pl.lit(text))).item())


@pytest.mark.parametrize(("text", "safe"), SHOWN, ids=[text for text, _ in SHOWN])
def test_an_address_is_shown_by_its_first_letters_and_top_level_domain(
    text: str, safe: str
) -> None:
    assert shown(text) == safe


@given(TEXT)
@example('"a"b"@c')
@example("a@[x]y")
@example("a*@")
@example(":0@")
@example("40@ b%40")
@example("'00'@x '00'")
@example("org@example.org")
@example("masked@example.org")
def test_masking_twice_changes_nothing(text: str) -> None:
    frame = pl.DataFrame({"recipient": [text], "reply": [text], "domain": [text]})
    for first in KEYS:
        once = mask(frame, first)
        for second in KEYS:
            assert_frame_equal(mask(once, second), once)


@given(st.lists(st.tuples(ADDRESS, st.sampled_from(["<{}>", "to={},", " {} ", "({})", "{}"]))))
def test_no_local_part_is_left_to_read(rows: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(
        {
            "recipient": [address for address, _ in rows],
            "examples": [[wrap.format(address)] for address, wrap in rows],
            "reply": [f"550 {wrap.format(address)}" for address, wrap in rows],
        },
        schema={"recipient": pl.String, "examples": pl.List(pl.String), "reply": pl.String},
    )
    for key in KEYS:
        safe = mask(frame, key)
        assert safe.schema == frame.schema
        assert safe.height == frame.height
        left = safe.select(pl.concat_str("recipient", pl.col("examples").list.join(""), "reply"))
        for (address, _), text in zip(rows, left.to_series(), strict=True):
            assert address not in text
            assert not set(address.split("@")) & set(re.split(r"[\s<>()=,@]", text))


@given(ADDRESS, ADDRESS)
def test_pseudonyms_are_equal_exactly_where_the_addresses_are(one: str, other: str) -> None:
    frame = pl.DataFrame({"recipient": [one, one.upper(), other]})
    first, again, second = mask(frame, "a secret")["recipient"]
    assert first == again
    assert (first == second) == (one.lower() == other.lower())
    assert mask(frame, "another secret")["recipient"][0] != first


def test_a_pseudonym_joins_across_columns_frames_and_texts() -> None:
    sent = mask(pl.DataFrame({"recipient": ["ann@example.org"]}), "a secret")
    seen = mask(
        pl.DataFrame({"reply": ["550 <Ann@example.org>: unknown"], "domain": ["example.org"]}),
        b"a secret",
    )
    name = sent["recipient"][0]
    assert seen["reply"][0] == f"550 <{name}>: unknown"
    assert seen["domain"][0] == name.partition("@")[2]


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_address_is_hidden_however_it_is_written(form: str, person: str) -> None:
    local, _, domain = person.partition("@")
    text = form.format(a=person, u=person.upper(), l=local, d=domain)
    frame = pl.DataFrame({"reply": [text], "message_id": [text], "source": [text]})
    for key in KEYS:
        # Also where nothing says whose address it is.
        for row in (mask(frame, key).row(0), mask(frame.with_columns(recipient=None), key).row(0)):
            for left in map(str, row):
                assert local not in left.lower(), left
                assert f"@{domain}" not in left.lower()


# Only whose address it is tells these.
OWN_FORMS = ["{d}!{l}", "{l}_{d}.eml", "u={l}&h={d}", "{d}/{l}/cur/1", "{l} AT {d}", "{l}-{d}"]


@pytest.mark.parametrize("form", OWN_FORMS)
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("key", KEYS)
def test_the_rows_own_address_is_hidden_in_names_and_ids(
    form: str, person: str, key: str | None
) -> None:
    local, _, domain = person.partition("@")
    text = form.format(l=local, d=domain)
    other = f"{local}, but nobody's address"
    frame = pl.DataFrame({"recipient": [person], "source": [text], "mailing": [other]})
    safe = mask(frame, key)
    assert local not in safe["source"][0]
    assert safe["mailing"][0] == other


def test_both_forms_of_an_international_domain_have_one_pseudonym() -> None:
    frame = pl.DataFrame(
        {"recipient": ["ann@bücher.example", "Ann@xn--bcher-kva.example", "ann@bucher.example"]}
    )
    one, other, third = mask(frame, "a secret")["recipient"]
    assert one == other != third


@pytest.mark.parametrize(
    "text",
    ["size=4096 limit=40", "550 code=405.1.10", "relay=mx.example.org[192.0.2.1]", "x=40.5.1"],
)
def test_what_only_looks_a_little_like_an_address_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("reply", "safe"),
    [
        ("550 no mailbox by the name Ann.Lee here", "550 no mailbox by the name a*** here"),
        ("550 <ann.lee> unknown; ann.leeson lives", "550 <a***> unknown; ann.leeson lives"),
        ("550 ann.lee, not www.ann.lee.example", "550 a***, not www.a***.example"),
        ("550 user unknown", "550 user unknown"),
        (None, None),
    ],
)
def test_the_recipients_bare_name_is_hidden_in_its_reply(reply: str, safe: str) -> None:
    frame = pl.DataFrame(
        {"recipient": ["ann.lee@example.org"], "reply": [reply]},
        schema={"recipient": pl.String, "reply": pl.String},
    )
    assert mask(frame)["reply"][0] == safe


@pytest.mark.parametrize("key", KEYS)
def test_nested_text_is_masked_and_every_dtype_kept(key: str | None) -> None:
    frame = pl.DataFrame(
        {
            "examples": [["ann@example.org", None]],
            "top": [{"reply": "<ann@example.org>", "events": 3}],
            "mailing": pl.Series(["to ann@example.org"], dtype=pl.Categorical),
            "domain": ["example.org"],
            "provider": ["Gmail"],
            "reply_code": pl.Series([550], dtype=pl.Int16),
        }
    )
    safe = mask(frame, key)
    assert safe.schema == frame.schema
    assert "ann" not in str(safe.rows())
    assert "example.org" not in str(safe.rows())
    assert safe["provider"][0] == "Gmail"


@pytest.mark.parametrize("key", KEYS)
def test_lazy_frames_stay_lazy(key: str | None) -> None:
    frame = pl.DataFrame({"recipient": ["ann@example.org", None], "reply": ["no ann here", ""]})
    lazy = mask(frame.lazy(), key)
    assert isinstance(lazy, pl.LazyFrame)
    assert_frame_equal(lazy.collect(engine="streaming"), mask(frame, key))


@pytest.mark.parametrize(
    "text", ["a" * 200_000 + "@", "x@y" * 50_000, '"' * 99_999 + "@", "@" * 99_999]
)
def test_hostile_texts_are_masked_in_linear_time(text: str) -> None:
    frame = pl.DataFrame({"recipient": [text], "reply": [text], "domain": [text]})
    assert mask(frame).height == mask(frame, "a secret").height == 1


@pytest.mark.parametrize("key", KEYS)
def test_the_domain_that_was_meant_is_hidden_like_the_one_that_was_written(
    key: str | None,
) -> None:
    frame = pl.DataFrame({"domain": ["smithfamily.example"], "suggestion": ["smithfamily.example"]})
    (row,) = mask(frame, key).rows()
    assert row[0] == row[1] != "smithfamily.example"


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(BouncekitError, match="the key is of type int; give text or bytes"):
        mask(pl.DataFrame({"recipient": ["ann@example.org"]}), 5)  # type: ignore[arg-type]  # a mistake


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(BouncekitError, match="key is empty"):
        mask(pl.DataFrame({"recipient": ["ann@example.org"]}), "")


def test_a_mailbox_is_hidden_that_is_named_without_its_tag() -> None:
    said = "mail to ann.miller refused, and for ann.miller+shop too; planning goes on"
    frame = pl.DataFrame({"recipient": ["ann.miller+shop@example.org"], "reply": [said]})
    assert mask(frame)["reply"][0] == "mail to a*** refused, and for a*** too; planning goes on"


@pytest.mark.parametrize(
    "dtype", [pl.Categorical(), pl.Enum(["ann.lee@example.org", "anna.lee@example.org"])]
)
def test_addresses_that_are_words_of_a_column_are_masked_like_texts(dtype: pl.DataType) -> None:
    said = ["no mailbox named ann.lee", "anna.lee is gone"]
    texts = pl.DataFrame({"recipient": ["ann.lee@example.org", "anna.lee@example.org"]})
    texts = texts.with_columns(reply=pl.Series(said), event=pl.lit("bounce", Event))
    words = texts.with_columns(pl.col("recipient").cast(dtype))
    assert mask(words).cast({"recipient": pl.String}).equals(mask(texts))
    assert "lee" not in str(mask(words).schema)
    assert mask(words).schema["event"] == Event


def test_what_is_no_frame_cannot_be_masked() -> None:
    with pytest.raises(BouncekitError, match="Wanted is a Polars frame"):
        mask(None)  # type: ignore[type-var]  # what a notebook may hold
