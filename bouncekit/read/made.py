"""Tell what bouncekit wrote itself: its lists and reports are no exports."""

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

# What the name of a manifest ends in: `remove.csv.manifest.json`, and a report's `manifest.json`.
MANIFEST = "manifest.json"
# Tables that lie in a report's folder; what is read for it is named in its manifest.
_OF_REPORT = ("remove.csv", "alerts.csv", "incidents.csv", "unclassified.csv", "index.html")


def is_made(path: Path) -> bool:
    """True for a removal list, a table of a report, and the manifest of either.

    Read as an export, a list would charge each of its addresses with one more bounce.
    """
    folder = path.parent
    with suppress(OSError):
        return path.name in _made_in(folder, folder.stat().st_mtime_ns)
    return False


@lru_cache(64)
def _made_in(folder: Path, _changed: int) -> frozenset[str]:
    """The names of files in a folder that its manifests tell of; read again once it was changed."""
    names: set[str] = set()
    for manifest in folder.glob(f"*{MANIFEST}"):
        match _told(manifest):
            case {"versions": {"bouncekit": _}, "files": [*files]}:
                listed = (str(file.get("file")) for file in files if isinstance(file, dict))
                names |= {manifest.name, *(Path(name).name for name in listed)}
            case {"bouncekit": _}:
                names |= {manifest.name, *_OF_REPORT}
    return frozenset(names)


def _told(manifest: Path) -> object:
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(manifest.read_text(encoding="utf-8"))
    return None
