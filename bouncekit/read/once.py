"""A property that is worked out when it is first asked for, and then kept."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  it is a decorator, as `property` is
    """Like `functools.cached_property` without its lock, which costs more than most of ours do.

    Python 3.12 took that lock out. Two threads may both work a value out, and get the same.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> T:
        value = instance.__dict__[self.name] = self.make(instance)
        return value
