"""Charts, by their specs: what is on the axes, in which order, in which colours, and how much."""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest
import vl_convert

from bouncekit import charts, theme
from bouncekit.charts.data import labelled, shortened
from bouncekit.errors import BouncekitError
from bouncekit.schema import (
    ACTIONS,
    CATEGORIES,
    CERTAINTIES,
    FAULTS,
    VERDICTS,
    Action,
    Category,
    Certainty,
    Event,
    Fault,
    Time,
    Verdict,
)
from bouncekit.theme import TICKS

DAY = datetime(2024, 5, 1, 9, tzinfo=UTC)
HOSTILE = "</script>{{datum}}'\"<b>ann.lee@example.org</b>" + "x" * 300
COUNT, SHARE = pl.UInt32, pl.Float64

# A frame for each chart: columns with dtypes, and one row.
FRAMES: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "codes": (
        {"reply_code": pl.Int16, "meaning": pl.String, "events": COUNT, "share": SHARE}
        | {"action": Action},
        (550, "mailbox unavailable", 7, 1.0, "remove"),
    ),
    "codes_by_category": (
        {"reply_code": pl.Int16, "category": Category, "events": COUNT},
        (550, "blocklisted", 7),
    ),
    "categories": ({"category": Category, "events": COUNT, "share": SHARE}, ("virus", 7, 1.0)),
    "certainties": (
        {"category": Category, "certainty": Certainty, "events": COUNT},
        ("virus", "text", 7),
    ),
    "code_against_text": (
        {"code_says": Category, "text_says": Category, "events": COUNT},
        ("unknown_user", "sender_dns", 7),
    ),
    "faults_over_time": (
        {"week": pl.Date, "fault": Fault, "events": COUNT},
        (date(2024, 5, 6), "sender", 7),
    ),
    "pareto": ({"recipients": SHARE, "bounces": SHARE}, (0.05, 0.6)),
    "streaks": ({"longest_streak": COUNT, "recipients": COUNT}, (3, 7)),
    "timelines": (
        {"recipient": pl.String, "time": Time, "event": Event, "category": Category},
        ("ann.lee@example.org", DAY, "bounce", "mailbox_full"),
    ),
    "hygiene": (
        {"sends_after_first_failure": pl.String, "recipients": COUNT, "sends": COUNT},
        ("2-3", 7, 15),
    ),
    "funnel": (
        {"verdict": Verdict, "category": Category, "recipients": COUNT},
        ("remove", "moved", 7),
    ),
    "policies": (
        {"policy": pl.String, "verdict": Verdict, "recipients": COUNT},
        ("article", "pause", 7),
    ),
    "bounce_rate": (
        {"mailing": pl.String, "sends": COUNT, "bounces": COUNT, "rate": SHARE},
        ("may", 100, 7, 0.07),
    ),
    "incidents": (
        {"time": Time, "provider": pl.String, "share": SHARE, "events": COUNT},
        (DAY, "Gmail", 0.9, 7),
    ),
    "alerts": (
        {"category": Category, "provider": pl.String, "blocklist": pl.String}
        | {"first_seen": Time, "last_seen": Time, "recipients": COUNT},
        ("blocklisted", "Microsoft", None, DAY, DAY, 7),
    ),
    "providers": (
        {"week": pl.Date, "provider": pl.String, "fault": Fault, "events": COUNT},
        (date(2024, 5, 6), "Gmail", "sender", 7),
    ),
    "blocklists": (
        {"blocklist": pl.String, "day": pl.Date, "recipients": COUNT},
        ("Spamhaus ZEN", date(2024, 5, 6), 7),
    ),
    "revivals": (
        {"category": Category, "weeks": COUNT, "failed": COUNT, "share": SHARE},
        ("mailbox_full", 2, 100, 0.27),
    ),
    "saved_and_lost": (
        {"policy": pl.String, "lost": COUNT, "sends_saved": COUNT, "bounces_avoided": COUNT},
        ("article", 1, 7, 5),
    ),
    "removals": (
        {"policy": pl.String, "start": Time, "removals": COUNT},
        ("article", DAY, 7),
    ),
    "rates_compared": (
        {"policy": pl.String, "start": Time, "sends": COUNT, "bounces": COUNT, "rate": SHARE},
        ("article", DAY, 100, 7, 0.02),
    ),
    "days_to_removal": (
        {"policy": pl.String, "days": pl.String, "recipients": COUNT},
        ("article", "8-14", 7),
    ),
}
VALUES: dict[Any, list[Any]] = {
    Category: list(CATEGORIES),
    Action: list(ACTIONS),
    Certainty: list(CERTAINTIES),
    Fault: list(FAULTS),
    Event: ["bounce", "deferral", "delivery"],
    Verdict: list(VERDICTS),
}


@pytest.fixture(autouse=True)
def themed() -> Iterator[None]:
    with alt.theme.enable("default"), alt.renderers.enable("default"):
        theme.use_theme()
        yield


def frame(name: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    columns, row = FRAMES[name]
    return pl.DataFrame(list(rows or [row]), schema=columns, orient="row")


def spec(name: str, data: pl.DataFrame) -> dict[str, Any]:
    chart = getattr(charts, name)(data)
    result: dict[str, Any] = chart.to_dict()
    return result


def largest(name: str) -> pl.DataFrame:
    """5,000 rows, all different, with names as long and as hostile as they come."""

    def value(dtype: Any, row: int) -> Any:
        if dtype in VALUES:
            return VALUES[dtype][row % len(VALUES[dtype])]
        if dtype == pl.String:
            return f"{row % 500} {HOSTILE} {row % 500}"
        if dtype == pl.Date:
            return date(2000, 1, 3) + timedelta(weeks=row // 5)
        if dtype == Time:
            return DAY + timedelta(hours=row)
        return (row + 1) / 7_000 if dtype == SHARE else row + 1

    columns = FRAMES[name][0]
    return pl.DataFrame(
        {c: [value(dtype, row) for row in range(charts.MOST_ROWS)] for c, dtype in columns.items()},
        schema=columns,
    )


def found(node: Any, key: str) -> Iterator[Any]:
    """Every value of a key, anywhere in a spec."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from found(item, key)


def rows(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for data in chart["datasets"].values() for row in data]


@pytest.mark.parametrize("name", FRAMES)
def test_every_chart_is_drawn_with_a_title_and_words_for_those_who_cannot_see_it(name: str) -> None:
    chart = spec(name, frame(name))
    data, _ = theme.picture(chart)
    assert data["image/png"].startswith(b"\x89PNG")
    assert chart["title"]["text"]
    assert chart["description"].endswith(".")


@pytest.mark.parametrize("name", FRAMES)
def test_an_empty_chart_says_so_in_its_place_without_axes_and_legends(name: str) -> None:
    chart = spec(name, frame(name).clear())
    assert theme.picture(chart)[0]["image/png"]
    assert "Nothing to show" in texts(chart)
    assert set(chart["encoding"]) == {"text", "x", "y"}
    assert chart["title"]["text"] == spec(name, frame(name))["title"]["text"]
    assert " 0 of " not in chart["title"]["subtitle"]
    assert chart["description"].endswith(" Nothing to show.")


def test_events_without_times_leave_nothing_to_show_over_time() -> None:
    chart = spec("faults_over_time", frame("faults_over_time", (None, "sender", 7)))
    assert rows(chart) == [{"said": "Nothing to show"}]
    assert chart["title"]["subtitle"] == "Events by week"


@pytest.mark.parametrize("name", FRAMES)
def test_the_largest_frame_makes_a_small_spec_in_which_names_are_data_alone(name: str) -> None:
    chart = spec(name, largest(name))
    assert len(json.dumps(chart)) < 200_000
    assert "ann.lee" not in json.dumps(chart)
    chart.pop("datasets")
    assert "{{datum}}" not in json.dumps(chart)


@pytest.mark.parametrize("name", FRAMES)
def test_colour_means_an_action_and_nothing_else(name: str) -> None:
    colours = [c for c in found(spec(name, largest(name)), "color") if isinstance(c, dict)]
    for colour in colours:
        domain, shades = colour["scale"]["domain"], colour["scale"]["range"]
        if colour["field"] == "action":
            assert tuple(domain) == ACTIONS
            assert tuple(shades) == tuple(theme.PALETTE.values())
        assert colour["field"] in ("action", "fault", "verdict", "share")
        assert set(shades[1:]) <= set(theme.PALETTE.values())


@pytest.mark.parametrize("name", FRAMES)
def test_more_rows_than_a_chart_can_count_are_refused(name: str) -> None:
    many = frame(name, *[FRAMES[name][1]] * (charts.MOST_ROWS + 1))
    with pytest.raises(BouncekitError, match=rf"charts\.{name}: 5,001 rows are too many"):
        spec(name, many)


@pytest.mark.parametrize("name", FRAMES)
def test_a_missing_or_wrong_column_is_named(name: str) -> None:
    column = list(FRAMES[name][0])[0 if name != "faults_over_time" else 1]
    with pytest.raises(BouncekitError, match=f"charts.{name}: there is no column '{column}'"):
        spec(name, frame(name).drop(column))
    with pytest.raises(BouncekitError, match=f"charts.{name}: column '{column}' is Binary"):
        spec(name, frame(name).with_columns(pl.lit(b"").alias(column)))


def test_every_chart_has_its_picture_in_the_gallery() -> None:
    docs = Path(__file__).parent.parent / "docs"
    page = (docs / "charts.md").read_text(encoding="utf-8")
    assert set(re.findall("^## (.+)$", page, re.M)) == set(FRAMES)
    assert set(FRAMES) | {"MOST_ROWS"} == set(charts.__all__)
    for name in FRAMES:
        assert str(inspect.getdoc(getattr(charts, name))) in page
        assert f"](charts/{name}.png)" in page
        assert (docs / "charts" / f"{name}.png").stat().st_size > 5_000


def hashes() -> list[str]:
    theme.use_theme()
    return [theme.spec_hash(spec(name, frame(name))) for name in FRAMES]


def test_a_spec_is_the_same_in_another_process_and_time_zone() -> None:
    other = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, __file__], env=os.environ | other, capture_output=True, check=True
    )
    assert json.loads(run.stdout) == hashes()


def test_categories_keep_the_order_of_the_schema_under_their_fault() -> None:
    chart = spec("categories", frame("categories", ("virus", 7, 0.7), ("unknown_user", 3, 0.3)))
    assert next(found(chart, "row"))["sort"] == list(FAULTS)
    assert [y["sort"] for y in found(chart, "y") if isinstance(y, dict) and "sort" in y] == [
        list(CATEGORIES)
    ] * 2
    assert {row["category"]: row["fault"] for row in rows(chart)} == {
        "virus": "message",
        "unknown_user": "recipient",
    }


def test_codes_stand_by_frequency_with_their_meaning_and_share() -> None:
    data = frame(
        "codes",
        (421, "not available", 2, 0.2, "wait"),
        (550, "mailbox unavailable", 3, 0.3, "fix_sender"),
        (550, "mailbox unavailable", 5, 0.5, "remove"),
    )
    chart = spec("codes", data)
    assert next(found(chart, "y"))["sort"] == ["550", "421"]
    labels = {r["code"]: (r["meaning"], r["label"]) for r in rows(chart) if "label" in r}
    assert labels == {
        "550": ("mailbox unavailable", "8 · 80.0 %"),
        "421": ("not available", "2 · 20.0 %"),
    }


def test_every_kind_of_evidence_has_its_column_even_if_empty() -> None:
    chart = spec("certainties", frame("certainties"))
    assert next(found(chart, "x"))["scale"]["domain"] == list(CERTAINTIES)


def test_a_dot_is_hollow_where_code_and_text_ask_for_the_same() -> None:
    data = frame(
        "code_against_text",
        ("unknown_user", "unknown_domain", 5),
        ("unknown_user", "sender_dns", 3),
        ("unclassified", "mailbox_full", 2),
    )
    chart = spec("code_against_text", data)
    assert {(row["text_says"], row["agree"], row["action"]) for row in rows(chart)} == {
        ("unknown_domain", True, "remove"),
        ("sender_dns", False, "fix_sender"),
        ("mailbox_full", False, "full"),
    }
    layers = [(layer["mark"]["type"], layer.get("transform")) for layer in chart["layer"]]
    assert layers == [
        ("point", [{"filter": "datum.agree"}]),
        ("circle", [{"filter": "!datum.agree"}]),
        ("text", None),
    ]


def test_headings_of_several_words_get_room_for_all_their_lines() -> None:
    def space(code: str) -> int:
        data = frame("code_against_text", (code, "virus", 7))
        across = next(found(spec("code_against_text", data), "x"))
        return int(across["axis"]["labelPadding"])

    assert space("moved") < space("unknown_user") < space("too_many_recipients")


def test_two_addresses_that_look_alike_keep_a_row_each() -> None:
    data = frame(
        "timelines",
        ("zoe@example.org", DAY, "bounce", "unknown_user"),
        ("ann@example.org", DAY, "delivery", None),
        ("amy@example.org", DAY, "bounce", "mailbox_full"),
    )
    seen = [row["address"] for row in rows(spec("timelines", data))]
    assert sorted(seen) == ["1  z***@e***.org", "2  a***@e***.org", "3  a***@e***.org"]


def test_what_is_kept_is_told_and_not_drawn() -> None:
    data = frame("funnel", ("remove", "moved", 7), ("keep", "greylisted", 9_000))
    chart = spec("funnel", data)
    assert chart["title"]["subtitle"].endswith("9,000 more stay on the list")
    assert {row["verdict"] for row in rows(chart)} == {"remove"}


def test_a_policy_that_removes_nobody_keeps_its_row() -> None:
    data = frame("policies", ("article", "remove", 7), ("never", "keep", 9_000))
    assert {row["policy"] for row in rows(spec("policies", data))} == {"article", "never"}
    labels = [row["label"] for row in rows(spec("policies", data)) if "label" in row]
    assert labels == ["7 removed", "0 removed"]


def test_a_tick_of_time_tells_its_year_or_stands_within_a_day() -> None:
    assert all("%Y" in TICKS[unit] for unit in ("year", "quarter", "month", "week", "date", "day"))
    seen = [("spam_content", "Gmail", None, DAY, DAY + timedelta(days=40), 7)]
    (format,) = {json.dumps(f) for f in found(spec("alerts", frame("alerts", *seen)), "format")}
    assert json.loads(format) == TICKS


def test_problems_are_named_above_their_bars_in_the_order_of_the_frame() -> None:
    rows_in = [
        ("spam_content", "Gmail and 12 more", None, DAY, DAY, 7),
        ("blocklisted", "Microsoft", "Spamhaus ZEN", DAY, DAY, 9),
    ]
    shown = rows(spec("alerts", frame("alerts", *rows_in)))
    assert [(row["order"], row["alert"]) for row in shown] == [
        (1, "spam_content · Gmail and 12 more"),
        (2, "blocklisted · Spamhaus ZEN · Microsoft"),
    ]


def test_the_pareto_chart_names_the_point_where_half_the_bounces_are_reached() -> None:
    data = frame("pareto", (0.01, 0.3), (0.05, 0.6), (1.0, 1.0))
    assert [row["label"] for row in rows(spec("pareto", data)) if "label" in row] == [
        "5.0 % of the addresses\nmake 60.0 % of the bounces"
    ]


def test_long_streaks_share_a_bar_and_lose_no_address() -> None:
    data = frame("streaks", (1, 9), (19, 2), (20, 3), (44, 4))
    assert [(row["streak"], row["recipients"]) for row in rows(spec("streaks", data))] == [
        ("1", 9),
        ("19", 2),
        ("20+", 7),
    ]


def test_the_funnel_is_the_same_whatever_the_order_of_its_rows() -> None:
    rows = [("remove", "moved", 7), ("keep", "greylisted", 90), ("remove", "unknown_user", 8)]
    assert spec("funnel", frame("funnel", *rows)) == spec("funnel", frame("funnel", *rows[::-1]))


def test_mailings_stand_in_the_order_of_the_frame() -> None:
    mailings = [("zebra", 100, 7, 0.07), ("ant", 100, 1, 0.01)]
    chart = spec("bounce_rate", frame("bounce_rate", *mailings))
    assert {r["mailing"]: r["order"] for r in rows(chart) if "order" in r} == {"zebra": 1, "ant": 2}
    assert {row["limit"] for row in rows(chart) if "limit" in row} == {0.05, 0.1}


def test_what_is_left_out_is_told() -> None:
    weeks = [(date(2020, 1, 6) + timedelta(weeks=i), "sender", 1) for i in range(120)]
    chart = spec("faults_over_time", frame("faults_over_time", *weeks))
    assert chart["title"]["subtitle"] == "Events by week; the latest 104 of 120"
    last = datetime(2022, 4, 18, tzinfo=UTC)
    assert max(row["week"] for row in rows(chart)) == 1_000 * last.timestamp()


SPRING = [
    f"Spring newsletter of the gardeners 2024-0{m}: what to plant and when" for m in (1, 2, 3)
]


def test_long_names_that_are_cut_alike_stay_apart_and_so_do_their_sums() -> None:
    columns: dict[str, Any] = {"mailing": pl.String, "fault": Fault, "events": COUNT}
    mailings = pl.DataFrame([(m, "sender", 2) for m in SPRING], schema=columns, orient="row")
    shown = rows(spec("faults_over_time", mailings))
    assert [(row["mailing"], row["events"]) for row in shown] == [
        ("Spring newsle…eners 2024-01: what to pl…", 2),
        ("Spring newsle…eners 2024-02: what to pl…", 2),
        ("Spring newsle…eners 2024-03: what to pl…", 2),
    ]
    rates = frame("bounce_rate", *[(m, 100, 7, 0.07) for m in SPRING])
    points = {row["mailing"] for row in rows(spec("bounce_rate", rates)) if "order" in row}
    assert points == {f"Spring n… 2024-0{month}: what…" for month in (1, 2, 3)}
    hosts = [f"mail.host-{i:02}.of-a-provider-with-a-long-name.example.org" for i in range(40)]
    providers = frame("providers", *[(date(2024, 5, 6), host, "sender", 1) for host in hosts])
    chart = spec("providers", providers)
    assert len({row["provider"] for row in rows(chart)}) == 9
    assert {row["events"] for row in rows(chart)} == {1}
    assert chart["title"]["subtitle"].endswith("the most frequent 9 of 40")


def test_no_two_names_share_a_label_and_short_ones_are_their_own() -> None:
    far_apart = [f"{'a' * 30}{letter}{'b' * 40}{letter}{'c' * 30}" for letter in "xyz"]
    tails = [f"{'d' * 30}e{'d' * 40}{letter}{'d' * 40}" for letter in "xyz"]
    names = [
        *SPRING,
        *far_apart,
        *tails,
        "q" * 50,
        "q" * 60,
        "short",
        None,
        shortened("q" * 50, 40),
    ]
    labels = labelled(pl.Series(names), 40).to_list()
    assert labels[-3:] == names[-3:]
    assert len(set(labels)) == len(names)
    assert all(len(label) <= 40 for label in labels if label)


def test_what_happened_at_one_instant_is_a_dot_over_its_day() -> None:
    chart = spec("alerts", frame("alerts"))
    dot = chart["layer"][0]
    assert (dot["mark"]["type"], "x2" in dot["encoding"]) == ("point", False)
    assert dot["encoding"]["x"]["axis"]["values"] == [1_000 * DAY.timestamp()]
    assert "7 addresses" in texts(chart)
    longer = ("spam_content", "Gmail", None, DAY, DAY + timedelta(days=40), 1)
    chart = spec("alerts", frame("alerts", longer))
    assert chart["layer"][0]["mark"]["type"] == "bar"
    assert "1 address" in texts(chart)


@pytest.mark.parametrize(("by", "days"), [("day", 1), ("week", 7), ("month", 28)])
@pytest.mark.parametrize("starts", [[1], [1, 15]])
def test_a_bar_is_as_long_as_its_period_however_few_there_are(
    by: str, days: int, starts: list[int]
) -> None:
    events = [(date(2024, 1, start), "sender", 1) for start in starts]
    chart = spec("faults_over_time", frame("faults_over_time", *events).rename({"week": by}))
    assert {row["until"] - row[by] for row in rows(chart)} == {86 * days * 864_000}
    assert ("Jan 2024" if by == "month" else "2024-01-01") in texts(chart)


def test_a_single_day_of_a_blocklist_is_told_to_the_day() -> None:
    first = frame("blocklists", ("Spamhaus ZEN", date(2024, 5, 1), 7))
    assert "2024-05-01" in texts(spec("blocklists", first))


def texts(chart: dict[str, Any]) -> list[str]:
    """What a drawn chart says, in the order of drawing."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", vl_convert.vegalite_to_svg(chart))


COUNTED = {
    "codes": "events",
    "categories": "events",
    "faults_over_time": "events",
    "streaks": "recipients",
    "hygiene": "recipients",
    "funnel": "recipients",
    "policies": "recipients",
    "providers": "events",
    "blocklists": "recipients",
    "removals": "removals",
    "days_to_removal": "recipients",
}


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("name", COUNTED)
def test_an_axis_of_counts_has_whole_numbers_each_once(name: str, most: int) -> None:
    data = frame(name).with_columns(pl.lit(most, COUNT).alias(COUNTED[name]))
    drawing = vl_convert.vegalite_to_svg(spec(name, data))
    axes = re.findall(r'role-axis-label"[^>]*>(.*?)</g>', drawing)
    numbers = [re.findall(r">([\d.,]+)</text>", axis) for axis in axes]
    counts = [axis for axis in numbers if axis[:1] in (["0"], ["0.0"])]
    assert counts
    assert all(axis == [f"{n}" for n in range(len(axis))] for axis in counts), counts


def test_the_names_of_two_limits_never_lie_on_each_other() -> None:
    style = theme.theme()["config"]["style"]
    assert (style["above"]["baseline"], style["under"]["baseline"]) == ("bottom", "top")
    for name, row in (
        ("rates_compared", ("article", DAY, 100, 100, 1.0)),
        ("bounce_rate", ("may", 100, 100, 1.0)),
    ):
        names = [
            (layer["mark"]["style"], layer["transform"][-1]["filter"])
            for layers in found(spec(name, frame(name, row)), "layer")
            for layer in layers
            if layer["mark"]["type"] == "text"
        ]
        assert names == [
            ("above", "datum.label == 'SES pause'"),
            ("under", "datum.label == 'SES review'"),
        ]


def test_a_single_mailing_is_a_dot_where_no_line_can_be() -> None:
    def marks(*rows: tuple[Any, ...]) -> list[str]:
        chart = spec("rates_compared", frame("rates_compared", *rows))
        return [m["type"] for m in found(chart, "mark") if "type" in m]

    first = ("article", DAY, 100, 7, 0.02)
    assert marks(first).count("point") == 2
    assert "point" not in marks(first, ("article", DAY + timedelta(days=7), 100, 7, 0.02))


def test_one_address_is_no_addresses() -> None:
    data = frame("hygiene", ("1", 1, 1), ("2-3", 1_200, 2_500))
    labels = [row["label"] for row in rows(spec("hygiene", data))]
    assert labels == ["1 address, 1 send", "1,200 addresses, 2,500 sends"]


def test_the_note_of_a_flat_curve_stands_below_the_straight_line() -> None:
    def note(*points: tuple[float, float]) -> dict[str, Any]:
        layer: dict[str, Any] = spec("pareto", frame("pareto", *points))["layer"][-1]
        return dict(layer["encoding"]["y"])

    assert "field" in note((0.05, 0.6), (1.0, 1.0))
    assert "value" in note((0.5, 0.5), (1.0, 1.0))


if __name__ == "__main__":
    print(json.dumps(hashes()))
