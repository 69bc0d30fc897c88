"""Split the fields of a delivery status notification (RFC 3464) by recipient."""

import re

from bouncekit.read.mime import field_list

Fields = dict[str, str]

_RECIPIENT_FIELD = re.compile(r"\n[ \t]*(?:final|original)-recipient[ \t]*:")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
# Only these: the words of a reply that is folded may begin with a name and a colon, too.
_INDENTED_FIELD = re.compile(
    r"""\n[ \t]+(?=[A-Z][\w-]{2,40}:)(?=(?i:(?:original|final)-recipient|action|status|remote-mta
    |diagnostic-code|last-attempt-date|final-log-id|will-retry-until|original-envelope-id
    |reporting-mta|dsn-gateway|received-from-mta|arrival-date|x-[\w-]+):)""",
    re.X,
)
_ONCE = ("final-recipient", "original-recipient", "action")


def names_recipient(text: str) -> bool:
    """True if a text holds a field that names a recipient."""
    return "-recipient" in (small := text.lower()) and bool(_RECIPIENT_FIELD.search(f"\n{small}"))


def status_records(status: str) -> tuple[Fields, list[Fields]]:
    r"""Give the fields about the message and, for each recipient, the fields about that one.

    Blank lines separate recipients; some reporters leave them out, others put in too many.

    >>> status_records("Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; a@b\n\nAction: failed")
    ({'reporting-mta': 'dns; mx'}, [{'final-recipient': 'rfc822; a@b', 'action': 'failed'}])
    """
    about_message: Fields = {}
    records: list[Fields] = []
    for block in _BLANK_LINE.split(status):
        for record in _split_at_repeats(field_list(_without_indents(block))):
            if "final-recipient" in record or "original-recipient" in record:
                records.append(record)
            elif records and "action" not in records[-1]:
                records[-1] = records[-1] | {
                    n: v for n, v in record.items() if n not in records[-1]
                }
            else:
                about_message = record | about_message
    return about_message, records


def _without_indents(block: str) -> str:
    is_indented = block.startswith((" ", "\t")) or "\n " in block or "\n\t" in block
    return _INDENTED_FIELD.sub("\n", f"\n{block}")[1:] if is_indented else block


def _split_at_repeats(pairs: list[tuple[str, str]]) -> list[Fields]:
    """Begin a new record where a field comes again that a recipient has only once."""
    if len(once := dict(pairs)) == len(pairs):
        return [once]
    records: list[Fields] = [{}]
    for name, value in pairs:
        if name in records[-1] and name in _ONCE:
            records.append({})
        records[-1].setdefault(name, value)
    return records
