"""Policies: what a strike weighs and how much is too much. Those of known systems, and your own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from os import PathLike
from typing import Any, get_args

import polars as pl

from bouncekit import toml
from bouncekit.errors import BouncekitError
from bouncekit.schema import CATEGORIES, CATEGORIES_BY_FAULT

# What may end a run of strikes.
SIGNS_OF_LIFE = ("delivery", "engagement")

# A complaint is an event of its own, no cause of a bounce.
_WEIGHABLE = tuple(name for name in CATEGORIES if name != "complaint")
_FAULTS = tuple(fault for fault in CATEGORIES_BY_FAULT if fault != "none")


@dataclass(frozen=True)
class Policy:
    """A rule for removals: what a strike weighs, and how much is too much.

    A strike is a mailing that ended in a bounce which weighs something; one that was deferred and
    of which no end is known is none. At `threshold` points an
    address is removed, at `pause_at` it is skipped for `pause_mailings` mailings (or `pause_days`
    days), and then kept.

    What a strike weighs: `weights` gives it by category, or by fault for all categories of one;
    what is not named weighs 0. `temporary_weights` is the same for 4yz replies; unless given, a
    full mailbox weighs there what it weighs in `weights`, and all else nothing. `ambiguous_weight`
    takes their place, if lower, where only vague words or a bare code say so.

    Which strikes count together: those since the last event of `resets_on` (of "delivery" and
    "engagement"; empty: for ever) and those of at least `lasting_weight`, which nothing ends; with
    `stale_days` only those no farther apart than that: the worst such run decides, the last of
    several. Of these, with `one_per_day` a UTC day's heaviest; with `min_gap_days`
    those at least so far apart that weigh most; with `window_days` those of any such span of time;
    with `by_category` those of one category. With `by_share` their points are multiplied by their
    share of the mailings from the first of them to the last.

    What else removal needs: `min_mailings` strikes, and `min_days` from the first to the last.
    `engaged_threshold` is the threshold of who ever opened or clicked. With `removes_complainers`
    whoever reports a mailing as spam is removed, whatever else happened.
    """

    name: str
    threshold: float
    weights: dict[str, float] = field(hash=False)
    temporary_weights: dict[str, float] | None = field(default=None, hash=False)
    ambiguous_weight: float | None = None
    pause_at: float | None = None
    pause_mailings: int = 1
    pause_days: int | None = None
    resets_on: tuple[str, ...] = SIGNS_OF_LIFE
    lasting_weight: float | None = None
    stale_days: int | None = None
    one_per_day: bool = False
    min_gap_days: int = 0
    window_days: int | None = None
    by_category: bool = False
    by_share: bool = False
    min_mailings: int = 0
    min_days: int = 0
    engaged_threshold: float | None = None
    removes_complainers: bool = False
    source: str = "your own"

    def __post_init__(self) -> None:
        object.__setattr__(self, "resets_on", _names(self.resets_on))
        for name in self.resets_on:
            if name not in SIGNS_OF_LIFE:
                raise BouncekitError(
                    f"Policy '{self.name}': resets_on holds {name!r}; use "
                    f"{' and '.join(SIGNS_OF_LIFE)}, one of them, or neither."
                )
        for table in ("weights", "temporary_weights"):
            given = getattr(self, table)
            if not isinstance(given, Mapping) and (given is not None or table == "weights"):
                raise BouncekitError(
                    f"Policy '{self.name}': {table} = {given!r}; give weights by category, such as "
                    '{"unknown_user": 1}.'
                )
        for name in {**self.weights, **(self.temporary_weights or {})}:
            if name == "complaint":
                raise BouncekitError(
                    f"Policy '{self.name}': a complaint is no bounce and has no weight; write "
                    "removes_complainers = true."
                )
            if name not in _WEIGHABLE and name not in _FAULTS:
                raise BouncekitError(
                    f"Policy '{self.name}': '{name}' is no category; use one of "
                    f"{', '.join(_WEIGHABLE)}, or a fault: {', '.join(_FAULTS)}."
                )
        for name, number, wanted in self._numbers():
            is_one = isinstance(number, wanted) and not isinstance(number, bool)
            if not is_one or (number is not None and not 0 <= number < math.inf):
                kind = "number" if float in get_args(wanted) else "whole number"
                raise BouncekitError(
                    f"Policy '{self.name}': {name} = {number!r} is no {kind} from 0 up."
                )
        for name, harm in _NEVER_ZERO.items():
            if getattr(self, name) == 0:
                raise BouncekitError(
                    f"Policy '{self.name}': {name} = 0 would {harm}; use a number above 0."
                )
        for name in ("one_per_day", "by_category", "by_share", "removes_complainers"):
            if not isinstance(getattr(self, name), bool):
                raise BouncekitError(
                    f"Policy '{self.name}': {name} = {getattr(self, name)!r}; use true or false."
                )

    @property
    def if_permanent(self) -> dict[str, float]:
        """What a bounce weighs, by category."""
        return _by_category(self.weights)

    @property
    def if_temporary(self) -> dict[str, float]:
        """What a bounce with a 4yz reply weighs, by category."""
        if self.temporary_weights is not None:
            return _by_category(self.temporary_weights)
        return {"mailbox_full": self.if_permanent.get("mailbox_full", 0)}

    @property
    def counted(self) -> list[str]:
        """The categories that weigh something."""
        weights = (self.if_permanent, self.if_temporary)
        return [name for name in CATEGORIES if any(given.get(name) for given in weights)]

    @property
    def smallest_weight(self) -> float:
        """The least that a strike can weigh; 1 if nothing weighs anything."""
        weights = [*self.if_permanent.values(), *self.if_temporary.values()]
        return min((w for w in [*weights, self.ambiguous_weight or 0] if w > 0), default=1)

    def _numbers(self) -> list[tuple[str, Any, Any]]:
        """Give each number's name, the number, and the types that it may be of."""
        types: dict[Any, Any] = {
            float: int | float,
            float | None: int | float | None,
            int: int,
            int | None: int | None,
        }
        named = [f for f in fields(self) if f.type in types]
        given = [*self.weights.items(), *(self.temporary_weights or {}).items()]
        return [
            *((f.name, getattr(self, f.name), types[f.type]) for f in named),
            *((name, weight, int | float) for name, weight in given),
        ]


_NEVER_ZERO = {
    "threshold": "remove everybody",
    "engaged_threshold": "remove everybody",
    "pause_at": "pause everybody",
    "lasting_weight": "forgive nobody",
    "stale_days": "forget every strike",
    "window_days": "forget every strike",
}


@cache
def presets() -> dict[str, Policy]:
    """Give the policies that come with bouncekit, by name."""
    return _parsed(toml.ours("rules/policies.toml"), "policies.toml")


def policies() -> pl.DataFrame:
    """List the policies that come with bouncekit.

    Columns: policy (String), threshold, pause_at (Float64, points), weights, temporary_weights,
    resets_on (String), stale_days, min_gap_days (Int64), removes_complainers (Boolean), source
    (String: whose rule it is).
    """
    return pl.DataFrame(
        {
            "policy": policy.name,
            "threshold": float(policy.threshold),
            "pause_at": policy.pause_at and float(policy.pause_at),
            "weights": _listed(policy.weights),
            "temporary_weights": _listed(
                policy.if_temporary
                if policy.temporary_weights is None
                else policy.temporary_weights
            ),
            "resets_on": ", ".join(policy.resets_on),
            "stale_days": policy.stale_days,
            "min_gap_days": policy.min_gap_days,
            "removes_complainers": policy.removes_complainers,
            "source": policy.source,
        }
        for policy in presets().values()
    )


def find_policy(policy: str | PathLike[str] | Policy) -> Policy:
    """Give a policy by its name, from a TOML file of the user's own, or as it is."""
    if isinstance(policy, Policy):
        return policy
    name = str(policy)
    if name in presets():
        return presets()[name]
    if not name.endswith(".toml"):
        raise BouncekitError(
            f"There is no policy '{name}'; use one of {', '.join(presets())}, or a .toml file."
        )
    with toml.legible(name):
        own = _parsed(toml.loads(toml.text(name)), name)
    if len(own) != 1:
        raise BouncekitError(f"{name}: holds {len(own)} policies; keep the one to use.")
    (policy,) = own.values()
    if policy.name in presets():
        raise BouncekitError(
            f"{name}: [{policy.name}] is another policy's name; give yours its own."
        )
    return policy


def _parsed(content: dict[str, Any], file: str) -> dict[str, Policy]:
    known = {f.name for f in fields(Policy)} - {"name"}
    for name, entries in content.items():
        if not isinstance(entries, dict) or not {"threshold", "weights"} <= entries.keys():
            raise BouncekitError(
                f"{file}: '{name}' is no policy; write [name], then threshold = ... and weights = "
                "{ category = weight }."
            )
        for table in ("weights", "temporary_weights"):
            if not isinstance(entries.get(table, {}), dict):
                raise BouncekitError(
                    f"{file}: [{name}] {table} must name categories: "
                    f"{table} = {{ unknown_user = 1 }}."
                )
        if not isinstance(entries.get("source", ""), str):
            raise BouncekitError(f"{file}: [{name}] source must be a text in quotes.")
        if odd := sorted(entries.keys() - known):
            raise BouncekitError(
                f"{file}: [{name}] has '{odd[0]}', which no policy has; use "
                f"{', '.join(sorted(known))}."
            )
    try:
        return {name: Policy(name=name, **entries) for name, entries in content.items()}
    except BouncekitError as problem:
        raise BouncekitError(f"{file}: {problem}") from None


def _names(given: object) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _by_category(weights: dict[str, float]) -> dict[str, float]:
    """Spell out faults; a category's own weight goes before its fault's."""
    of_faults = {
        category: weights[fault]
        for fault, categories in CATEGORIES_BY_FAULT.items()
        for category in categories
        if fault in weights
    }
    return of_faults | {name: w for name, w in weights.items() if name in CATEGORIES}


def _listed(weights: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)
