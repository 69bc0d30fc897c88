"""Every rule is alive: each phrase wins its own example, each set is used, each code is a code."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest

from bouncekit import rules
from bouncekit.classify import classify, phrases_in
from bouncekit.errors import BouncekitError
from bouncekit.reply import words
from bouncekit.schema import ACTION_OF, CATEGORIES

RULE_FILES = [file for file in files(rules).iterdir() if file.name.endswith(".toml")]
TEXTS = {file.name: file.read_text(encoding="utf-8") for file in RULE_FILES}
CODES = tomllib.loads(TEXTS["codes.toml"])
SETS = tomllib.loads(TEXTS["words.toml"])


def test_a_phrase_is_searched_for_as_its_words_are_read() -> None:
    """Its key is put together of the words of its parts, which is quicker."""
    phrases = rules.builtin().evidence.filter(pl.col("kind") == "phrase")
    key, read = pl.col("key").str.strip_chars(), words(pl.col("because")).str.strip_chars()
    assert phrases.filter(key != read).select("because", "key").rows() == []


def test_each_phrase_wins_its_own_example() -> None:
    phrases = rules.builtin().phrases
    examples = pl.DataFrame(
        [(phrase.file, phrase.text, phrase.category, phrase.example) for phrase in phrases],
        schema=["file", "phrase", "wanted", "reply"],
        orient="row",
    )
    lost = classify(examples).filter(pl.col("category").cast(pl.String) != pl.col("wanted"))
    said = [
        f"{file}: '{phrase}' [{wanted}] is won by '{because}' [{category}]: move it or narrow that"
        for file, phrase, wanted, because, category in lost.select(
            "file", "phrase", "wanted", "because", "category"
        ).iter_rows()
    ]
    assert not said, "\n".join(said)


def test_no_phrase_is_written_twice_for_one_category() -> None:
    written = [phrase.rule for phrase in rules.builtin().phrases]
    assert sorted({rule for rule in written if written.count(rule) > 1}) == []


def test_to_leave_out_phrases_whose_words_do_not_occur_loses_none() -> None:
    known = rules.builtin()
    replies = pl.DataFrame({"reply": ["", "odd", *(phrase.example for phrase in known.phrases)]})
    texts = replies.select(words=words(pl.col("reply")))
    of_all = rules.first_of(pl.col("words"), list(known.numbers("phrase")))
    expected = texts.select(of_all).to_series()
    for rows in (slice(None), slice(1), slice(0, None, 50), slice(7, 9)):
        assert known.phrase_in(texts["words"][rows]).to_list() == expected[rows].to_list()


def test_the_rules_for_one_text_find_in_it_what_all_find() -> None:
    examples = [phrase.example for phrase in rules.builtin().phrases][::25]
    texts = pl.DataFrame({"reply": [*examples, "", "550 5.1.1", "552-é Postfach ist voll"]})
    for text in texts.select(words(pl.col("reply"))).to_series():
        few = rules.builtin_for(text)
        assert phrases_in(text, few) == phrases_in(text, rules.builtin())
        assert few.evidence.height < rules.builtin().evidence.height / 10


def test_each_phrase_is_found_in_its_own_example() -> None:
    # A phrase all of whose spellings stand in an earlier one has no key left to be found by.
    known = rules.builtin()
    keys = dict(known.evidence.group_by("rule").agg("key").iter_rows())
    examples = pl.Series([phrase.example for phrase in known.phrases])
    missing = [
        f"{phrase.file}: '{phrase.text}' [{phrase.category}] is not in: {phrase.example}"
        for phrase, said in zip(
            known.phrases, pl.select(words(pl.lit(examples))).to_series(), strict=True
        )
        if not any(key in said for key in keys.get(phrase.rule, []))
    ]
    assert not missing, "\n".join(missing)


def test_no_phrase_that_may_remove_shrinks_to_one_vague_word() -> None:
    phrases = rules.builtin().evidence.filter(pl.col("kind") == "phrase")
    shrunk = phrases.filter(
        pl.col("category").replace_strict(ACTION_OF) == "remove",
        pl.col("because").str.contains(" "),
        ~pl.col("key").str.strip_chars().str.contains(" "),
        pl.col("key").str.contains("^[ -~]*$"),
    )
    said = [
        f"'{because}' is only '{key}'"
        for because, key in shrunk.select("because", "key").iter_rows()
    ]
    assert not said, "\n".join(said)


def test_each_set_of_words_is_used_and_has_no_word_twice() -> None:
    used = {
        name for phrase in rules.builtin().phrases for name in re.findall(r"\{(\w+)\}", phrase.text)
    }
    assert used == set(SETS)
    assert {name: len(set(words)) for name, words in SETS.items()} == {
        name: len(words) for name, words in SETS.items()
    }


def test_each_category_is_explained_in_the_order_of_the_schema() -> None:
    explained = rules.categories()
    assert list(explained) == list(CATEGORIES)
    for about in explained.values():
        assert set(about) == {"meaning", "what_to_do"}
        assert all(sentence.endswith(".") for sentence in about.values())


def test_codes_are_well_formed_and_mean_a_category() -> None:
    forms = {
        "outranks_general": r"[45]\.\d\.\d{1,3}( .+)?",
        "enhanced": r"\d\.\d{1,3}",
        "reply": r"[45]\d\d",
    }
    assert set(CODES) == set(forms)
    for section, form in forms.items():
        for code, category in CODES[section].items():
            assert re.fullmatch(form, code), code
            assert category in CATEGORIES, code


def test_no_bare_reply_code_removes_an_address_but_that_of_a_domain_without_mail() -> None:
    removing = [
        code for code, category in CODES["reply"].items() if ACTION_OF[category] == "remove"
    ]
    assert removing == ["556"]


def test_the_verdicts_of_exports_are_lower_case_and_mean_a_category() -> None:
    for verdict, category in tomllib.loads(TEXTS["source_classes.toml"]).items():
        assert re.fullmatch(r"[a-z0-9_]+:\S.*", verdict), verdict
        assert verdict == verdict.lower()
        assert category in CATEGORIES


@pytest.mark.parametrize("file", TEXTS)
def test_addresses_in_the_rules_are_examples(file: str) -> None:
    for address in re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", TEXTS[file]):
        assert re.search(r"@([\w-]+\.)*example(\.\w+)?$", address), address


def test_rules_of_ones_own_win_over_the_built_in_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[greylisted]\n"user unknown" = "550 user unknown"\n', encoding="utf-8")
    replies = pl.DataFrame({"reply": ["550 5.1.1 user unknown", "552 5.2.2 mailbox full"]})
    assert classify(replies, rules=own)["category"].to_list() == ["greylisted", "mailbox_full"]
    assert classify(replies)["category"].to_list() == ["unknown_user", "mailbox_full"]


BAD_RULES = [
    ('[unknown_usr]\n"x y" = "x y"', ["[unknown_usr]", "unknown_user"]),
    ('[unknown_user]\n"{boxx} gone" = "box gone"', ["'{boxx} gone'", "{boxx}", "mailbox"]),
    ('[unknown_user]\n"box gone" = 1', ["[unknown_user]", "'box gone'", "in quotes"]),
    ('[unknown_user]\n"the" = "the"', ["[unknown_user] 'the'", "telling words"]),
    ('unknown_user = "box gone"', ["[unknown_user]", "must hold lines"]),
    (
        '[virus]\n"box odd" = "550 odd box"\n"box bad" = "550 bad"\n"box ok" = "box ok"',
        ["[virus] 'box odd' does not win", "'550 odd box' (1 more of your phrases does not"],
    ),
    ("[unknown_user\n", ["not readable as TOML", "line 1", "mend it"]),
    ('[unknown_user]\n"a" = "b"\n"a" = "c"\n', ["not readable as TOML", "line 3"]),
]


@pytest.mark.parametrize(("content", "named"), BAD_RULES)
def test_a_bad_file_of_rules_is_named_with_its_entry_and_the_way_out(
    tmp_path: Path, content: str, named: list[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(content, encoding="utf-8")
    with pytest.raises(BouncekitError) as error:
        classify(pl.DataFrame({"reply": ["550"]}), rules=own)
    assert not [part for part in ["own.toml", *named] if part not in str(error.value)]


def test_a_missing_file_of_rules_is_named(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=r"nowhere\.toml: there is no such file"):
        classify(pl.DataFrame({"reply": ["550"]}), rules=tmp_path / "nowhere.toml")


def test_a_changed_file_of_rules_is_read_again(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    reply = pl.DataFrame({"reply": ["550 quite odd"]})
    for category in ("greylisted", "virus"):
        own.write_text(f'[{category}]\n"quite odd" = "550 quite odd"\n', encoding="utf-8")
        assert classify(reply, rules=own)["category"].item() == category
