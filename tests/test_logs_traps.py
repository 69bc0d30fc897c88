"""Lines of logs that have misled readers: each is one row of a table, with what it tells."""

from pathlib import Path

import pytest
from test_logs import written

import bouncekit as bk

POSTFIX = "Mar  4 09:12:0{} mx postfix/{}[7]: {}"
SENT = "to=<ann@example.org>, relay={}, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent ({})"
FAILED = "to=<ann@example.org>, relay={}, delay=1, delays=0/0/0/1, dsn={}, status={} ({})"
EXIM = "2026-03-04 09:12:0{} 1tABCd-0001XY-2z {}"
SENDMAIL = (
    "Mar  4 09:12:00 mx sm-mta[8]: 4249C0aB000123: to=<ann@example.org>, delay=00:00:01, "
    "xdelay=00:00:01, mailer=esmtp, pri=61200, relay=mx.example.org. [192.0.2.25], {}"
)
OPENSMTPD = (
    "2024-03-04T09:12:03.000Z mx smtpd[7]: 4f3b2c1d0a9e8f71 mta delivery evpid=0a1b2c3d4e5f6072 "
    'from=<news@example.com> to=<ann@example.org> rcpt=<-> source="-" relay="{}" delay=1s '
    'result="Ok" stat="250 2.0.0 queued"'
)


def postfix(*said: str, program: str = "smtp") -> list[str]:
    """Give Postfix's lines about a message."""
    return [POSTFIX.format(n, program, f"4F3B2C1D0A: {text}") for n, text in enumerate(said)]


def exim(*said: str) -> list[str]:
    """Give Exim's lines about a message."""
    return [EXIM.format(n, text) for n, text in enumerate(said)]


REFUSED = "host mx.example.org[192.0.2.25] said: 550 5.1.1 no (in reply to RCPT TO command)"
NO_PROCESS = "Mar  4 09:12:00 mx postfix/smtp: 4F3B2C1D0A: " + FAILED.format(
    "none", "5.4.4", "bounced", "Host not found"
)
# What a log says, and event, recipient, sender, reply and remote_mta of what it tells.
TRAPS: dict[str, tuple[list[str], list[tuple[str | None, ...]]]] = {
    "a slice of a log that misses the from= line": (
        postfix(FAILED.format("mx.example.org[192.0.2.25]:25", "5.1.1", "bounced", REFUSED)),
        [("bounce", "ann@example.org", None, REFUSED, "mx.example.org")],
    ),
    "an address with a blank and a comma": (
        postfix(
            'to=<"ann, of sales"@example.org>, relay=none, delay=1, delays=0/0/0/1, dsn=5.4.4, '
            "status=bounced (Host not found)"
        ),
        [("bounce", '"ann, of sales"@example.org', None, "Host not found", None)],
    ),
    "mail of the system itself, to a user": (
        postfix(
            "to=<root@mx.example.com>, orig_to=<root>, relay=none, delay=1, delays=0/0/0/1, "
            "dsn=5.4.4, status=bounced (Host not found)"
        ),
        [("bounce", "root@mx.example.com", None, "Host not found", None)],
    ),
    "a line of Postfix 2.2, without dsn and delays": (
        postfix("to=<ann@example.org>, relay=none, delay=1, status=deferred (no route)"),
        [("deferral", "ann@example.org", None, "no route", None)],
    ),
    "a field that a later version put in": (
        postfix(
            "to=<ann@example.org>, relay=mx.example.org[192.0.2.25]:25, conn_use=2, delay=1, "
            "delays=0/0/0/1, tls=verified, dsn=2.0.0, status=sent (250 ok)"
        ),
        [("delivery", "ann@example.org", None, "250 ok", "mx.example.org")],
    ),
    "another message's failure": (
        postfix(
            FAILED.format(
                "none",
                "4.4.1",
                "deferred",
                "delivery temporarily suspended: host mx.example.org[192.0.2.25] said: 421 busy",
            )
        ),
        [
            (
                "deferral",
                "ann@example.org",
                None,
                "delivery temporarily suspended: host mx.example.org[192.0.2.25] said: 421 busy",
                "mx.example.org",
            )
        ],
    ),
    "attempts before the final line": (
        [
            *postfix(
                "host mx.example.org[192.0.2.25] said: 421-busy (in reply to RCPT TO command)",
                FAILED.format("mx.example.org[192.0.2.26]:25", "5.1.1", "bounced", "no"),
            ),
            POSTFIX.format(5, "smtp", "connect to mx.example.org[192.0.2.25]:25: timed out"),
        ],
        [("bounce", "ann@example.org", None, "no", "mx.example.org")],
    ),
    "mail that came in and was refused": (
        [
            *postfix(
                "milter-reject: END-OF-MESSAGE from a.example[192.0.2.9]: 5.7.1 no; "
                "from=<a@a.example> to=<ann@example.com> proto=ESMTP helo=<a>",
                program="cleanup",
            ),
            POSTFIX.format(
                1,
                "postscreen",
                "NOQUEUE: reject: RCPT from [192.0.2.9]:1: 550 5.7.1 no; from=<a@a.example>, "
                "to=<ann@example.com>, proto=ESMTP",
            ),
        ],
        [],
    ),
    "expired by hand": (
        postfix(
            "from=<news@example.com>, size=1, nrcpt=1 (queue active)",
            FAILED.format("none", "4.4.1", "deferred", "connect to mx.example.org[192.0.2.25]:25"),
            "from=<news@example.com>, status=force-expired, returned to sender",
        ),
        [
            (
                event,
                "ann@example.org",
                "news@example.com",
                "connect to mx.example.org[192.0.2.25]:25",
                "mx.example.org",
            )
            for event in ("deferral", "bounce")
        ],
    ),
    "expired, but delivered to this one before": (
        postfix(
            FAILED.format("none", "4.4.1", "deferred", "wait"),
            SENT.format("mx.example.org[192.0.2.25]:25", "250 ok"),
            "from=<news@example.com>, status=expired, returned to sender",
        ),
        [
            ("deferral", "ann@example.org", None, "wait", None),
            ("delivery", "ann@example.org", None, "250 ok", "mx.example.org"),
        ],
    ),
    "said twice that it expired": (
        postfix(
            FAILED.format("none", "4.4.1", "deferred", "wait"),
            "from=<news@example.com>, status=expired, returned to sender",
            "from=<news@example.com>, status=expired, returned to sender",
        ),
        [(event, "ann@example.org", None, "wait", None) for event in ("deferral", "bounce")],
    ),
    "a line without the number of its process": (
        [NO_PROCESS],
        [("unreadable", None, None, NO_PROCESS, None)],
    ),
    "a queue id used again, with no line that says so": (
        postfix(
            "from=<news@example.com>, size=1, nrcpt=1 (queue active)",
            FAILED.format("none", "4.4.1", "deferred", "wait"),
            "message-id=<m2@example.com>",
            "from=<news@example.com>, status=expired, returned to sender",
        ),
        [("deferral", "ann@example.org", "news@example.com", "wait", None)],
    ),
    "handed to a filter on the same machine": (
        [
            *postfix(SENT.format("127.0.0.1[127.0.0.1]:10024", "250 ok: queued as 5A00000001")),
            POSTFIX.format(1, "cleanup", "5A00000001: message-id=<m@example.com>"),
        ],
        [],
    ),
    "sent through a port that leads elsewhere": (
        postfix(SENT.format("127.0.0.1[127.0.0.1]:10465", "250 ok: queued as 5A00000001")),
        [("delivery", "ann@example.org", None, "250 ok: queued as 5A00000001", "127.0.0.1")],
    ),
    "deferred by soft_bounce": (
        postfix(
            SENT.format("mx.example.org[192.0.2.9]:25", "550 5.1.1 no").replace(
                "sent", "SOFTBOUNCE"
            )
        ),
        [("deferral", "ann@example.org", None, "550 5.1.1 no", "mx.example.org")],
    ),
    "thrown away": (
        postfix(SENT.format("none", "no mail to this domain"), program="discard"),
        [("dropped", "ann@example.org", None, "no mail to this domain", None)],
    ),
    "expanded to other addresses": (
        postfix(SENT.format("local", "forwarded as 5A00000001"), program="local"),
        [],
    ),
    "Exim's host in front of an older reply": (
        exim(
            "** ann@example.org R=dns T=smtp: SMTP error from remote mail server after RCPT "
            "TO:<ann@example.org>: host mx.example.org [192.0.2.25]: 550-no such\\n550 user"
        ),
        [
            (
                "bounce",
                "ann@example.org",
                None,
                "SMTP error from remote mail server after RCPT TO:<ann@example.org>: host "
                "mx.example.org [192.0.2.25]: 550-no such\n550 user",
                "mx.example.org",
            )
        ],
    ),
    "Exim's sender on the line itself": (
        exim("** ann@example.org F=<news@example.com> R=dns T=smtp: 550 no"),
        [("bounce", "ann@example.org", "news@example.com", "550 no", None)],
    ),
    "Exim's own bounce, told by the line itself": (
        exim("** ann@example.org F=<> R=dns T=smtp: 550 no"),
        [],
    ),
    "Exim with milliseconds, zone and process": (
        ["2026-03-04 09:12:00.123 +0100 [77] 1tABCd-00000001XYZ-2zAB ** ann@example.org: no"],
        [("bounce", "ann@example.org", None, "no", None)],
    ),
    "Exim's reason, heard before it only waited": (
        exim(
            "== ann@example.org R=dns T=smtp defer (-44) H=mx.example.org [192.0.2.25]: 452 full",
            "== ann@example.org routing defer (-51): retry time not reached",
            "** ann@example.org R=dns T=smtp: all hosts for 'example.org' have been failing for a "
            "long time (and retry time not reached)",
        ),
        [
            ("deferral", "ann@example.org", None, "452 full", "mx.example.org"),
            ("deferral", "ann@example.org", None, "452 full", None),
            ("bounce", "ann@example.org", None, "452 full", None),
        ],
    ),
    "Exim's mail for nobody, and an error that it ignored": (
        exim(
            "=> :blackhole: <ann@example.org> R=dev_null",
            "*> ann@example.org R=dns T=smtp",
            "ann@example.org: error ignored",
            '=> bob@example.org R=f T=smtp H=localhost [127.0.0.1]:10024 C="250 Ok: queued as 77"',
        ),
        [],
    ),
    "Sendmail's words for any 550": (
        [SENDMAIL.format("dsn=5.7.1, stat=User unknown")],
        [("bounce", "ann@example.org", None, "dsn=5.7.1", "mx.example.org")],
    ),
    "Sendmail's hop to a filter": (
        [
            "Mar  4 09:12:00 mx sm-mta[9]: 4249C0aC000124: from=<news@example.com>, size=1, "
            "class=0, nrcpts=1, msgid=<1@news.example.com>, relay=localhost [127.0.0.1]",
            SENDMAIL.replace("mx.example.org. [192.0.2.25]", "[127.0.0.1] [127.0.0.1]").format(
                "dsn=2.0.0, stat=Sent (250 2.0.0 Ok, id=1, from MTA(smtp:[127.0.0.1]:10025): 250 "
                "2.0.0 4249C0aC000124 Message accepted for delivery)"
            ),
        ],
        [],
    ),
    "Sendmail's way through a port of its own machine": (
        [
            SENDMAIL.replace("mx.example.org. [192.0.2.25]", "[127.0.0.1] [127.0.0.1]").format(
                "dsn=2.0.0, stat=Sent (250 2.0.0 Ok: queued as 4F3B2C1D0A)"
            )
        ],
        [("delivery", "ann@example.org", None, "250 2.0.0 Ok: queued as 4F3B2C1D0A", None)],
    ),
    "OpenSMTPD's giving up": (
        [OPENSMTPD.replace('"Ok" stat="250 2.0.0 queued"', '"Expire" stat="Envelope expired"')],
        [("bounce", "ann@example.org", "news@example.com", "Envelope expired", None)],
    ),
    "Exim's colon between blanks": (
        exim("** ann@example.org R=dns T=smtp H=mx.example.org [192.0.2.25] : 550 no such user"),
        [("bounce", "ann@example.org", None, "550 no such user", "mx.example.org")],
    ),
    "Exim's smarthost": (
        exim("** ann@example.org R=smarthost T=smtp H=mx.example.org [192.0.2.25]: 550 no"),
        [("bounce", "ann@example.org", None, "550 no", "mx.example.org")],
    ),
    "OpenSMTPD's hop to a filter": ([OPENSMTPD.format("127.0.0.1 (localhost)")], []),
    "OpenSMTPD's hop to a filter, by IPv6": ([OPENSMTPD.format("[::1] (localhost)")], []),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_log_tells_what_became_of_mail_and_nothing_else(tmp_path: Path, trap: str) -> None:
    lines, told = TRAPS[trap]
    server = "postfix" if "postfix" in lines[0] else None
    frame = bk.read(written(tmp_path, "\n".join(lines) + "\n"), year=2026, source=server)
    columns = ["event", "recipient", "sender", "reply", "remote_mta"]
    assert frame.select(columns).rows() == told


def test_a_code_of_policy_outranks_the_words_for_any_refusal(tmp_path: Path) -> None:
    log = SENDMAIL.format("dsn=5.7.1, stat=User unknown") + "\n"
    frame = bk.classify(bk.read(written(tmp_path, log), year=2026))
    assert frame["fault"].to_list() != ["recipient"]


@pytest.mark.parametrize("written_as", ["<m1@example.com>", "m1@example.com"])
def test_a_message_id_is_read_with_and_without_its_brackets(
    tmp_path: Path, written_as: str
) -> None:
    lines = postfix(f"message-id={written_as}", SENT.format("mx.example.org[192.0.2.25]:25", "ok"))
    frame = bk.read(written(tmp_path, "\n".join(lines)), year=2026, source="postfix")
    assert frame["message_id"].to_list() == ["m1@example.com"]
