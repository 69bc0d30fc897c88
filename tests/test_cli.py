"""The command line, as users call it: in a process of its own."""

import gzip
import hashlib
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest

DATA = Path(__file__).parent.parent / "data"

EXPORT = """status,reason,email,created
5.1.1,550 5.1.1 User unknown,gone@example.org,1704067200
5.2.2,552 5.2.2 Mailbox full,full@example.org,1704067200
5.7.1,"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",ann@example.net,1704067200
5.7.1,"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",ben@example.net,1704067200
5.7.1,"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",eve@example.net,1704067200
"""


def bouncekit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bouncekit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "suppression_bounces.csv"
    path.write_text(EXPORT, encoding="utf-8")
    return path


def test_the_version_is_that_of_the_package() -> None:
    assert bouncekit("--version").stdout == f"bouncekit {version('bouncekit')}\n"


def test_the_commands_stand_in_the_order_of_the_work() -> None:
    listed = bouncekit("--help").stdout.partition("Commands:\n")[2].splitlines()
    commands = [line.split()[0] for line in listed]
    assert commands == [
        "explain", "codes", "classify", "decide", "backtest", "report", "lab", "rules"
    ]  # fmt: skip
    assert not any(line.endswith("...") for line in listed)


def test_explain_says_category_fault_action_and_what_decided() -> None:
    done = bouncekit("explain", "550 5.1.1 <ann@example.org>: User unknown")
    assert done.returncode == 0
    for said in ("unknown_user", "recipient", "remove", "user unknown", "550:", "5.1.1:"):
        assert said in done.stdout


def test_explain_takes_a_reply_without_quotes() -> None:
    done = bouncekit("explain", "550", "Mailbox", "full")
    assert "mailbox_full" in done.stdout


def test_a_reply_cannot_steer_the_terminal() -> None:
    done = bouncekit("explain", "550 \x1b[2J\x1b]0;owned\x07 user unknown")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


@pytest.mark.parametrize("code", ["550", "5.1.1", "4.2.2", "5.7.515"])
def test_codes_says_what_a_code_means_and_what_to_do(code: str) -> None:
    done = bouncekit("codes", code)
    assert done.returncode == 0
    assert done.stdout.startswith(code)
    assert "what to do" in done.stdout


def test_codes_without_a_code_lists_both_kinds() -> None:
    listed = bouncekit("codes").stdout
    assert "\n554 " in listed
    assert "\nX.1.1 " in listed


def test_classify_writes_as_many_rows_as_it_read(export: Path, tmp_path: Path) -> None:
    for name in ("out.parquet", "out.csv"):
        done = bouncekit("classify", export, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "5 rows" in done.stdout
    assert pl.read_parquet(tmp_path / "out.parquet").height == 5
    assert pl.read_csv(tmp_path / "out.csv")["category"].to_list()[0] == "unknown_user"


def test_decide_writes_the_list_and_tells_what_was_read_and_what_is_to_fix(
    export: Path, tmp_path: Path
) -> None:
    done = bouncekit("decide", export, "--service", "sendgrid", "-o", tmp_path / "remove.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "remove.csv").read_text() == "email\nfull@example.org\ngone@example.org\n"
    assert "Read 5 rows from 1 file" in done.stdout
    assert "remove 2, keep 3" in done.stdout
    assert "blocklisted on Spamhaus ZEN" in done.stdout
    assert "WARNING: that removes 40%" in done.stdout


def test_decide_tells_what_changed_since_the_last_list(export: Path, tmp_path: Path) -> None:
    last = tmp_path / "last.csv"
    last.write_text("email\ngone@example.org\nold@example.org\n")
    done = bouncekit("decide", export, "--previous", last, "-o", tmp_path / "remove.csv")
    assert "1 added, 1 kept, 1 withdrawn." in done.stdout


def seen(folder: Path, gone: int, good: int) -> Path:
    """Write an export that shows good addresses too."""
    rows = [("bounce", "550 5.1.1 User unknown", f"gone{n}") for n in range(gone)]
    rows += [("delivered", "", f"good{n}") for n in range(good)]
    file = folder / "events.csv"
    lines = [f"2025-01-07T09:00:00Z,{e},{reply},{who}@example.org" for e, reply, who in rows]
    file.write_text("\n".join(["timestamp,event,reason,email", *lines, ""]), encoding="utf-8")
    return file


def test_decide_keeps_the_list_before_where_nothing_was_read(tmp_path: Path) -> None:
    export, nothing = tmp_path / "export.csv", tmp_path / "nothing.csv"
    export.write_text("email,reason,date\nann@example.org,550 5.1.1 no such user,2026-03-01\n")
    nothing.write_text("email,reason,date\n")
    out = tmp_path / "remove.csv"
    assert bouncekit("decide", nothing, "-o", "-").returncode == 0
    assert bouncekit("decide", nothing, "-o", tmp_path / "first.csv").returncode == 0
    assert bouncekit("decide", export, "-o", out).returncode == 0
    before = out.read_bytes()
    for exports in ([nothing], [export, "--as-of", "2025-01-01"], [nothing, "--previous", out]):
        done = bouncekit("decide", *exports, "-o", out)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "the list before would be lost" in done.stderr
        assert out.read_bytes() == before
    assert bouncekit("decide", nothing, "-o", out, "--force").returncode == 0
    assert b"ann@" not in out.read_bytes()


def test_decide_charges_nobody_with_mail_that_came_in(tmp_path: Path) -> None:
    """KumoMTA's Rejection: what its own server refused tells of nobody's mailbox elsewhere."""
    record = {
        "type": "Rejection",
        "id": "a1",
        "sender": "eve@example.net",
        "recipient": "ann@example.org",
        "timestamp": 1_764_500_000,
        "response": {"code": 550, "content": "5.1.1 no such user"},
        "peer_address": {"name": "mx.example.net", "addr": "192.0.2.1"},
        "queue": "example.org",
    }
    bounce = record | {"type": "Bounce", "recipient": "bo@example.org"}
    lines = "\n".join(json.dumps(each) for each in (record, bounce))
    (tmp_path / "kumo.log").write_text(lines + "\n", encoding="utf-8")
    done = bouncekit("decide", tmp_path / "kumo.log", "-o", "-")
    assert "bo@example.org,unknown_user" in done.stdout
    assert "ann@" not in done.stdout


def test_decide_refuses_to_take_more_than_30_per_cent_off_without_force(tmp_path: Path) -> None:
    export, out = seen(tmp_path, 4, 6), tmp_path / "remove.csv"
    done = bouncekit("decide", export, "-o", out)
    assert done.returncode == 2
    assert done.stdout.endswith("remove 4, keep 6.\nTo remove: unknown_user 4\n")
    assert "remove 40% of the recipients (4 of 10), more than 30%" in done.stderr
    assert "--force" in done.stderr
    assert list(tmp_path.iterdir()) == [export]
    assert bouncekit("decide", export, "-o", out, "--force").returncode == 0
    assert pl.read_csv(out).height == 4


def test_decide_takes_30_per_cent_off_and_leaves_a_manifest(tmp_path: Path) -> None:
    export, out = seen(tmp_path, 3, 7), tmp_path / "remove.csv"
    done = bouncekit("decide", export, "-o", out, "--as-of", "2025-02-01")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "remove.csv.manifest.json").read_text("utf-8"))
    assert told["run"]["as_of"] == "2025-02-01T23:59:59.999999+00:00"
    assert told["run"]["policy"]["name"] == "article"
    digest = hashlib.sha256(export.read_bytes()).hexdigest()
    assert [file["sha256"] for file in told["run"]["inputs"]] == [digest]


def test_decide_charges_nobody_with_what_nobody_sent(export: Path, tmp_path: Path) -> None:
    sent, out = tmp_path / "sent.csv", tmp_path / "remove.csv"
    people = "".join(f"n{number}@example.net\n" for number in range(9))
    sent.write_text(f"email\ngone@example.org\n{people}")
    done = bouncekit("decide", export, "--sent", sent, "-o", out, "--service", "sendgrid")
    assert done.returncode == 0, done.stderr
    assert out.read_text() == "email\ngone@example.org\n"
    assert "4 events matched nothing that was sent." in done.stdout


OWN = """\
[mailbox_full]
"quite odd" = "550 quite odd"
"box brimming" = "552 box brimming"

[unknown_user]
"blocked using" = "554 blocked using"

[moved]
"very odd indeed" = "550 quite odd indeed, very odd indeed"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(OWN, encoding="utf-8")
    return path


def test_rules_check_alone_checks_the_file(own: Path) -> None:
    done = bouncekit("rules", "check", own)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usable; 4 phrases of your own" in done.stdout
    assert "  moved: very odd indeed  (by mailbox_full: quite odd)\n" in done.stdout


def test_rules_check_shows_what_changes_in_an_export(own: Path, export: Path) -> None:
    done = bouncekit("rules", "check", own, export)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Read 5 rows from 1 file" in done.stdout
    assert (
        done.stdout.partition("3 of 5 events change:\n\n")[2]
        == """\
events  templates  category
     3          1  blocklisted -> unknown_user
                   ! fault    sender -> recipient: this may remove addresses (3 recipients)
                     rule     unknown_user: blocked using
                     example  554 5.7.1 client host [<ip>] blocked using <host>

These phrases won no reply there:
  mailbox_full: quite odd
  mailbox_full: box brimming
"""
    )


def test_the_readme_shows_what_rules_check_really_says(tmp_path: Path) -> None:
    readme = (DATA.parent / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Rules of your own")[2].partition("\n## ")[0]
    own, shown = re.findall(r"```(?:toml|console)\n(.*?)```", section, re.DOTALL)
    command, _, said = shown.partition("\n")
    assert command == "$ bouncekit rules check my.toml data/article_replies.csv"
    (path := tmp_path / "my.toml").write_text(own, encoding="utf-8")
    done = bouncekit("rules", "check", path, DATA / "article_replies.csv")
    assert done.stdout.replace(str(path), "my.toml") == said


def test_rules_check_takes_a_plain_table_of_replies(own: Path, tmp_path: Path) -> None:
    plain = tmp_path / "replies.csv"
    plain.write_text("reply\n550 quite odd\n550 5.1.1 user unknown\n")
    done = bouncekit("rules", "check", own, plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Read 2 replies without addresses." in done.stdout
    assert "1 of 2 events changes:" in done.stdout
    assert "! fault    none -> recipient: this may remove addresses\n" in done.stdout


def test_rules_check_says_that_nothing_changes(tmp_path: Path, export: Path) -> None:
    (own := tmp_path / "own.toml").write_text('[unknown_user]\n"user unknown" = "user unknown"\n')
    done = bouncekit("rules", "check", own, export)
    assert done.stdout.endswith("Nothing changes: none of 5 events gets another category.\n")


def test_a_draft_of_rules_is_checked_used_and_never_overwritten(tmp_path: Path) -> None:
    plain, own = tmp_path / "replies.csv", tmp_path / "own.toml"
    plain.write_text("reply\n550 <ann@example.org> quite odd gate\n550 5.1.1 user unknown\n")
    done = bouncekit("rules", "draft", plain, "-o", own)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 event without a cause, in 1 template. Wrote 1 phrase for 1 of them" in done.stdout
    assert bouncekit("rules", "check", own, plain).returncode == 0

    line = '"quite odd gate" = "550 <address> quite odd gate"\n'
    text = own.read_text(encoding="utf-8")
    assert f"# 1 event\n# {line}" in text
    own.write_text(text.replace("[moved]\n", f"[moved]\n{line}"), encoding="utf-8")
    done = bouncekit("rules", "check", own, plain)
    assert "unclassified -> moved" in done.stdout

    done = bouncekit("rules", "draft", plain, "-o", own)
    assert done.returncode == 2
    assert "own.toml: is there already; choose another file with -o." in done.stderr
    assert line in own.read_text(encoding="utf-8")


def test_own_rules_decide_wherever_they_are_given(own: Path, export: Path, tmp_path: Path) -> None:
    reply = "554 5.7.1 Client host blocked using zen.spamhaus.org"
    assert "unknown_user: blocked using" in bouncekit("explain", reply, "--rules", own).stdout

    out = tmp_path / "out.csv"
    assert bouncekit("classify", export, "-o", out, "--rules", own).returncode == 0
    assert pl.read_csv(out)["category"].to_list()[2:] == ["unknown_user"] * 3

    listed = tmp_path / "remove.csv"
    assert bouncekit("decide", export, "-o", listed, "--rules", own).returncode == 0
    assert pl.read_csv(listed).height == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["rules", "check", "{bad}"],
        ["rules", "check", "{bad}", "{export}"],
        ["rules", "draft", "{export}", "-o", "{out}", "--rules", "{bad}"],
        ["explain", "550 no", "--rules", "{bad}"],
        ["classify", "{export}", "-o", "{out}", "--rules", "{bad}"],
        ["decide", "{export}", "-o", "{out}", "--rules", "{bad}"],
        ["report", "{export}", "-o", "{out}", "--rules", "{bad}"],
        ["lab", "{export}", "--folder", "{out}", "--rules", "{bad}"],
    ],
    ids=" ".join,
)
def test_bad_rules_are_one_sentence_and_write_nothing(
    arguments: list[str], export: Path, tmp_path: Path
) -> None:
    bad, out = tmp_path / "bad.toml", tmp_path / "out.csv"
    bad.write_text('[unknown_usr]\n"x y" = "x y"\n')
    done = bouncekit(*(a.format(bad=bad, export=export, out=out) for a in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bouncekit: {bad}: [unknown_usr] is no category; use one of")
    assert done.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("make", ["not_there", "empty", "binary", "without_addresses"])
def test_rules_check_names_an_export_it_cannot_read(make: str, own: Path, tmp_path: Path) -> None:
    path = globals()[make](tmp_path)
    done = bouncekit("rules", "check", own, path)
    assert done.returncode == 2
    assert path.name in done.stderr
    assert done.stderr.count("\n") == 1


def not_there(folder: Path) -> Path:
    return folder / "nothing.csv"


def empty(folder: Path) -> Path:
    (path := folder / "empty.csv").touch()
    return path


def binary(folder: Path) -> Path:
    (path := folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    return path


def without_addresses(folder: Path) -> Path:
    (path := folder / "sales.csv").write_text("day,amount\n2024-01-01,3\n2024-01-02,4\n")
    return path


def cut_off(folder: Path) -> Path:
    whole = gzip.compress((EXPORT * 200).encode())
    (path := folder / "export.csv.gz").write_bytes(whole[: len(whole) // 2])
    return path


@pytest.mark.parametrize("command", ["classify", "decide"])
@pytest.mark.parametrize("make", [not_there, empty, binary, without_addresses, cut_off])
def test_bad_input_is_one_sentence_and_writes_nothing(
    make: object, command: str, tmp_path: Path
) -> None:
    assert callable(make)
    path = make(tmp_path)
    output = tmp_path / "out.csv"
    done = bouncekit(command, path, "-o", output)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bouncekit: ")
    assert done.stderr.count("\n") == 1
    assert path.name in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decide", "{export}", "-o", "{out}", "--policy", "harsh"], "no policy 'harsh'"),
        (["decide", "{export}", "-o", "{out}", "--service", "pigeon"], "no format for 'pigeon'"),
        (["classify", "{export}", "-o", "{out}.xlsx"], "ends in .parquet, .csv or .ndjson"),
        (["decide", "{export}", "-o", "{out}.xlsx"], "a removal list is text; write to a file"),
        (["decide", "{export}", "-o", "{out}/no/folder.csv"], "choose another place"),
        (["decide", "{export}", "-o", "{out}", "--map", "recipient"], "--map recipient=Mail"),
        (["codes", "55"], "'55'"),
        (["explain", " "], "no reply to explain"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_wrong_option_is_one_sentence_with_the_way_out(
    arguments: list[str], said: str, export: Path, tmp_path: Path
) -> None:
    filled = [a.format(export=export, out=tmp_path / "out.csv") for a in arguments]
    done = bouncekit(*filled)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_output_may_be_cut_short_by_the_next_program() -> None:
    command = f"{sys.executable} -m bouncekit codes | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("2")
    assert done.stderr == ""


def test_the_year_of_a_log_may_be_given(tmp_path: Path) -> None:
    log, out = tmp_path / "mail.log", tmp_path / "out.parquet"
    log.write_text(
        "Mar  1 10:00:00 mx postfix/smtp[9]: 4F2A91B2C3: to=<ann@example.org>, relay=mx, "
        "delay=1, dsn=5.1.1, status=bounced (host mx.example.org said: 550 5.1.1 no such user)\n"
    )
    assert bouncekit("classify", log, "-o", out, "--year", "2021").returncode == 0
    assert pl.read_parquet(out)["time"].dt.year().to_list() == [2021]


@pytest.mark.parametrize("command", ["classify", "decide"])
def test_a_run_never_writes_over_what_it_reads(command: str, export: Path) -> None:
    ended = bouncekit(command, export, "-o", export)
    assert ended.returncode == 2
    assert ended.stderr == f"bouncekit: {export}: is what this run reads; write to another file.\n"
    assert export.read_text(encoding="utf-8") == EXPORT


def test_a_list_written_before_is_no_export(export: Path, tmp_path: Path) -> None:
    written = tmp_path / "remove.csv"
    for _ in range(2):
        ended = bouncekit("decide", tmp_path, "-o", written)
        assert ended.returncode == 0
        assert "Decided on 5 recipients: remove 2, keep 3." in ended.stdout
    assert f"skipped {written}, {written}.manifest.json" in ended.stdout
    named = bouncekit("decide", written, "-o", tmp_path / "other.csv")
    assert (named.returncode, named.stdout) == (2, "")
    assert "is a list or report that bouncekit wrote" in named.stderr


def test_a_hyphen_is_the_standard_output(export: Path) -> None:
    listed = bouncekit("decide", export, "-o", "-")
    assert listed.stdout.startswith("recipient,category,because,")
    assert "Decided on 5 recipients" in listed.stderr
    classified = bouncekit("classify", export, "-o", "-")
    assert classified.stdout.startswith("time,event,recipient,")
    assert "Wrote 5 classified rows" in classified.stderr
    assert not Path("-").exists()


def test_a_file_to_read_that_is_missing_is_told_with_its_option(export: Path) -> None:
    for option in ("--previous", "--sent", "--verp-key", "--hash-key"):
        ended = bouncekit("decide", export, "-o", "-", option, "nowhere")
        assert ended.returncode == 2
        assert (
            ended.stderr == f"bouncekit: {option} nowhere: there is no such file; check the path.\n"
        )


def test_who_reads_no_further_is_told_of_no_trouble(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bouncekit", "classify", str(seen(tmp_path, 3, 7)), "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        said = run.stderr.read()
    assert run.returncode == 1
    assert b"cannot be written" not in said
