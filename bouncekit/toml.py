"""What is known as data: TOML files, by Tomli, which is the standard library's parser compiled."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from tomli import TOMLDecodeError, loads

from bouncekit.errors import BouncekitError

__all__ = ["legible", "loads", "ours", "text"]


def ours(path: str) -> dict[str, Any]:
    """Give a file that comes with bouncekit, such as rules/codes.toml."""
    return loads(files("bouncekit").joinpath(path).read_text(encoding="utf-8"))


def text(path: str) -> str:
    """Give the text of a user's file, without a byte order mark."""
    return Path(path).read_text(encoding="utf-8-sig")


@contextmanager
def legible(path: str) -> Iterator[None]:
    """Raise BouncekitError where a user's file cannot be read, or is no TOML."""
    try:
        yield
    except FileNotFoundError:
        raise BouncekitError(f"{path}: there is no such file; check the path.") from None
    except IsADirectoryError:
        raise BouncekitError(f"{path}: is a directory; name a file in it.") from None
    except OSError as problem:
        raise BouncekitError(
            f"{path}: cannot be opened ({problem.strerror}); check its rights."
        ) from None
    except (TOMLDecodeError, UnicodeDecodeError) as problem:
        raise BouncekitError(f"{path}: not readable as TOML: {problem}; mend it.") from None
