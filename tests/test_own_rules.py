"""Rules of one's own: mistakes are named with the way out, changes are shown, drafts are usable."""

import tomllib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bouncekit.classify import classify
from bouncekit.counts import unclassified
from bouncekit.errors import BouncekitError
from bouncekit.own_rules import check, draft, own_phrases, proposals, replies, what_changes, won
from bouncekit.schema import Category, Fault

MISTAKES = {
    "an unknown category": (
        b'[unknown_usr]\n"box odd" = "550 box odd"',
        ["[unknown_usr] is no category", "use one of unknown_user, unknown_domain"],
    ),
    "a section that is a line": (
        b'unknown_user = "box odd"',
        ["[unknown_user] must hold lines", '"phrase" = "a reply it must win"'],
    ),
    "a line outside of any section": (
        b'"box odd" = "550 box odd"',
        ["[box odd] is no category", "use one of"],
    ),
    "an example that is no text": (
        b'[unknown_user]\n"box odd" = 550',
        ["[unknown_user] 'box odd'", "needs a reply it must win, as text in quotes"],
    ),
    "an example without the phrase": (
        b'[unknown_user]\n"box odd" = "550 box even"',
        ["[unknown_user] 'box odd' does not win its example", "'550 box even'", "give it a reply"],
    ),
    "an example with a word between those of the phrase": (
        b'[unknown_user]\n"box odd" = "550 box somewhat odd"',
        ["'box odd' does not win", "holds them one after another"],
    ),
    "several examples without their phrases": (
        b'[virus]\n"a1 b1" = "x"\n"a2 b2" = "y"\n"a3 b3" = "z"',
        ["[virus] 'a1 b1' does not win", "(2 more of your phrases do not either)"],
    ),
    "an example said before any recipient was named": (
        b'[unknown_user]\n"odd box" = "host said: 550 odd box (in reply to MAIL FROM command)"',
        ["[unknown_user] 'odd box'", "read as [sender_refused]", "move the phrase there, or give"],
    ),
    "an unknown set of words": (
        b'[unknown_user]\n"{boxx} odd" = "550 box odd"',
        ["[unknown_user] '{boxx} odd' names {boxx}", "use one of", "mailbox"],
    ),
    "a phrase of filler words": (
        b'[unknown_user]\n"is the" = "550 is the"',
        ["[unknown_user] 'is the'", "filler words", "use telling words"],
    ),
    "a phrase of one word beside filler words": (
        b'[unknown_user]\n"the odd" = "550 the odd"',
        ["[unknown_user] 'the odd' is only 'odd'", "use telling words"],
    ),
    "an empty phrase": (
        b'[unknown_user]\n"" = "550"',
        ["[unknown_user] ''", "use telling words"],
    ),
    "no TOML": (b"[unknown_user\n", ["TOML", "line 1", "mend it"]),
    "a phrase without quotes": (
        b'[unknown_user]\nbox odd = "550"\n',
        ["TOML", "line 2", "mend it"],
    ),
    "a phrase twice": (b'[virus]\n"x y" = "x y"\n"x y" = "x y"\n', ["TOML", "line 3"]),
    "another encoding than UTF-8": (
        '[unknown_user]\n"kästchen weg" = "550"'.encode("cp1252"),
        ["utf-8", "mend it"],
    ),
}


@pytest.mark.parametrize(("content", "named"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_with_file_entry_and_way_out(
    tmp_path: Path, content: bytes, named: list[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(content)
    with pytest.raises(BouncekitError) as error:
        check(own)
    said = str(error.value)
    assert not [part for part in [f"{own}: ", *named] if part not in said], said
    assert "\n" not in said


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=r"nowhere\.toml: there is no such file; check"):
        check(tmp_path / "nowhere.toml")
    (folder := tmp_path / "folder.toml").mkdir()
    with pytest.raises(BouncekitError, match=r"folder\.toml: .*directory"):
        check(folder)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(
        '[mailbox_full]\n"quite odd" = "550 quite odd"\n'
        '[policy_refused]\n"over quota" = "552 over quota"\n"{mailbox} odd" = "550 box odd"\n'
        '[unknown_user]\n"on a blocklist" = "554 on a blocklist"\n',
        encoding="utf-8",
    )
    return path


EXPORT = pl.DataFrame(
    [
        ("550 <ann@example.org> quite odd at mx1.example.net", "ann@example.org"),
        ("550 <bob@example.org> quite odd at mx2.example.net", "bob@example.org"),
        ("550 <bob@example.org> quite odd today", "bob@example.org"),
        ("552 5.2.2 over quota", "eve@example.org"),
        ("554 192.0.2.7 is on a blocklist: spamhaus", "kim@example.org"),
        ("550 5.1.1 user unknown", "lea@example.org"),
    ],
    schema=["reply", "recipient"],
    orient="row",
)


def test_a_usable_file_has_no_phrase_that_another_shadows(own: Path) -> None:
    assert check(own).is_empty()
    assert [phrase.text for phrase in own_phrases(own)][:2] == ["quite odd", "over quota"]


def test_a_shadowed_phrase_is_named_with_the_one_that_wins(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[virus]\n"odd box" = "odd box"\n[spam_content]\n"very odd box here" = "odd box here"\n'
    )
    assert check(own).rows() == [
        ("spam_content: very odd box here", "virus: odd box", "virus"),
    ]


def test_a_file_of_rules_may_be_called_as_ours_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rules = '[spam_content]\n"your {mailbox} is odd" = "550 your mailbox is odd"\n'
    Path("exact.toml").write_text(rules, "utf-8")
    replies = pl.DataFrame({"reply": ["550 your mailbox is odd", "550 the mailbox is odd"]})
    found = classify(replies, rules="exact.toml")["category"].to_list()
    assert found[0] == "spam_content"
    assert found[1] != "spam_content"  # a reply's "your" is the sender


def test_a_phrase_that_bouncekit_has_too_wins_its_example(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[mailbox_full]\n"{mailbox} {full}" = "552 mailbox full"\n')
    assert check(own).is_empty()
    assert won(pl.DataFrame({"reply": ["552 mailbox full"]}), own)["rule"].to_list() == [
        "mailbox_full: {mailbox} {full}"
    ]


def test_what_changes_is_counted_masked_and_says_whether_it_may_remove(own: Path) -> None:
    got = what_changes(EXPORT, own)
    assert got.drop("was_fault", "fault").rows() == [
        (
            *("unclassified", "mailbox_full", "may remove addresses", 3, 2, 2),
            *("mailbox_full: quite odd", "550 <address> quite odd at <host>"),
        ),
        (
            *("mailbox_full", "policy_refused", "may keep addresses on the list", 1, 1, 1),
            *("policy_refused: over quota", "552 5.2.2 over quota"),
        ),
        (
            *("blocklisted", "unknown_user", "may remove addresses", 1, 1, 1),
            *("unknown_user: on a blocklist", "554 <ip> is on a blocklist: spamhaus"),
        ),
    ]
    assert got["was_fault"].to_list() == ["none", "recipient", "sender"]
    assert got["fault"].to_list() == ["recipient", "system", "recipient"]
    assert got.schema == {
        "was": Category,
        "becomes": Category,
        "was_fault": Fault,
        "fault": Fault,
        "effect": pl.String,
        "events": pl.UInt32,
        "templates": pl.UInt32,
        "recipients": pl.UInt32,
        "rule": pl.String,
        "example": pl.String,
    }


def test_what_an_own_rule_decides_as_before_is_no_change(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[unknown_user]\n"user unknown" = "550 user unknown"\n')
    assert what_changes(EXPORT, own).is_empty()
    assert won(EXPORT, own)["events"].to_list() == [1]


def test_a_lazy_or_classified_frame_changes_alike(own: Path) -> None:
    wanted = what_changes(EXPORT, own)
    assert what_changes(EXPORT.lazy(), own).equals(wanted)
    assert what_changes(classify(EXPORT), own).equals(wanted)
    assert what_changes(EXPORT.drop("recipient"), own).equals(wanted.drop("recipients"))


def test_a_file_without_phrases_changes_nothing(tmp_path: Path) -> None:
    (own := tmp_path / "own.toml").write_text("[unknown_user]\n")
    assert check(own).is_empty()
    assert what_changes(EXPORT, own).is_empty()


def test_what_becomes_of_a_row_is_what_classify_says(own: Path) -> None:
    before, after = classify(EXPORT)["category"], classify(EXPORT, rules=own)["category"]
    assert int(what_changes(EXPORT, own)["events"].sum()) == (before != after).sum()


ODD = [
    '550 5.9.9 <ann@example.org> the "gate" is C:\\shut for today\'s lot at mx1.example.net',
    '550 5.9.9 <bob@example.org> the "gate" is C:\\shut for today\'s lot at mx2.example.net',
    "554 quelque chose d'étrange s'est passé ici",
    "550 邮件被奇怪地处理了",
    "550",
    "550 odd\x00gate\x7f \x1b[2J \u202e wide open\r\n[unknown_user]",
    f"550 {'quite ' * 400}odd gate",
]


def without_marks(text: str) -> str:
    """Do what the user does: take away the marks of all proposed lines, under one section."""
    lines = [line[2:] for line in text.splitlines() if line.startswith('# "')]
    return "\n".join(["[server_error]", *lines])


def test_a_draft_is_usable_as_it_is(tmp_path: Path) -> None:
    found = unclassified(classify(pl.DataFrame({"reply": ODD})))
    own = tmp_path / "draft.toml"
    own.write_text(draft(found), encoding="utf-8")
    assert own_phrases(own) == ()
    assert check(own).is_empty()


def test_each_line_of_a_draft_becomes_a_rule_by_taking_its_mark_away(tmp_path: Path) -> None:
    found = unclassified(classify(pl.DataFrame({"reply": ODD})))
    own = tmp_path / "own.toml"
    own.write_text(without_marks(draft(found)), encoding="utf-8")
    assert check(own).is_empty()
    categories = classify(pl.DataFrame({"reply": ODD}), rules=own)["category"].to_list()
    assert [reply for reply, c in zip(ODD, categories, strict=True) if c == "unclassified"] == [
        "550"  # a bare code is nothing to make a phrase of
    ]


def test_a_draft_holds_no_address_and_no_control_character() -> None:
    text = draft(unclassified(classify(pl.DataFrame({"reply": ODD}))))
    assert "@" not in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_a_proposal_is_of_the_reply_and_not_of_what_stands_before_it() -> None:
    found = pl.DataFrame(
        {"template": ["gateway said: 550 zorbing pending since a while <number>"], "events": [1]},
        schema_overrides={"events": pl.UInt32},
    )
    assert proposals(found)["phrase"].to_list() == ["zorbing pending since while"]


def test_proposals_are_the_most_frequent_first_and_each_phrase_once() -> None:
    found = unclassified(
        classify(pl.DataFrame({"reply": [*ODD, "451 gate oddly shut", *ODD[2:4]]}))
    )
    got = proposals(found, at_most=3)
    assert got["events"].to_list() == [2, 2, 2]
    assert got["phrase"].is_unique().all()


@settings(max_examples=40)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_whatever_strangers_write_a_draft_is_toml_that_loads(texts: list[str]) -> None:
    frame = pl.DataFrame({"reply": texts}, schema={"reply": pl.String})
    text = draft(unclassified(classify(frame)))
    assert set(map(str, tomllib.loads(text).values())) == {"{}"}
    assert "server_error" in tomllib.loads(without_marks(text))


def test_a_plain_table_of_replies_is_read(tmp_path: Path) -> None:
    path = tmp_path / "replies.csv"
    path.write_text('id,reply\n1,"550 no, thanks"\n2,552 full\n3,\n')
    read = replies(path)
    assert read is not None
    assert read["reply"].to_list() == ["550 no, thanks", "552 full"]
    named = replies(path, "ID")
    assert named is not None
    assert named["reply"].to_list() == ["1", "2", "3"]
    path.write_text("day,amount\n2024-01-01,3\n")
    assert replies(path) is None
    assert replies(tmp_path) is None
