"""Replies get the cause a reader would name, and nothing beside the cause changes it."""

import csv
import quopri
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from html.entities import codepoint2name
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bouncekit.classify import classify, phrases_in
from bouncekit.errors import BouncekitError
from bouncekit.reply import words
from bouncekit.rules import builtin
from bouncekit.schema import ACTION_OF, CATEGORIES, CLASSIFICATION, FAULT_OF, Event

HERE = Path(__file__).parent
ARTICLE = pl.read_csv(
    HERE.parent / "data" / "article_replies.csv", schema_overrides={"id": pl.String}
)
RECEIVERS = pl.read_csv(HERE / "replies.tsv", separator="\t", quote_char=None)
LANGUAGES = pl.read_csv(HERE / "languages.tsv", separator="\t", quote_char=None)
REPLY = st.sampled_from(RECEIVERS["reply"].to_list())


def category(reply: str | None, **columns: Any) -> str:
    frame = pl.DataFrame({"reply": [reply], **{name: [value] for name, value in columns.items()}})
    return str(classify(frame)["category"].item())


def wrong(frame: pl.DataFrame) -> list[str]:
    """Say which replies got another category than a reader accepts."""
    rows = classify(frame).select("wanted", "category", "because", "reply")
    return [
        f"{wanted} wanted, {got} because of {because!r}: {reply}"
        for wanted, got, because, reply in rows.iter_rows()
        if got not in wanted.split(";")
    ]


def test_the_replies_of_the_article_are_understood() -> None:
    wanted = pl.concat_str("category", pl.col("also_accepted").fill_null(""), separator=";")
    assert not wrong(ARTICLE.select("reply", wanted=wanted))


def test_the_article_s_replies_blame_whom_the_article_blames() -> None:
    exact = ARTICLE.filter(pl.col("also_accepted").fill_null("") == "")
    faults = classify(exact.select("reply"))["fault"].cast(pl.String)
    assert faults.to_list() == exact["fault"].to_list()


def test_what_receivers_say_is_understood() -> None:
    lost = wrong(RECEIVERS.rename({"category": "wanted"}))
    assert not lost, "\n".join(lost)


def test_what_receivers_say_is_understood_in_each_language() -> None:
    lost = wrong(LANGUAGES.rename({"category": "wanted"}))
    assert not lost, "\n".join(lost)
    causes = LANGUAGES.group_by("language").agg(pl.col("category").n_unique())
    assert causes.height == 25
    assert causes.filter(pl.col("category") >= 25).height == 14
    assert causes["category"].min() == 21


ESCAPED = {
    "HTML entities": lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    "named entities": lambda text: "".join(
        f"&{codepoint2name[ord(letter)]};" if ord(letter) in codepoint2name else letter
        for letter in text
    ),
    "UTF-8 read as Windows-1252": lambda text: "".join(
        bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in text.encode()
    ),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).decode(),
    "an encoded word": lambda text: f"=?UTF-8?B?{b64encode(text.encode()).decode()}?=",
}


@pytest.mark.parametrize("escape", ESCAPED.values(), ids=ESCAPED)
def test_escaped_letters_are_read_as_they_were_meant(escape: Callable[[str], str]) -> None:
    alphabetic = LANGUAGES.filter(~pl.col("language").is_in(["ja", "zh", "ko"]))
    escaped = [escape(reply) for reply in alphabetic["reply"]]
    lost = wrong(alphabetic.select(wanted="category").with_columns(reply=pl.Series(escaped)))
    assert not lost, "\n".join(lost)


def test_the_table_of_replies_is_sound() -> None:
    assert set(RECEIVERS["category"]) == set(CATEGORIES)
    assert RECEIVERS["reply"].is_unique().all()
    with (HERE / "replies.tsv").open(encoding="utf-8", newline="") as lines:
        order = [row[0] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)][1:]
    assert order == sorted(order, key=CATEGORIES.index)


# What decides

ABOUT_THE_SENDER = [
    "; client host [192.0.2.7] blocked using zen.spamhaus.org",
    "; 192.0.2.7 is listed in bl.spamcop.net",
    "; SPF check failed",
    "; DKIM signature did not verify",
    "; DMARC policy of reject",
    "; too many connections from your host",
    "; your IP has a poor reputation",
    "; reverse DNS lookup failed for 192.0.2.7",
    "; sender address rejected",
    "; relay access denied",
]


@pytest.mark.parametrize("statement", ABOUT_THE_SENDER)
def test_a_statement_about_the_sender_never_leaves_a_removal(statement: str) -> None:
    # The sentences of exact.toml decide wherever they stand: they are no mix of two statements.
    exact = [phrase.rule for phrase in builtin().phrases if phrase.file == "exact.toml"]
    mixed = classify(RECEIVERS.select(pl.col("reply") + statement))
    removed = mixed.filter(
        pl.col("category").cast(pl.String).replace_strict(ACTION_OF) == "remove",
        ~pl.col("rule").is_in(exact),
    )
    said = [
        f"{because!r}: {reply}" for because, reply in removed.select("because", "reply").iter_rows()
    ]
    assert not said, "\n".join(said)


CONFLICTS = [
    ("550 5.1.1 too many connections", "rate_limited", True),
    ("550 5.1.1 blocked using zen.spamhaus.org", "blocklisted", True),
    ("452 4.2.2 SPF check failed", "authentication_failed", True),
    ("554 5.7.1 user unknown", "unknown_user", False),
    ("550 5.1.1 user unknown", "unknown_user", False),
    ("550 5.2.1 mailbox full", "mailbox_full", False),
    ("550 5.1.1", "unknown_user", False),
]


@pytest.mark.parametrize(("reply", "wanted", "conflict"), CONFLICTS)
def test_the_text_outranks_the_code_and_says_so(reply: str, wanted: str, conflict: bool) -> None:
    got = classify(pl.DataFrame({"reply": [reply]}))
    assert got.select("category", "conflict").row(0) == (wanted, conflict)


BEFORE_RCPT = [
    ("550 5.1.1 User unknown (in reply to MAIL FROM command)", "sender_refused"),
    ("550 5.1.1 User unknown (in reply to RCPT TO command)", "unknown_user"),
    ("550 5.2.1 account disabled (in reply to MAIL FROM command)", "sender_refused"),
    ("535 5.7.8 user disabled", "sender_refused"),
    ("MAIL FROM: ann@example.net 550 This address does not exist and is blocked", "sender_refused"),
    (">>> MAIL From:<ann@example.net> SIZE=12\n<<< 550 Host unknown", "sender_dns"),
    ("MAIL FROM:<ann@example.net> 250 ok RCPT TO:<bo@x.example> 550 no such user", "unknown_user"),
    ("Mail from example.net: 550 unknown user", "unknown_user"),
    (
        "SMTP error from remote server for MAIL FROM command, host: mx.example.org (192.0.2.25) "
        "reason: 550 mailbox unavailable",
        "sender_refused",
    ),
    (
        "SMTP error from remote server for RCPT TO command, host: mx.example.org (192.0.2.25) "
        "reason: 550 mailbox unavailable",
        "unknown_user",
    ),
    ("host mx.example.org refused to talk to me: 550 user unknown", "sender_refused"),
    ("SMTP error after MAIL FROM:<bob@example.org>: 550 no such user", "sender_refused"),
    ("SMTP error after RCPT TO:<ann@example.org>: 550 no such user", "unknown_user"),
    ("550 Unknown domain (in reply to EHLO command)", "sender_dns"),
    ("550 mailbox full (in reply to end of DATA command)", "mailbox_full"),
    ("553 5.1.7 The address is not valid", "sender_refused"),
    ("550 host mx.example.org refused to\n  talk to me: 554 user unknown", "sender_refused"),
]


@pytest.mark.parametrize(("reply", "wanted"), BEFORE_RCPT)
def test_what_is_said_before_any_recipient_is_said_of_the_sender(reply: str, wanted: str) -> None:
    assert category(reply) == wanted


def test_what_else_a_reply_says_is_read_where_it_matters() -> None:
    replies = [
        "554 5.7.1 Client host [192.0.2.7] blocked using dbl.spamhaus.org",
        "552 5.3.4 message size 12345678 exceeds size limit 10240000 of server mx.example.org",
        "450 4.2.0 <ann@example.org>: Greylisted, try again in 300 seconds",
        "550 5.1.1 <ann@example.org>: user unknown at 192.0.2.9, limit 10 MB",
    ]
    got = classify(pl.DataFrame({"reply": replies, "sending_ip": [None, None, "192.0.2.8", None]}))
    assert got["blocklist"].to_list() == ["Spamhaus DBL", None, None, None]
    assert got["listed"].to_list() == ["domain", None, None, None]
    assert got["sending_ip"].to_list() == ["192.0.2.7", None, "192.0.2.8", None]
    assert got["size_limit"].to_list() == [None, 10_240_000, None, None]
    assert got["retry_after"].to_list() == [None, None, timedelta(seconds=300), None]


def test_codes_given_in_columns_win_over_those_in_the_text() -> None:
    frame = pl.DataFrame(
        {
            "reply": ["550 5.1.1 no more", "no more", "550 5.1.1 no more"],
            "reply_code": [452, 452, None],
            "enhanced_code": ["4.2.2", None, None],
        }
    )
    got = classify(frame)
    assert got["reply_code"].to_list() == [452, 452, 550]
    assert got["enhanced_code"].to_list() == ["4.2.2", None, "5.1.1"]
    assert got["category"].to_list() == ["mailbox_full", "unclassified", "unknown_user"]
    assert got["certainty"].to_list() == ["enhanced_code", "none", "enhanced_code"]


def test_permanence_and_delay_are_read_beside_the_cause() -> None:
    got = classify(pl.DataFrame({"reply": ["550 no", "450 wait 5 minutes", "5.1.1 no", "no"]}))
    assert got["permanent"].to_list() == [True, False, True, None]
    assert got["retry_after"].dt.total_seconds().to_list() == [None, 300, None, None]


def test_a_blocklist_is_named_where_one_refused() -> None:
    replies = ["550 blocked using zen.spamhaus.org", "550 listed in bl.spamcop.net", "550 no user"]
    got = classify(pl.DataFrame({"reply": replies}))["blocklist"].to_list()
    assert [str(name).split()[0] for name in got] == ["Spamhaus", "SpamCop", "None"]


PROVIDERS: list[tuple[str, dict[str, str], str | None]] = [
    ("550 5.1.1 no - gsmtp", {}, "Gmail"),
    ("550 no", {"remote_mta": "mx.bigmail.example"}, None),
    ("550 no", {"recipient": "ann@yahoo.com"}, "Yahoo"),
    ("550 no", {"recipient": "jürgen@GMAIL.com"}, "Gmail"),
    ("550 no", {"recipient": '"ann@home"@gmail.com'}, "Gmail"),
    ("550 no", {"recipient": "ann.gmail.com"}, None),
    ("550 no", {"remote_mta": "mxa-1.gslb.pphosted.com", "recipient": "a@gmail.com"}, "Proofpoint"),
    ("550 no", {}, None),
    # whom a reply speaks of does not speak
    ("550 <news@gmail.com>: Sender address rejected", {"recipient": "ann@example.org"}, None),
    ("554 SPF fail: yahoo.com does not allow it", {"remote_mta": "mx.example.org"}, None),
    ("550 no, https://support.google.com/mail/?p=x", {"recipient": "ann@example.org"}, "Gmail"),
    ("554 no, see https://ipcheck.proofpoint.com/", {"remote_mta": "mx.example.org"}, "Proofpoint"),
]


@pytest.mark.parametrize(("reply", "columns", "provider"), PROVIDERS)
def test_the_provider_is_known_by_host_domain_or_words(
    reply: str, columns: dict[str, str], provider: str | None
) -> None:
    frame = pl.DataFrame({"reply": [reply], **{name: [said] for name, said in columns.items()}})
    assert classify(frame)["provider"].item() == provider


# What does not decide

WANTED = classify(RECEIVERS.select("reply"))["category"].to_list()
NAMES = ["ann@example.org", "virus.spam@example.net", "full-quota@x.example", "no.user@example.com"]
HOSTS = ["mx.example.org", "spam-filter.example.net", "greylist-1.example.com", "full.example.com"]
IPS = ["192.0.2.1", "198.51.100.250", "203.0.113.45"]


def changed(reply: pl.Expr) -> list[str]:
    """Say which replies of receivers get another category when they are rewritten like this."""
    got = classify(RECEIVERS.select(reply)).with_columns(wanted=pl.Series(WANTED))
    lost = got.filter(pl.col("category").cast(pl.String) != pl.col("wanted"))
    return [str(row) for row in lost.select("wanted", "category", "because", "reply").iter_rows()]


@pytest.mark.parametrize("case", ["lowercase", "uppercase", "titlecase"])
def test_case_does_not_decide(case: str) -> None:
    # `\\n` is a line end as Exim logs it; N is a letter.
    bare = pl.col("reply").str.replace_all(r"\n", "\n", literal=True)
    assert not changed(getattr(bare.str, f"to_{case}")())


@pytest.mark.parametrize("blanks", [" ", "\r\n", "\t", "\u3000", "\n \n"])
def test_blanks_around_and_between_do_not_decide(blanks: str) -> None:
    around = pl.concat_str(pl.lit(blanks), pl.col("reply"), pl.lit(blanks))
    assert not changed(around.alias("reply"))
    assert not changed(pl.col("reply").str.replace_all(" ", f" {blanks}"))


@settings(max_examples=20)
@given(st.sampled_from(NAMES), st.sampled_from(HOSTS), st.sampled_from(IPS))
def test_address_host_and_ip_do_not_decide(name: str, host: str, ip: str) -> None:
    named = (
        pl.col("reply")
        .str.replace_all(r"\b(ann|bob)@example\.\w+", name)
        .str.replace_all(r"\bmx\.example\.\w+", host)
        .str.replace_all("192.0.2.7", ip, literal=True)
    )
    assert not changed(named)


@settings(max_examples=20)
@given(st.from_regex(r"[0-9A-F]{10}", fullmatch=True), st.sampled_from(NAMES))
def test_a_queue_id_and_the_recipient_in_front_do_not_decide(queue_id: str, name: str) -> None:
    assert not changed((pl.lit(f"{queue_id}: to=<{name}>: ") + pl.col("reply")).alias("reply"))


AROUND = (
    "host mx.example.org[192.0.2.7] said: {} (in reply to RCPT TO command)",
    "SMTP error from remote mail server after RCPT TO:<ann@example.org>: mx.example.org: {}",
    "Remote host said: {}\nGiving up on 192.0.2.7.",
    "smtp; {}",
    "mx.example.org #<mx.example.org #5.0.0 smtp; {}> #SMTP#",
    "Remote Server returned '{}'",
    "mx.example.org gave this error:\n{}",
    "The response from the remote server was:\n\n{}",
    "The mail could not be delivered to the following recipients:\nann@example.org\n{}",
    "com.sun.mail.smtp.SMTPAddressFailedException: {}\n",
    "Mailbox unavailable. The server response was: {}",
    "SMTP Error: The following recipients failed: ann@example.org: {}",
    "SMTP server error: RCPT TO command failed Detail: {} SMTP code: 550",
    "Net::SMTPFatalError: {}",
    "failed to send email: {}",
    "RCPT TO:<ann@example.org>\n{}",
    "Delivery failed: {}",
    "error sending message in campaign News: subscriber 1: {}",
    "{} For more information visit https://example.org/errors?id=12345",
    "{}. If you believe that this is an error, please write to your administrator.",
    "{}\nThis is a permanent error; I've given up. Sorry it didn't work out.",
    "{} [AB1NAM11FT063.eop.example.com 2024-03-01T10:00:00.123Z 08DC39C1D5A0B3A2]",
    "{}\n\n------ This is a copy of the message, including all the headers. ------\n",
    "{} [Message-ID: <20240301100000.ABC123@example.com>]",
    "{}; from=<news@example.com> to=<ann@example.org> proto=ESMTP helo=<mx.example.com>",
    "{} (host mx.example.org[192.0.2.7])",
    "{} Your message could not be delivered to the recipient.",
)


@pytest.mark.parametrize("around", AROUND)
def test_what_programs_say_around_a_reply_does_not_decide(around: str) -> None:
    """Where the reply begins with its code and has words: else it is told by whatever there is."""
    before, after = around.split("{}")
    has_words = classify(RECEIVERS)["certainty"] == "text"
    told = RECEIVERS.select("reply").filter(has_words, pl.col("reply").str.contains("^[45]"))
    wrapped = told.select(reply=pl.lit(before) + pl.col("reply") + pl.lit(after))
    bare, found = classify(told), classify(wrapped)
    lost = found.filter(found["category"] != bare["category"])
    assert lost.is_empty(), lost.select("category", "because", "reply").rows()


# What becomes of the frame


def test_each_row_stays_in_its_place_with_its_own_columns() -> None:
    frame = RECEIVERS.select("reply").with_row_index("mine")
    got = classify(frame)
    assert_frame_equal(got.select("mine", "reply"), frame)
    assert got.columns == [
        *("mine", "reply", "reply_code", "enhanced_code", "sending_ip"),
        *CLASSIFICATION,
    ]
    assert dict(got.select(*CLASSIFICATION).schema) == CLASSIFICATION


def test_a_lazy_frame_gives_the_same_as_a_frame() -> None:
    frame = RECEIVERS.select("reply")
    lazily = classify(frame.lazy())
    assert isinstance(lazily, pl.LazyFrame)
    assert_frame_equal(lazily.collect(), classify(frame))
    assert_frame_equal(lazily.collect(engine="streaming"), classify(frame))


def test_classifying_twice_changes_nothing() -> None:
    once = classify(RECEIVERS.select("reply"))
    assert_frame_equal(classify(once), once)


@settings(max_examples=20)
@given(st.lists(st.none() | REPLY, min_size=1, max_size=6))
def test_what_stands_beside_a_reply_does_not_decide(replies: list[str | None]) -> None:
    frame = pl.DataFrame({"reply": replies}, schema={"reply": pl.String})
    alone = [classify(frame[row]) for row in range(frame.height)]
    assert_frame_equal(classify(frame), pl.concat(alone))


ENCODED_WORD = st.builds(
    lambda octets, after: f"=?utf-8?B?{b64encode(octets).decode()}{after}", st.binary(), st.text()
) | st.builds("=?UTF-8?{}?{}?=".format, st.sampled_from("bq"), st.text())


@pytest.mark.parametrize(
    ("octets", "wanted"),
    [
        (b"user unknown", "unknown_user"),
        ("Postfach überfüllt".encode(), "mailbox_full"),
        ("Postfach überfüllt".encode("latin-1"), "unclassified"),
        (b"\xff user unknown", "unclassified"),
    ],
)
def test_a_reply_in_an_encoded_word_is_read_if_it_is_what_it_says(
    octets: bytes, wanted: str
) -> None:
    assert category(f"=?utf-8?B?{b64encode(octets).decode()}?=") == wanted


@settings(max_examples=30)
@given(st.lists(st.none() | st.text() | REPLY | ENCODED_WORD, max_size=50))
def test_any_text_has_a_category_and_its_fault(replies: list[str | None]) -> None:
    got = classify(pl.DataFrame({"reply": replies}, schema={"reply": pl.String}))
    assert got.height == len(replies)
    assert got["category"].null_count() == 0
    assert [FAULT_OF[c] for c in got["category"]] == got["fault"].to_list()
    said = got["certainty"] != "none"
    assert got["because"].is_not_null().to_list() == said.to_list()
    assert got["rule"].is_not_null().to_list() == said.to_list()


def test_no_reply_says_nothing() -> None:
    got = classify(pl.DataFrame({"reply": [None, ""]}, schema={"reply": pl.String}))
    assert got["category"].to_list() == ["unclassified", "unclassified"]
    assert got["conflict"].to_list() == [False, False]


def test_events_that_are_no_failure_have_no_cause() -> None:
    events = ["delivery", "engagement", "unsubscribe", "unreadable"]
    frame = pl.DataFrame({"reply": ["550 user unknown"] * 4, "event": events})
    for event in (pl.String, Event):
        got = classify(frame.with_columns(pl.col("event").cast(event)))
        assert got["category"].null_count() == 4
        assert got["fault"].to_list() == ["none"] * 4
        assert got["certainty"].to_list() == ["none"] * 4
        assert got["conflict"].any() is False


def test_events_that_name_their_cause_need_no_reply() -> None:
    events = ["complaint", "auto_reply", "dropped", "bounce"]
    frame = pl.DataFrame(
        {"reply": [None] * 4, "event": events}, schema_overrides={"reply": pl.String}
    )
    got = classify(frame)["category"].to_list()
    assert got == ["complaint", "auto_reply", "suppressed", "unclassified"]


def test_the_export_s_verdict_is_asked_after_the_text_and_before_bare_codes() -> None:
    frame = pl.DataFrame(
        {
            "reply": ["552 mailbox full", "550 5.1.1", None],
            "source_class": ["sendgrid:Reputation"] * 3,
        }
    )
    got = classify(frame)
    assert got["category"].to_list() == ["mailbox_full", "bad_reputation", "bad_reputation"]
    assert got["certainty"].to_list() == ["text", "source_class", "source_class"]


def test_an_empty_frame_stays_empty() -> None:
    got = classify(pl.DataFrame(schema={"reply": pl.String}))
    assert got.height == 0
    assert dict(got.select(*CLASSIFICATION).schema) == CLASSIFICATION


def test_a_frame_without_replies_is_refused_with_a_way_out() -> None:
    with pytest.raises(BouncekitError, match=r"no column 'reply' \(it has message\); rename"):
        classify(pl.DataFrame({"message": ["550"]}))


def test_the_phrases_in_a_reply_come_with_the_winner_first() -> None:
    text = pl.lit("550 mailbox unavailable: blocked using zen.spamhaus.org")
    found = phrases_in(pl.select(words(text)).item(), builtin())
    assert found[0][0] == "blocklisted"
    assert "unknown_user" in [category for category, _ in found[1:]]
