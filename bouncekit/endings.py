"""How a run of the command line ends: by itself, or with one sentence and no traceback."""

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from _bouncekit import SAID, STOPPED, code_of_stop
from bouncekit.errors import BouncekitError
from bouncekit.files import one_line

TROUBLE = 2
CUT_SHORT = 1  # `bouncekit codes | head`: nobody reads on


def run(app: Callable[[], None]) -> None:
    """Run the command line to its end; trouble is one sentence on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by the caller: `>&-`
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # no TextIO
    try:
        app()
    except SystemExit as end:
        _exit(end.code)
    except BaseException as problem:
        if os.environ.get("BOUNCEKIT_DEBUG") and not isinstance(problem, BouncekitError):
            raise
        _exit(*_told(problem))


def _exit(code: object, said: str = "") -> None:
    """Write what is left of the output and exit; an output that takes no more is trouble too."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, KeyboardInterrupt) as problem:
        code, said = _told(problem)
        _forget(sys.stdout)
    if code == STOPPED and not said:  # the parser of the command line ends a run so
        _, said = _told(KeyboardInterrupt())
    try:
        if said:
            print(f"bouncekit: {said}", file=sys.stderr, flush=True)
    except OSError:
        _forget(sys.stderr)
    sys.exit(code)  # type: ignore[arg-type]  # what SystemExit had


def _nobody_reads() -> bool:
    """True where it is the output that nobody reads on, and not what a kernel was told."""
    if sys.stdout is None or not hasattr(select, "poll"):  # as on Windows
        return True
    reader = select.poll()
    reader.register(sys.stdout, 0)
    return any(state & select.POLLERR for _, state in reader.poll(0))


def _forget(stream: TextIO) -> None:
    """Let Python write what it still holds of a broken output to nowhere, and not complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _told(problem: BaseException) -> tuple[int, str]:
    """The exit code and the sentence for what ended a run."""
    if isinstance(problem, BouncekitError):
        return TROUBLE, one_line(str(problem))
    if isinstance(problem, BrokenPipeError) and _nobody_reads():
        return CUT_SHORT, ""
    if isinstance(problem, KeyboardInterrupt):
        return code_of_stop(), SAID
    if isinstance(problem, MemoryError):
        return TROUBLE, "there is not enough memory; read fewer files at once."
    if isinstance(problem, OSError):
        place = problem.filename or "the output"
        reason = problem.strerror or str(problem).partition("\n")[0]
        return TROUBLE, one_line(f"{place}: {reason}; check the place, its rights and its room.")
    said = one_line(f"{type(problem).__name__}: {problem}").partition("\n")[0]
    return TROUBLE, (  # a fault of ours: still no traceback for somebody with a mailing
        f"this should not happen ({said}); nothing was written. With BOUNCEKIT_DEBUG=1 it shows "
        "where, for a report of the fault."
    )
