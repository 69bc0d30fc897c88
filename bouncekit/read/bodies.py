"""Turn what services post and scripts print into JSON: bodies of forms, Python's own notation."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

# The one field of Mandrill's form, which holds JSON, percent-encoded or already decoded.
MANDRILL = "mandrill_events="
FORM = re.compile(rf"{MANDRILL}|[A-Za-z_][\w.\[\]%-]*=[^&\n]*&[A-Za-z_][\w.\[\]%-]*=")
PYTHON = re.compile(r"\{'\w")


def is_form(text: str) -> bool:
    """True for text that begins with the body of a form."""
    return bool(FORM.match(text))


def is_python(text: str) -> bool:
    """True for text that begins with a dict as Python prints it."""
    return bool(PYTHON.match(text))


def from_forms(text: str) -> Iterator[str]:
    """JSON of each body, one a line; what is none stays as it is."""
    for line in text.splitlines():
        if line.strip():
            yield from_form(line.strip()) if is_form(line) else line


def from_form(body: str) -> str:
    """JSON of the fields of a form: `data[email]` becomes an object, a repeated name a list.

    >>> from_form("type=cleaned&data%5Bemail%5D=ann%40example.org")
    '{"type": "cleaned", "data": {"email": "ann@example.org"}}'
    """
    if body.startswith(f"{MANDRILL}["):
        return body.removeprefix(MANDRILL)
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        *above, last = re.findall(r"[^\[\]]+", name) or [name]
        place = fields
        for key in above:
            within = place.setdefault(key, {})
            place = within if isinstance(within, dict) else {}
        place[last] = _joined(place[last], value) if last in place else value
    return json.dumps(fields, ensure_ascii=False)


def _joined(there: Any, value: str) -> list[Any]:
    return [*there, value] if isinstance(there, list) else [there, value]


def from_python(text: str) -> Iterator[str]:
    """JSON of each dict, one a line; what is none stays as it is."""
    return map(from_literal, filter(str.strip, text.splitlines()))


def from_literal(text: str) -> str:
    """JSON of a Python literal; other text as it is.

    >>> from_literal("{'code': 550, 'tls': None}")
    '{"code": 550, "tls": null}'
    """
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else text
