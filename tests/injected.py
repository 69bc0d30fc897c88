"""Run something while a fault waits for it: what test_faults.py does to processes of its own.

    python tests/injected.py kill 3 /some/folder file|list|folder|cli [arguments]
    python tests/injected.py signal 1 polars cli [arguments]

The fault comes at the third step that opens, moves, makes or deletes something in the folder.
Without steps left to count, the run is as any other. `offline` has no step: it forbids whatever
leaves this machine. A `signal` comes as Python begins to load that module. `within` kills inside of
the write that makes any file larger than 3 bytes, be it Python's or Rust's.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.listdir")
DONE, TOLD, DONE_IN_SPITE = 0, 3, 4  # how a forked process ends
HERE = ("127.0.0.1", "::1", "localhost")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def denied() -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def interrupt() -> None:
    raise KeyboardInterrupt


FAULTS: dict[str, Callable[[], None]] = {f.__name__: f for f in (kill, full, denied, interrupt)}


def inject(fault: str, at: int, folder: str) -> Callable[[], bool]:
    """Let the fault come at the step of that number; a step is told by Python's audit events.

    Gives the function that tells whether it came.
    """
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event not in STEPS or not any(map(inside, arguments)):
            return
        seen += 1
        if seen == at:
            FAULTS[fault]()

    def inside(argument: object) -> bool:
        return isinstance(argument, str | Path) and folder in str(argument)

    sys.addaudithook(hook)
    return lambda: seen >= at


def signal_at_import(name: str) -> None:
    """Let Ctrl-C come when Python begins to load that module."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and arguments[0] == name:
            os.kill(os.getpid(), signal.SIGINT)

    sys.addaudithook(hook)


def kill_within_write(size: int) -> None:
    """Let the system end this process at that byte of a file (setrlimit(2), SIGXFSZ)."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forbid_network() -> None:
    """Let every call that would leave this machine fail, in Python."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
            if isinstance(address, tuple) and address[0] not in HERE:
                raise OSError(errno.ENETUNREACH, f"{event} to {address}")
        if event == "socket.getaddrinfo" and arguments[0] not in (*HERE, None, ""):
            raise OSError(errno.ENETUNREACH, f"{event} of {arguments[0]}")

    sys.addaudithook(hook)


def write_file(folder: Path, text: str) -> None:
    from bouncekit.drafts import whole_file

    with whole_file(folder / "out.csv") as draft:
        draft.write_text(text)


def write_list(folder: Path, text: str) -> None:
    from bouncekit.suppress import _drafts

    files = [folder / "out-1.csv", folder / "out-2.csv"]
    with _drafts(folder / "out.csv", files) as (manifest, drafts):
        for draft in (*drafts.values(), manifest):
            draft.write_text(text)


def write_folder(folder: Path, text: str) -> None:
    from bouncekit.drafts import whole_folder

    with whole_folder(folder / "report") as draft:
        for name in ("index.html", "remove.csv", "manifest.json"):
            (draft / name).write_text(text)


WRITERS = {"file": write_file, "list": write_list, "folder": write_folder}


def state(folder: Path) -> dict[str, str]:
    """What is there that a user sees, and its text."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def sweep(writer: str, fault: str, folder: Path) -> int:
    """Let the fault come at each step in turn; after each all must be old or new. Gives how many.

    The processes are forks: to start Python for each takes a hundred times as long.
    """
    write = WRITERS[writer]
    at = 0
    while True:
        at += 1
        write(folder, "old " * 999)
        old = state(folder)
        process = os.fork()
        if not process:
            _child(write, fault, at, folder)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        new = state(folder)
        assert new.keys() == old.keys(), (at, new.keys())
        assert set(new.values()) <= {"old " * 999, "new " * 999}, at
        if writer != "list":  # of several files each is whole
            assert len(set(new.values())) == 1, at
        if code in (DONE, DONE_IN_SPITE):
            assert set(new.values()) == {"new " * 999}
        else:
            assert code == (-signal.SIGKILL if fault == "kill" else TOLD), (at, code)
        if code == DONE:
            assert not leftovers(folder)
            return at - 1
        write(folder, "next " * 999)  # the next run tidies up
        assert set(state(folder).values()) == {"next " * 999}
        assert not leftovers(folder), at


def _child(write: Callable[[Path, str], None], fault: str, at: int, folder: Path) -> None:
    from bouncekit.errors import BouncekitError

    code = 1
    came = inject(fault, at, str(folder))
    try:
        write(folder, "new " * 999)
        code = DONE_IN_SPITE if came() else DONE
    except (BouncekitError, KeyboardInterrupt):
        code = TOLD
    finally:
        os._exit(code)


def main() -> None:
    fault, at, folder, what, *arguments = sys.argv[1:]
    if what in WRITERS:
        print(sweep(what, fault, Path(folder)))
        return
    if fault == "offline":
        forbid_network()
    elif fault == "signal":
        signal_at_import(folder)
    elif fault == "within":
        kill_within_write(int(at))
    else:
        inject(fault, int(at), folder)
    from _bouncekit import main as command_line

    sys.argv = ["bouncekit", *arguments]
    command_line()


if __name__ == "__main__":
    main()
