"""Show for one reply what bouncekit reads in it, and why."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from bouncekit import codes
from bouncekit import reply as reply_text
from bouncekit import rules as knowledge
from bouncekit.classify import classify_by, phrases_in
from bouncekit.details import blocklists
from bouncekit.errors import BouncekitError
from bouncekit.files import in_html, one_line, printable
from bouncekit.schema import ACTION_OF


@dataclass(frozen=True)
class Explanation:
    """What one reply means: its repr is for terminals, its HTML repr for notebooks."""

    reply: str
    reply_code: int | None
    enhanced_code: str | None
    category: str
    fault: str
    action: str
    meaning: str
    what_to_do: str
    permanent: bool | None
    certainty: str
    because: str | None
    rule: str | None
    conflict: bool
    blocklist: str | None
    listed: str | None
    sending_ip: str | None
    retry_after: timedelta | None
    size_limit: int | None
    provider: str | None
    near_misses: tuple[str, ...]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Give what is worth saying, as pairs of a heading and a sentence."""
        pairs = (
            ("category", f"{self.category}: {self.meaning}"),
            ("fault", self.fault),
            ("action", f"{self.action}: {self.what_to_do}"),
            ("because", self._because()),
            ("reply code", self.reply_code and _code(str(self.reply_code))),
            ("enhanced code", self.enhanced_code and _code(self.enhanced_code)),
            ("conflict", self.conflict and "the code says otherwise; the text decides"),
            ("blocklist", self.blocklist and self._blocklist()),
            ("sending IP", self.sending_ip),
            ("retry after", self.retry_after),
            ("size limit", self.size_limit and f"{self.size_limit:,} bytes"),
            ("provider", self.provider),
            ("rule", self.rule),
            ("near misses", "; ".join(self.near_misses)),
        )
        return [(heading, str(said)) for heading, said in pairs if said]

    def _blocklist(self) -> str:
        known = {each["blocklist"]: each for each in blocklists().iter_rows(named=True)}
        about = known.get(str(self.blocklist), {"removal": None, "ended": None})
        lists = f", which lists your {self.listed}" if self.listed else ""
        if about["removal"]:
            return f"{self.blocklist}{lists}; ask for removal at {about['removal']}"
        asked = "it has ended" if about["ended"] else "ask whoever runs it for removal"
        return f"{self.blocklist}{lists}; {asked}"

    def _because(self) -> str:
        sources = {
            "text": f"the text says '{self.because}'",
            "source_class": f"the export says '{self.because}'",
            "enhanced_code": f"the enhanced code {self.because} says so, the text no more",
            "reply_code": f"the reply code {self.because} says so, the text no more",
            "none": "neither text nor code says why",
        }
        return sources[self.certainty]

    def __repr__(self) -> str:
        # A reply's own indent could forge our lines.
        reply = [line.lstrip() for line in printable(self.reply).splitlines()]
        lines = [*reply, *(f"  {heading:<14}{one_line(said)}" for heading, said in self.lines)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left'>{heading}</th>"
            f"<td style='text-align:left'>{in_html(one_line(said))}</td></tr>"
            for heading, said in self.lines
        )
        return f"<pre>{in_html(printable(self.reply))}</pre><table>{rows}</table>"


def explain(reply: str, rules: str | None = None) -> Explanation:
    """Say what one reply means, which phrase or code decided, and which others came near.

    Raises BouncekitError for an empty reply, and for what is no text.

    >>> explain("550 5.1.1 mailbox unavailable: your IP is blocked using zen.spamhaus.org").category
    'blocklisted'
    """
    if not isinstance(reply, str) or not reply.strip():
        raise BouncekitError(
            'There is no reply to explain; give its text, such as "550 5.1.1 User unknown".'
        )
    frame = pl.DataFrame({"reply": [reply]})
    words = frame.select(reply_text.words(pl.col("reply"))).item()
    known = knowledge.builtin_for(words) if rules is None else knowledge.with_own(rules)
    (row,) = classify_by(frame, known).to_dicts()
    about = knowledge.categories()[row["category"]]
    return Explanation(
        **{name: row[name] for name in Explanation.__dataclass_fields__ if name in row},
        action=ACTION_OF[row["category"]],
        meaning=about["meaning"],
        what_to_do=about["what_to_do"],
        near_misses=tuple(
            f"'{because}' ({category})"
            for category, because in phrases_in(words, known)
            if category != row["category"]
        ),
    )


def _code(code: str) -> str:
    said = codes.describe(code)
    return f"{code}: {said.meaning}"
