"""Letters that arrive escaped: exports pass replies through HTML, MIME and wrong code pages.

`unescaped` turns back HTML entities (`&uuml;`) and tags, UTF-8 that was read as Windows-1252
(`Ã¼`), quoted-printable (`=C3=BC`) and the encoded words of RFC 2047 (`=?utf-8?B?...?=`), as far as
it needs no knowledge of other character sets. Few replies need it, so few are looked at twice.
"""

from html.entities import codepoint2name

import polars as pl

from bouncekit.batches import where

# Latin, Cyrillic, Greek and Vietnamese letters, from the first to the last.
_BLOCKS = ("\xa0-ſ", "Ơ-ư", "Ș-ț", "Ά-ώ", "Ѐ-џ", "Ґ-ґ", "Ạ-ỹ")
_LETTERS = [chr(code) for block in _BLOCKS for code in range(ord(block[0]), ord(block[-1]) + 1)]

_MARKS = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&apos;": "'"}
# PHP writes `&#039;`, Python `&#x27;`, and who types on a phone `&rsquo;`; blanks are escaped, too.
_MARKS |= dict.fromkeys(("&#39;", "&#039;", "&#x27;", "&rsquo;", "&lsquo;"), "'")
_MARKS |= {f"&#{number};": "'" for number in (8216, 8217)} | {"&#x2018;": "'", "&#x2019;": "'"}
_MARKS |= {"&#34;": '"', "&#034;": '"', "&#x22;": '"', "&#8211;": "-", "&ndash;": "-"}
_MARKS |= dict.fromkeys(("&#32;", "&#x20;", "&nbsp;", "&#10;", "&#13;", "&#xA;", "&#xa;"), " ")
_SIGNS = {"=20": " ", "=3D": "=", "=3d": "="}


def _read_as_windows(letter: str) -> str:
    """Give what a letter's UTF-8 bytes look like to a program that expects Windows-1252."""
    return "".join(
        bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in letter.encode()
    )


def _escapes() -> dict[str, str]:
    """Give every escaped form of every letter, and the letter."""
    forms = _MARKS | _SIGNS
    for letter in _LETTERS:
        quoted = "".join(f"={byte:02X}" for byte in letter.encode())
        written = [_read_as_windows(letter), quoted, quoted.lower()]
        written += [f"&#{ord(letter)};", f"&#x{ord(letter):x};", f"&#x{ord(letter):X};"]
        if ord(letter) in codepoint2name:
            written.append(f"&{codepoint2name[ord(letter)]};")
        forms |= dict.fromkeys(written, letter)
    return forms


_ESCAPES = _escapes()
_ESCAPED = r"</|<br|&[A-Za-z0-9#]{2,8};|[ÂÃÄÅÐÑ][^A-Za-z\s]|=[0-9A-Fa-f]{2}|=\?|=\r?\n"
# What one expression searches for in no time: two are faster than one that does it all.
_ESCAPED_SELDOM = r"[ÆÈÎÏÒ][^A-Za-z\s]|á[º»]"
# The tags of HTML that are about looks. An address in brackets is none: `<p@example.org>`.
_TAG = (
    r"(?i)</?(?:a|b|i|u|p|br|em|strong|font|span|div|pre|code|tt|center|h[1-6]|ul|ol|li|table|tbody"
    r"|tr|td|th)(?:\s[^<>@]*)?/?>"
)
_SOFT_BREAK = r"=\r?\n"
_BASE64_WORD = r"=\?(?i:utf-8|us-ascii)\?[bB]\?([A-Za-z0-9+/=]+)\?="
# What is declared as UTF-8 and is none cannot be cast: its bytes, as hexadecimal digits.
_UTF_8 = (
    r"^((?:[0-7].|(?:c[2-9a-f]|d.|e0[ab].|e[1-9a-cef][89ab].|ed[89].|f0[9ab].[89ab]."
    r"|f[1-3][89ab].[89ab].|f48.[89ab].)[89ab].)+)$"
)
_QUOTED_WORD = r"=\?[A-Za-z0-9-]+\?[qQ]\?([^?]*)\?="


def unescaped(reply: pl.Expr) -> pl.Expr:
    """Give the text with its letters as they were meant; what holds no escape stays as it is.

    >>> pl.select(unescaped(pl.lit("550 Postfach &uuml;berf=C3=BCllt"))).item()
    '550 Postfach überfüllt'
    >>> pl.select(unescaped(pl.lit("=?utf-8?B?NTUwIHVzZXIgdW5rbm93bg==?="))).item()
    '550 user unknown'
    """
    return where([reply], _is_escaped, _unescaped, pl.String())


def _is_escaped(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_ESCAPED) | text.str.contains(_ESCAPED_SELDOM)


def _unescaped(text: pl.Expr) -> pl.Expr:
    untagged = text.str.replace_all(_TAG, " ")
    decoded = _words_decoded(untagged.str.replace_all(_SOFT_BREAK, ""))
    return decoded.str.replace_many(_ESCAPES, leftmost=True)


def _words_decoded(text: pl.Expr) -> pl.Expr:
    """Decode the encoded words of RFC 2047: base64 (UTF-8 only), and the letter Q's underscores."""
    data = text.str.extract_all(_BASE64_WORD)
    octets = pl.element().str.extract(_BASE64_WORD).str.decode("base64", strict=False)
    letters = octets.bin.encode("hex").str.extract(_UTF_8).str.decode("hex").cast(pl.String)
    decoded = data.list.eval(letters).list.join(" ", ignore_nulls=True)
    return (
        pl.when(data.list.len() > 0)
        .then(pl.concat_str(text.str.replace_all(_BASE64_WORD, " "), decoded).str.strip_chars())
        .when(text.str.contains(_QUOTED_WORD))
        .then(text.str.replace_all(_QUOTED_WORD, "${1}").str.replace_all("_", " ", literal=True))
        .otherwise(text)
    )
