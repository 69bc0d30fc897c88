"""Start the command line: Ctrl-C ends it in one sentence while Python still loads the package.

It stands beside the package, since to import anything of that loads all of it; so does
`python -m bouncekit`, which comes here too late.
"""

import os
import signal
from contextlib import suppress

STOPPED = 130  # 128 + SIGINT, as shells tell it
SAID = "stopped; what was there before is as it was."


def main() -> None:
    """Load the command line and run it."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a shell lets what runs in the background ignore it
        signal.signal(signal.SIGINT, _end)
    from bouncekit.cli import main as run

    try:
        signal.signal(signal.SIGINT, handler)
        run()
    except KeyboardInterrupt:
        _end()
    finally:  # all is done, and Python clears away
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(*_: object) -> None:
    """End at once: what is being loaded might lose an exception, or end in a traceback."""
    with suppress(OSError):  # stderr may be closed
        os.write(2, f"bouncekit: {SAID}\n".encode())
    os._exit(STOPPED)


if __name__ == "__main__":
    main()
