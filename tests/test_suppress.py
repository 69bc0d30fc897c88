"""The removal list: as each mail service takes it, safe to open, whole or not there at all."""

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from frames import bounces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bouncekit.drafts import whole_file
from bouncekit.errors import BouncekitError
from bouncekit.formats import find_format, formats, parts, quoted
from bouncekit.policy import decide
from bouncekit.suppress import SERVICES, listed, manifest_of, write_suppressions

DECISIONS = decide(
    bounces("""
        2025-01-07 09:00 bounce bob@example.org 552 5.2.2 Mailbox full
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 09:00 bounce eve@example.org 554 5.7.1 blocked using zen.spamhaus.org
        2025-01-07 09:00 delivery tom@example.org
    """)
)
WHY = (
    "\"The mailbox does not exist, or never did ('user unknown', 550 5.1.1). "
    '1 mailing bounced for it, on 2025-01-07; no delivery to it is known."'
)

# What each service's import page asks for: the headings and the first row.
FILES = {
    "csv": (
        "recipient,category,because,last_bounce,policy",
        f"ann@example.org,unknown_user,{WHY},2025-01-07T09:00:00Z,article",
    ),
    "sendgrid": ("email", "ann@example.org"),
    "mailgun": (
        "address,code,error,created_at",
        f'ann@example.org,550,{WHY},"Tue, 07 Jan 2025 09:00:00 GMT"',
    ),
    "ses": (None, "ann@example.org,BOUNCE"),
    "postmark": (
        '{"Suppressions": [{"EmailAddress": "ann@example.org"}, '
        '{"EmailAddress": "bob@example.org"}]}',
    ),
    "sparkpost": (
        "recipient,type,description",
        f"ann@example.org,transactional,{WHY}",
        f"ann@example.org,non_transactional,{WHY}",
    ),
    "mailchimp": ("Email Address", "ann@example.org"),
    "brevo": ("EMAIL", "ann@example.org"),
    "mailjet": ("ann@example.org", "bob@example.org"),
    "hubspot": ("Email", "ann@example.org"),
    "klaviyo": ("Email", "ann@example.org"),
    "listmonk": ("email,name,attributes", 'ann@example.org,"",{}'),
}

every_service = pytest.mark.parametrize("service", SERVICES)


def only(*recipients: str) -> pl.DataFrame:
    """Give decisions that remove these recipients."""
    one = DECISIONS.filter(pl.col("recipient") == "ann@example.org").drop("recipient")
    return pl.DataFrame({"recipient": recipients}, {"recipient": pl.String}).join(one, how="cross")


def test_every_service_has_its_file() -> None:
    assert list(FILES) == list(SERVICES)


@every_service
def test_the_file_is_what_the_service_imports(service: str, tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    write_suppressions(DECISIONS, file, service)
    head = [line for line in FILES[service] if line is not None]
    text = file.read_bytes().decode("utf-8")
    assert text.split("\n")[: len(head)] == head
    assert text.endswith("\n")
    assert [name for name in ("ann", "bob", "eve", "tom") if f"{name}@" in text] == ["ann", "bob"]


@every_service
def test_the_changes_since_the_last_list_are_told(service: str, tmp_path: Path) -> None:
    last, now = tmp_path / "last.csv", tmp_path / "now.csv"
    odd = ["+a@example.org", "'b@example.org", '"c, d"@example.org']
    first = write_suppressions(only("ann@example.org", "bob@example.org", *odd), last, service)
    assert set(first["change"]) == {"added"}
    decisions = only("bob@example.org", "kim@example.org", *odd)
    assert dict(write_suppressions(decisions, now, service, previous=last).iter_rows()) == {
        "ann@example.org": "withdrawn",
        "bob@example.org": "kept",
        "kim@example.org": "added",
        **dict.fromkeys(odd, "kept"),
    }


def test_an_unchanged_list_has_no_changes_whatever_is_on_it(tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    odd = ["not an address", "=1+1", "'quoted", "a,b", "two\nlines", ""]
    write_suppressions(only("ann@example.org", *odd), file)
    change = write_suppressions(only("ann@example.org", *odd), file, previous=file)
    assert set(change["change"]) == {"kept"}
    assert change.height == len(odd) + 1


@every_service
def test_the_case_of_an_address_is_no_change(service: str, tmp_path: Path) -> None:
    last, now = tmp_path / "last.csv", tmp_path / "now.csv"
    write_suppressions(only("Ann@Example.org", "Bob@example.org"), last, service)
    change = write_suppressions(only("ann@example.org"), now, service, previous=last)
    assert dict(change.iter_rows()) == {"ann@example.org": "kept", "Bob@example.org": "withdrawn"}


def test_a_lazy_frame_of_decisions_will_do(tmp_path: Path) -> None:
    write_suppressions(DECISIONS, tmp_path / "eager.csv")
    change = write_suppressions(DECISIONS.lazy(), tmp_path / "lazy.csv")
    assert change["recipient"].to_list() == ["ann@example.org", "bob@example.org"]
    assert (tmp_path / "lazy.csv").read_bytes() == (tmp_path / "eager.csv").read_bytes()


@every_service
def test_a_list_of_nobody_is_a_list(service: str, tmp_path: Path) -> None:
    nobody, now = tmp_path / "nobody.csv", tmp_path / "now.csv"
    assert write_suppressions(only(), nobody, service).is_empty()
    change = write_suppressions(only("ann@example.org"), now, service, previous=nobody)
    assert change.rows() == [("ann@example.org", "added")]
    back = write_suppressions(only(), now, service, previous=now)
    assert back.rows() == [("ann@example.org", "withdrawn")]


def test_what_goes_wrong_halfway_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    file.write_text("old")
    with pytest.raises(RuntimeError), whole_file(file) as draft:  # noqa: PT012
        draft.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/remove.csv", "remove.csv: cannot be written there .*; choose another place"),
        ("a_file/remove.csv", "remove.csv: cannot be written there .*; choose another place"),
        ("a_folder", "a_folder: cannot be written .*; nothing was changed"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named(path: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").touch()
    (tmp_path / "a_folder").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BouncekitError, match=words):
        write_suppressions(DECISIONS, tmp_path / path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("folder", ["remove-1.csv", "remove-2.csv", "remove.csv.manifest.json"])
def test_a_folder_in_the_place_of_one_file_leaves_all_as_they_were(
    folder: str, tmp_path: Path
) -> None:
    names = ["remove-1.csv", "remove-2.csv", "remove.csv.manifest.json"]
    for name in names:
        (tmp_path / name).write_text("old")
    (tmp_path / folder).unlink()
    (tmp_path / folder).mkdir()
    with pytest.raises(BouncekitError, match=f"{folder}: cannot be written .*; nothing was chang"):
        write_suppressions(numbered(100_001), tmp_path / "remove.csv", "ses")
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert {path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {"old"}


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match="no format for 'sendgird'; use one of csv, sendgrid"):
        write_suppressions(DECISIONS, tmp_path / "remove.csv", "sendgird")


@pytest.mark.parametrize("column", ["recipient", "verdict", "because", "last_bounce"])
def test_a_frame_that_holds_no_decisions_is_refused(column: str, tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=f"no column '{column}'; .* takes what decide"):
        write_suppressions(DECISIONS.drop(column), tmp_path / "remove.csv")
    assert not list(tmp_path.iterdir())


def test_an_earlier_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=r"last\.csv: not readable as an earlier removal list"):
        write_suppressions(DECISIONS, tmp_path / "now.csv", previous=tmp_path / "last.csv")
    assert not list(tmp_path.iterdir())


def manifest(path: Path) -> dict[str, object]:
    found = json.loads(manifest_of(path).read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def numbered(count: int) -> pl.DataFrame:
    return only(*(f"a{number:06}@example.org" for number in range(count)))


ODD = ["+ann@example.org", "=1+1@example.org", "-bob@example.org", '"c, d"@example.org']


@every_service
def test_an_address_stays_the_address_it_is(service: str, tmp_path: Path) -> None:
    file = tmp_path / "remove.txt"
    write_suppressions(only(*ODD), file, service)
    assert listed(file).to_list() == sorted(ODD)
    quoted = [f"'{address}" in file.read_text("utf-8") for address in ODD[:3]]
    assert all(quoted) if service == "csv" else not any(quoted)


@every_service
def test_what_is_no_address_spoils_no_import_and_is_counted(service: str, tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    write_suppressions(only("ann@example.org", "not an address", "b\n@example.org"), file, service)
    counts = manifest(file)["counts"]
    assert isinstance(counts, dict)
    left_out = 0 if service == "csv" else 2
    assert (counts["listed"], counts["no_address"]) == (3 - left_out, left_out)


@pytest.mark.parametrize(
    ("service", "count", "rows"),
    [
        ("ses", 100_000, [100_000]),
        ("ses", 100_001, [100_000, 1]),
        ("sendgrid", 100_001, [100_001]),
    ],
)
def test_no_file_has_more_rows_than_the_service_takes(
    service: str, count: int, rows: list[int], tmp_path: Path
) -> None:
    write_suppressions(numbered(count), tmp_path / "remove.csv", service)
    names = ["remove.csv"] if len(rows) == 1 else ["remove-1.csv", "remove-2.csv"]
    header = int(find_format(service).header)
    written = [(tmp_path / name).read_bytes().count(b"\n") - header for name in names]
    assert written == rows
    assert listed(tmp_path / "remove.csv").len() == count


@given(
    cells=st.lists(st.text('a"é, =', max_size=9), min_size=1, max_size=20),
    limit=st.integers(80, 200),
)
def test_no_file_is_larger_than_the_service_takes(cells: list[str], limit: int) -> None:
    rows = pl.DataFrame({"address": cells, "error": cells})
    to = find_format("mailgun")
    small = type(to)(**{**vars(to), "bytes": limit})
    cut = list(parts(rows, small))
    assert pl.concat(cut).equals(rows)
    assert all(len(quoted(part, to).write_csv().encode()) <= limit for part in cut)


def test_postmark_takes_fifty_addresses_in_a_call(tmp_path: Path) -> None:
    write_suppressions(numbered(101), tmp_path / "calls.ndjson", "postmark")
    calls = [json.loads(line) for line in (tmp_path / "calls.ndjson").read_text().splitlines()]
    assert [len(call["Suppressions"]) for call in calls] == [50, 50, 1]


def test_a_list_that_shrank_leaves_no_file_of_the_last_run(tmp_path: Path) -> None:
    file, others = tmp_path / "remove.csv", tmp_path / "remove-9.csv"
    others.write_text("not ours")
    write_suppressions(numbered(100_001), file, "ses")
    change = write_suppressions(numbered(1), file, "ses", previous=file)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "remove-9.csv",
        "remove.csv",
        "remove.csv.manifest.json",
    ]
    assert change["change"].value_counts(sort=True).rows() == [("withdrawn", 100_000), ("kept", 1)]


def test_the_manifest_tells_what_was_done_and_by_what(tmp_path: Path) -> None:
    file, last = tmp_path / "remove.csv", tmp_path / "last.csv"
    last.write_text("email\nann@example.org\nold@example.org\n")
    run = {"as_of": "2025-01-07", "inputs": []}
    write_suppressions(DECISIONS, file, "mailgun", last, run=run)
    told = manifest(file)
    assert told["service"] == "mailgun"
    assert told["policy"] == "article"
    assert told["counts"] == {
        "recipients": 4,
        "verdicts": {"keep": 2, "remove": 2},
        "listed": 2,
        "no_address": 0,
        "changes": {"added": 1, "kept": 1, "withdrawn": 1},
    }
    data = file.read_bytes()
    assert told["files"] == [
        {"file": "remove.csv", "bytes": len(data), "sha256": sha256(data).hexdigest()}
    ]
    previous = told["previous"]
    assert isinstance(previous, list)
    assert [one["sha256"] for one in previous] == [sha256(last.read_bytes()).hexdigest()]
    assert told["run"] == run
    assert isinstance(told["versions"], dict)
    assert set(told["versions"]) == {"bouncekit", "polars", "python"}


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_suppressions(DECISIONS, tmp_path / name / "remove.csv", "ses")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_a_run_that_would_remove_too_many_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=r"50% .* \(2 of 4\), more than 30%; .* --force"):
        write_suppressions(DECISIONS, tmp_path / "remove.csv", at_most=0.3)
    assert not list(tmp_path.iterdir())
    write_suppressions(DECISIONS, tmp_path / "remove.csv", at_most=0.5)


ADDRESSES = st.sets(st.sampled_from([f"{name}@example.org" for name in "abcdefgh"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(last=ADDRESSES, now=ADDRESSES, service=st.sampled_from(sorted(SERVICES)))
def test_added_and_kept_are_the_new_list_and_withdrawn_is_apart(
    last: set[str], now: set[str], service: str, tmp_path: Path
) -> None:
    file = tmp_path / "remove.csv"
    write_suppressions(only(*last), file, service)
    change = write_suppressions(only(*now), file, service, previous=file)
    by_kind = {
        kind: set(change.filter(pl.col("change") == kind)["recipient"])
        for kind in ("added", "kept", "withdrawn")
    }
    assert by_kind["added"] | by_kind["kept"] == now == set(listed(file))
    assert by_kind["kept"] | by_kind["withdrawn"] == last
    assert by_kind["withdrawn"] & now == set()
    assert change["recipient"].is_unique().all()


KILLED = """
import os, signal, sys
from pathlib import Path
from bouncekit import suppress
write = Path.write_bytes
def half(self, data):
    write(self, data[:10])
    os.kill(os.getpid(), signal.SIGKILL)
Path.write_bytes = half
path = Path(sys.argv[1])
with suppress._drafts(path, [path]) as (manifest, drafts):
    drafts[path].write_bytes(b"new " * 99)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal there")
def test_a_run_that_is_killed_leaves_the_old_list(tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    write_suppressions(DECISIONS, file)
    old = file.read_bytes(), manifest_of(file).read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert (file.read_bytes(), manifest_of(file).read_bytes()) == old


def test_every_format_says_how_it_is_imported_and_where_that_is_written() -> None:
    for to in formats().values():
        assert to.import_as.endswith("."), to.service
        assert to.source.startswith("https://"), to.service
        assert to.kind in ("csv", "lines", "json_calls"), to.service


@pytest.mark.parametrize(
    "text",
    [
        "status,reason,email,created\n5.1.1,550 no,ann@example.org,1\n",
        "\ufeffEmail;Name\nann@example.org;Ann\n".replace(";", ","),
        "ann@example.org\n",
        '{"Suppressions": [{"EmailAddress": "ann@example.org"}]}\n',
    ],
)
def test_any_table_of_addresses_will_do_as_the_last_list(text: str, tmp_path: Path) -> None:
    file = tmp_path / "last.csv"
    file.write_text(text, encoding="utf-8")
    assert listed(file).to_list() == ["ann@example.org"]
