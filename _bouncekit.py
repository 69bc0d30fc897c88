"""Start the command line: Ctrl-C ends it in one sentence while Python still loads the package.

A polite request to end (SIGTERM: a job that takes too long, a machine that shuts down) ends it as
Ctrl-C does, so that no address stays behind in a temporary file. It stands beside the package,
since to import anything of that loads all of it.
"""

import os
import signal
from contextlib import suppress

STOPPED = 130  # 128 + SIGINT, as shells tell it
TERMINATED = 143  # 128 + SIGTERM
SAID = "stopped; what was there before is as it was."


def main() -> None:
    """Load the command line and run it."""
    stop_at_once()
    from bouncekit.cli import main as run

    try:
        if signal.getsignal(signal.SIGINT) is _end:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminate)
        run()
    except KeyboardInterrupt:
        _end()
    finally:  # all is done, and Python clears away
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def stop_at_once() -> None:
    """Let Ctrl-C end the process until `main` has loaded all.

    What is being loaded might lose an exception, or end in a traceback. A shell lets what runs in
    the background ignore Ctrl-C: so it stays.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def code_of_stop() -> int:
    """Give the exit code of a run that was stopped."""
    return TERMINATED if signal.getsignal(signal.SIGTERM) is _terminated else STOPPED


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, _terminated)
    raise KeyboardInterrupt


def _terminated(*_: object) -> None:
    """Do nothing: what the run leaves is being cleared away."""


def _end(*_: object) -> None:
    """End in one sentence, whatever is being done."""
    with suppress(OSError):  # stderr may be closed
        os.write(2, f"bouncekit: {SAID}\n".encode())
    os._exit(code_of_stop())


if __name__ == "__main__":
    main()
