"""Domains and providers: what their addresses did together, and which of them are gone."""

import polars as pl
import pytest
from frames import at, bounces
from polars.testing import assert_frame_equal

from bouncekit.domains import domains, faults_by_provider
from bouncekit.errors import BouncekitError

ANN, BOB, EVE = "ann@firm.example", "bob@firm.example", "eve@firm.example"
GONE = {
    "all its addresses failed": (
        True,
        f"""
        2025-01-07 09:00 bounce {ANN} 550 5.1.1 User unknown
        2025-01-07 09:00 bounce {BOB} 550 5.1.1 User unknown
        """,
    ),
    "they failed since they last took mail": (
        True,
        f"""
        2025-01-07 09:00 delivery {ANN}
        2025-01-14 09:00 bounce {ANN} 550 5.1.1 User unknown
        2025-01-21 09:00 bounce {BOB} 550 5.1.1 User unknown
        """,
    ),
    "the reply says so": (
        True,
        f"2025-01-07 09:00 bounce {ANN} 550 5.1.2 Host or domain name not found",
    ),
    "one address tells of itself": (
        False,
        f"2025-01-07 09:00 bounce {ANN} 550 5.1.1 User unknown",
    ),
    "somebody took the same mailing": (
        False,
        f"""
        2025-01-07 09:00 delivery {EVE} #jan
        2025-01-07 10:00 bounce {ANN} #jan 550 5.1.1 User unknown
        2025-01-07 10:00 bounce {BOB} #jan 550 5.1.1 User unknown
        """,
    ),
    "a full mailbox is still one": (
        False,
        f"""
        2025-01-07 09:00 bounce {ANN} 550 5.1.1 User unknown
        2025-01-07 09:00 bounce {BOB} 452 4.2.2 Mailbox full
        """,
    ),
    "the fault was the sender's": (
        False,
        f"""
        2025-01-07 09:00 bounce {ANN} 554 5.7.1 blocked using zen.spamhaus.org
        2025-01-07 09:00 bounce {BOB} 554 5.7.1 blocked using zen.spamhaus.org
        """,
    ),
    "it took mail again": (
        False,
        f"""
        2025-01-07 09:00 bounce {ANN} 550 5.1.2 Host or domain name not found
        2025-01-14 09:00 delivery {ANN}
        """,
    ),
}


@pytest.mark.parametrize(("is_gone", "text"), GONE.values(), ids=GONE)
def test_a_domain_is_gone_where_everybody_failed_for_good(is_gone: bool, text: str) -> None:
    assert domains(bounces(text))["is_gone"].to_list() == [is_gone]


STORY = f"""
2025-01-07 09:00 delivery {EVE}
2025-01-07 09:00 bounce {ANN} 550 5.1.1 User unknown
2025-01-14 09:00 bounce {ANN} 550 5.1.1 User unknown
2025-01-14 09:00 bounce {BOB} 452 4.2.2 Mailbox full
2025-01-07 09:00 delivery tom@other.example
2025-01-07 09:00 bounce kim@third.example 554 5.7.1 blocked using zen.spamhaus.org
"""


def test_a_row_counts_addresses_and_mailings_of_its_domain_alone() -> None:
    found = domains(bounces(STORY))
    assert found["domain"].to_list() == ["firm.example", "third.example"]
    row = found.row(0, named=True)
    assert (row["recipients"], row["bounced"], row["failing"]) == (3, 2, 1)
    assert row["share"] == pytest.approx(1 / 3)
    assert row["mailings_bounced"] == 3
    assert row["top_category"] == "unknown_user"
    assert row["last_delivery"] == at("2025-01-07 09:00")
    assert (row["first_bounce"], row["last_bounce"]) == (
        at("2025-01-07 09:00"),
        at("2025-01-14 09:00"),
    )


def test_domains_of_one_host_are_one_provider() -> None:
    frame = bounces(STORY + "2025-01-07 09:00 bounce ann@shop.example 550 5.1.1 User unknown")
    is_hosted = pl.col("recipient").str.contains("@(firm|shop)")
    frame = frame.with_columns(remote_mta=pl.when(is_hosted).then(pl.lit("mx.host.example")))
    assert domains(frame, "provider")["provider"].to_list() == ["host.example", "third.example"]
    assert faults_by_provider(frame, 1)["provider"].unique().to_list() == ["host.example"]


def test_rows_in_another_order_or_twice_change_nothing() -> None:
    frame = bounces(STORY)
    mixed = pl.concat([frame, frame]).sample(fraction=1, shuffle=True, seed=550)
    assert_frame_equal(domains(mixed), domains(frame))
    assert_frame_equal(domains(frame.lazy()), domains(frame))


def test_nothing_after_the_day_in_question_is_looked_at() -> None:
    before = domains(bounces(STORY), as_of=at("2025-01-08 00:00"))
    assert before["mailings_bounced"].to_list() == [1, 1]


def test_there_are_no_domains_by_anything_else() -> None:
    with pytest.raises(BouncekitError, match="use 'domain' or 'provider'"):
        domains(bounces(STORY), "country")


def test_failures_are_counted_by_week_and_fault() -> None:
    weeks = faults_by_provider(bounces(STORY))
    assert [str(row) for row in weeks["week"]] == ["2025-01-06", "2025-01-13", "2025-01-06"]
    assert weeks["events"].to_list() == [1, 2, 1]
    assert weeks["fault"].to_list() == ["recipient", "recipient", "sender"]
