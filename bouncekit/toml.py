"""What is known as data: TOML files, by Tomli, which is the standard library's parser compiled."""

from importlib.resources import files
from typing import Any

from tomli import TOMLDecodeError, loads

__all__ = ["TOMLDecodeError", "loads", "ours"]


def ours(path: str) -> dict[str, Any]:
    """Give a file that comes with bouncekit, such as rules/codes.toml."""
    return loads(files("bouncekit").joinpath(path).read_text(encoding="utf-8"))
