"""What reading promises: every container, every source, nothing lost, each event once."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bouncekit.errors import BouncekitError
from bouncekit.read import cells, load, read, scan
from bouncekit.read.containers import decodes
from bouncekit.read.delimited import sniff
from bouncekit.read.guess import guess
from bouncekit.read.layouts import layouts
from bouncekit.read.times import instant, typed_forms, usual_time
from bouncekit.schema import BOUNCES, EVENTS

MAIL = (
    "From: MAILER-DAEMON@example.net\nTo: news@example.com\nSubject: failure notice\n"
    "Date: Fri, 21 Oct 2011 11:02:55 +0000\n\n<{}>:\n550 5.1.1 no such user\n"
)
ACTIVITY = (
    "processed,message_id,event,api_key_id,recv_message_id,credential_id,subject,from,email,"
    "asm_group_id,template_id,originating_ip,reason,outbound_ip,outbound_ip_type,mx,url,attempt,"
    "user_agent,type,is_unique,username,categories,marketing_campaign_id,marketing_campaign_name,"
    "marketing_campaign_split_id,marketing_campaign_version,unique_args\n"
)
SAMPLE = (
    "timestamp,event,email,final_recipient,reason,campaign,message_id,from,ip,mx\n"
    "2024-03-01T10:00:00Z,bounce,ann@example.org,a.smith@example.net,550 5.1.1 unknown,march,"
    "<1@example.com>,News <news@example.com>,192.0.2.1,mx.example.org\n"
    "2024-03-01T10:00:01Z,deferred,bob@example.org,,452 4.2.2 full,march,<2@example.com>,"
    "news@example.com,192.0.2.1,mx.example.org\n"
    "2024-03-01T10:00:02Z,open,cid@example.org,,,march,<3@example.com>,news@example.com,,\n"
)


def put(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its nulls and its place."""
    return {k: v for k, v in row.items() if v not in (None, "") and k not in ("source", "line")}


T = datetime(2016, 4, 19, 19, 47, 30, tzinfo=UTC)
SOURCES = {
    "suppression_bounces (1).csv": (
        "status,reason,email,created\n"
        '5.1.1,"550 5.1.1 no, ""x""\nsorry",Ann@Example.ORG,1461095250\n',
        {
            "time": T,
            "event": "bounce",
            "recipient": "Ann@example.org",
            "reply": '550 5.1.1 no, "x"\nsorry',
            "enhanced_code": "5.1.1",
            "source_class": "sendgrid:bounce",
        },
    ),
    "suppression_blocks.csv": (
        "status,reason,email,created\n554,554 blocked,ann@example.org,1461095250\n",
        {
            "time": T,
            "event": "bounce",
            "recipient": "ann@example.org",
            "reply": "554 blocked",
            "reply_code": 554,
            "source_class": "sendgrid:blocked",
        },
    ),
    "renamed.csv": (  # bounces or blocks: only the file's name could tell
        "status,reason,email,created\n,550 no,ann@example.org,1461095250\n",
        {"time": T, "event": "bounce", "recipient": "ann@example.org", "reply": "550 no"},
    ),
    "suppression_invalid_emails.csv": (
        "reason,email,created\nMail domain is unknown,ann@example.orgg,1461095250\n",
        {
            "time": T,
            "event": "bounce",
            "recipient": "ann@example.orgg",
            "reply": "Mail domain is unknown",
            "source_class": "sendgrid:invalid",
        },
    ),
    "suppression_spam_reports.csv": (
        "ip,email,created\n192.0.2.1,ann@example.org,1461095250\n",
        {
            "time": T,
            "event": "complaint",
            "recipient": "ann@example.org",
            "source_class": "sendgrid:spam_report",
            "sending_ip": "192.0.2.1",
        },
    ),
    "suppression_unsubscribes.csv": (
        "email,created\nann@example.org,1461095250\n",
        {"time": T, "event": "unsubscribe", "recipient": "ann@example.org"},
    ),
    "activity.csv": (
        ACTIVITY + "2016-04-19 19:47:30,m1,dropped,,r1,c,Hello,news@example.com,ann@example.org,,,,"
        "Bounced Address,192.0.2.1,,mx.example.org,,,,,,,cats,7,April,,,{}\n",
        {
            "time": T,
            "event": "dropped",
            "recipient": "ann@example.org",
            "reply": "Bounced Address",
            "source_class": "sendgrid:dropped",
            "mailing": "April",
            "message_id": "m1",
            "sender": "news@example.com",
            "sending_ip": "192.0.2.1",
            "remote_mta": "mx.example.org",
        },
    ),
    "webhook.json": (
        '[{"email":"ann@example.org","timestamp":1461095250,"event":"bounce","type":"blocked",'
        '"reason":"550 5.7.1 no","status":"5.7.1 (policy)","sg_event_id":"x","smtp-id":"<1@x>"}]',
        {
            "time": T,
            "event": "bounce",
            "recipient": "ann@example.org",
            "reply": "550 5.7.1 no",
            "enhanced_code": "5.7.1",
            "source_class": "sendgrid:blocked",
            "message_id": "<1@x>",
        },
    ),
    "mailgun.csv": (
        "Address,Code,Error,Created_at\n"
        'ann@example.org,605,Not delivering,"Tue, 19 Apr 2016 19:47:30 GMT"\n',
        {
            "time": T,
            "event": "bounce",
            "recipient": "ann@example.org",
            "reply": "Not delivering",
            "source_class": "mailgun:605",
        },
    ),
    "mailgun.json": (
        '{"event-data":{"event":"failed","severity":"temporary","reason":"greylisted",'
        '"timestamp":1461095250.0,"recipient":"ann@example.org","message":{"headers":'
        '{"message-id":"1@x"}},"delivery-status":{"code":450,"message":"Greylisted"}}}',
        {
            "time": T,
            "event": "deferral",
            "recipient": "ann@example.org",
            "reply": "Greylisted",
            "reply_code": 450,
            "source_class": "mailgun:greylisted",
            "message_id": "1@x",
        },
    ),
    "german.csv": (
        "E-Mail-Adresse;Fehlertext;Datum;Kampagne\r\n"
        '"Ann <ann@Example.org>";"550 5.1.1 weg; für immer";19.04.2016 19:47:30;April\r\n',
        {
            "time": T,
            "event": "bounce",
            "recipient": "ann@example.org",
            "reply": "550 5.1.1 weg; für immer",
            "mailing": "April",
        },
    ),
    "nobody's words.csv": (  # no heading is known: the cells tell
        "Who;When;Told\nann@example.org;2016-04-19 19:47:30;550 no\n",
        {"time": T, "event": "bounce", "recipient": "ann@example.org", "reply": "550 no"},
    ),
    "reasons.csv": (
        "email,reason,detail,created_at\nann@example.org,hard-bounce,550 no,2016-04-19 19:47:30\n",
        {
            "time": T,
            "event": "bounce",
            "recipient": "ann@example.org",
            "reply": "550 no",
            "source_class": "generic:hard-bounce",
        },
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_recognised_and_its_fields_land_in_their_columns(
    name: str, tmp_path: Path
) -> None:
    text, expected = SOURCES[name]
    frame = read(put(tmp_path, name, text))
    assert [brief(row) for row in frame.rows(named=True)] == [expected]
    assert dict(frame.schema) == BOUNCES


def test_our_own_sample_export_is_read_with_all_its_columns(tmp_path: Path) -> None:
    first, second, third = read(put(tmp_path, "newsletter.csv", SAMPLE)).rows(named=True)
    assert brief(first) == {
        "time": datetime(2024, 3, 1, 10, tzinfo=UTC),
        "event": "bounce",
        "recipient": "ann@example.org",
        "final_recipient": "a.smith@example.net",
        "reply": "550 5.1.1 unknown",
        "mailing": "march",
        "message_id": "<1@example.com>",
        "sender": "news@example.com",
        "sending_ip": "192.0.2.1",
        "remote_mta": "mx.example.org",
    }
    assert (second["event"], third["event"]) == ("deferral", "engagement")
    assert [row["line"] for row in (first, second, third)] == [1, 2, 3]


WORDS = {
    "Hard Bounce": ("bounce", "generic:Hard Bounce"),
    "soft_bounce": ("bounce", "generic:soft_bounce"),
    "bounced": ("bounce", None),
    "email.delivered": ("delivery", None),
    "Sent": ("delivery", None),
    "Deferred": ("deferral", None),
    "dropped": ("dropped", "generic:dropped"),
    "spamreport": ("complaint", None),
    "group_unsubscribe": ("unsubscribe", None),
    "Opened": ("engagement", None),
    "auto_reply": ("auto_reply", None),
    "processed": (None, "generic:processed"),
    "zugestellt": ("delivery", None),
    "退信": ("bounce", "generic:退信"),
    "xyzzy": (None, "generic:xyzzy"),
}


def test_words_for_events_are_known_in_any_spelling_and_others_are_kept(tmp_path: Path) -> None:
    rows = "".join(f"u{n}@example.org,{word}\n" for n, word in enumerate(WORDS))
    frame = read(put(tmp_path, "events.csv", "email,status\n" + rows))
    assert frame.select("event", "source_class").rows() == list(WORDS.values())


def test_a_word_nobody_knows_under_an_events_heading_is_no_bounce(tmp_path: Path) -> None:
    def events(heading: str) -> list[str | None]:
        text = f"email,{heading},reason\nann@example.org,xyzzy,550 no\n"
        return read(put(tmp_path, "e.csv", text))["event"].to_list()

    assert events("event type") == [None]
    assert events("type") == ["bounce"]  # the type of anything: the table has no events


ADDRESSES = {
    " ann@Example.ORG ": "ann@example.org",
    "Ann <ann@example.org>": "ann@example.org",
    "<Ann@example.org>": "Ann@example.org",
    "mailto:ann@example.org": "ann@example.org",
    '"a@b c"@Example.org': '"a@b c"@example.org',
    "ann@münchen.example.": "ann@münchen.example",
    "jörg@example.org": "jörg@example.org",
    "root@localhost": "root@localhost",
    "'ann@example.org'": "ann@example.org",
    "o'brien@example.org": "o'brien@example.org",
    "not an address": None,
    "ann@": None,
    "ann@example.org bob@example.org": None,
    "a\\xfc@example.org": None,
}


def test_an_address_is_unwrapped_and_what_is_none_keeps_its_row(tmp_path: Path) -> None:
    text = io.StringIO()
    rows = [{"email": cell, "reason": "550 no"} for cell in ADDRESSES]
    writer = csv.DictWriter(text, ["email", "reason"])
    writer.writeheader()
    writer.writerows(rows)
    frame = read(put(tmp_path, "addresses.csv", text.getvalue()))
    assert frame["recipient"].to_list() == list(ADDRESSES.values())
    lost = frame.filter(pl.col("recipient").is_null())
    assert set(lost["event"]) == {"unreadable"}
    assert lost["reply"].to_list() == [f"{c}, 550 no" for c, a in ADDRESSES.items() if a is None]


CODES = {
    "550": (550, None, None),
    "550.0": (550, None, None),
    "550 5.1.1": (550, "5.1.1", None),
    "5.1.1 (bad destination)": (None, "5.1.1", None),
    "605": (None, None, "mailgun:605"),
    "498": (None, None, "mailgun:498"),
    "": (None, None, None),
    "192.0.2.55": (None, None, None),
    "hardfail": (None, None, None),
}


def test_codes_are_numbers_of_smtp_or_the_services_own(tmp_path: Path) -> None:
    rows = "".join(f"u{n}@example.org,{code},x,\n" for n, code in enumerate(CODES))
    frame = read(put(tmp_path, "codes.csv", "address,code,error,created_at\n" + rows))
    assert frame.select("reply_code", "enhanced_code", "source_class").rows() == [*CODES.values()]


NOON = datetime(2024, 1, 31, 12, 5, tzinfo=UTC)
TIMES = {
    "1706702700": NOON,
    "1706702700.0": NOON,
    "1706702700000": NOON,
    "1.7067027e9": NOON,
    "2024-01-31T12:05:00Z": NOON,
    "2024-01-31 12:05:00": NOON,
    "2024-01-31T12:05": NOON,
    "2024-01-31T08:05:00.0000000-04:00": NOON,
    "2024-01-31 14:05:00.000 +0200": NOON,
    "2024-01-31T12:05:00.000123456Z": NOON.replace(microsecond=123),
    "2024-01-31 12:05:00 UTC": NOON,
    "Wed, 31 Jan 2024 12:05:00 GMT": NOON,
    "31 Jan 2024 07:05:00 -0500 (EST)": NOON,
    "2024-01-31 04:05:00 PST": NOON,
    "31.01.2024 12:05": NOON,
    "20240131120500": NOON,
    "January 31st, 2024 12:05 PM": NOON,
    "Wed Jan 31 12:05:00 2024": NOON,
    "Wednesday, January 31, 2024 at 12:05 PM": NOON,
    "Jan 31, 2024, 12:05:00 PM": NOON,
    "Wed Jan 31 2024 13:05:00 GMT+0100 (Central European Standard Time)": NOON,
    "2024-01-31T13:05:00+01:00[Europe/Paris]": NOON,
    "31/Jan/2024:12:05:00 +0000": NOON,
    "31.01.24, 12:05": NOON,
    "31-JAN-24 12.05.00.000000 PM": NOON,
    "31. Januar 2024 12:05": NOON,
    "31. 1. 2024 12:05": NOON,
    "31 janv. 2024, 12:05": NOON,
    "31 janvier 2024 12h05": NOON,
    "31 de enero de 2024, 12:05": NOON,
    "mercoledì 31 gennaio 2024 12:05": NOON,
    "quarta-feira, 31 de janeiro de 2024 12:05": NOON,
    "31 januari 2024 om 12:05": NOON,
    "2024年1月31日 12:05": NOON,
    "2024-01-31": NOON.replace(hour=0, minute=0),
    "2024-01-31 12:05:00 XYZ": None,
    "03/04/2024": None,
    "03/04/24": None,
    "5.1.10": None,
    "10.1.20.30": None,
    "yesterday": None,
    "": None,
}


@pytest.mark.parametrize("cell", TIMES)
def test_a_time_is_read_in_any_shape_exports_write(cell: str) -> None:
    cells = pl.Series([cell])
    time = cells.to_frame("cell").select(instant(pl.col("cell"), typed_forms(cells))).item()
    assert time == TIMES[cell]


STAMPS = st.builds(
    "{:%Y-%m-%d}{}{:%H:%M:%S}{}{}".format,
    st.dates(date(1000, 1, 1)),
    st.sampled_from("T "),
    st.times(),
    st.one_of(st.just(""), st.from_regex(r"\A\.[0-9]{1,9}\Z")),
    st.sampled_from(["", "Z", "+0000", "+02:00", "-0330", "+00:00"]),
)


@given(st.lists(st.one_of(STAMPS, st.text(max_size=30)), min_size=1, max_size=5), st.integers(0))
def test_what_is_read_by_its_shape_is_read_alike_without(cells: list[str], which: int) -> None:
    frame = pl.DataFrame({"cell": cells})
    sample = frame["cell"].gather([which % len(cells)])
    for zone in ("UTC", "Europe/Berlin"):
        usual = usual_time(pl.col("cell"), sample, zone=zone)
        times = frame.select(usual=usual, full=instant(pl.col("cell"), zone=zone)).drop_nulls(
            "usual"
        )
        assert times["usual"].to_list() == times["full"].to_list()


def test_slashed_dates_are_read_in_the_order_their_column_proves(tmp_path: Path) -> None:
    def days(*cells: str, **options: Any) -> list[int | None]:
        rows = "".join(f"ann@example.org,550,{cell}\n" for cell in cells)
        frame = read(put(tmp_path, "dates.csv", "email,reason,date\n" + rows), **options)
        return frame["time"].dt.day().to_list()

    assert days("03/04/2024", "13/04/2024") == [3, 13]
    assert days("03/04/2024", "04/13/2024 1:05 PM") == [4, 13]
    assert days("03/04/2024", "05/06/2024") == [None, None]
    assert "2 without a time" in load(tmp_path / "dates.csv").summary
    assert days("03/04/2024", mapping={"time_format": "%d/%m/%Y"}) == [3]
    assert days("03/04/24", "13/04/24 14:05") == [3, 13]
    assert days('"3/4/24, 1:05 PM"', '"4/13/24, 1:05 PM"') == [4, 13]
    assert days("24/03/15", "24/03/16") == [None, None]  # the year may come first
    assert days("24/03/15", "24/03/16", "2024-03-17") == [None, None, 17]


def test_a_date_and_its_time_of_day_may_be_in_columns_of_their_own(tmp_path: Path) -> None:
    rows = "2024-03-01,10:00:00,ann@example.org,550 no\n2024-03-02,,bob@example.org,550 no\n"
    for header in ("Date,Time,Email,Reason\n", "Day,Hour,Email,Reason\n"):
        frame = read(put(tmp_path, "export.csv", header + rows))
        times = [datetime(2024, 3, 1, 10, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC)]
        assert frame["time"].to_list() == times
    typed = "03/04/2024;1:05 PM;ann@example.org;550\n13/04/2024;9:00;bo@example.org;550\n"
    frame = read(put(tmp_path, "typed.csv", "date;time;email;reason\n" + typed))
    assert frame["time"].dt.hour().to_list() == [13, 9]
    mapping = {"time": "date", "time_format": "%d/%m/%Y"}
    assert read(tmp_path / "typed.csv", mapping=mapping)["time"].dt.month().to_list() == [4, 4]


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("1", "0"), ("Yes", "no"), ("1", "")])
def test_a_column_that_says_who_bounced_says_it_of_each(yes: str, no: str, tmp_path: Path) -> None:
    rows = f"ann@example.org,{yes},550 no,2024-03-01\nbob@example.org,{no},,2024-03-01\n"
    frame = read(put(tmp_path, "export.csv", "email,bounced,reason,date\n" + rows))
    assert frame["event"].to_list() == ["bounce", None]


def test_an_empty_column_says_nothing_of_who_bounced(tmp_path: Path) -> None:
    rows = "ann@example.org,,550 no,2024-03-01\n"
    frame = read(put(tmp_path, "export.csv", "email,bounced,reason,date\n" + rows))
    assert frame["event"].to_list() == ["bounce"]


def test_times_without_a_zone_are_in_the_zone_the_user_names(tmp_path: Path) -> None:
    rows = "ann@example.org,550,2024-07-01 12:00:00\nann@example.org,550,2024-07-01T12:00:00Z\n"
    frame = read(put(tmp_path, "t.csv", "email,reason,date\n" + rows), tz="Europe/Berlin")
    assert frame["time"].dt.hour().to_list() == [10, 12]


@pytest.mark.parametrize(
    ("row", "delimiter"),
    [
        ('ann@example.org;550 no;"Friday, March 15, 2024"', ";"),
        ("ann@example.org;550 no;Mar 15, 2024, 10:00:00 AM", ";"),
        ("ann@example.org\t550 no, really, no\t2024-03-15", "\t"),
        ("ann@example.org,550 a;b;c,2024-03-15", ","),
        ("ann@example.org|550 a, b|2024-03-15", "|"),
    ],
)
@pytest.mark.parametrize("title", ["", "Bounces in June\n"])
def test_what_parts_the_header_parts_the_rows(row: str, delimiter: str, title: str) -> None:
    header = delimiter.join(["email", "reason", "date"])
    assert sniff(f"{title}{header}\n{row}\n{row}\n").separator == delimiter


PIECES = [*map(str.encode, "a\nä€😀"), b"\xc3", b"\xa4", b"\xe2\x82", b"\xf0"]


@settings(max_examples=500)
@given(octets=st.lists(st.sampled_from(PIECES)).map(b"".join), size=st.integers(1, 5))
def test_a_text_is_utf8_wherever_its_pieces_are_cut(octets: bytes, size: int) -> None:
    cut = (octets[at : at + size] for at in range(0, len(octets), size))
    try:
        octets.decode()
    except UnicodeDecodeError:
        assert not decodes(cut)
    else:
        assert decodes(cut)


@pytest.mark.parametrize("space", [" ", "\t", "\xa0", "\u3000", "\u2003"])
@pytest.mark.parametrize("cell", ["{0}june{0}", "{0}june", "june{0}", "{0}жара{0}", "{0}", ""])
def test_a_cell_is_freed_of_every_kind_of_space(cell: str, space: str) -> None:
    text = cell.format(space)
    assert pl.select(cells.text(pl.lit(text))).item() == (text.strip() or None)
    assert pl.select(cells.written(pl.lit(text))).item() == (text if text.strip() else None)


cell = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff"),
    max_size=12,
)
reply_text = st.lists(cell, min_size=1, max_size=3).map("\n".join)


def is_event(text: str) -> bool:
    """True for a word such as `bounced`: a column of them tells events, and no replies."""
    return pl.select(cells.event(pl.lit(text), layouts()[-1].words)).item() is not None


@settings(max_examples=80)
@given(
    replies=st.lists(reply_text.filter(lambda text: not is_event(text)), min_size=1, max_size=6),
    columns=st.permutations(["email", "bounce reason", "created at", "note", "note", ""]),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    pack=st.sampled_from([bytes, gzip.compress]),
    preamble=st.sampled_from(["", "# June\n", "sep={}\n"]),
    again=st.sets(st.integers(0, 5)),
)
def test_every_dialect_gives_back_what_was_written(
    replies: list[str],
    columns: list[str],
    delimiter: str,
    quoting: Any,
    newline: str,
    encoding: str,
    pack: Callable[[bytes], bytes],
    preamble: str,
    again: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Columns in any order, two of one name and one of none; the header `again` within the rows."""
    text = io.StringIO(newline="")
    text.write(preamble.format(delimiter))
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=newline)
    writer.writerow(columns)
    for number, reply in enumerate(replies):
        cells = {"email": f"u{number}@example.org", "bounce reason": reply}
        cells["created at"] = "2024-01-31 12:05:00"
        writer.writerow([cells.get(column, "") for column in columns])
        if number in again:
            writer.writerow(columns)
    data = pack(text.getvalue().encode(encoding))
    frame = read(put(tmp_path_factory.mktemp("dialect"), "export", data))
    assert frame["recipient"].to_list() == [f"u{n}@example.org" for n in range(len(replies))]
    assert frame["reply"].to_list() == [r if r.strip() else "" for r in replies]
    assert frame["time"].to_list() == [NOON] * len(replies)


def posted(record: dict[str, str]) -> str:
    fields = {f"data[{key}]": record[key] for key in record}
    return urlencode({"type": "cleaned", "fired_at": "2024-01-31 12:05:00", **fields})


def as_cells(records: list[dict[str, str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [["id", "payload"], *([n, json.dumps(r)] for n, r in enumerate(records))]
    )
    return text.getvalue()


# What JSON escapes, and JSON in JSON twice.
awkward = st.lists(cell | st.sampled_from(['"', "\\", "\\n", "\t"]), min_size=1).map("\n".join)
WRAPPINGS: dict[str, Callable[[list[dict[str, str]]], str]] = {
    "array": json.dumps,
    "indented": lambda records: json.dumps(records, indent=1),
    "lines": lambda records: "\n".join(map(json.dumps, records)),
    "nothing between": lambda records: "".join(map(json.dumps, records)),
    "batches": lambda records: "\n".join(json.dumps([record]) for record in records),
    "items": lambda records: json.dumps({"items": records, "paging": {}}),
    "messages of queues": lambda records: json.dumps([{"Body": json.dumps(r)} for r in records]),
    "cells": as_cells,
    "Python": lambda records: "\n".join(map(repr, records)),
    "forms": lambda records: "\n".join(map(posted, records)),
}


@settings(max_examples=60)
@given(
    replies=st.lists(awkward, min_size=2, max_size=5),
    wrapping=st.sampled_from(list(WRAPPINGS)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le"]),
)
def test_records_are_the_same_however_they_are_wrapped(
    replies: list[str],
    wrapping: str,
    encoding: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    records = [{"email": f"u{n}@example.org", "reason": reply} for n, reply in enumerate(replies)]
    data = WRAPPINGS[wrapping](records).encode(encoding)
    frame = read(put(tmp_path_factory.mktemp("wrapped"), "export", data))
    assert frame["recipient"].to_list() == [record["email"] for record in records]
    if wrapping != "forms":  # where the reason is the service's own word
        assert frame["reply"].to_list() == [r if r.strip() else "" for r in replies]


ACCOUNT = {
    "type": "b",
    "timeLogged": "2016-05-29 01:10:51+0200",
    "orig": "news@example.com",
    "rcpt": "{}@example.org",
    "dsnAction": "failed",
    "dsnStatus": "5.1.1 (bad destination mailbox address)",
    "dsnDiag": "smtp;550 5.1.1 <{}@example.org>, no such user",
    "dsnMta": "mx.example.org (192.0.2.2)",
    "bounceCat": "bad-mailbox",
    "vmta": "pool-1",
    "jobId": "june",
}


@settings(max_examples=40)
@given(
    columns=st.permutations(list(ACCOUNT)),
    names=st.lists(st.sampled_from(["ann", "bob", "cid"]), min_size=1, max_size=4),
)
def test_accounting_without_a_header_is_read_whatever_the_order_of_its_columns(
    columns: list[str], names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = io.StringIO(newline="")
    rows = ([ACCOUNT[column].format(name) for column in columns] for name in names)
    csv.writer(text).writerows(rows)
    reading = load(put(tmp_path_factory.mktemp("accounting"), "acct.csv", text.getvalue()))
    assert reading.records == len(names)
    frame = reading.frame.select("recipient", "sender", "enhanced_code", "source_class").unique()
    assert sorted(frame.rows()) == [
        (f"{name}@example.org", "news@example.com", "5.1.1", "powermta:bad-mailbox")
        for name in sorted(set(names))
    ]


@pytest.mark.parametrize(
    ("text", "code_page"),
    [
        ("Postfach überfüllt, Größe – voll", "cp1252"),
        ("boîte pleine, à bientôt", "cp1252"),
        ("Почтовый ящик не найден", "cp1251"),
        ("skrzynka pełna, nie można doręczyć", "cp1250"),
        ("宛先のメールボックスが見つかりません", "cp932"),
        ("收件人邮箱不存在，无法投递", "gb18030"),
    ],
)
def test_legacy_code_pages_are_told_by_their_text(
    text: str, code_page: str, tmp_path: Path
) -> None:
    # The first such byte may come long after the head of the file.
    rows = "".join(f"u{n}@example.org;550 no such user\n" for n in range(3_000))
    data = f"email;reason\n{rows}ann@example.org;{text}\n".encode(code_page)
    assert read(put(tmp_path, "legacy.csv", data))["reply"][-1] == text


RECORDS = [
    {"email": "ann@example.org", "event": "bounce", "reason": "550 é\nno", "time": 1706702700},
    {"email": "bob@example.org", "event": "delivered", "time": 1706702700.0},
]
CONTAINERS: dict[str, bytes] = {
    "array": json.dumps(RECORDS).encode(),
    "indented": json.dumps(RECORDS, indent=2).encode(),
    "lines": "\n".join(map(json.dumps, RECORDS)).encode(),
    "lines, CRLF, blank ones, BOM": "\ufeff{}\r\n\r\n{}\r\n".format(
        *(json.dumps(record, ensure_ascii=False) for record in RECORDS)
    ).encode(),
    "items": json.dumps({"items": RECORDS, "paging": {"next": "x"}}).encode(),
    "data.results": json.dumps({"data": {"results": RECORDS, "total": 2}}).encode(),
    "batches": "\n".join(json.dumps([record]) for record in RECORDS).encode(),
    "gzip": gzip.compress(json.dumps(RECORDS).encode()),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_json_is_read_from_any_container(name: str, tmp_path: Path) -> None:
    frame = read(put(tmp_path, "events", CONTAINERS[name]))
    assert frame.select("recipient", "event", "reply", "time").rows() == [
        ("ann@example.org", "bounce", "550 é\nno", NOON),
        ("bob@example.org", "delivery", "", NOON),
    ]


LATE = {
    "plain": '"reason": "550 no"',
    "space before the colon": r'"x":"a\"reason", "reason" : "550 no"',
    "escaped by Python": r'"Zur\u00fcckweisungsgrund": "x", "erreur":"550 no"',
    "escaped letters": r'"r\u00e9ponse":"550 no"',
    "escaped letters in capitals": r'"R\u00E9ponse":"5", "r\u00E9ponse":"550 no"',
    "a value that looks like a key": '"x":"\\"error\\":", "error":"550 no"',
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
@pytest.mark.parametrize("ending", ["ndjson", "json"])
def test_a_heading_that_comes_late_is_not_missed(late: str, ending: str, tmp_path: Path) -> None:
    early = ['{"email":"ann@example.org","event":"delivered","timestamp":1706702700}'] * 2_000
    records = [*early, f'{{"email":"bob@example.org","event":"bounce","sg_event_id":"1",{late}}}']
    text = "\n".join(records) if ending == "ndjson" else f"[{','.join(records)}]"
    frame = read(put(tmp_path, f"events.{ending}", text))
    assert brief(frame.row(-1, named=True))["reply"] == "550 no"


def test_a_record_of_a_service_without_its_address_is_kept(tmp_path: Path) -> None:
    bounce = '{"RecordType":"Bounce","MessageID":"1","Type":"HardBounce","Description":"no"}'
    assert read(put(tmp_path, "hook.json", bounce))["event"].to_list() == ["unreadable"]


def test_parquet_keeps_types_and_nested_fields(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "Recipient": ["ann@example.org"],
            "When": [NOON],
            "smtp": [{"code": 550, "message": "no"}],
            "reason": ["550 no"],
            "campaign": pl.Series(["April"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "export.parquet")
    assert [brief(row) for row in read(tmp_path / "export.parquet").rows(named=True)] == [
        {
            "time": NOON,
            "event": "bounce",
            "recipient": "ann@example.org",
            "reply": "550 no",
            "reply_code": 550,
            "mailing": "April",
        }
    ]


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
def test_a_bounces_frame_that_was_written_is_read_back_as_it_was(kind: str, tmp_path: Path) -> None:
    row = dict.fromkeys(BOUNCES)
    rows = [
        {**row, "event": event, "reply": f"550 {event}", "recipient": "Ann@example.org", "line": 7}
        for event in EVENTS
    ] + [
        {**row, "event": None, "source_class": "generic:xyzzy", "reply": ""},
        {**row, "event": "unreadable", "reply": 'x,"y"\nz', "time": NOON, "reply_code": 550},
    ]
    frame = pl.DataFrame(rows, schema=BOUNCES).with_columns(source=pl.lit("first.csv"))
    frame = frame.with_columns(line=pl.int_range(1, pl.len() + 1))
    getattr(frame, f"write_{kind}")(tmp_path / "frame")
    assert_frame_equal(read(tmp_path / "frame"), frame)


DAMAGED = {
    "too many cells": "ann@example.org,550 no, sorry,April",
    "a cell that is no address": "ann,550 no,April",
    "a last record that breaks off": "ann@exam",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_record_that_cannot_be_read_stays_with_its_text(name: str, tmp_path: Path) -> None:
    text = f'email,reason,campaign\nbob@example.org,"550\nno",April\n\n{DAMAGED[name]}'
    reading = load(put(tmp_path, "damaged.csv", text))
    good, bad = reading.frame.rows(named=True)
    assert (good["recipient"], good["reply"]) == ("bob@example.org", "550\nno")
    assert (bad["event"], bad["recipient"], bad["line"]) == ("unreadable", None, 3)
    assert bad["reply"].replace(", ", ",") == DAMAGED[name].replace(", ", ",")
    assert reading.summary.startswith("Read 2 rows from 1 file (generic): 1 could not be read")


@pytest.mark.parametrize(
    "record",
    [
        'bob@example.org,"550 "no" here",April',
        'bob@example.org,"550 no,April',
        "bob@example.org,550",
    ],
)
def test_a_stray_quote_or_a_short_record_harms_no_other(record: str, tmp_path: Path) -> None:
    text = (
        f"email,reason,campaign\nann@example.org,550 a,May\n{record}\ncid@example.org,550 c,May\n"
    )
    frame = read(put(tmp_path, "quotes.csv", text))
    names = [f"{name}@example.org" for name in ("ann", "bob", "cid")]
    kept = [
        any(name in f"{r} {t}" for r, t in frame[["recipient", "reply"]].rows()) for name in names
    ]
    assert kept == [True] * 3
    assert frame["recipient"][0] == names[0]
    assert frame["recipient"][-1] == names[2]


def test_a_stray_byte_harms_only_its_own_cell(tmp_path: Path) -> None:
    good = "ann@example.org,größer\n"
    data = f"email,reason\n{good}".encode()
    data += b"bob@example.org,550 \xfc\nb\xfcb@example.org,550\n"
    frame = read(put(tmp_path, "bytes.csv", data))
    assert frame.select("event", "recipient", "reply").rows() == [
        ("bounce", "ann@example.org", "größer"),
        ("bounce", "bob@example.org", "550 \\xfc"),
        ("unreadable", None, "b\\xfcb@example.org, 550"),
    ]


def test_a_broken_line_of_ndjson_stays_with_its_text(tmp_path: Path) -> None:
    lines = ['{"email":"ann@example.org","reason":"550"}', '{"email":"bob@exam', "[1]"]
    lines += ['{"email":"cid@example.org","reason":"551"}']
    frame = read(put(tmp_path, "e.ndjson", "\n".join(lines)))
    assert frame["recipient"].to_list() == ["ann@example.org", None, None, "cid@example.org"]
    assert frame["reply"].to_list() == ["550", lines[1], lines[2], "551"]


event_row = st.tuples(
    st.sampled_from(["ann@example.org", "bob@example.org", "nobody", ""]),
    st.sampled_from(["2024-01-31 12:05:00", "2024-02-01 12:05:00", ""]),
    st.sampled_from(["bounce", "delivered", "xyzzy"]),
    st.sampled_from(["<1@example.com>", ""]),
    st.sampled_from(["550 no", "552 full"]),
)


@settings(max_examples=40)
@given(first=st.lists(event_row, max_size=12), second=st.lists(event_row, max_size=12))
def test_rows_are_records_less_duplicates_and_each_known_event_is_there_once(
    first: list[tuple[str, ...]],
    second: list[tuple[str, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("exports")
    head = "email,time,event,message_id,reason\n"
    for name, rows in (("1.csv", first), ("2.csv", second)):
        put(folder, name, head + "".join(",".join(row) + "\n" for row in rows))
    reading = load(folder)
    assert reading.records == len(first) + len(second)
    assert reading.rows == reading.records - reading.duplicates == reading.frame.height
    readable = [row for row in (*first, *second) if "@" in row[0]]
    assert reading.unreadable == reading.records - len(readable)
    telling = [row for row in readable if row[1] or row[3]]
    assert reading.duplicates == len(telling) - len(set(telling))
    assert scan(folder).collect().height == reading.records


@pytest.mark.parametrize("name", ["suppression_bounces (1).csv", "german.csv", "webhook.json"])
def test_scan_gives_what_read_gives(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, SOURCES[name][0])
    assert_frame_equal(scan(path).collect(engine="streaming"), read(path))


def test_a_folder_is_read_deep_with_maildirs_and_without_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "mails" / "cur").mkdir(parents=True)
    (tmp_path / "mails" / "new").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    put(tmp_path, "mails/cur/1:2,S", MAIL.format("cid@example.org"))
    put(tmp_path, "deep/er/2.eml", MAIL.format("dan@example.org"))
    put(tmp_path, "deep/3.eml.gz", gzip.compress(MAIL.format("eve@example.org").encode()))
    put(tmp_path, "a.csv", "email,reason\nann@example.org,550 no\n")
    put(tmp_path, "README.md", "# Read me\n\nThis is, as it were, a text.\n")
    put(tmp_path, "chart.png", b"\x89PNG\r\n\x1a\n" + bytes(500))
    put(tmp_path, "customers.csv", "email,name\nann@example.org,Ann\n")
    put(tmp_path, ".hidden.csv", "email,reason\nhid@example.org,550\n")
    reading = load(tmp_path)
    assert set(reading.frame["recipient"]) == {
        f"{n}@example.org" for n in ["ann", "cid", "dan", "eve"]
    }
    assert reading.frame.filter(recipient="eve@example.org")["source"].item().endswith("3.eml.gz")
    assert reading.files["kind"].to_list() == [
        *["skipped", "csv", "skipped", "skipped"],
        *["mail", "mail", "mail"],
    ]
    assert "from 4 files (generic, mail)" in reading.summary
    assert "skipped " in reading.summary
    assert "README.md" in reading.summary


def test_a_file_met_twice_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "email,reason\nann@example.org,550 no\n")
    assert load(path, tmp_path, str(tmp_path / "*.csv")).records == 1


def test_the_users_mapping_and_source_outrank_what_is_recognised(tmp_path: Path) -> None:
    path = put(
        tmp_path, "a.csv", "Wer;email;reason;Fehler\nann@example.org;bob@example.org;x;550\n"
    )
    mapped = read(path, mapping={"recipient": "wer", "reply": "Fehler"})
    assert mapped.select("recipient", "reply").row(0) == ("ann@example.org", "550")
    blocks = put(tmp_path, "x.csv", "status,reason,email,created\n,550,ann@example.org,\n")
    assert read(blocks, source="sendgrid.blocks")["source_class"].item() == "sendgrid:blocked"
    addresses = put(tmp_path, "list.csv", "email\nann@example.org\n")
    assert read(addresses, source="generic")["event"].to_list() == ["bounce"]


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
ERRORS: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "empty.csv": (b"", {}, "is empty: export it again"),
    "chart.png": (PNG, {}, "is not a table, a mail or a log that bouncekit can read"),
    "notes.txt": (b"Dear all\nsee you\n", {}, "is not a table, a mail or a log"),
    "book.xlsx": (b"PK\x03\x04" + bytes(99), {}, "ZIP data is broken; copy it again"),
    "people.csv": (b"name,age\nann,3\n", {}, r"headings \(name, age\): say mapping=.*--map recip"),
    "list.csv": (b"email,name\na@example.org,A\n", {}, 'say source="generic"'),
    "list.json": (b'[{"email": "a@example.org", "name": "A"}]', {}, 'say source="generic"'),
    "signups.csv": (
        b"email,signup date,last login\na@example.org,2024-01-01,2024-02-01\n",
        {},
        'say source="generic"',
    ),
    "orders.csv": (b"email,return reason\na@example.org,too small\n", {}, 'say source="generic"'),
    "customers.json": (
        b'{"type": "customer.created", "created": 1700000000,'
        b' "data": {"object": {"email": "a@example.org", "description": "new"}}}',
        {},
        'say source="generic"',
    ),
    "cut.csv.gz": (
        gzip.compress(b"email,reason\n" + bytes(range(32, 127)) * 50)[:-30],
        {},
        "is cut off: its gzip stream ends early; copy it again",
    ),
    "bad.csv.gz": (b"\x1f\x8b\x08\x00" + b"x" * 99, {}, "gzip data is broken; copy it again"),
    "cut.csv.zst": (b"\x28\xb5\x2f\xfd\x24\x10\x81\x00", {}, "zstd"),
    "bad.parquet": (b"PAR1" + b"x" * 99 + b"PAR1", {}, "is damaged"),
    "cut.json": (b'[{"email": "ann@example.org"},\n {"em', {}, "line 2: this is not JSON"),
    "source.csv": (b"email,reason\n", {"source": "sendgird"}, "one of mail, .*sendgrid, mailgun"),
    "zone.csv": (b"email,reason\n", {"tz": "Mars/Base"}, "no time zone"),
    "map.csv": (b"a,b\n", {"mapping": {"reply": "c"}}, "no heading 'c' for reply: it has a, b"),
    "key.csv": (b"a,b\n", {"mapping": {"rcpt": "a"}}, "'rcpt' is no column that .*: .*recipient"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_names_the_file_and_the_way_out(name: str, tmp_path: Path) -> None:
    data, options, message = ERRORS[name]
    path = put(tmp_path, name, data)
    with pytest.raises(BouncekitError, match=message) as error:
        read(path, **options)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value) or options  # an option can be wrong before any file is met


def test_paths_that_lead_nowhere_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=r"gone\.csv does not exist"):
        read(tmp_path / "gone.csv")
    with pytest.raises(BouncekitError, match="No file matches"):
        read(str(tmp_path / "*.csv"))
    with pytest.raises(BouncekitError, match="nothing to read"):
        read()
    with pytest.raises(BouncekitError, match=r"~nobody-here/x\.csv does not exist"):
        read("~nobody-here/x.csv")
    put(tmp_path, "README.md", "# Read me\n")
    for reader in (read, scan):
        with pytest.raises(BouncekitError, match="no table, mail or log"):
            reader(tmp_path)


def test_a_tilde_is_the_home_folder_or_part_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("at_home.csv", "~$open.csv"):
        put(tmp_path, name, "email,reason\nann@example.org,550 no\n")
    assert read("~/at_home.csv").height == read("~$open.csv").height == 1


def test_every_layout_fills_columns_of_the_frame_and_names_known_events() -> None:
    for layout in layouts():
        assert set(layout.fields) <= {*BOUNCES, "original_recipient"}, layout.name
        assert {*layout.words.values(), layout.event or "none"} <= {*EVENTS, "none"}, layout.name
        assert layout.event or layout.words or layout.marks, layout.name
        assert {*layout.marks} <= {*EVENTS}, layout.name
        assert {*layout.same} <= {*BOUNCES}, layout.name
        assert "recipient" in layout.fields, layout.name


def test_a_list_of_people_gets_no_time_from_their_phone_numbers() -> None:
    sample = pl.DataFrame({"who": ["ann@example.org"], "phone": ["1706702700"]})
    assert guess({"recipient": ("who",)}, sample, {}) == {"recipient": ("who",)}


@pytest.mark.parametrize("text", ["[]", '{"items": [], "paging": {"next": "x"}}', '{"results":[]}'])
def test_an_export_without_events_is_an_empty_frame(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bounces.json"
    path.write_text(text)
    assert_frame_equal(read(path), pl.DataFrame(schema=BOUNCES))
    assert_frame_equal(scan(path).collect(), pl.DataFrame(schema=BOUNCES))


@pytest.mark.parametrize("above", ["June\n", "June,,\n,,\n", "June,,\n\nAll lists,,\n"])
def test_titles_above_the_headings_are_passed_over(above: str, tmp_path: Path) -> None:
    path = tmp_path / "bounces.csv"
    path.write_text(f"{above}Email,Reason,Date\nann@example.org,550 no such user,2024-03-01\n")
    (row,) = read(path).rows(named=True)
    assert (row["recipient"], row["reply"]) == ("ann@example.org", "550 no such user")


@pytest.mark.parametrize(
    "headings", ["email,name,created_at", "email,name,Created,tags", "E-Mail,Kategorie,updated_at"]
)
def test_a_list_of_readers_is_no_list_of_bounces(headings: str, tmp_path: Path) -> None:
    record = "ann@example.org" + ",2024-03-01" * headings.count(",")
    readers, bounced = tmp_path / "readers.csv", tmp_path / "bounced.csv"
    for path in (readers, bounced):
        path.write_text(f"{headings}\n{record}\n")
    with pytest.raises(BouncekitError, match="nor date of a bounce beside them"):
        read(readers)
    assert read(bounced)["event"].to_list() == ["bounce"]


def test_a_message_of_outlook_stops_no_folder_and_is_named_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.msg").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    (tmp_path / "b.csv").write_text("email,reason\nann@example.org,550 5.1.1 no\n")
    assert read(tmp_path)["recipient"].to_list() == ["ann@example.org"]
    with pytest.raises(BouncekitError, match=r"is a message of Outlook: save it as \.eml"):
        read(tmp_path / "a.msg")
