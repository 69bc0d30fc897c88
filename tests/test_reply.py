"""Codes, words, template and delay are read from dirty text, and nothing else is taken for one."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncekit.reply import enhanced_code, reply_code, retry_after, template, wording, words

CODES: list[tuple[str | None, int | None, str | None]] = [
    # plain, doubled, continued over lines
    ("550 5.1.1 user unknown", 550, "5.1.1"),
    ("550", 550, None),
    (" 550\n", 550, None),
    ("550 550 Requested action not taken: mailbox unavailable (state 17).", 550, None),
    ("550-5.1.1 The account\n550-5.1.1 that you tried\n550 5.1.1 to reach", 550, "5.1.1"),
    ("550-5.1.1 The account\r\n550 5.1.1 is gone", 550, "5.1.1"),
    (r"Error after RCPT TO:\n550-5.1.1 The account\n550 5.1.1 is gone", 550, "5.1.1"),
    ("(550 – 550-Requested action not taken", 550, None),
    ("550-mx.example.com 550 no such user", 550, None),
    ("421-4.7.28 unusual rate of mail", 421, "4.7.28"),
    ("554 30 Sorry, your message cannot be delivered", 554, None),
    ("552 1 Requested mail action aborted, mailbox not found", 552, None),
    # dots lost or loose
    ("550 5 2 1 mail from refused spam site", 550, "5.2.1"),
    ("550 5. 5. 1 protocol error", 550, "5.5.1"),
    ("550 5.1.1: no such user", 550, "5.1.1"),
    ("550 5.1.1.", 550, "5.1.1"),
    ("550\t5.1.1\tuser unknown", 550, "5.1.1"),
    ("550,5.1.1,user unknown", 550, "5.1.1"),
    ("550 5.11.M -RCPT: Max recipient list exceeded limit", 550, None),
    ("550 5.7.606 Access denied", 550, "5.7.606"),
    # quoted by another system
    ("INVALID_ADDRESS, ERROR_CODE :550, ERROR_CODE :SPF", 550, None),
    ("smtp; 5.3.0 - Other mail system problem 550-'Unknown user ann@example.org'", 550, "5.3.0"),
    ("smtp; 550 5.1.1 user unknown", 550, "5.1.1"),
    ("smtp;550 5.1.1 user unknown", 550, "5.1.1"),
    ("host mx.example.com[192.0.2.25] said: 550-5.1.1 The account", 550, "5.1.1"),
    ("dsn=5.1.1, status=bounced (host said: 550 5.1.1 unknown)", 550, "5.1.1"),
    ("<ann@example.org>: SMTP error from remote mail server: 550 no", 550, None),
    ("The error that the other server returned was: 554 5.7.1 no", 554, "5.7.1"),
    ("Remote_host_said:_550_5.1.1_<ann@example.org>_User_unknown/Giving_up.", 550, "5.1.1"),
    ("Sorry, no mailbox here by that name. (#5.1.1)", None, "5.1.1"),
    ("550 #5.1.0 Address rejected.", 550, "5.1.0"),
    ('{"code":550,"message":"5.1.1 unknown"}', 550, "5.1.1"),
    ("SMTP-Fehler 550: Empfänger unbekannt", 550, None),
    ("エラー：550 宛先不明", 550, None),
    ("（550）用户不存在", 550, None),
    ("550 Пользователь не найден", 550, None),
    ("550 5.1.1 ab***@ex***.com unknown", 550, "5.1.1"),
    # inside a sentence
    ("Delivery failed with a 450 error after trying for 5 days", 450, None),
    ("The server answered 550 5.1.1 and closed", 550, "5.1.1"),
    ("Got 550 letters from the server", None, None),
    ("It could not be delivered. 550 user unknown", 550, None),
    ("Delivery failed! 552 mailbox full", 552, None),
    ("SMTP 550 no", 550, None),
    ("[550] 5.1.1 no", 550, "5.1.1"),
    ("5.1.1 550 user unknown", 550, "5.1.1"),
    # transcripts: the failure is what matters
    ("220 mx ESMTP\n250 2.1.0 Ok\n550 5.1.1 unknown\n221 Bye", 550, "5.1.1"),
    (">>> RCPT To:<ann@example.org>\n<<< 550 5.1.1 unknown", 550, "5.1.1"),
    ("SMTP -> FROM SERVER:250 , Sender ok\nSMTP -> FROM SERVER:550 check mail", 550, None),
    ("250 2.0.0 Ok: queued as 4ABCDE", 250, "2.0.0"),
    ("354 Go ahead", 354, None),
    # numbers that only look like codes
    ("aa***@bb***.bb on 6.5.2010 08:12", None, None),
    ("Tue, 19 Jan 2010 05:54:20 +0100", None, None),
    ("connect to mx.example.org:587: no answer", None, None),
    ("connect to 192.0.2.250:25: no answer", None, None),
    ("[192.0.2.250]: not welcome", None, None),
    ("size=552 bytes", None, None),
    ("mailbox full (550 MB of 500 MB)", None, None),
    ("gave up after 450 seconds", None, None),
    ("retry: 450 seconds", None, None),
    ("limit of 500 messages", None, None),
    ("Exim 4.92.3 ready", None, None),
    ("ESMTP MDaemon 10.0.5", None, None),
    ("Postfix 2.5.1", None, None),
    ("temporarily deferred - 4.16.55.1; see the help", None, None),
    ("Message-ID: <20240119.550.5@example.org>", None, None),
    ("<4.5.1@example.org>", None, None),
    ("HELO 5.5.1.example.org", None, None),
    ("Tel. 555 1234", None, None),
    ("", None, None),
    (None, None, None),
]

WORDS = [
    ("552-5.2.2 The mailbox of <full@example.org> is full.", "mailbox full"),
    ('550 "User unknown."', "user unknown"),
    ("(mailbox full.)", "mailbox full"),
    ("550-User\r\n550 unknown", "user unknown"),
    (r"DNS error\nDomain name not found", "dns error domain name not found"),
    ("Sorry,_no_mailbox_here_by_that_name", "no mailbox here by name"),
    ("550 user\u3000unknown", "user unknown"),
    (
        "550 Benutzer existiert nicht: Größe über Quote",
        "benutzer existiert nicht grosse uber quote",
    ),
    ("550 Пользователь не найден", "пользователь не найден"),
    ("mx-spam.example.com says no, see https://example.org/virus", "says no see"),
    ("blocked by zen.spamhaus.org", "blocked by zen spamhaus"),
    ("550 5.1.1 RESOLVER.ADR.RecipNotFound; x", "resolver.adr.recipnotfound x"),
    ("OFR_416 [416]", "ofr 416"),
    ("user\ufeff unknown\x00", "user unknown"),
    ("...", ""),
    ("", ""),
]

TEMPLATES = [
    ("550-Requested action not taken", "550-requested action not taken"),
    ("550 5.1.1 <Ann@example.org>: no such user", "550 5.1.1 <address>: no such user"),
    ('"ann lee"@example.org unknown', "<address> unknown"),
    ("550 xx*******@Ec******.com", "550 <address>"),
    ("from 2001:db8::1 or 192.0.2.250", "from <ip> or <ip>"),
    ("host mx1.example.org at 08:12", "host <host> at 08:12"),
    ("see https://example.org/?a=b%40c now", "see <url> now"),
    ("[mx.example.com 2024-01-19T08:12:44.123Z 08DC1234567890AB]", "[<host> <time> <id>]"),
    ("a1-20020a05600c31si123456wme.12 - gsmtp", "<id> - gsmtp"),
    ("1rQabc-0001Xy-2z: case 123456", "<id>: case <number>"),
    ("550\r\n  user   unknown ", "550 user unknown"),
]

DELAYS = [
    ("450 Greylisted, try again in 300 seconds", 300),
    ("450 Greylisted, please retry in 3600s", 3600),
    ("451 Too busy. Try again in 1800sec.", 1800),
    ("451 please come back in 00:05:00", 300),
    ("retry in 5 minutes", 300),
    ("Greylisted for 300s", 300),
    ("Please try again in 4 min 30 sec", 270),
    ("retry after 1 hour", 3600),
    ("temporarily blocked for 2 hours", 7200),
    ("try again in 1 day", 86_400),
    ("Bitte versuchen Sie es in 5 Minuten erneut", 300),
    # of several parts, a part of one, a range
    ("try again in 1 hour 30 minutes", 5400),
    ("Greylisted: 4 min 59 s", 299),
    ("try again in 2 hours, 5 minutes and 3 seconds", 7503),
    ("Please wait 3.5 minutes", 210),
    ("Bitte 1,5 Stunden warten, dann erneut versuchen", None),
    ("try again in 5-10 minutes", 600),
    ("try again in 200-300 seconds", 300),
    ("try again in 5 to 10 minutes", 600),
    ("wait 1,800 seconds", 1800),
    ("Time remaining: 00:04:32", 272),
    ("retry-after: 120", 120),
    ("Retry-After=120, goodbye", 120),
    ("retry-after: 2 minutes", 120),
    # in words
    ("try again in one hour", 3600),
    ("try again in an hour", 3600),
    ("try again in five minutes", 300),
    ("please wait fifteen minutes", 900),
    ("try again in half an hour", 1800),
    # other words for it
    ("deferred for 5min", 300),
    ("retry in 2 mn", 120),
    ("send again in 10 minutes", 600),
    ("come again in 5 minutes", 300),
    ("back in 2 hours", 7200),
    ("next attempt in 30 min", 1800),
    ("in 300 seconds you may retry", 300),
    ("try again in 1 week", 604_800),
    ("Your IP is banned for 1 day", 86_400),
    ("access denied for 30 minutes", 1800),
    # other languages
    ("Bitte in 5 Minuten erneut senden", 300),
    ("Réessayez dans 5 minutes", 300),
    ("Liste grise, revenez dans une heure", 3600),
    ("Inténtelo de nuevo en 15 minutos", 900),
    ("Riprovare tra 5 minuti", 300),
    ("Tente novamente em 10 minutos", 600),
    ("Probeer het over 5 minuten opnieuw", 300),
    ("Spróbuj ponownie za 5 minut", 300),
    ("Повторите попытку через 10 минут", 600),
    ("5分後に再試行してください", 300),
    ("请在10分钟后重试", 600),
    ("请1小时30分钟后重试", 5400),
    # how long the queue tries, what happened before, a rate
    ("Try again not needed. Will keep trying for 4 days", None),
    ("You do not have to wait: will keep trying for 4 days", None),
    ("retry not needed: it will be retried for 4 days", None),
    ("will retry until 5 days", None),
    ("blocked since 4 hours", None),
    ("wait: blocked 5 minutes ago", None),
    ("wait, too many messages in 60 seconds", None),
    ("451 попробуйте позже bd613d 00006b0d", None),
    ("Malgré plusieurs tentatives pendant 5 jours, abandon", None),
    ("try again later. Expires after 5 days", None),
    ("over 5 minutes without an answer", None),
    ("451-try again in\r\n451 300 seconds", 300),
    ("451-4.7.1 try again\n451 4.7.1 in 300  seconds", 300),
    ("450 wait\u00a05 minutes", 300),
    ("try again at 10:30:00", None),
    ("try again later", None),
    ("retry 5 times", None),
    ("try again in 3 e-mails", None),
    ("try again in 300 messages", None),
    ("gave up after 450 seconds", None),
    ("blocked using 192.0.2.7 since 4 hours", None),
]

FRAGMENTS = st.sampled_from([
    "550", "5.1.1", "550-5.1.1", "(#4.4.1)", "said:", "-", ":587", "192.0.2.250", "OFR_416",
    "\\n", "\n", "user", "Unknown", "É", "Größe", "宛先", "the", "of", "full.", "quota;", "<x>",
    "retry in 300 seconds", "ann@example.org", "mx.example.org",
])  # fmt: skip
TEXT = st.lists(FRAGMENTS | st.text(max_size=6), max_size=12).map(" ".join)


def read(function: object, text: str | None) -> object:
    assert callable(function)
    return pl.select(function(pl.lit(text, pl.String))).item()


@pytest.mark.parametrize(("text", "code", "enhanced"), CODES, ids=repr)
def test_codes_are_found_and_look_alikes_are_not(
    text: str | None, code: int | None, enhanced: str | None
) -> None:
    assert (read(reply_code, text), read(enhanced_code, text)) == (code, enhanced)


@pytest.mark.parametrize(("text", "left"), WORDS)
def test_words_keep_what_can_name_a_cause(text: str, left: str) -> None:
    assert read(words, text) == f" {left} "


@pytest.mark.parametrize(("text", "masked"), TEMPLATES)
def test_template_masks_what_differs_from_message_to_message(text: str, masked: str) -> None:
    assert read(template, text) == masked


@pytest.mark.parametrize(("text", "seconds"), DELAYS)
def test_the_delay_is_the_one_asked_for(text: str, seconds: int | None) -> None:
    assert read(retry_after, text) == (seconds and timedelta(seconds=seconds))


@given(st.text() | TEXT)
def test_any_text_can_be_read(text: str) -> None:
    code = read(reply_code, text)
    assert code is None or (isinstance(code, int) and 200 <= code <= 599)
    delay = read(retry_after, text)
    assert delay is None or (isinstance(delay, timedelta) and delay >= timedelta())
    left = read(words, text)
    assert isinstance(left, str)
    assert left.startswith(" ")
    assert left.endswith(" ")
    assert "  " not in left.strip(" ")


@given(st.text() | TEXT)
def test_template_holds_no_address(text: str) -> None:
    assert "@" not in str(read(template, text))


@given(TEXT)
def test_case_changes_nothing_that_is_read(text: str) -> None:
    for function in (reply_code, enhanced_code, retry_after):
        assert read(function, text.upper()) == read(function, text.lower())


@given(st.lists(FRAGMENTS.filter(lambda fragment: "_" not in fragment)).map(" ".join))
def test_words_of_words_are_the_same_words(text: str) -> None:
    # A name such as OFR_416 falls apart into OFR and a code: those words are left out here.
    once = read(words, text)
    assert read(words, str(once)) == once


def test_nothing_is_read_from_null() -> None:
    for function in (reply_code, enhanced_code, words, template, retry_after):
        assert read(function, None) is None


@pytest.mark.parametrize("run", ["x", "a-", "a.", "/a", '"a', "ab:", "550 ", "retry ", "@", "宛"])
def test_a_giant_text_costs_no_more_than_its_first_lines(run: str) -> None:
    text = pl.lit("550 5.1.1 user unknown " + run * (1_000_000 // len(run)))
    code, left = pl.select(reply_code(text), words(text), template(text)).row(0)[:2]
    assert code == 550
    assert left.startswith(" user unknown ")
    assert len(left) < 4_100


def test_the_end_of_a_long_text_is_read_too() -> None:
    headers = "Received: from mx.example.org by mx.example.net with ESMTP\n" * 100
    text = f"Diagnostic information:\n{headers}The server said: '550 5.1.1 user unknown'"
    assert (read(reply_code, text), read(enhanced_code, text)) == (550, "5.1.1")
    assert "user unknown" in str(read(words, text))


TAGGED = [
    "550 mailbox<br />full",
    "552 <b>mailbox</b> is <b>full</b>",
    "<td>552</td><td>mailbox</td><td>full</td>",
    '550 <font color="red">mailbox</font><br>full',
    "550-mailbox&#10;is&#x20;full",
]


@pytest.mark.parametrize("text", TAGGED)
def test_tags_part_words_and_say_nothing(text: str) -> None:
    assert read(words, text) == " mailbox full "


@pytest.mark.parametrize("mark", ["&#39;", "&#039;", "&#x27;", "&rsquo;", "&#8217;", "&apos;"])
def test_an_apostrophe_is_one_however_it_is_written(mark: str) -> None:
    assert read(words, f"550 host couldn{mark}t be found") == read(words, "host couldn't be found")


def test_an_address_in_brackets_is_no_tag() -> None:
    assert read(wording, "550 <b@example.org>, <a href='x'>unknown</a>") == "550 <~>,  unknown "


WORDINGS = [
    ("550 <Ann@example.org>: unknown", "550 <~>: unknown"),
    ("host mx1.example.org[192.0.2.7] said: 550 no", "host ~[~] said: 550 no"),
    (
        "550 no such user x12-20020a05620a448c00b0076827d7e9fd.100 - gsmtp",
        "550 no such user ~ - gsmtp",
    ),
    ("4F3B2C1D0A: 550 5.1.1 no", "~: 550 5.1.1 no"),
    ("ticket 0f8fad5b-d9cb-469f-a165-70867728950e", "ticket ~"),
    # codes, names of faults and delays stay
    ("550User unknown", "550user unknown"),
    ("421 4.7.0 [TSS04] see 5.7.511", "421 4.7.0 [tss04] see 5.7.511"),
    ("550 BL000001 by 0spam (S3150), RP-001", "550 bl000001 by 0spam (s3150), rp-001"),
    ("450 try again in 86400 seconds", "450 try again in 86400 seconds"),
    ("ドメインが存在しないため、ann@example.org 宛て", "ドメインが存在しないため、~ 宛て"),
]


@pytest.mark.parametrize(("text", "left"), WORDINGS)
def test_a_wording_is_what_messages_have_in_common(text: str, left: str) -> None:
    assert read(wording, text) == left
