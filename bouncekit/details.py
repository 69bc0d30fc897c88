"""What else a reply says: whose IP it blames, how large a message may be, what a blocklist lists.

Every function takes an expression of the raw text and returns an expression. Few replies say any
of this, so each looks only into those that hold its words.
"""

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.batches import Reader, by_value, only
from bouncekit.reply import LONGEST_TEXT, folded
from bouncekit.schema import Listed

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# RFC 4291 §2.2: eight groups, or fewer around one `::`. A time of day has neither.
_IPV6 = (
    r"(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
    r"|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}"
    r"|(?:[0-9a-f]{1,4}:){1,7}:"
)
# RFC 5321 §4.1.3 writes `IPv6:` before the address; a socket open to both writes `::ffff:`.
_IP = rf"(?:ipv6:)?(?:::ffff:)?((?:{_OCTET}\.){{3}}{_OCTET}|{_IPV6})"
# More digits make it a version (8.14.4.1.1); a slash and digits, a network and no single sender.
_AFTER_IP = r"(?:[^0-9a-z.:/]|[.:](?:[^0-9a-z.:]|$)|:[0-9]{2,5}(?:[^0-9a-z.:]|$)|/(?:[^0-9]|$)|$)"
_HOST = r"(?:[a-z0-9_-]+\.)+[a-z0-9-]+\.?"

# An address right behind these words is the sender's. `by`, `to`, `with` and `host` are not among
# them: "host mx.example.org[192.0.2.2] said", "connect to 192.0.2.2" speak of the receiver.
_BEFORE_IP = (
    r"(?:\bclient(?: host| ip| address| server)?"
    r"|\b(?:your|sending|sender'?s?|originating)"
    r"(?: mail| smtp)?(?: host| server| mta| system| address| network| mailserver| gateway| ip)*"
    r"|\bip(?:v[46])?(?:[ -](?:address|addr|adresse|number|source)|地址|-?адрес[а-я]*|アドレス)?"
    r"(?: is| of| was| ist| est| es)?"
    # a word of its own: "de" ends the name of a host, too
    r"|(?:^|[^.A-Za-z0-9-])(?:from|through|via|for|von|für|de|desde|depuis|da|para|per|pour|с|адреса|для)"
    r"(?: the| your| der| la)?(?: host| server| ip| address| adresse)*"
    r"|\b(?:blocked|rejected|listed|blacklisted|blocklisted|banned|denied|deferred|throttled"
    r"|greylisted|include|includes|designate|designates|comcast|you|hi)"
    r"|\bserver sending your mail|\bhostname|\breputation(?: of| for)?"
    # the list between them: "listed with code 127.0.0.4 in bl.example.org: 192.0.2.7"
    r"|\blisted(?:\s+[a-z]+){0,4}\s+(?:in|at|on)|\b(?:database|(?:black|block)list|rbl|dnsbl)"
    # a page to look the address up, not a page on the host of that address
    r"|https?://[^\s/]+/\S*[=/:])"
)
_BETWEEN = rf"(?:[,:]? {_HOST} ?)?(?:[\s\[(<\"'=:,#*]|- |%3d|%5b){{0,4}}"
_BLAMED = rf"(?i){_BEFORE_IP}{_BETWEEN}(?:::ffff:)?\b{_IP}{_AFTER_IP}".replace(r"\b", r"(?-u:\b)")
# Google and others write the client in brackets behind the code: `550-5.7.1 [192.0.2.7      18]`.
_BEHIND_CODE = rf"(?i)(?:^|[0-9][ -])\[{_IP}(?:\s+[0-9]{{1,3}})?\][:,]? "
# `192.0.2.7 is listed`; of a receiver one says that it is unreachable or does not answer.
_SAID_OF_SENDER = (
    r"(?:is|was|has been|has|does not have|needs|ist|wurde|steht|est|está|esta|è"
    r"|found|listed|blocked|blacklisted|blocklisted|banned|rejected|denied|throttled|deferred"
    r"|not (?:allowed|permitted|authori[sz]ed)|currently|temporarily|permanently|заблокирован[а-я]*"
    r"|находится|внес[её]н[а-я]*)\b"
)
_ACCUSED = (
    rf"(?i)(?:^|[\s\[(<\"':=,]|[0-9]-){_IP}(?:\s+[0-9]{{1,3}})?[\])>\"']*(?::[0-9]{{2,5}})?[,:]?"
    rf"\s+{_SAID_OF_SENDER}"
).replace(r"\b", r"(?-u:\b)")
# Addresses of others that those words, too, may stand around: the receiver's, answers of blocklists
# (RFC 5782 §2.1), header lines pasted whole. They are taken out first.
_OF_OTHERS = (
    r"(?i)\b(?:answer|banner|error|greeting|reply|replied|response|disconnect|timeout|waiting|reset)"
    rf"(?: [a-z]+){{0,2}} (?:from|for)(?: [a-z]+){{0,3}} (?:{_HOST} ?)?\[?{_IP}"
    rf"|\b(?:remote|destination|receiving|target)(?: [a-z]+){{0,3}}[ :=\[(]+{_IP}"
    rf"|\b{_IP}\]?(?::[0-9]+)? is (?:not (?:accept|avail|reach|respond)|unreach|unavail|down)"
    r"|(?:^|\n)received: [^\n]*|\b127\.[0-9]+\.[0-9]+\.(?:[0-9]+|x\b)"
).replace(r"\b", r"(?-u:\b)")
# A look before the search: an address that does not hang on a host name, as the receiver's does
# in Postfix's "host mx.example.org[192.0.2.2] said".
_MAY_BLAME = (
    r"[^A-Za-z0-9.\[]\[?[0-9]+\.[0-9]+\.[0-9]+\.[0-9]|lient|nder\[|[0-9A-Fa-f]:[0-9A-Fa-f]*:"
    r"|^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]"
)


def named_ip(reply: pl.Expr) -> pl.Expr:
    """Give the sending IP address that the reply blames or names (IPv4 or IPv6), else null.

    Not the address of the host that replied, nor an answer code of a blocklist, a version or a
    whole network.

    >>> pl.select(named_ip(pl.lit("554 5.7.1 Client host [192.0.2.7] blocked"))).item()
    '192.0.2.7'
    >>> pl.select(named_ip(pl.lit("host mx.example.org[192.0.2.2] said: 550 unknown"))).item()
    """
    return _where(_MAY_BLAME, reply, _blamed_ip, pl.String()).alias("named_ip")


def _blamed_ip(text: pl.Expr) -> pl.Expr:
    own = text.str.replace_all(_OF_OTHERS, " ")
    # To extract a group takes twice as long as to extract all that matches.
    blaming = own.str.extract_all(f"{_BLAMED}|{_BEHIND_CODE}|{_ACCUSED}").list.first()
    return blaming.str.extract(f"(?i){_IP}{_AFTER_IP}")


# 10240000, 10.5 or 10,485,760, then perhaps a unit; a postmaster's "M" and "MB" are 2^20 bytes.
_NUMBER = r"[1-9][0-9]{0,11}(?:[.,'][0-9]{1,3}){0,3}"
_UNIT = (
    r"(?:\s?-?(?:bytes?|octets?|(?:kilo|mega|giga)bytes?|[kmg]i?b(?:ytes?)?|[kmg]o?)\b|\s?[кмг]б)"
)
_SIZED = f"{_NUMBER}{_UNIT}"
_BYTES = r"[1-9][0-9]{3,11}(?:[^0-9a-z.,]|[.,]?(?:\s|$))"
# Without a unit, and further from the words for it, a number may count messages, unless it is large
# or stands alone.
_BARE = r"(?:[1-9][0-9]{6,11}(?:[^0-9a-z.,]|[.,]?(?:\s|$))|[1-9][0-9]{3,11}(?:[)\]>]|[.,;]?$))"
_BYTES_PER = {"k": 1024, "к": 1024, "m": 1024**2, "м": 1024**2, "g": 1024**3, "г": 1024**3}
_SIZE = r"(?:size|length|größe|groesse|taille|tamaño|dimensione|rozmiar|размер)"
_MOST = (
    r"(?:limit[a-z]*|max(?:imum|imal[a-z]*|\.)?|m[aá]xim[oa]|massim[ao]|maksymaln[a-zy]*"
    r"|максимальн[а-я]*|allowed|permitted|zulässige?|erlaubte?|höchstens|(?:up|bis) (?:to|zu)"
    r"|(?:larger|bigger|greater|more) than|größer als|supérieure? à|superior a|plus de"
    r"|exceed(?:s|ed|ing)?|überschreitet|dépasse|supera|превышает)"
)
_ABOUT_MOST = (
    r"(?:[ _-](?:the|our|a|is|of|to|in|message|mail|size|limit|max|maximum|value|allowed|permitted"
    r"|configured|server|set))"
)
# "30 MB > 25 MB": the size, and what it should not exceed.
_OVER = rf"(?:{_SIZED}|[1-9][0-9]{{3,11}}) ?>=? ?"
_SIZE_LIMIT = (
    # the words for size and limit right before a number, so that it needs no unit
    rf"(?i)(?:(?:\b|_)(?:{_SIZE}[- ]?limit"
    rf"|(?:limit|max(?:imum)?)[a-z_]*\.?(?:[ _-][a-z]+){{0,2}}[ _-]?{_SIZE})"
    rf"(?: allowed| permitted)?(?: of| is| to)?[\s:=(\[>]*(?:{_SIZED}|{_BYTES})"
    rf"|(?:^|[^a-z]){_MOST}[^0-9.;!?]{{0,40}}(?:{_OVER})?{_SIZED}"
    rf"|(?:^|[^a-z]){_MOST}{_ABOUT_MOST}{{0,4}}[\s:=(\[]*(?:{_OVER})?{_BARE}"
    rf"|(?:^|[\s(:=]){_OVER}(?:{_SIZED}|{_BYTES})"
    rf"|\b{_SIZED} (?:is the )?(?:(?:message|file|size|attachment) )*(?:limit|max))"
).replace(r"\b", r"(?-u:\b)")
# What a mailbox may hold is no limit for a message.
_QUOTA = (
    r"(?i)\b(?:quota|kontingent|speicherplatz|storage"
    r"|(?:mailbox|inbox|postfach)(?: [a-zäöüß]+){0,4} (?:full|voll|over|quota|size|limit))\b[^;\n]*"
).replace(r"\b", r"(?-u:\b)")
_MAY_LIMIT = (
    r"[Ss]ize|SIZE|[Ll]imit|LIMIT|[Mm]ax|MAX|[Ll]arg|LARG|[Bb]igger|[Gg]reater|rößer?|roesse|aille"
    r"|[Mm]áxim|[Mm]axim|amaño|[Mm]assim|аксим|азмер|dépasse|превыша|[Ee]xceeds\s|[0-9] ?MB"
    r"|[0-9] ?(?:[KMGkmg]i?[Bb]?|bytes)? ?>=? ?[0-9]"
)


def size_limit(reply: pl.Expr) -> pl.Expr:
    """Give the size that the reply says a message may have at most, in bytes (Int64), else null.

    KB, MB and GB count 1024 to the next. The size of the message and the quota of a mailbox,
    which stand beside it, are not it.

    >>> text = "message size 18876259 exceeds size limit 10240000 of server mx.example.org"
    >>> pl.select(size_limit(pl.lit(text))).item()
    10240000
    >>> pl.select(size_limit(pl.lit("552 Mailbox size limit exceeded"))).item()
    """
    return _where(_MAY_LIMIT, reply, _stated_limit, pl.Int64()).alias("size_limit")


def _stated_limit(text: pl.Expr) -> pl.Expr:
    stated = folded(text).str.replace_all(_QUOTA, " ").str.extract_all(_SIZE_LIMIT)
    # The size of a message that was too large may be taken for a limit: it is never the least.
    return stated.list.eval(_in_bytes(pl.element())).list.min()


def _in_bytes(stated: pl.Expr) -> pl.Expr:
    """Give the last number of a text, which is a size."""
    # What three digits follow is a mark of thousands, whatever the language.
    plain = stated.str.replace_all(r"[.,']([0-9]{3})", "$1")
    number = plain.str.extract(r"([0-9]+(?:[.,][0-9]+)?)[^0-9]*$").str.replace(
        ",", ".", literal=True
    )
    unit = plain.str.extract(r"(?i)[0-9]\s?-?([kmgкмг])[^0-9]*$").str.to_lowercase()
    size = number.cast(pl.Float64) * by_value(unit, _BYTES_PER).fill_null(1)
    return size.cast(pl.Int64, strict=False)


# Words by which a reply says what a blocklist holds that holds several kinds.
_SAYS_LISTED = {
    also: f"(?i){wording}".replace(r"\b", r"(?-u:\b)")
    for also, wording in {
        "url": (
            r"\b(?:ur[li]s?|links?|hyperlinks?|web ?sites?)\b(?: \S+){0,4}? "
            r"(?:listed|blocked|blacklisted|blocklisted|found|refused|rejected)"
            r"|\b(?:contain(?:s|ed|ing)?|listed|blocked|blacklisted|malicious|spam[a-z]*|phishing)"
            r"(?: an?| the)?(?: [a-z]+){0,2} (?:ur[li]|link|hyperlink|web ?site)"
        ),
        "domain": (
            r"/query/domain/|[?&](?:query|searchterm)=(?:[a-z0-9_-]+\.)+[a-z]|\brhsbl\b"
            r"|\b(?:sender address|helo command) \[|\bhelo name\b"
            r"|\bdomain[a-z]*(?: \S+){0,4}? (?:listed|blocked|blacklisted|found|auf|on )"
            r"|\b(?:listed|blocked|blacklisted|banned) (?:sender )?domain|\bdomain reputation"
        ),
        # Only a list that is not known is asked for it: lists of several kinds hold addresses.
        "ip": (
            r"\bclient (?:host|address)|\b(?:your|sending|connecting) (?:host|server)"
            rf"|\bip\b|\bconnection\b|{_IP}"
        ),
    }.items()
}


def listed(reply: pl.Expr, blocklist: pl.Expr) -> pl.Expr:
    """Give what the named blocklist lists, as Enum(ip, domain, url); null where nothing tells.

    `blocklist` is a name of `blocklists()`, or of a list that is not among them. The kind of list
    decides; of a list that holds several kinds, or is not known, the wording of the reply.

    >>> frame = pl.DataFrame({"reply": ["550 The sender domain is listed by Spamhaus"]})
    >>> frame.select(listed(pl.col("reply"), pl.lit("Spamhaus"))).item()
    'domain'
    """
    known = knowledge.blocklists()
    name = blocklist.cast(pl.String)
    kind = by_value(name, {name: entry["lists"] for name, entry in known.items()})
    said = (
        pl.when(_says(wording, reply, name, also)).then(pl.lit(also))
        for also, wording in _SAYS_LISTED.items()
    )
    return pl.coalesce(*said, kind).cast(Listed).alias("listed")


def _says(wording: str, reply: pl.Expr, name: pl.Expr, also: str) -> pl.Expr:
    """Tell whether the reply says what lists of several kinds hold, among others."""
    decided = [
        name for name, entry in knowledge.blocklists().items() if also not in entry.get("also", [])
    ]
    text = folded(pl.when(~name.is_in(decided)).then(_bounded(reply)))
    return text.str.extract(f"({wording})").is_not_null()


def blocklists() -> pl.DataFrame:
    """Give the public blocklists that replies name, the most specific first.

    Columns: blocklist (String), lists (Enum: ip, domain or url), removal (String: the page to ask
    for removal; null for a list that has ended or whose page is not known), ended (Date), words
    (List(String): by which replies name it). Replies name others, too, by their hosts.

    >>> blocklists().filter(blocklist="SpamCop")["removal"].item()
    'https://www.spamcop.net/bl.shtml'
    """
    known = knowledge.blocklists()
    return pl.DataFrame(
        {
            "blocklist": list(known),
            "lists": [entry["lists"] for entry in known.values()],
            "removal": [entry.get("removal") for entry in known.values()],
            "ended": [entry.get("ended") for entry in known.values()],
            "words": [entry["words"] for entry in known.values()],
        },
        schema={
            "blocklist": pl.String,
            "lists": Listed,
            "removal": pl.String,
            "ended": pl.Date,
            "words": pl.List(pl.String),
        },
    )


def _where(pattern: str, reply: pl.Expr, reader: Reader, dtype: pl.DataType) -> pl.Expr:
    return only([_bounded(reply)], lambda text: text.str.contains(pattern), reader, dtype)


def _bounded(reply: pl.Expr) -> pl.Expr:
    return reply.str.head(LONGEST_TEXT)
