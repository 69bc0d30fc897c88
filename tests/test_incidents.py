"""What happened to the mail as a whole: outages of providers, and faults of the sender."""

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import polars as pl
import pytest
from frames import at, bounces
from polars.testing import assert_frame_equal

from bouncekit import rules as knowledge
from bouncekit.alerts import alerts, blocklistings, problems
from bouncekit.bring_back import bring_back
from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.incidents import hours, incidents
from bouncekit.policy import decide

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
UNKNOWN = "550 5.1.1 The email account that you tried to reach does not exist"
NO_DOMAIN = "550 5.1.2 Host or domain name not found"
CLOSED = "550 5.2.1 This account has been disabled"
FULL = "552 5.2.2 Mailbox full"
BLOCKED = "554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org"


def mailing(day: int, delivered: range, refused: range = range(0), reply: str = UNKNOWN) -> str:
    """Send to the numbered addresses of one provider, one a minute from 09:00 on."""
    begin = datetime(2025, 3, day, 9)
    lines = [
        f"{begin + timedelta(minutes=i):%Y-%m-%d %H:%M} delivery a{i}@bigmail.example"
        for i in delivered
    ] + [
        f"{begin + timedelta(minutes=i):%Y-%m-%d %H:%M} bounce a{i}@bigmail.example {reply}"
        for i in refused
    ]
    return "\n".join(lines) + "\n"


BEFORE = mailing(1, range(50)) + mailing(2, range(50))
OUTAGE = BEFORE + mailing(3, range(25), range(25, 50)) + mailing(4, range(50))

QUIET = {
    "nothing fails": BEFORE,
    "a few fail": BEFORE + mailing(3, range(9, 50), range(9)),
    "as many fail as ever": "".join(
        mailing(day, range(15 + day, 50), range(15 + day)) for day in range(1, 9)
    ),
    "not even five times as many fail as ever": mailing(1, range(60))
    + "".join(mailing(day, range(12, 60), range(12)) for day in (2, 3, 4))
    + mailing(5, range(36, 60), range(36)),
    "too little is known of the provider": mailing(1, range(10))
    + mailing(3, range(10, 40)).replace(" 09:", " 06:")
    + mailing(3, range(10, 40), range(10)),
    "bad addresses are imported": BEFORE + mailing(3, range(50), range(50, 59)),
    "very many bad addresses are imported": BEFORE + mailing(3, range(50), range(50, 110)),
    "one address is tried again and again": BEFORE + mailing(3, range(1, 50), range(1)) * 30,
    "no deliveries are in the export": mailing(3, range(0), range(50)),
    "the fault is the sender's": BEFORE + mailing(3, range(25), range(25, 50), BLOCKED),
    "the fault is for now": BEFORE + mailing(3, range(25), range(25, 50), "451 Try again later"),
}


@pytest.mark.parametrize("reply", [UNKNOWN, NO_DOMAIN, CLOSED])
def test_good_addresses_called_bad_are_the_providers_outage(reply: str) -> None:
    frame = bounces(OUTAGE.replace(UNKNOWN, reply))
    assert incidents(frame).rows(named=True) == [
        {
            "provider": "bigmail.example",
            "start": at("2025-03-03 09:00"),
            "end": at("2025-03-03 10:00"),
            "attempts": 50,
            "refused": 25,
            "share": 0.5,
            # Nothing else ever failed there: half a refusal more than in 150 attempts is assumed.
            "usual_share": pytest.approx(0.5 / 151),
            "source": None,
        }
    ]


def test_hours_in_a_row_are_one_incident() -> None:
    before = mailing(1, range(160)) + mailing(2, range(160))
    outage = mailing(3, range(0, 160, 2), range(1, 160, 2))
    found = incidents(bounces(before + outage)).row(0, named=True)
    assert (found["start"], found["end"]) == (at("2025-03-03 09:00"), at("2025-03-03 12:00"))
    assert (found["attempts"], found["refused"]) == (160, 80)


@pytest.mark.parametrize("text", QUIET.values(), ids=QUIET)
def test_it_is_no_incident_if(text: str) -> None:
    assert incidents(bounces(text)).is_empty()


def test_one_mailing_before_is_enough_to_know_good_addresses() -> None:
    frame = bounces(mailing(1, range(50)) + mailing(8, range(0), range(50)))
    assert incidents(frame)["refused"].to_list() == [50]


def test_an_outage_at_one_provider_is_none_at_another() -> None:
    frame = bounces(OUTAGE + OUTAGE.replace("bigmail.example", "postbox.example"))
    assert incidents(frame)["provider"].to_list() == ["bigmail.example", "postbox.example"]
    one = bounces(OUTAGE + BEFORE.replace("bigmail.example", "postbox.example"))
    assert incidents(one)["provider"].to_list() == ["bigmail.example"]


def test_nothing_after_the_day_in_question_is_looked_at() -> None:
    assert incidents(bounces(OUTAGE), as_of=at("2025-03-02 23:00")).is_empty()


ALERTS = """
2025-03-01 09:00 bounce ann@bigmail.example #mar 554 5.7.1 Message considered as spam
2025-03-01 09:00 bounce bob@bigmail.example #mar 554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org
2025-03-01 09:00 deferral eve@bigmail.example #mar 451 4.7.1 Too many messages from 192.0.2.7, slow down
2025-03-01 09:10 bounce bob@bigmail.example #mar 554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org
2025-03-08 09:00 bounce eve@bigmail.example #apr 554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org
2025-03-08 09:00 delivery tom@bigmail.example #apr
2025-03-08 09:00 bounce kim@bigmail.example #apr 550 5.1.1 User unknown
2025-03-08 09:00 bounce joe@bigmail.example #apr 451 4.3.0 Temporary system problem
"""  # noqa: E501


def test_faults_of_the_sender_are_listed_and_a_blocklist_comes_first() -> None:
    found = alerts(bounces(ALERTS))
    assert found["category"].to_list() == ["blocklisted", "rate_limited", "spam_content"]
    assert found["fault"].to_list() == ["sender", "sender", "message"]
    first = found.row(0, named=True)
    assert first["blocklist"] == "Spamhaus ZEN"
    assert first["provider"] == "bigmail.example"
    assert (first["events"], first["mailings"], first["recipients"]) == (3, 2, 2)
    assert first["share"] == pytest.approx(2 / 6)
    assert (first["first_seen"], first["last_seen"]) == (
        at("2025-03-01 09:00"),
        at("2025-03-08 09:00"),
    )
    assert "blocked using zen.spamhaus.org" in first["reply"]
    assert "ask the blocklist for removal" in first["what_to_do"]


@pytest.mark.parametrize("view", [incidents, alerts])
def test_rows_in_another_order_or_twice_change_nothing(view: object) -> None:
    assert callable(view)
    frame = bounces(OUTAGE + ALERTS.strip())
    mixed = frame.sample(fraction=1, shuffle=True, seed=550)
    assert_frame_equal(view(mixed), view(frame))
    assert_frame_equal(view(frame.lazy()), view(frame))
    if view is incidents:
        assert_frame_equal(view(pl.concat([frame, frame])), view(frame))


def hosted(text: str, host: str = "mx.hoster.example") -> pl.DataFrame:
    """Spread the addresses over domains of one host; few deliveries name it."""
    frame = bounces(text)
    names = pl.col("recipient").str.extract("^a([0-9]+)@")
    told = (pl.col("event") == "bounce") | (pl.col("time").dt.minute() % 4 == 0)
    return frame.with_columns(
        recipient=pl.format("ann@firm{}.example", names.cast(pl.Int64) % 20),
        remote_mta=pl.when(told).then(pl.lit(host)),
        provider=pl.lit(None, pl.String),
    )


def test_hosted_domains_count_by_their_host() -> None:
    frame = hosted(OUTAGE)
    found = incidents(frame)
    assert found["provider"].to_list() == ["hoster.example"]
    held = decide(frame, as_of=at("2025-03-03 23:00")).filter(pl.col("verdict") == "hold")
    assert held.height == 20
    assert held["because"].str.contains("refused many good addresses").all()


def test_a_day_is_an_incident_where_no_hour_is() -> None:
    slow = OUTAGE.splitlines()
    spread = [
        line.replace(" 09:", f" {number % 24:02}:") if "03-03" in line else line
        for number, line in enumerate(slow)
    ]
    found = incidents(bounces("\n".join(spread)))
    assert found.select("start", "end", "refused").rows() == [
        (at("2025-03-03 00:00"), at("2025-03-04 00:00"), 25)
    ]


GMAIL = "550-5.1.1 The email account that you tried to reach does not exist. Please try"
KNOWN = {
    "in it": ("2020-12-15 20:00", GMAIL, "hold"),
    "the report came late": ("2020-12-16 00:30", GMAIL, "hold"),
    "long after": ("2020-12-16 09:00", GMAIL, "remove"),
    "before": ("2020-12-15 12:00", GMAIL, "remove"),
    "another text": ("2020-12-15 20:00", "550 5.2.1 The account is disabled", "remove"),
}


@pytest.mark.parametrize(("time", "reply", "verdict"), KNOWN.values(), ids=KNOWN)
def test_what_a_publicly_known_incident_refused_is_held(
    time: str, reply: str, verdict: str
) -> None:
    frame = bounces(f"{time} bounce ann@example.org {reply}").with_columns(provider=pl.lit("Gmail"))
    assert decide(frame)["verdict"].to_list() == [verdict]
    assert decide(frame, guard=False)["verdict"].to_list() == ["remove"]
    sources = incidents(frame)["source"].to_list()
    assert [source[:8] for source in sources] == ["https://"] * (verdict == "hold")


def test_an_incident_found_and_known_is_one() -> None:
    frame = bounces(OUTAGE.replace("2025-03-03 09:", "2020-12-15 20:").replace("2025", "2020"))
    frame = frame.with_columns(provider=pl.lit("Gmail"))
    early = frame.filter(pl.col("time") < at("2020-06-01 00:00"))
    assert incidents(early).is_empty()
    found = incidents(frame)
    assert found.height == 1
    assert found["source"].null_count() == 0
    assert decide(frame)["recipient"].is_unique().all()


def test_every_known_incident_has_its_source() -> None:
    table = tomllib.loads(
        files("bouncekit.rules").joinpath("incidents.toml").read_text(encoding="utf-8")
    )
    names = knowledge.providers()
    for incident in table["incident"]:
        assert incident["start"] < incident["end"]
        assert incident["source"].startswith("https://")
        assert incident["provider"] in names
        assert incident["words"] == [word.lower() for word in incident["words"]]


def test_who_was_refused_for_the_outage_only_is_to_be_brought_back() -> None:
    dead = "2025-02-03 09:00 bounce a30@bigmail.example " + UNKNOWN
    later = "2025-03-09 09:00 bounce a31@bigmail.example " + UNKNOWN
    frame = bounces(BEFORE.replace("a30@", "b30@") + OUTAGE[len(BEFORE) :] + f"{dead}\n{later}\n")
    now = at("2025-03-09 10:00")
    back = bring_back(frame, as_of=now)["recipient"].to_list()
    names = {f"a{number}@bigmail.example" for number in range(25, 50)}
    assert set(back) == names - {"a31@bigmail.example"}
    wanted = pl.Series(["a26@bigmail.example", "a31@bigmail.example"])
    assert bring_back(frame, removed=wanted)["recipient"].to_list() == ["a26@bigmail.example"]


@pytest.mark.parametrize(
    ("text", "domain", "count"),
    [
        ("DOES NOT exist", "bigmail.example", 25),
        ("", "", 25),
        ("no such words", "", 0),
        ("", "postbox.example", 0),
    ],
)
def test_time_text_and_domain_say_who_is_brought_back(text: str, domain: str, count: int) -> None:
    start, end = datetime(2025, 3, 3, 9), datetime(2025, 3, 3, 10)
    found = bring_back(bounces(OUTAGE), start=start, end=end, text=text, domain=domain)
    assert found.height == count


def test_an_incident_has_a_start_and_an_end() -> None:
    with pytest.raises(BouncekitError, match="give both, or neither"):
        bring_back(bounces(OUTAGE), start=datetime(2025, 3, 3))


def test_an_alert_names_the_domain_that_sent() -> None:
    frame = bounces(ALERTS).with_columns(sender=pl.lit("News <news@Mail.example.com>"))
    assert alerts(frame)["sender_domain"].unique().to_list() == ["mail.example.com"]


def test_problems_name_the_worst_and_count_the_others() -> None:
    more = "2025-03-08 09:00 bounce a@x.example 554 5.7.1 blocked using zen.spamhaus.org"
    frame = bounces(ALERTS + more).with_columns(
        sending_ip=pl.when(pl.col("recipient") == "a@x.example")
        .then(pl.lit("192.0.2.8"))
        .otherwise(pl.lit("192.0.2.7"))
    )
    first = problems(alerts(frame)).row(0, named=True)
    assert first["provider"] == "bigmail.example and 1 more"
    assert first["sending_ip"] == "192.0.2.7 and 1 more"
    assert (first["recipients"], first["share"]) == (3, pytest.approx(2 / 6))


def test_a_recipient_whom_two_ips_could_not_reach_is_one() -> None:
    frame = pl.concat(bounces(ALERTS).with_columns(sending_ip=pl.lit(ip)) for ip in ("1", "2"))
    found = alerts(frame)
    blocked = problems(found).row(0, named=True)
    touched = frame.filter(pl.col("category") == "blocklisted")["recipient"].n_unique()
    assert blocked["recipients"] == touched
    assert found.filter(pl.col("category") == "blocklisted")["recipients"].sum() == 2 * touched


def test_blocklistings_are_counted_by_day() -> None:
    frame = bounces(
        ALERTS + "2025-03-08 09:00 bounce a@x.example 554 5.7.1 Service refused, see the RBL"
    )
    found = blocklistings(frame)
    assert found["blocklist"].to_list() == ["Spamhaus ZEN", "Spamhaus ZEN", "not named"]
    assert found["day"].dt.day().to_list() == [1, 8, 8]
    assert found["recipients"].to_list() == [1, 1, 1]


def test_the_hours_around_an_incident_show_the_culprit_first_and_others_beside_it() -> None:
    beside = "".join(mailing(day, range(50)).replace("bigmail", "other") for day in (1, 2, 3, 4))
    found = hours(bounces(OUTAGE + beside))
    assert found["provider"].unique(maintain_order=True).to_list() == [
        "bigmail.example",
        "other.example",
    ]
    worst = found.sort("share", descending=True).row(0, named=True)
    assert (worst["provider"], worst["time"]) == ("bigmail.example", at("2025-03-03 09:00"))
    assert (worst["share"], worst["events"]) == (0.5, 50)
    assert hours(bounces(BEFORE)).is_empty()


def outage(refused: Callable[[int], bool], every: timedelta, addresses: int = 400) -> pl.DataFrame:
    """Four mailings, a week apart, to addresses of a provider that refuses some of the last."""
    rows = [
        (MONDAY + timedelta(days=7 * week) + number * every, f"u{number}@big.example", week == 3)
        for week in range(4)
        for number in range(addresses)
    ]
    frame = pl.DataFrame(rows, schema=["time", "recipient", "is_last"], orient="row")
    numbers = pl.col("recipient").str.extract(r"(\d+)").cast(pl.Int64)
    is_refused = pl.col("is_last") & numbers.is_in([n for n in range(addresses) if refused(n)])
    return classify(
        frame.select(
            "time",
            "recipient",
            event=pl.when(is_refused).then(pl.lit("bounce")).otherwise(pl.lit("delivery")),
            reply=pl.when(is_refused).then(pl.lit("550 5.1.1 no such user")),
        )
    )


def test_an_outage_of_a_day_is_held_as_a_whole_whatever_its_hours() -> None:
    every = timedelta(minutes=3.6)  # every second one of 14 hours: 8 or 9 addresses an hour
    for more in range(4):  # and some of the first hour besides
        refused = {*range(0, 240, 2), *range(1, 2 * more, 2)}
        frame = outage(refused.__contains__, every)
        assert set(decide(frame)["verdict"]) == {"hold", "keep"}, more


def test_the_rest_of_an_outage_behind_the_full_hour_is_part_of_it() -> None:
    frame = outage({*range(200, 309)}.__contains__, timedelta(seconds=12), addresses=309)
    assert incidents(frame)["end"].to_list() == [MONDAY + timedelta(days=21, hours=2)]
    assert incidents(frame)["refused"].to_list() == [109]


def test_a_few_refusals_beside_an_outage_are_no_part_of_it() -> None:
    frame = outage(
        lambda number: 200 <= number < 300 or number in (310, 320), timedelta(seconds=12)
    )
    assert incidents(frame)["refused"].to_list() == [100]
