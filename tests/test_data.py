"""The sample data is what data/README.md says, and can be made again."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bouncekit.codes import reply_codes
from bouncekit.samples import article_codes
from bouncekit.schema import CATEGORIES, FAULT_OF

DATA = Path(__file__).parent.parent / "data"
README = (DATA / "README.md").read_text(encoding="utf-8")
ADDRESS = re.compile(r"[\w.%+*'-]+@([\w*-]+(?:\.[\w*-]+)+)")
EXAMPLE = re.compile(r"(?:.+\.)?(?:example|example\.(?:com|org|net))")
TAKES_MAIL = ["valid", "reopened", "forwarding"]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_newsletter", DATA / "make_newsletter.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_newsletter"] = module
    spec.loader.exec_module(module)
    return module


def with_email(truth: pl.DataFrame) -> pl.DataFrame:
    return truth.with_columns(email=pl.concat_str("local_part", "domain", separator="@"))


@pytest.fixture(scope="module")
def export() -> pl.DataFrame:
    return pl.read_csv(DATA / "newsletter.csv.zst", infer_schema=False)


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return with_email(pl.read_csv(DATA / "newsletter_truth.csv.zst", try_parse_dates=True))


@pytest.fixture(scope="module")
def article() -> pl.DataFrame:
    return pl.read_csv(DATA / "article_replies.csv", infer_schema=False)


def state_on_day_of_mailing(events: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Add what the mailbox was on the day of the event's mailing, as `state`."""
    mailboxes = truth.filter(~pl.col("state").is_in(["unsubscribed", "complained"]))
    return (
        events.with_columns(since=pl.col("campaign").str.to_date())
        .sort("since")
        .join_asof(mailboxes.sort("since"), on="since", by="email", check_sortedness=False)
    )


def readme_table(first_heading: str) -> dict[str, int]:
    """Read the name and the number in each row of the README's table with this first heading."""
    rows = README.split(f"| {first_heading} |")[1].split("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", rows, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def test_the_same_seed_makes_the_stored_files_again(
    generator: ModuleType, tmp_path: Path, export: pl.DataFrame, truth: pl.DataFrame
) -> None:
    generator.write(tmp_path)
    made = pl.read_csv(tmp_path / "newsletter.csv.zst", infer_schema=False)
    assert_frame_equal(made, export)
    made = pl.read_csv(tmp_path / "newsletter_truth.csv.zst", try_parse_dates=True)
    assert_frame_equal(with_email(made), truth)


def test_every_address_is_at_an_example_domain(export: pl.DataFrame, truth: pl.DataFrame) -> None:
    texts = [file.read_text(encoding="utf-8") for file in DATA.glob("*.[mpt]*") if file.is_file()]
    texts += [text for column in export.iter_columns() for text in column.drop_nulls().unique()]
    texts += truth["email"].unique().to_list()
    domains = {domain for text in texts for domain in ADDRESS.findall(text)}
    assert len(domains) > 400
    assert [domain for domain in domains if not EXAMPLE.fullmatch(domain)] == []


def test_every_host_is_at_an_example_domain(export: pl.DataFrame) -> None:
    hosts = export["mx"].drop_nulls().unique()
    assert [host for host in hosts if not EXAMPLE.fullmatch(host)] == []


def test_the_article_hides_the_addresses_it_quotes(article: pl.DataFrame) -> None:
    domains = {domain for reply in article["reply"] for domain in ADDRESS.findall(reply)}
    assert domains
    assert all("*" in domain for domain in domains)


def test_the_codes_of_the_article_are_known_and_in_order() -> None:
    codes = article_codes()
    assert codes.height == 13
    assert codes["code"].is_sorted()
    assert set(codes["code"]) <= set(reply_codes()["code"])
    assert codes["says"].str.ends_with(".").all()


def test_the_labels_of_the_article_are_categories_and_their_fault(article: pl.DataFrame) -> None:
    assert article["id"].is_unique().all()
    assert article["where"].str.contains(r"^(article|comment \d+)$").all()
    accepted = article["also_accepted"].drop_nulls().str.split(";").explode()
    assert set(article["category"]) | set(accepted.drop_nulls()) - {""} <= set(CATEGORIES)
    assert [FAULT_OF[category] for category in article["category"]] == article["fault"].to_list()


def test_the_causes_of_the_wordings_are_categories(generator: ModuleType) -> None:
    causes = {
        cause for server in generator.wordings()["servers"].values() for cause in server["replies"]
    }
    assert causes <= set(CATEGORIES)


def test_the_truth_tells_of_every_recipient_and_of_nobody_else(
    export: pl.DataFrame, truth: pl.DataFrame
) -> None:
    assert set(export["email"]) == set(truth["email"])


def test_the_states_of_an_address_follow_one_another_to_the_end(truth: pl.DataFrame) -> None:
    spans = truth.with_columns(next=pl.col("since").shift(-1).over("email"))
    assert spans["until"].equals(spans["next"])
    assert spans.filter(pl.col("until") <= pl.col("since")).is_empty()


def test_nothing_is_delivered_to_a_mailbox_that_takes_no_mail(
    export: pl.DataFrame, truth: pl.DataFrame
) -> None:
    delivered = state_on_day_of_mailing(export.filter(pl.col("event") == "delivered"), truth)
    later_bounced = ["forwarding_broken"]
    assert set(delivered["state"]) <= {*TAKES_MAIL, *later_bounced}


def test_the_outage_hits_good_mailboxes_that_take_the_next_mailing(
    export: pl.DataFrame, truth: pl.DataFrame
) -> None:
    outage = state_on_day_of_mailing(
        export.filter(
            pl.col("campaign") == "2025-03-04", pl.col("reason").str.contains("p=NoSuchUser")
        ),
        truth,
    ).filter(pl.col("state").is_in(TAKES_MAIL), pl.col("final_recipient").is_null())
    after = export.filter(pl.col("campaign") == "2025-03-18", pl.col("event") == "delivered")
    took = outage.join(after, on="email", how="semi")
    assert outage.height > 3000
    assert took.height / outage.height > 0.98


def test_one_minute_stands_in_the_export_twice(export: pl.DataFrame) -> None:
    twice = export.filter(export.is_duplicated())
    assert twice["timestamp"].str.slice(0, 16).unique().to_list() == ["2025-01-07T09:40"]
    assert twice.height == 2 * twice.unique().height == 2 * 335


def test_the_numbers_in_the_readme_are_those_of_the_files(
    export: pl.DataFrame, truth: pl.DataFrame
) -> None:
    assert readme_table("event") == dict(export["event"].value_counts().iter_rows())
    assert readme_table("state") == dict(truth["state"].value_counts().iter_rows())
    for frame in (export, truth):
        assert f"{frame.height:,} rows" in README


def test_the_files_stay_small() -> None:
    assert (DATA / "newsletter.csv.zst").stat().st_size < 2_900_000
    assert (DATA / "newsletter_truth.csv.zst").stat().st_size < 600_000
