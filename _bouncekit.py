"""Start the command line: Ctrl-C ends it in one sentence while Python still loads the package.

It stands beside the package, since to import anything of that loads all of it.
"""

import os
import signal
from contextlib import suppress

STOPPED = 130  # 128 + SIGINT, as shells tell it
SAID = "stopped; what was there before is as it was."


def main() -> None:
    """Load the command line and run it."""
    stop_at_once()
    from bouncekit.cli import main as run

    try:
        if signal.getsignal(signal.SIGINT) is _end:
            signal.signal(signal.SIGINT, signal.default_int_handler)
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


def _end(*_: object) -> None:
    """End in one sentence, whatever is being done."""
    with suppress(OSError):  # stderr may be closed
        os.write(2, f"bouncekit: {SAID}\n".encode())
    os._exit(STOPPED)


if __name__ == "__main__":
    main()
