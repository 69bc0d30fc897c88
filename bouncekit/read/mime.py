"""Take one mail apart, however damaged: headers, notice text, report fields, returned original.

The standard library's parser gives up where bounces are worst (a boundary that never comes, a
header line that lost its indent) and builds trees nobody needs here; this one only splits, and
looks into a block of headers or a part no sooner than somebody asks for it.
"""

import binascii
import quopri
import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from functools import lru_cache
from html import unescape

from bouncekit.read.mailbox import unix_lines
from bouncekit.read.once import once

# What is read of a header block and of a part, in bytes: notices are short, and of the returned
# original (which follows them) only the headers count.
HEADERS_LIMIT = 256_000
PART_LIMIT = 64_000
PARTS_LIMIT = 100
NESTING_LIMIT = 6
# Headers up to this size, in bytes, are remembered: mail systems write the same over each part.
_SHORT = 400

# What does not begin a field goes on with the one above, even where its indent was lost.
_FIELD_BEGINS = re.compile(r"\n([A-Za-z0-9_-]{1,80})[ \t]*:")
_HEADER_LINE = re.compile(rb"[A-Za-z0-9_-]{1,80}[ \t]*:")
_BLANK_BEFORE_COLON = re.compile(r"(\n[A-Za-z0-9_-]{1,80})[ \t]+:")
_HEADERS_END = re.compile(rb"\n[ \t]*\n")
_MBOX_LINE = re.compile(rb">?From [^\n]*\n")
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_BOUNDARY = re.compile(r"boundary\s*=\s*(?:\"([^\"]*)|([^\s;]+))", re.I)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:+-]+)", re.I)
_UNDECLARED_DELIMITER = re.compile(rb"\n[ \t]*--(\S[^\n]{0,98})\n(?=content-[a-z-]+[ \t]*:)", re.I)
_UNSEEN = re.compile(r"<(?:style|script)\b[^<]*", re.I)
_LINE_TAG = re.compile(r"<(?:br|/?p|/?div|/tr|/li|/?h\d|/?pre)\b[^<>]*>", re.I)
_TAG = re.compile(r"<[A-Za-z/!][^<>@]*>")
_TRACE = re.compile(rb"\s*(?:Received|Return-Path|Message-ID|DKIM-Signature|X-[\w-]+)[ \t]*:", re.I)

_RETURNED = ("message/rfc822", "message/global", "text/rfc822-header", "message/global-headers")
_STATUS = ("message/delivery-status", "message/global-delivery-status")
_RECEIPT = ("message/disposition-notification", "message/global-disposition-notification")

# What really comes under a name: supersets, and the encodings that are mistaken for it.
_CODECS = {
    "iso-2022-jp": ("iso2022_jp_ext", "euc_jp", "cp932"),
    "shift_jis": ("cp932",),
    "euc-jp": ("euc_jp", "cp932"),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "ks_c_5601-1987": ("cp949",),
    "euc-kr": ("cp949",),
    "iso-8859-1": ("cp1252",),
    "us-ascii": (),
}
# By far the most declared, and alike where nothing but ASCII stands.
_LIKE_ASCII = ("", "us-ascii", "utf-8", "iso-8859-1", "windows-1252", "iso-8859-15")
_ESCAPE = 0x1B  # begins what ISO-2022-JP writes
# Python's own codecs that are no charsets of mail: they warn, are slow or make lone surrogates.
_NO_CHARSET = re.compile(r"unicode|raw|idna|puny|undefined|utf-?7|mbcs|oem|string|charmap")


@dataclass(frozen=True)
class Headers:
    """A block of header fields as text that begins with LF, and the same in lower case."""

    block: str = ""
    lower: str = ""

    @once
    def content_type(self) -> str:
        """The value of Content-Type."""
        return self.first("content-type")

    @once
    def kind(self) -> str:
        """The content type itself, in lower case."""
        match = _TYPE.search(self.content_type)
        return match.group(0).lower() if match else "text/plain"

    @once
    def charset(self) -> str:
        """The declared charset, or an empty text."""
        match = _CHARSET.search(self.content_type)
        return match.group(1) if match else ""

    @once
    def encoding(self) -> str:
        """The transfer encoding, in lower case."""
        return self.first("content-transfer-encoding").lower()

    @once
    def is_traced(self) -> bool:
        """True for the headers of a mail that was carried."""
        return "received" in self

    @once
    def is_attached(self) -> bool:
        """True for the headers of a part that is to be kept as a file."""
        return self.first("content-disposition").lower().startswith("attachment")

    def __bool__(self) -> bool:
        return bool(_FIELD_BEGINS.search(self.block))

    def all(self, name: str) -> list[str]:
        """Give the unfolded values of a field (its name in lower case), in order."""
        key = f"\n{name}:"
        values, at = [], self.lower.find(key)
        while at >= 0:
            values.append(self._value(at + len(key)))
            at = self.lower.find(key, at + len(key))
        return values

    def first(self, name: str) -> str:
        """Give a field's first value, or an empty text."""
        key = f"\n{name}:"
        at = self.lower.find(key)
        return self._value(at + len(key)) if at >= 0 else ""

    def __contains__(self, name: str) -> bool:
        return f"\n{name}:" in self.lower

    def _value(self, start: int) -> str:
        following = _FIELD_BEGINS.search(self.block, start)
        return _unfolded(self.block[start : following.start() if following else None])


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of a mail: lower-case content type, headers, and the body as it came."""

    kind: str
    headers: Headers
    body: bytes
    is_whole_mail: bool = False

    def content(self) -> bytes:
        """Give the beginning of the body, its transfer encoding undone, its lines ended by LF."""
        encoding = self.headers.encoding
        body = self.body[:PART_LIMIT]
        if encoding.startswith("quoted"):
            body = quopri.decodestring(body)
        elif encoding.startswith("base64"):
            body = _from_base64(body)
        return unix_lines(body)

    def text(self) -> str:
        """Give the beginning of the body as text, without markup."""
        text = decode(self.content(), self.headers.charset)
        return without_markup(text) if self.kind == "text/html" else text


@dataclass(frozen=True)
class Mail:
    """What a reader of reports needs from a mail; absent things are empty."""

    headers: Headers
    parts: list[Part]

    @once
    def subject(self) -> str:
        """The subject, encoded words decoded."""
        return decode_words(self.headers.first("subject"))

    @once
    def notice(self) -> str:
        """What is written for people: the plain text, else the HTML without its markup."""
        readable = [p for p in self.parts if p.kind.startswith("text/") and not _is_returned(p)]
        plain = "\n\n".join(p.text() for p in readable if p.kind != "text/html").strip()
        return plain or "\n\n".join(p.text() for p in readable if p.kind == "text/html").strip()

    @once
    def status(self) -> str:
        """The fields of a delivery status notification."""
        return _joined(self.parts, _STATUS)

    @once
    def feedback(self) -> str:
        """The fields of a feedback report."""
        return _joined(self.parts, ("message/feedback-report",))

    @once
    def receipt(self) -> str:
        """The fields of a disposition notification."""
        return _joined(self.parts, _RECEIPT)

    @once
    def original(self) -> bytes:
        """The returned original, or its headers."""
        return next((_as_message(part) for part in self.parts if _is_returned(part)), b"")

    @once
    def original_headers(self) -> Headers:
        """The headers of the returned original."""
        return split_headers(self.original.lstrip())[0]

    @property
    def is_report(self) -> bool:
        """True if the mail says that it is a report (RFC 6522)."""
        return "multipart/report" in self.headers.content_type.lower()


def read_mail(raw: bytes) -> Mail:
    r"""Take a raw mail apart; never raises, whatever the bytes.

    >>> read_mail(b"Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\nHello").subject
    'café'
    """
    headers, body = split_headers(unix_lines(raw.removeprefix(b"\xef\xbb\xbf")).lstrip())
    return Mail(headers, _leaves(headers, body))


def split_headers(raw: bytes) -> tuple[Headers, bytes]:
    """Split a message or a part into its headers and its body.

    A line that is no header and lost its indent belongs to the header above it; a part that
    begins with something else has no headers at all.
    """
    if raw.startswith((b"From ", b">From ")) and (mbox_line := _MBOX_LINE.match(raw)):
        raw = raw[mbox_line.end() :]
    if not _HEADER_LINE.match(raw):
        return Headers(), raw.removeprefix(b"\n")
    end = _HEADERS_END.search(raw, 0, HEADERS_LIMIT)
    block, body = (raw[: end.start()], raw[end.end() :]) if end else (raw[:HEADERS_LIMIT], b"")
    return (_headers(block) if len(block) <= _SHORT else fields(decode(block, ""))), body


@lru_cache(maxsize=512)
def _headers(block: bytes) -> Headers:
    return fields(decode(block, ""))


def fields(text: str) -> Headers:
    r"""Read header-like lines.

    >>> fields("Status : 5.1.1\nDiagnostic-Code: smtp; 550\n unknown").first("diagnostic-code")
    'smtp; 550 unknown'
    """
    block = f"\n{text}"
    if " :" in block or ("\t" in block and "\t:" in block):
        block = _BLANK_BEFORE_COLON.sub(r"\1:", block)
    return Headers(block, lower(block))


def field_list(block: str) -> list[tuple[str, str]]:
    """Read header-like lines into (lower-case name, unfolded value), in order."""
    _, *found = _FIELD_BEGINS.split(f"\n{block}")
    return [
        (name.lower(), _unfolded(value) if "\n" in value else value.strip())
        for name, value in zip(found[::2], found[1::2], strict=True)
    ]


def values_of(*names: str) -> re.Pattern[str]:
    """Give the pattern of the values, as they are folded, of some fields in `Headers.lower`."""
    rest = r".*(?:\n(?![a-z0-9_-]{1,80}[ \t]*:).*)*"
    return re.compile(rf"\n(?:{'|'.join(names)}):({rest})")


def _unfolded(value: str) -> str:
    value = value.strip()
    return " ".join(value.split()) if "\n" in value else value


def lower(text: str) -> str:
    """Write ASCII letters small: every letter keeps its place, which no other lower case grants.

    >>> lower("İSTANBUL")
    'İstanbul'
    """
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def decode(body: bytes, charset: str) -> str:
    """Turn bytes into text: the declared charset, what is mistaken for it, UTF-8, then any byte."""
    name = charset.lower()
    if name in _LIKE_ASCII and body.isascii() and _ESCAPE not in body:
        text = body.decode()
        return text.replace("\x00", "") if "\x00" in text else text
    if b"\x1b$" in body and not name.startswith("iso-2022"):
        name = "iso-2022-jp"
    if _NO_CHARSET.match(name):
        name = ""
    for codec in (*_CODECS.get(name, (name,) if name else ()), "utf-8"):
        try:
            return body.decode(codec).replace("\x00", "")
        except (LookupError, ValueError):
            continue
    return body.decode("cp1252", errors="replace").replace("\x00", "")


def decode_words(text: str) -> str:
    """Decode the encoded words of a header (RFC 2047); damaged ones stay as they are."""
    if "=?" not in text:
        return text
    try:
        words = decode_header(text)
    except (HeaderParseError, ValueError, binascii.Error):
        return text
    return "".join(w if isinstance(w, str) else decode(w, charset or "") for w, charset in words)


def without_markup(html: str) -> str:
    """Turn HTML into the lines a reader sees; linear in its length.

    >>> without_markup("<p>Caf&eacute;<br>closed</p>").split()
    ['Café', 'closed']
    """
    return unescape(_TAG.sub(" ", _LINE_TAG.sub("\n", _UNSEEN.sub("", html))))


def _leaves(headers: Headers, body: bytes, depth: int = 0) -> list[Part]:
    kind = headers.kind
    is_multipart = kind.startswith("multipart/")
    if depth >= NESTING_LIMIT or not (is_multipart or (depth == 0 and kind == "text/plain")):
        return [Part(kind, headers, body, depth == 0)]
    preamble, *pieces = _pieces(body, headers.content_type)
    if pieces and not pieces[-1].strip():  # what follows the last delimiter
        pieces.pop()
    leaves = [leaf for piece in pieces for leaf in _leaves(*split_headers(piece), depth + 1)]
    if is_multipart:
        return leaves or [Part("text/plain", headers, body, depth == 0)]
    # The mail says it has no parts. Reports inside it count; other parts belong to the original.
    reports = [leaf for leaf in leaves if leaf.kind in (*_STATUS, "message/feedback-report")]
    if not reports:
        return [Part(kind, headers, body, is_whole_mail=True)]
    notice = Part(kind, headers, preamble, is_whole_mail=True)
    return [notice, *(p for p in leaves if p.kind.startswith("message/"))]


def _pieces(body: bytes, content_type: str) -> list[bytes]:
    """Split at the declared boundary, else at one that lines before `Content-…:` give away."""
    declared = _BOUNDARY.search(content_type)
    if declared:
        boundary = (declared.group(1) or declared.group(2) or "").strip().encode("utf-8", "replace")
        pieces = _split_at(boundary, body) if boundary else [body]
        if len(pieces) > 1:
            return pieces
    seen = b"\ncontent-" in body.lower() and _UNDECLARED_DELIMITER.search(b"\n" + body)
    return _split_at(seen.group(1).rstrip(), body) if seen else [body]


def _split_at(boundary: bytes, body: bytes) -> list[bytes]:
    """Split at the lines that are the delimiter; a longer boundary that begins alike is none."""
    delimiter = b"\n--" + boundary
    body = (b"\n" + body).replace(b"\n --" + boundary, delimiter)
    pieces: list[bytes] = []
    for piece in body.split(delimiter, PARTS_LIMIT):
        rest_of_line, _, content = piece.partition(b"\n")
        if not pieces:
            pieces.append(piece)
        elif rest_of_line.strip() in (b"", b"--"):
            pieces.append(content)
        else:
            pieces[-1] += delimiter + piece
    return pieces


def _is_returned(part: Part) -> bool:
    """True for the returned original, also where it is not labelled as a message."""
    if _is_message(part) or _is_traced(part):
        return True
    is_attached = part.kind == "text/plain" and part.headers.is_attached
    return is_attached and bool(_TRACE.match(part.body))


def _is_message(part: Part) -> bool:
    return part.kind.startswith(_RETURNED) and part.kind not in (*_STATUS, *_RECEIPT)


def _is_traced(part: Part) -> bool:
    """True for a part whose headers are those of a mail: it has no headers of its own."""
    return not part.is_whole_mail and part.headers.is_traced


def _as_message(part: Part) -> bytes:
    if _is_message(part) or not _is_traced(part):
        return part.content()
    return part.headers.block.lstrip().encode("utf-8", "replace") + b"\n\n" + part.body


def _joined(parts: list[Part], kinds: tuple[str, ...]) -> str:
    return "\n\n".join([p.text() for p in parts if p.kind in kinds])


def _from_base64(body: bytes) -> bytes:
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    return binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _rest(letters))


def _rest(letters: bytes) -> bytes:
    tail = letters[len(letters) // 4 * 4 :]
    return tail + b"=" * (4 - len(tail)) if len(tail) > 1 else b""
