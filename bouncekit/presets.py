"""Rules for removals as data: the presets of policies.toml, and the user's own."""

import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.schema import CATEGORIES


@dataclass(frozen=True)
class Policy:
    """A rule for removals: what a strike weighs, and how much is too much.

    `weights` gives each category's weight for a mailing that ended in a bounce of it; what is not
    named weighs 0. `ambiguous_weight` takes its place where only vague words or a bare code say
    so. Strikes count from the last delivery or open on. At `threshold` an address is removed, at
    `pause_at` it is skipped for `pause_mailings` mailings, and then kept. With `min_gap_days`,
    strikes closer together count as one. A 4yz reply counts only for a full mailbox, and with
    `permanent_only` not even there.
    """

    name: str
    threshold: float
    weights: dict[str, float] = field(hash=False)
    ambiguous_weight: float | None = None
    pause_at: float | None = None
    pause_mailings: int = 1
    min_gap_days: int = 0
    permanent_only: bool = False
    source: str = "your own"

    def __post_init__(self) -> None:
        unknown = [category for category in self.weights if category not in CATEGORIES]
        if unknown:
            raise BouncekitError(
                f"Policy '{self.name}': '{unknown[0]}' is no category; use one of "
                f"{', '.join(CATEGORIES)}."
            )
        numbers = {
            "threshold": self.threshold,
            "pause_at": self.pause_at,
            "pause_mailings": self.pause_mailings,
            "min_gap_days": self.min_gap_days,
            "ambiguous_weight": self.ambiguous_weight,
            **self.weights,
        }
        for name, number in numbers.items():
            if not isinstance(number, int | float | None) or (number or 0) < 0:
                raise BouncekitError(
                    f"Policy '{self.name}': {name} = {number!r} is no number from 0 up."
                )
        for name, harm in (("threshold", "remove"), ("pause_at", "pause")):
            if numbers[name] == 0:
                raise BouncekitError(
                    f"Policy '{self.name}': {name} = 0 would {harm} everybody; "
                    "use a number above 0."
                )


@cache
def presets() -> dict[str, Policy]:
    """Give the policies that come with bouncekit, by name."""
    content = files("bouncekit.rules").joinpath("policies.toml").read_text(encoding="utf-8")
    return _parsed(tomllib.loads(content), "policies.toml")


def policies() -> pl.DataFrame:
    """List the policies by name: policy, threshold, pause_at, min_gap_days, weights, source."""
    return pl.DataFrame(
        {
            "policy": policy.name,
            "threshold": float(policy.threshold),
            "pause_at": policy.pause_at and float(policy.pause_at),
            "min_gap_days": policy.min_gap_days,
            "weights": ", ".join(f"{name} {w:g}" for name, w in policy.weights.items()),
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
    try:
        own = _parsed(tomllib.loads(Path(name).read_text(encoding="utf-8")), name)
    except FileNotFoundError:
        raise BouncekitError(f"{name}: there is no such file; check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as problem:
        raise BouncekitError(f"{name}: not readable as TOML: {problem}; mend it.") from None
    if len(own) != 1:
        raise BouncekitError(f"{name}: holds {len(own)} policies; keep the one to use.")
    return next(iter(own.values()))


def _parsed(content: dict[str, Any], file: str) -> dict[str, Policy]:
    known = {f.name for f in fields(Policy)} - {"name"}
    for name, entries in content.items():
        if not isinstance(entries, dict) or not {"threshold", "weights"} <= entries.keys():
            raise BouncekitError(
                f"{file}: '{name}' is no policy; write [name], then threshold = ... and weights = "
                "{ category = weight }."
            )
        if not isinstance(entries["weights"], dict):
            raise BouncekitError(
                f"{file}: [{name}] weights must name categories: weights = {{ unknown_user = 1 }}."
            )
        if odd := sorted(entries.keys() - known):
            raise BouncekitError(
                f"{file}: [{name}] has '{odd[0]}', which no policy has; use "
                f"{', '.join(sorted(known))}."
            )
    return {name: Policy(name=name, **entries) for name, entries in content.items()}
