"""What a run rests on, so that it can be repeated and audited."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from bouncekit.policy import find_policy
from bouncekit.read.files import find
from bouncekit.suppress import file_facts


def run_facts(
    exports: Sequence[str],
    policy: str,
    as_of: date | None,
    *,
    guard: bool,
    sent: Path | None = None,
    rules: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give the policy in full, the day, and the hash of each file that went in.

    Raises BouncekitError for an unknown policy and for a file that cannot be read.
    """
    return {
        "policy": asdict(find_policy(policy)),
        "as_of": as_of and as_of.isoformat(),
        "guard": guard,
        "inputs": [fact for found in find(exports) for fact in _facts(found.path)],
        "sent": [file_facts(sent)] if sent else [],
        "rules": [file_facts(rules)] if rules else [],
        "options": {name: said for name, said in (options or {}).items() if said},
    }


def _facts(path: Path) -> list[dict[str, Any]]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]  # a Maildir is one export
    return [file_facts(file) for file in files if file.is_file()]
