"""Let atheris look for bytes that break a promise of `promises.py`, for as long as you like.

    pip install atheris                    # wheels for Linux, CPython 3.11 to 3.13
    python tests/fuzz.py mail -max_total_time=3600

The first word is one of PROMISES, what follows is libFuzzer's. It begins with the texts of these
tests and keeps what reaches new code in the folder `fuzz-mail`. Bytes that break the promise stay
in a file `crash-...`, and become a case of BROKEN in `test_fuzz.py`.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

INSTRUMENTED = ["bouncekit", "email", "flufl"]
IN_MEMORY = Path("/dev/shm")


def main() -> None:
    """Fuzz one target."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from promises import PROMISES, seeds

    name, *options = sys.argv[1:] or [""]
    if name not in PROMISES:
        sys.exit(f"Name one of {', '.join(PROMISES)}.")
    corpus = Path(f"fuzz-{name}")
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as place:

        def keep(data: bytes) -> None:
            with TemporaryDirectory(dir=place) as folder:
                PROMISES[name](data, Path(folder))

        atheris.Setup([sys.argv[0], *options, str(corpus)], keep)
        atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    main()
