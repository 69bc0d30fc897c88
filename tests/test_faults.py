"""Whatever ends or disturbs a run: the old output or the new one, one sentence, no traceback."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from injected import leftovers

from bouncekit.drafts import scratch, whole_file, whole_folder
from bouncekit.errors import BouncekitError
from bouncekit.read import delimited, files, load, mailbox, opening
from bouncekit.read.files import Peek
from bouncekit.suppress import manifest_of

HERE = Path(__file__).parent
SITE = "import sys; sys.path.insert(0, {!r}); import injected; injected.forbid_network()\n"

EXPORT = "email,time,reason\n" + "".join(
    f"u{n}@example.org,2024-05-01T00:00:{n % 60:02d}Z,550 5.1.1 user {n} unknown\n"
    for n in range(3_000)
)
MAILS = "".join(
    f"From a\nFrom: MAILER-DAEMON@example.net\nTo: x@example.org\nSubject: failure notice\n\n"
    f"<u{n}@example.org>:\n550 5.1.1 user unknown\n\n"
    for n in range(200)
)
LOG = "".join(
    f"2024-05-01T00:00:{n % 60:02d}+00:00 mx postfix/smtp[7]: {n:08X}: to=<u{n}@example.org>, "
    f"relay=none, delay=1, dsn=5.1.1, status=bounced (user unknown)\n"
    for n in range(200)
)
EVENT = '{{"email":"u{}@example.org","time":"2024-05-01T00:00:00Z","reason":"550 unknown"}}'
NDJSON = "".join(EVENT.format(n) + "\n" for n in range(200))
KINDS = {
    "x.csv": EXPORT,
    "x.ndjson": NDJSON,
    "x.json": f"[{','.join(NDJSON.splitlines())}]",
    "x.mbox": MAILS,
    "x.log": LOG,
}


def ended(
    command: Sequence[str | Path], **environment: str
) -> tuple[int, subprocess.CompletedProcess[str]]:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done


def bouncekit(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return ended(["-m", "bouncekit", *arguments], **environment)[1]


def is_one_sentence(done: subprocess.CompletedProcess[str], said: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("bouncekit: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "should not happen" not in done.stderr


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "x.csv"
    path.parent.mkdir()
    path.write_text(EXPORT, encoding="utf-8")
    return path


# A run that ends anywhere.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked there")
@pytest.mark.parametrize("fault", ["kill", "full", "denied", "interrupt"])
@pytest.mark.parametrize("what", ["file", "list", "folder"])
def test_at_whatever_step_a_run_ends_the_output_is_old_or_new(
    fault: str, what: str, tmp_path: Path
) -> None:
    code, done = ended([HERE / "injected.py", fault, "0", tmp_path, what])
    assert code == 0, done.stderr
    assert int(done.stdout) >= 7  # steps at which it came


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal there")
@pytest.mark.parametrize("at", [2, 4])
@pytest.mark.parametrize(
    "command",
    [
        ["classify", "-o", "out.csv"],
        ["decide", "--force", "-o", "out.csv"],
    ],
)
def test_the_next_run_tidies_up_after_one_that_was_killed(
    command: list[str], at: int, export: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "out.csv").write_text("old")
    name, *options = [option.replace("out.csv", str(folder / "out.csv")) for option in command]
    code, _ = ended([HERE / "injected.py", "kill", str(at), folder, "cli", name, export, *options])
    assert code == -signal.SIGKILL
    assert (folder / "out.csv").read_text() == "old"
    whole_again = bouncekit(name, export, *options)
    assert whole_again.returncode == 0
    assert not leftovers(folder)
    assert pl.read_csv(folder / "out.csv", infer_schema=False).height == 3_000


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="there is no such signal there")
@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
def test_killed_inside_of_a_write_a_run_leaves_the_old_output(
    out: str, export: Path, tmp_path: Path
) -> None:
    folder, tmp = tmp_path / "out", tmp_path / "tmp"
    folder.mkdir()
    tmp.mkdir()
    command = ["classify", str(export), "-o", str(folder / out)]
    assert bouncekit(*command).returncode == 0
    whole = (folder / out).read_bytes()
    (folder / out).write_text("old")
    injected: list[str | Path] = [HERE / "injected.py", "within", str(len(whole) // 2), folder]
    code, _ = ended([*injected, "cli", *command], TMPDIR=str(tmp))
    assert code == -signal.SIGXFSZ
    # The Parquet file is smaller than what was read of the export: there it dies before.
    assert leftovers(folder) if out == "out.csv" else any(tmp.glob("bouncekit*"))
    assert (folder / out).read_text() == "old"
    assert bouncekit(*command, TMPDIR=str(tmp)).returncode == 0
    assert (folder / out).stat().st_size == len(whole)
    assert not leftovers(folder)
    assert not [file for file in tmp.rglob("*") if file.is_file()]  # Polars has an empty cache


def test_ctrl_c_is_one_sentence_and_leaves_the_old_output(export: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "out.csv").write_text("old")
    injected: list[str | Path] = [HERE / "injected.py", "interrupt", "2", folder, "cli"]
    _, done = ended([*injected, "classify", export, "-o", folder / "out.csv"])
    is_one_sentence(done, "stopped; what was there before is as it was", 130)
    assert (folder / "out.csv").read_text() == "old"


# In the order they are loaded, from the first to the last.
LOADED = ["bouncekit", "polars", "polars._plr", "bouncekit.suppress", "click", "bouncekit.endings"]


@pytest.mark.parametrize("module", LOADED)
def test_ctrl_c_while_python_loads_is_one_sentence(module: str) -> None:
    _, done = ended([HERE / "injected.py", "signal", "1", module, "cli", "codes", "550"])
    is_one_sentence(done, "stopped; what was there before is as it was", 130)


@pytest.mark.parametrize("module", ["polars", "bouncekit.suppress", "bouncekit.cli", "click"])
def test_ctrl_c_while_python_loads_the_module_is_one_sentence(module: str, tmp_path: Path) -> None:
    first = "import sys; sys.path.append({!r}); import injected; injected.signal_at_import({!r})"
    (tmp_path / "sitecustomize.py").write_text(first.format(str(HERE), module), "utf-8")
    is_one_sentence(
        bouncekit("codes", "550", PYTHONPATH=os.pathsep.join([str(tmp_path), str(HERE.parent)])),
        "stopped; what was there before is as it was",
        130,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="shells are others there")
def test_what_runs_in_the_background_does_not_mind_ctrl_c() -> None:
    run = f"{sys.executable} {HERE / 'injected.py'} signal 1 polars cli codes 550"
    done = subprocess.run(["sh", "-c", f"trap '' INT; {run}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_killed_run_read_is_deleted_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as folder:
        ours = folder.name
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        left = tmp_path / ours.replace(f".{os.getpid()}.", f".{dead.pid}.")
        left.mkdir()
        (left / "0.parquet").touch()
        others = tmp_path / "bouncekit-notebooks"
        others.mkdir()
        with scratch() as another:
            assert sorted(tmp_path.iterdir()) == sorted([folder, another, others])
    assert list(tmp_path.iterdir()) == [others]


# No room, no right, no place.


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
@pytest.mark.parametrize("blocks", [10, 400])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_output(
    ending: str, blocks: int, export: Path, tmp_path: Path
) -> None:
    out = tmp_path / "in" / f"out.{ending}"
    out.write_text("old")
    command = f'ulimit -f {blocks}; exec "$0" -m bouncekit classify "$1" -o "$2"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, str(export), str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    if done.returncode == 0:  # Parquet packs well
        assert ending == "parquet"
        return
    is_one_sentence(done, "File too large")
    assert out.read_text() == "old"
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, "x.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["codes", "explain 550 5.1.1 user unknown", "--help"])
def test_output_that_nobody_can_take_is_one_sentence(command: str) -> None:
    with Path("/dev/full").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "bouncekit", *command.split()],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    is_one_sentence(done, "the output: No space left on device")


@pytest.mark.parametrize("command", ["codes", "explain 550 5.1.1 user unknown", "--help"])
def test_output_that_nobody_reads_on_ends_the_run_quietly(command: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bouncekit", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    with process.stderr as said:
        assert said.read() == b""
    assert process.wait() in (0, 1)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no /proc")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify", "{export}", "-o", "/proc/out.csv"], "/proc/out.csv: cannot be written there"),
        (["decide", "{export}", "--force", "-o", "/proc/out.csv"], "cannot be written"),
        (["classify", "/proc/self/mem", "-o", "{out}"], "/proc/self/mem cannot be opened"),
        (["decide", "{export}", "--sent", "/proc/self/mem", "-o", "{out}"], "/proc/self/mem"),
        (["decide", "{export}", "--previous", "/proc/self/mem", "-o", "{out}"], "/proc/self/mem"),
        (["classify", "{export}", "--rules", "/proc/self/mem", "-o", "{out}"], "/proc/self/mem"),
        (["classify", "/dev/zero", "-o", "{out}"], "/dev/zero is a pipe or a device"),
    ],
)
def test_what_the_system_refuses_even_to_root_is_one_sentence(
    arguments: list[str], said: str, export: Path, tmp_path: Path
) -> None:
    filled = [a.format(export=export, out=tmp_path / "out.csv") for a in arguments]
    is_one_sentence(bouncekit(*filled), said)
    assert not (tmp_path / "out.csv").exists()


def test_a_temporary_folder_without_room_is_named(export: Path, tmp_path: Path) -> None:
    done = bouncekit("classify", export, "-o", tmp_path / "out.csv", TMPDIR="/dev/null")
    assert done.returncode in (0, 2)  # Python looks for another one, where there is
    assert "Traceback" not in done.stderr


# Files as they are written.


def test_rights_and_links_stay_and_new_files_have_those_of_the_user(tmp_path: Path) -> None:
    private, link, fresh = (tmp_path / name for name in ("private.csv", "link.csv", "new.csv"))
    private.touch(mode=0o600)
    link.symlink_to(private)
    before = os.umask(0o027)
    try:
        for path in (link, fresh):
            with whole_file(path) as draft:
                draft.write_text("new")
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert private.read_text() == "new"
    assert [path.stat().st_mode & 0o777 for path in (private, fresh)] == [0o600, 0o640]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    with whole_file(pipe) as draft:
        draft.write_text("new")
    assert reader.communicate()[0] == b"new"
    assert pipe.is_fifo()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked there")
def test_of_two_runs_into_one_place_one_is_there_whole(tmp_path: Path) -> None:
    processes = []
    for number in range(6):
        process = os.fork()
        if not process:
            try:
                for _ in range(30):
                    with whole_folder(tmp_path / "report") as draft:
                        for name in "abc":
                            (draft / name).write_text(f"{number}" * 999)
                    with whole_file(tmp_path / "out.csv") as file:
                        file.write_text(f"{number}" * 999)
            finally:
                os._exit(sys.exc_info()[0] is not None)
        processes.append(process)
    assert [os.waitpid(process, 0)[1] for process in processes] == [0] * 6
    texts = {(tmp_path / "report" / name).read_text() for name in "abc"}
    assert len(texts) == 1
    assert len(set((tmp_path / "out.csv").read_text())) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "report"]


# Files that change while they are read, and reads that are short.

CHANGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "grown": lambda path: path.write_bytes(path.read_bytes() * 2),
    "another": lambda path: path.write_bytes(b"\x00\xff" * 999),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("look", ["first", "second"])
def test_a_file_that_changes_while_it_is_read_is_rows_or_one_sentence(
    look: str, name: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_text(KINDS[name], encoding="utf-8")
    looks = iter(["first", "second"])

    def then_change(seen: Path) -> Peek:
        head = files.peek(seen)
        if next(looks, "") == look:
            CHANGES[change](seen)
        return head

    monkeypatch.setattr(opening, "peek", then_change)
    said = None
    try:
        found = load(path)
    except BouncekitError as error:
        said = str(error)
    else:
        assert found.records == found.rows + found.duplicates
    assert said is None or (name in said and "\n" not in said)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no /dev/stdout")
def test_a_list_goes_down_a_pipe_with_nothing_beside_it(export: Path, tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    assert bouncekit("decide", export, "-o", file, "--force").returncode == 0
    done = bouncekit("decide", export, "-o", "/dev/stdout", "--force")
    assert done.returncode == 0, done.stderr
    assert done.stdout == file.read_text("utf-8")
    assert "Wrote the removal list to /dev/stdout" in done.stderr
    assert not manifest_of("/dev/stdout").exists()


@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/fd/1"])
def test_a_list_goes_where_a_shell_leads_it(stream: str, export: Path, tmp_path: Path) -> None:
    """The file that stdout is led to has what others wrote before and after."""
    if not Path(stream).exists():
        pytest.skip(f"there is no {stream}")
    file, led = tmp_path / "remove.csv", tmp_path / "led.csv"
    assert bouncekit("decide", export, "-o", file, "--force").returncode == 0
    decide = f"{sys.executable} -m bouncekit decide {export} -o {stream} --force 2>/dev/null"
    shell = f"{{ echo before; {decide}; echo after; }} > {led}"
    subprocess.run(["sh", "-c", shell], check=True)
    assert led.read_text("utf-8") == f"before\n{file.read_text('utf-8')}after\n"
    assert [*tmp_path.glob("*.json")] == [manifest_of(file)]


CUT = """
import os, sys
from pathlib import Path
from bouncekit.read.stored import store
path = Path(sys.argv[1])
store(path, folder=path.parent, progress=lambda rows: os.truncate(path, 0))
"""


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be cut there")
@pytest.mark.parametrize("kind", ["csv", "ndjson", "log"])
def test_a_file_cut_while_rows_of_it_go_by_is_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    heading, rows = ("", KINDS[path.name]) if kind != "csv" else EXPORT.split("\n", 1)
    path.write_text(heading + "\n" * bool(heading) + rows * (12_000_000 // len(rows)), "utf-8")
    _, done = ended(["-c", CUT, path])
    said = f"bouncekit.errors.BouncekitError: {path} "
    assert said in done.stderr.splitlines()[-1], (done.returncode, done.stderr)


CUT_LAZILY = """
import os, sys
from bouncekit import scan
path = sys.argv[1]
for number, rows in enumerate(scan(path).collect_batches()):
    os.truncate(path, 10_000)
"""


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be cut there")
@pytest.mark.parametrize("kind", ["csv", "ndjson", "log", "parquet"])
def test_a_lazy_frame_tells_that_its_file_was_cut(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        frame = pl.DataFrame({"email": ["a@example.org"] * 999_999, "reason": "550 no"})
        frame.with_row_index().write_parquet(path, row_group_size=9_999)
    else:
        heading, rows = ("", KINDS[path.name]) if kind != "csv" else EXPORT.split("\n", 1)
        text = heading + "\n" * bool(heading) + rows * (24_000_000 // len(rows))
        path.write_text(text, "utf-8")
    _, done = ended(["-c", CUT_LAZILY, path])
    said = f"bouncekit.errors.BouncekitError: {path} became shorter while it was read"
    assert said in done.stderr.splitlines()[-1], (done.returncode, done.stderr)


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("name", ["x.csv", "x.ndjson", "x.mbox", "broken.csv"])
def test_short_reads_change_nothing(
    name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    text = KINDS.get(name, 'email,reason\na@example.org,"ü €\nb@example.org,no\r\nc@example.org')
    path.write_text(text[:9_000], encoding="utf-8")
    whole = load(path)
    for module in (files, mailbox, delimited):
        monkeypatch.setattr(module, "CHUNK", size)
    short = load(path)
    assert short.frame.equals(whole.frame)
    assert str(short) == str(whole)


# What is around a run.


SURROUNDINGS: dict[str, dict[str, str]] = {
    "no locale": {"LC_ALL": "C", "LANG": ""},
    "the oldest": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
    "the first zone": {"TZ": "Pacific/Kiritimati"},
    "the last zone": {"TZ": "Pacific/Niue"},
    "an odd zone": {"TZ": "nowhere/at all"},
    "no home": {"HOME": "/dev/null/nobody"},
    "a narrow terminal": {"COLUMNS": "20", "TERM": "dumb"},
    "another hash seed": {"PYTHONHASHSEED": "7"},
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    folder = tmp_path_factory.mktemp("usual")
    export = folder / "x.csv"
    export.write_text(EXPORT + "É@example.org,2024-05-01 03:00,größer\n", encoding="utf-8")
    return export, *written(export, folder)


def written(export: Path, folder: Path, **environment: str) -> tuple[bytes, bytes]:
    out = folder / "out.csv"
    done = bouncekit("decide", export, "--force", "-o", out, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out.read_bytes(), (folder / "out.csv.manifest.json").read_bytes()


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_locale_zone_and_home_do_not_matter(
    name: str, usual: tuple[Path, bytes, bytes], tmp_path: Path
) -> None:
    export, *expected = usual
    assert [*written(export, tmp_path, **SURROUNDINGS[name])] == expected


def test_no_module_asks_the_clock() -> None:
    clock = re.compile(r"\b(datetime\.now|date\.today|time\.time|utcnow|localtime|strcoll)\b")
    package = HERE.parent / "bouncekit"
    asking = [path for path in package.rglob("*.py") if clock.search(path.read_text("utf-8"))]
    assert asking == []


@pytest.mark.parametrize("text", ["550 größer", "550 \udcff\udcfe no", "550 \u202e\x1b[31m", "ü"])
def test_a_reply_in_any_encoding_is_explained(text: str) -> None:
    done = bouncekit("explain", text, LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert "category" in done.stdout


def test_a_report_is_written_without_network_home_and_locale(tmp_path: Path) -> None:
    export = tmp_path / "x.csv"
    export.write_text("\n".join(EXPORT.splitlines()[:300]), encoding="utf-8")
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(str(HERE)), encoding="utf-8")
    done = bouncekit(
        "report",
        export,
        "-o",
        tmp_path / "report",
        PYTHONPATH=os.pathsep.join([str(site), str(HERE.parent)]),
        HOME="/dev/null/nobody",
        LC_ALL="C",
        TZ="Pacific/Kiritimati",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "index.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "site", "x.csv"]


def test_the_network_is_really_forbidden_there() -> None:
    asks = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=9)"
    code, done = ended(["-c", SITE.format(str(HERE)) + asks])
    assert code == 1
    assert "socket." in done.stderr.splitlines()[-1]
