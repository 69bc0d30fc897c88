"""The codes reference is complete, consistent and true to its sources."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncekit.codes import ENHANCED_CODES, REPLY_CODES, describe, enhanced_codes, reply_codes
from bouncekit.errors import BouncekitError

# The article's list, and those of 550-559, which it tells senders to watch, that are defined.
ARTICLE = [211, 214, 220, 221, 250, 251, 252, 354, 421, 450, 451, 452, *range(550, 557)]

STANDARDS = {
    "RFC 5321": [*ARTICLE[:12], 455, 500, 501, 502, 503, 504, 550, 551, 552, 553, 554, 555],
    "RFC 4954": [235, 334, 432, 454, 530, 534, 535, 538],
    "RFC 3207": [220, 454, 530],
    "RFC 7504": [521, 556],
    "RFC 1870": [452, 552],
    "RFC 1985": [253, 458, 459],
    "RFC 2645": [453],
    "RFC 1845": [355],
    "RFC 5248": [523, 525],
}

# IANA registry "SMTP Enhanced Status Codes", as updated on 2024-12-06: the last detail of each
# subject. Every subject counts up from 0 without a gap, 81 details in all.
LAST_DETAIL = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}
DETAILS = [f"X.{s}.{d}" for s, last in LAST_DETAIL.items() for d in range(last + 1)]


@pytest.mark.parametrize("code", ARTICLE)
def test_every_code_of_the_article_is_explained(code: int) -> None:
    assert describe(str(code)).known


@pytest.mark.parametrize(("rfc", "codes"), STANDARDS.items(), ids=STANDARDS)
def test_a_code_names_the_rfc_that_defines_it(rfc: str, codes: list[int]) -> None:
    named = reply_codes().filter(pl.col("code").is_in(codes), "standard")
    assert named["code"].to_list() == sorted(codes)
    assert named["source"].str.contains(rfc).all()


def test_standard_codes_cite_an_rfc_and_the_others_do_not() -> None:
    cites_rfc = reply_codes()["source"].str.contains("RFC")
    assert cites_rfc.to_list() == reply_codes()["standard"].to_list()


def test_the_whole_registry_is_there_in_its_order() -> None:
    classes = ["2.X.X", "4.X.X", "5.X.X"]
    subjects = [f"X.{s}.X" for s in LAST_DETAIL]
    assert enhanced_codes()["code"].to_list() == classes + subjects + DETAILS
    assert enhanced_codes()["level"].value_counts().sort("level").rows() == [
        ("class", 3),
        ("subject", 8),
        ("detail", 81),
    ]


@pytest.mark.parametrize(
    ("code", "beside"),
    [
        ("X.1.1", [451, 550]),
        ("X.1.6", []),
        ("X.2.2", [552]),
        ("X.3.2", [453, 521]),
        ("X.5.3", [451]),
        ("X.6.8", [252, 550, 553]),
        ("X.7.1", [451, 454, 502, 503, 533, 550, 551]),
        ("X.7.17", []),
        ("X.7.30", [550]),
    ],
)
def test_reply_codes_stand_beside_an_enhanced_code_as_registered(
    code: str, beside: list[int]
) -> None:
    assert enhanced_codes().filter(code=code)["reply_codes"].item().to_list() == beside


def test_every_reply_code_that_the_registry_names_is_explained() -> None:
    named = enhanced_codes().explode("reply_codes", empty_as_null=False)["reply_codes"].unique()
    assert set(named) <= set(reply_codes()["code"])


@pytest.mark.parametrize("frame", [reply_codes(), enhanced_codes()], ids=["reply", "enhanced"])
def test_every_row_says_something_of_its_own(frame: pl.DataFrame) -> None:
    assert frame.null_count().sum_horizontal().item() == 0
    assert frame["code"].is_unique().all()
    assert frame["meaning"].is_unique().all()
    for column in ("meaning", "what_to_do"):
        assert frame[column].str.contains(r"^[A-Z0-9].*\.$").all()


def test_frames_have_their_schema_and_order() -> None:
    assert reply_codes().schema == REPLY_CODES
    assert enhanced_codes().schema == ENHANCED_CODES
    assert reply_codes()["code"].is_sorted()
    assert enhanced_codes()["name"].is_unique().all()


@pytest.mark.parametrize(
    ("code", "level", "kind", "title"),
    [
        ("250", "reply code", "success", "success"),
        ("354", "reply code", "intermediate", "intermediate"),
        ("452", "reply code", "temporary", "temporary failure"),
        ("550", "reply code", "permanent", "permanent failure"),
        ("5.1.1", "detail", "permanent", "permanent failure · address · no such mailbox"),
        ("4.2.2", "detail", "temporary", "temporary failure · mailbox · mailbox full"),
        (" x.1.10 ", "detail", None, "address · recipient's domain takes no mail"),
        ("4.7.x", "subject", "temporary", "temporary failure · security and policy"),
        ("X.7.X", "subject", None, "security and policy"),
        ("2.X.X", "class", "success", "success"),
    ],
)
def test_a_code_is_described_from_the_general_to_the_particular(
    code: str, level: str, kind: str | None, title: str
) -> None:
    found = describe(code)
    assert (found.level, found.kind, found.title) == (level, kind, title)
    assert found.known


def test_an_enhanced_code_explains_class_subject_and_detail() -> None:
    meanings = dict(enhanced_codes().select("code", "meaning").iter_rows())
    expected = [meanings[part] for part in ("X.7.25", "X.7.X", "5.X.X")]
    assert describe("5.7.25").meaning == " ".join(expected)


def test_codes_point_at_each_other_within_their_class() -> None:
    assert describe("X.1.1").reply_codes == (451, 550)
    assert describe("5.1.1").reply_codes == (550,)
    assert describe("556").enhanced_codes == ("X.1.10",)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "557",
            "No known code: the first digit says permanent, the second that it is",
        ),
        ("447", "4.4.7"),
        ("599", "No known code: the first digit says permanent."),
        (
            "5.7.515",
            "5.7.515 is not registered: the number is the receiver's own. It concerns",
        ),
        ("4.9.1", "4.9.1 is not registered: the number is the receiver's own. The message itself"),
    ],
)
def test_a_code_without_a_standard_is_explained_as_far_as_it_goes(code: str, says: str) -> None:
    assert describe(code).meaning.startswith(says)


NOT_CODES = ["", "55", "5500", "199", "699", "٥٥٠", "550 5.1.1", "user unknown", "3.1.1", "5.1"]
NOT_CODES += ["5.1.1.", "5.01.1", "5.1.1000", "X.X.X", "X.9.1"]


@pytest.mark.parametrize("code", NOT_CODES)
def test_anything_else_is_refused_with_the_way_out(code: str) -> None:
    with pytest.raises(BouncekitError, match=r"such as 5\.1\.1.*`bouncekit explain`") as error:
        describe(code)
    assert str(error.value).startswith(f"{code!r} is neither a reply code")


@pytest.mark.parametrize("code", ["550", "554", "5.7.1", "5.0.0", "5.X.X"])
def test_codes_that_do_not_say_whose_fault_it_is_send_the_reader_to_the_text(code: str) -> None:
    assert "text" in describe(code).what_to_do


@pytest.mark.parametrize("detail", DETAILS)
def test_a_temporary_failure_never_removes_an_address(detail: str) -> None:
    assert "remove" not in describe(f"4{detail[1:]}").what_to_do.lower()
    assert describe(f"2{detail[1:]}").what_to_do == "Nothing."


@given(
    st.sampled_from("245"),
    st.integers(min_value=0, max_value=999),
    st.integers(min_value=0, max_value=999),
)
def test_every_well_formed_enhanced_code_has_a_description(
    class_: str, subject: int, detail: int
) -> None:
    found = describe(f"{class_}.{subject}.{detail}")
    assert found.known == (f"X.{subject}.{detail}" in DETAILS)
    assert found.kind == {"2": "success", "4": "temporary", "5": "permanent"}[class_]
    assert all(str(code).startswith(class_) for code in found.reply_codes)


@given(st.integers(min_value=200, max_value=599))
def test_every_well_formed_reply_code_has_a_description(code: int) -> None:
    found = describe(str(code))
    assert found.known == (code in reply_codes()["code"])
    assert found.meaning
    assert found.what_to_do
