"""Altair, without the grammar of international URIs that may be imported with it.

jsonschema, by which Altair checks charts, compiles that grammar (RFC 3987) while it is imported, if
Jupyter has installed it: a second and a half in each notebook, for a format that no chart has.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let a module that is not loaded yet look as if it were not installed."""
    modules = cast("dict[str, Any]", sys.modules)
    if module in modules:
        yield
        return
    modules[module] = None
    try:
        yield
    finally:
        del modules[module]


with _without("rfc3987_syntax"):
    import altair as alt
    from altair.utils.mimebundle import spec_to_mimebundle

__all__ = ["alt", "spec_to_mimebundle"]
