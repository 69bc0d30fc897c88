"""What a reply says, as expressions over its text: codes, words, template, delay.

Real text is dirty: `550 550 ...`, `550-...` continued lines, `550 5 2 1`, `ERROR_CODE :550`,
`smtp; 550 5.1.1`, `(#5.1.1)`, and numbers that only look like codes (dates, ports, IPs, sizes).
Every function takes an expression of the raw text and returns an expression; none needs a frame.
Those that end in `_of` take a `wording`, so that what many replies have in common is read once.
"""

import polars as pl

from bouncekit.batches import where
from bouncekit.escapes import unescaped

# Longer texts are bounce mails pasted whole; the reason stands at their beginning, or at their end,
# below the notice or the headers.
LONGEST_TEXT = 4_000
LONGEST_END = 1_000

# A code stands at the start of the text, a line or a sentence, behind a mark that introduces a
# quotation (`said: 550`, `(550`, `#550`), or behind the word for one (`error 550`, `code=550`), and
# is followed by what follows a code: a blank, a hyphen, a mark, the end. A colon without a blank
# is none of these (`mx.example:587`), nor is a number of seconds or bytes. qmail logs write `_`
# for a blank.
_BEFORE_CODE = (
    r"(?:^|[\n\r;#(>\[\]\"'|*（：]|\\n|:[\s_]|[\s_]:|[a-z]{4}[.!]\s|[245]\.[0-9]\.[0-9]{1,3}\s"
    r"|(?:(?-u:\b)|_)(?:errors?|code|said|says|replied|reply|returned|status|reason|with|server|smtp"
    r"|response|fehler|erreur)(?-u:\b))"
    r"[\s\-–—(:;#\"'<=_]*"
)
_AFTER_CODE = r"(?:[\s\-–—:;,#)(\"'_|\]*：）]|\\n|\.(?:\s|$)|$)"
_AMOUNT = r"[2345][0-9][0-9] (?:seconds|minutes|hours|days|bytes|[kmg]b[ ).,])"
# Most replies begin with their codes, and there they are found in no time.
_LEADING_CODE = r"^([45][0-9][0-9])[ -]"
_FAILURE_CODE = rf"{_BEFORE_CODE}(?:{_AMOUNT}|([45][0-9][0-9]){_AFTER_CODE})"
_ANY_CODE = rf"{_BEFORE_CODE}(?:{_AMOUNT}|([2345][0-9][0-9]){_AFTER_CODE})"
# Inside a sentence a number is a code by an enhanced code behind it, by the word "error", or where
# a quotation begins as Cisco's gateways write it: `5.1.0 - Unknown address error 550-'no user'`.
_CODE_IN_SENTENCE = (
    r"(?:^|[^0-9.:/@\w-])([45][0-9][0-9])(?:[\s-]#?[245]\.[0-9]\.[0-9]|\serror\b|-')"
)

# RFC 3463 §2: class "." subject "." detail. One digit of subject and at most three of detail, none
# of them a leading zero, keep versions (4.92.3), dates (6.5.2010, 4.7.08) and IP addresses out;
# blanks around the dots occur.
_DETAIL = "(?:0|[1-9][0-9]{0,2})"
_LEADING_ENHANCED_CODE = rf"^[45][0-9][0-9][ -]([45]\.[1-9]\.{_DETAIL}) "
_ENHANCED_CODE = (
    rf"(?:^|[\s(#:;\-<\[=,\"'>_|（：])([45] ?\. ?[0-9] ?\. ?{_DETAIL})"
    r"(?:[^0-9.A-Za-z@]|\.?(?:\s|$)|\.[^0-9A-Za-z])"
)
# 5.0.0 says nothing: a reporting system's own verdict around the code that was quoted.
_TELLING_CODE = _ENHANCED_CODE.replace("[0-9] ?\\. ?(", "[1-9] ?\\. ?(")
# A success code (2.1.0) has its reply code before it; elsewhere it is a version.
_SUCCESS_CODE = rf"(?:^|\b2[0-9][0-9][ -])(2\.[0-9]\.{_DETAIL})(?:\s|$)"
# `550 5 2 1 mail from ...`: the dots were lost on the way.
_UNDOTTED_CODE = rf"(?:^|\D)[45][0-9][0-9][ -]([45] [0-9] {_DETAIL})(?:\s|$)"

# In the order in which they are asked for; each only of the texts in which none before it is found.
REPLY_CODE = (_LEADING_CODE, _FAILURE_CODE, _CODE_IN_SENTENCE, _ANY_CODE)
ENHANCED_CODE = (
    _LEADING_ENHANCED_CODE,
    _TELLING_CODE,
    _ENHANCED_CODE,
    _UNDOTTED_CODE,
    _SUCCESS_CODE,
)

# What differs from message to message and never says why: addresses, IP addresses, numbered hosts,
# queue ids. Letters between digits make an id: BL000001 and 0spam are names, and 550user is a code
# and a word. Numbers of up to six digits may be seconds, as 1800s and 3600sec are.
_PART = r"""[^\s<>()\[\]"',;:\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]*"""
_ADDRESS = f"{_PART}@{_PART}"
_OF_ONE_MESSAGE = (
    rf"(?i){_ADDRESS}|[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}"
    r"|\b(?:[a-z][a-z-]*[0-9][a-z0-9-]*\.[a-z0-9.-]*[a-z]"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?:[a-z]{1,3}[0-9]{1,4}-)?"
    r"[a-z]*(?:[0-9]+[a-z]+[0-9]|[0-9]{4,}(?:[a-rt-z]|s[a-df-z]))[0-9a-z]*(?:\.[0-9]+)?"
    r"|[a-z]*[0-9]{7,})\b"
).replace(r"\b", r"(?-u:\b)")

_LATIN = {
    "æ": "ae", "ă": "a", "ș": "s", "ț": "t", "ţ": "t",
    "à": "a", "á": "a", "â": "a", "ã": "a", "ä": "a", "å": "a", "ą": "a", "ç": "c", "ć": "c",
    "č": "c", "ď": "d", "è": "e", "é": "e", "ê": "e", "ë": "e", "ę": "e", "ě": "e", "ğ": "g",
    "ì": "i", "í": "i", "î": "i", "ï": "i", "ı": "i", "ł": "l", "ñ": "n", "ń": "n", "ň": "n",
    "ò": "o", "ó": "o", "ô": "o", "õ": "o", "ö": "o", "ø": "o", "ő": "o", "ř": "r", "ś": "s",
    "š": "s", "ş": "s", "ß": "ss", "ť": "t", "ù": "u", "ú": "u", "û": "u", "ü": "u", "ů": "u",
    "ű": "u", "ý": "y", "ÿ": "y", "ż": "z", "ź": "z", "ž": "z",
}  # fmt: skip

# The hosts of public blocklists and of SPF's help are the host names that say why.
_BLOCKLIST_HOSTS = {
    f"{name}.{tld}": f" {name} "
    for name, tld in (
        ("spamhaus", "org"),
        ("spamcop", "net"),
        ("sorbs", "net"),
        ("barracudacentral", "org"),
        ("uceprotect", "net"),
        ("surbl", "org"),
        ("uribl", "com"),
        ("invaluement", "com"),
        ("surriel", "com"),
        ("openspf", "org"),
        ("openspf", "net"),
        ("manitu", "net"),
        ("junkemailfilter", "com"),
    )
} | dict.fromkeys(
    ("abuseat.org", "njabl.org", "dsbl.org", "ordb.org", "mail-abuse.org", "rfc-ignorant.org"),
    " dnsbl ",
)

# Words that carry no cause. Without them "the mailbox of this user is currently full" and
# "mailbox full" read alike, so that one phrase serves both.
_FILLERS = (
    "a|an|the|this|that|these|those|your|you|our|we|us|my|his|her|their|its|it|is|are|was|"
    "were|be|been|being|am|has|had|do|does|did|will|would|shall|to|of|for|and|currently|"
    "presently|now|sorry|please|just|very|already|also|el|la|los|las|le|les|un|une|una|der|"
    "die|das|den|dem|des|ein|eine|il|lo|gli|os|de|du|del|da|dos|di|su|sua|seu|votre|ihre|ihr|"
    "ist|wurde|wurden|wird|werden|worden|sind|hat|est|ete|sont|esta|es|ha|han|sido|fue|foi|"
    "sono|stato|stata|jest|zostal|zostala|zostalo|werd|wordt|zijn"
)
_MARKS = r"""[,;:()\[\]<>"'`´’‘“”„«»…·•。，、：；（）！？【】!?*{}|~=_#/\\&+^$%–—-]"""
_URL = r"https?://\S*|(?:[a-z0-9-]+\.)+[a-z0-9-]+/\S*"
# A host name ends in a short or known label, or holds a hyphen: RESOLVER.ADR.RecipNotFound is none.
_LONG_DOMAINS = (
    "info|mobi|coop|aero|asia|museum|travel|email|online|cloud|shop|store|site|club|tech|website|digital|"
    "agency|solutions|systems|services|network|center|academy|consulting|marketing|community|global|"
    "international|education|foundation|health|expert|design|studio|events|world|life|live|news|blog|"
    "page|link|team|zone|wiki|gmbh|immo|haus|berlin|hamburg|koeln|bayern|wien|swiss|paris|london|"
    "amsterdam|moscow|tokyo|example|localdomain"
)
_HOST = (
    rf"(?:[a-z0-9-]+\.)+(?:[a-z]{{2,3}}|{_LONG_DOMAINS})\.*(?:\s|{_MARKS}|$)"
    r"|[a-z0-9]+(?:-[a-z0-9]+)+\.[a-z0-9]\S*"
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
)
# Not the cause, but what it happened to: "the account that you tried to reach does not exist".
_PROSE = (
    r"\b(?:(?:that|who|which|whom) )?(?:you )?(?:have |are )?(?:tried|trying) "
    r"(?:to )?(?:reach|contact|send|deliver|write|mail|email)\b"
    r"|\byou(?:'ve|\s+have)\s+(?:entered|specified|typed|provided|supplied|given)\b"
    r"|\b(?:wrote|are\s+writing)(?:\s+to)?\b"
)
_CODES = r"[2345][0-9][0-9]|[245]\.[0-9]{1,3}\.[0-9]{1,3}"
# Postfix's name of a client that has none: `from unknown[192.0.2.7]: 550 Command rejected`.
_NAMELESS = r"\bunknown\["
# How many, but not OU-001.
_NUMBER = r"[ (\[#][0-9]+\b"
# What stands around a reply in logs (Exim's `R=dkim_lookup T=smtp X=TLS...`, too), ESMTP's own
# (`MAIL FROM:<...> SIZE=5050`), and the types of RFC 3464 (`Remote-MTA: dns; mx.example.org`).
_PARAMETER = (
    r"\b(?:size=[0-9]+|(?:helo|proto|from|to|relay|ruleset|arg[12]|mailer|ctladdr|[rthxfpco]|cv|dn|qt|dt|ou|cn)=\S*)"
    r"|\b(?:rfc822|smtp|utf-8) ?; ?"
    r"|\bdns ?; ?(?:[~\[]|localhost|unknown|(?:[a-z0-9-]+\.)+[a-z0-9-]+)"
)
# A single blank is no noise of its own: replacing each of them would double the time. A dot counts
# only inside a word.
_NOT_A_BLANK = (
    rf"{_PROSE}|{_PARAMETER}|{_NAMELESS}|{_URL}|{_HOST}|\b(?:{_CODES})\b|(?:\b|_)(?:{_FILLERS})(?:\b|_)"
    rf"|{_MARKS}|[^\S ]|\p{{Cc}}|\p{{Cf}}|  |\.{{2,}}|(?:^|\s)\.|\.(?:\s|$)|{_NUMBER}"
)
# The letters are ASCII by now, or of another alphabet: the ASCII boundary is ten times faster.
_NOISE = rf"(?: *\.*(?:{_NOT_A_BLANK})\.*)+ *".replace(r"\b", r"(?-u:\b)")

# What a sending system says around the reply: Cisco puts the name of a code before each quotation.
_AROUND = {"unknown address error": " ", "e-mail": "email"}
# Pages that are all the explanation there is: of bare linefeeds, old SPF, and Barracuda's list.
_PAGES = {
    "docs/smtplf": " bare linefeed ",
    "spf.pobox.com": " openspf ",
    "barracudanetworks.com/reputation": " barracuda reputation ",
}
# What programs say around a reply, of whatever was replied.
_WRAPPED = "|".join(
    (
        r"invalid\s+addresses;|'invalid\s+addresses'",  # JavaMail
        r"invalid\s+address:\s+\S+\s+com\.zimbra|rcpt\s+failed:\s+invalid\s+recipient",
        r"with\s+message\s+[\"']|smtp\s+server\s+error:",  # Swift and PHPMailer, of PHP
        r"smtp\s+error:\s+data\s+not\s+accepted",
        r"server\s+error:\s*[0-9]{3}\b|secure\(ssl\):",  # Outlook
        r"verify\s+that\s+your\s+email\s+address\s+is\s+correct",  # Thunderbird
        r"\{(?:led|msg|fqdn|ip|lrt)=",  # Exchange
        r"network\s+error\s+-\s+smtp\s+protocol\s+diagnostic:",  # smail
        r"headers\s+of\s+the\s+original\s+message",  # PowerMTA, of what follows
        r"including\s+all\s+(?:the\s+)?headers|message-id:\s*[<~]",
        r"delivery\s+temporarily\s+suspended:|\(host\s+\S+\[",  # Postfix
        r"\(may\s+be\s+forged\)",  # Sendmail, of a client whose name has another address
        r"<[^\s<>@~.:/\[]{1,64}>",  # a name
        r"undefined\s+mailbox\s+status",  # what 5.2.0 is called (RFC 3463 §3.3)
        r"\blisted\s+below",  # no list
        r"spam[\s&-]+virus[\s-]+firewall",  # Barracuda
    )
)
# Above the reply Gmail and .NET say in their own words what they take it for.
_SERVER_SAID = (
    r"serverantwort war:|du serveur [eé]tait\s?:|del servidor fue:|do servidor foi:|del server:"
    r"|odpowiedź serwera:|odpověď serveru:|ответ сервера:|sunucu yanıtı:|サーバーの応答:|서버 응답:"
    r"|服务器响应为:|伺服器回應為:"
    r"|antwort lautete:|respuesta fue:|resposta foi:|risposta era:|r[eé]ponse est la suivante\s?:"
    r"|удаленного сервера:|応答は次のとおりです[:：]|响应如下[:：]|回應如下[:：]"  # Gmail's
)
_MAY_BE_PREFACE = rf"was:|{_SERVER_SAID}"
_PREFACE = (
    r"(?s)^.*(?:\bthe\s+(?:server\s+)?(?:response|error)\s+"
    r"(?:from\s+the\s+remote\s+server\s+|that\s+the\s+other\s+server\s+returned\s+)?was:"
    rf"|{_SERVER_SAID})\s*(\S)"
)
# What a program says before the reply is no part of it: `RCPT TO:<...>: 554 Invalid Date header` is
# no invalid recipient. A bar keeps their words apart, unless they tell that the sender is meant.
BAR = "¦"
_LEAD_IN = r"(?s)^(\W*[^\W\d].*?)(?-u:\b)([45][0-9][0-9][ -])"
_LEAD_IN_OF_SENDER = rf"((?:mail from:|after (?:ehlo|helo) )[^{BAR}]*){BAR} "
# A transcript: what was answered to MAIL FROM, before any recipient was named.
_ANSWER_TO_SENDER = rf"(mail from:(?:[\s<>~]|\w+=\S+)*){BAR} "
# Exim's first lines on a sender that it could not verify: Sendmail quotes no more of them.
_UNVERIFIED = (
    r"-(?:verification\s+failed\s+for|callback\s+setup\s+failed\s+while\s+verifying)\s+[<~]"
)
# A name that says what its host holds, wherever one is listed: `refused by rbl-plus.example.org`.
_MAY_BE_LIST = "[bs]l[0-9.-]|list[0-9.-]"
_LIST_HOST = (
    r"(^|[\s<>(\[\"'])(?:bl\.[a-z0-9-]+|(?:[a-z0-9-]+\.)*"
    r"(?:[a-z0-9]+-)?(?:rbl|dnsbl|rhsbl|blocklist|blacklist)[0-9]*(?:-[a-z0-9]+)?)(?:\.[a-z0-9-]+)+"
)
# One word, written as two.
_TWO_WORDS = r"(?-u:\b)(black|block)[\s-]+(list)"
# Postfix says of a greeting that it was a refusal; why, the greeting tells.
_GREETING = r"refused\s+to\s+(talk\s+to\s+me)"
# qmail says of each reply at which stage it came; why, the reply tells.
_STAGE = (
    r"(?-u:\b)but\s+((?:sender|my\s+name)\s+was)\s+rejected\.(?:\s|\\n)+(remote\s+host\s+said:)"
)
# What was replied ends before it: "sender blacklisted (in reply to ...)" names no list.
_IN_REPLY = r"\(in\s+reply\s+to"
# A reply speaks to the sender: what is "yours" is not the recipient's.
_YOURS = r"(?-u:\b)(?:your|ihr|votre)\s+(domain|account|mailbox|konto|compte)(?-u:\b)"

# Chinese, Japanese and Korean write no blanks between words, nor around the letters of others.
WITHOUT_BLANKS = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_AMONG_SIGNS = r"[\x21-\x7e]+"

# The most frequent noise is dropped first, in one pass with the letters: the fewer matches are left
# for the expression above, the faster it is. Exim logs the end of a line as two letters.
_DROPPED = (
    # "the address you entered could not be found"
    *(
        f" you {verb} "
        for verb in ("entered", "specified", "typed", "provided", "supplied", "gave")
    ),
    *(f" {word} " for word in ("the", "is", "to", "your", "of", "has", "this", "for", "a", "you")),
    *(", ", ": ", ". ", " <", "> ", " (", ") ", "\n", r"\n", r"\r"),
)
_REWRITTEN = _LATIN | _AROUND | _PAGES | _BLOCKLIST_HOSTS | dict.fromkeys(_DROPPED, " ")


def reply_code(reply: pl.Expr) -> pl.Expr:
    """Give the SMTP reply code (RFC 5321 §4.2) that the text quotes, as Int16, else null.

    A failure code (4yz, 5yz) goes before a success code: transcripts quote both.

    >>> pl.select(reply_code(pl.lit("SMTP error from remote mail server: 550 No such user"))).item()
    550
    >>> pl.select(reply_code(pl.lit("Gave up on 192.0.2.25 port 587 after 450 seconds"))).item()
    """
    code = pl.coalesce(wording(reply).str.extract(pattern) for pattern in REPLY_CODE)
    return code.cast(pl.Int16).alias("reply_code")


def enhanced_code(reply: pl.Expr) -> pl.Expr:
    """Give the enhanced status code (RFC 3463) in the text as String such as "5.1.1", else null.

    >>> pl.select(enhanced_code(pl.lit("550 5. 5. 1 protocol error"))).item()
    '5.5.1'
    """
    code = pl.coalesce(wording(reply).str.extract(pattern) for pattern in ENHANCED_CODE)
    return dotted(code).alias("enhanced_code")


def dotted(code: pl.Expr) -> pl.Expr:
    """Write "5. 1. 1" and "5 1 1" as "5.1.1"."""
    return code.str.replace_all(".", " ", literal=True).str.replace_all(" +", ".")


def words(reply: pl.Expr) -> pl.Expr:
    """Reduce the text to the words that can name a cause, each between single blanks.

    Lower-cased, without accents, marks, codes, addresses, URLs, hyphenated host names and words
    that carry no cause: what is in a name can never decide.

    >>> pl.select(words(pl.lit("552-5.2.2 The mailbox of <full@example.org> is full."))).item()
    ' mailbox full '
    """
    return words_of(wording(reply)).alias("words")


def readable(reply: pl.Expr) -> pl.Expr:
    """Give the text unescaped, as far as it is looked at."""
    return unescaped(_bounded(reply))


def masked(text: pl.Expr) -> pl.Expr:
    """Give a `readable` text with `~` for all that belongs to one message or recipient."""
    return text.str.replace_all(_OF_ONE_MESSAGE, "~")


def wording(reply: pl.Expr) -> pl.Expr:
    """Give the `masked` text in lower case.

    A receiver has a few hundred wordings, and fills in addresses, hosts and ids. `template` is for
    people; this one is for speed, and keeps whatever may bear on the cause.

    >>> pl.select(wording(pl.lit("550 5.1.1 <ann@example.org>: No such user 4XyzAB12cd"))).item()
    '550 5.1.1 <~>: no such user ~'
    """
    return masked(readable(reply)).str.to_lowercase().alias("wording")


def words_of(text: pl.Expr) -> pl.Expr:
    """Do what `words` does with a `wording`."""
    apart = _replaced(text, WITHOUT_BLANKS, _AMONG_SIGNS, " ${0} ")
    reply = _replaced(apart, _MAY_BE_PREFACE, _PREFACE, " $1")
    bare = (
        _replaced(reply, _MAY_BE_LIST, _LIST_HOST, "$1 dnsbl ")
        .str.replace(_LEAD_IN, f"${{1}}{BAR} $2")
        .str.replace(_ANSWER_TO_SENDER, "$1 in reply to mail from. ")
        .str.replace(_LEAD_IN_OF_SENDER, "$1")
        .str.replace_all(_WRAPPED, " ")
        .str.replace_all(_YOURS, "sender $1")
        .str.replace_all(_TWO_WORDS, "$1$2")
        .str.replace_all(_GREETING, "$1")
        .str.replace_all(_STAGE, "in reply to mail from. $1 turned away. $2")
        .str.replace_all(_IN_REPLY, "said in reply to")
        .str.replace_all(_UNVERIFIED, " sender verify failed <")
        .str.replace_many(_REWRITTEN, leftmost=True)
        .str.replace_all(_NOISE, " ")
        .str.strip_chars(" ")
    )
    return pl.concat_str(pl.lit(" "), bare, pl.lit(" "))


def _replaced(text: pl.Expr, cheap: str, pattern: str, by: str) -> pl.Expr:
    """Replace a pattern in the texts in which a cheap one is found: few, and it is dear.

    The field of a struct is computed once, however often it is named; an expression as often.
    """
    t = pl.field("text")
    few = pl.when(t.str.contains(cheap)).then(t)
    found = pl.coalesce(few.str.replace_all(pattern, by), t)
    return pl.struct(text=text).struct.with_fields(text=found).struct.field("text")


_TEMPLATE = (
    (rf'(?:"[^"@]{{1,64}}")?{_ADDRESS}', "<address>"),
    (r"https?://\S+", "<url>"),
    (
        r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}\b"
        r"|\b(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}\b",
        "<ip>",
    ),
    (r"\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b", "<host>"),
    (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[t ][0-9:.]+z?)?\b", "<time>"),
    # Letters and digits mixed: 550-requested is a code and a word, a1-200ab45c an id.
    (r"\b(?:(?:[a-z_-]+[0-9]|[0-9]+[a-z])[a-z0-9_.-]{5,}[a-z0-9]|[a-z]{4,}[0-9]{3,})\b", "<id>"),
    (r"\b[0-9]{4,}\b", "<number>"),
    (r"\s+", " "),
)


def template(reply: pl.Expr) -> pl.Expr:
    """Mask what differs from message to message, so that equal replies group and can be shown.

    Addresses, URLs, IP addresses, host names, times, ids and long numbers become `<address>`,
    `<url>`, `<ip>`, `<host>`, `<time>`, `<id>` and `<number>`; codes and words stay.

    >>> pl.select(template(pl.lit("550 5.1.1 <ann@example.org>: no such user"))).item()
    '550 5.1.1 <address>: no such user'
    """
    text = _bounded(reply).str.to_lowercase()
    for pattern, name in _TEMPLATE:
        text = text.str.replace_all(pattern, name)
    return (
        text.str.replace_all("<<", "<", literal=True)
        .str.replace_all(">>", ">", literal=True)
        .str.strip_chars()
        .alias("template")
    )


# Exports make one line of several, and lines repeat their codes (RFC 5321 §4.2.1).
_CODE_AGAIN = r"[245][0-9]{2}"
_ENHANCED_AGAIN = r"[245]\.[0-9]\.[0-9]{1,3}(?:[ -]|$)"
_FOLDED = (
    rf"\s*(?:\n|\\n)\s*(?:{_CODE_AGAIN}(?:[ -]|$)(?:{_ENHANCED_AGAIN})?)?\s*"
    rf"|\s+{_CODE_AGAIN}(?:-(?:{_ENHANCED_AGAIN})?| {_ENHANCED_AGAIN})\s*"
    r"|\s{2,}|[^\S ]"
)


def folded(text: pl.Expr) -> pl.Expr:
    """Give the text in one line, single blanks between its words, without codes said again.

    >>> pl.select(folded(pl.lit("550-listed  in\\r\\n550 Spamhaus"))).item()
    '550-listed in Spamhaus'
    """
    return text.str.replace_all(_FOLDED, " ")


# The units of a delay by their seconds: in languages with blanks, and without. Whatever is not
# ASCII counts as a letter: an expression of all letters takes long to build.
_LETTERS = r"[a-z\x{80}-\x{10ffff}]"
_NO_LETTER = r"(?:[\x00-\x60\x7b-\x7f]|$)"
_UNITS = {
    604_800: (r"weeks?|wochen?|semaines?|semanas?|settiman[ae]|tydzień|tygodni+!|недел+!", "周"),
    86_400: (r"d|days?|tage?n?|jours?|d[ií]as?|giorn[oi]|dage?n?|dni|день|дн+!", "[天日]"),
    3_600: (
        r"h|hrs?|hours?|std|stunden?|heures?|horas?|or[ae]|uur|uren|godzin+!|час+!",
        "小?[时時]間?",
    ),
    60: (r"m|mn|mins?|min[uú]t+!|мин+!", "分[钟鐘]?"),
    1: (r"s|secs?|second+!|seg|segundos?|sek|sekund+!|сек+!", "秒[钟鐘]?"),
}
_SPACED, _BLANKLESS = (
    {seconds: units[kind].replace("+!", f"{_LETTERS}*") for seconds, units in _UNITS.items()}
    for kind in (0, 1)
)
_ANY_SPACED, _ANY_BLANKLESS = ("|".join(units.values()) for units in (_SPACED, _BLANKLESS))
_MANY = r"(?:[0-9]{1,3},[0-9]{3}|[0-9]{1,6}(?:[.,][0-9]{1,2})?)"
# Of "5-10 minutes" the longer counts: whoever waits so long is not too early. What no blank or mark
# stands before is an id.
_SPAN = (
    rf"[ (=:\[](?:{_MANY} ?(?:-|–|to|or|bis|oder|à) ?)?"
    rf"(?:{_MANY} ?(?:{_ANY_SPACED})(?:,? ?(?:and|und|et|y|e|en|i|и) |,? ?)?){{1,4}}{_NO_LETTER}"
)
_CLOCK = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[^0-9:]|$)"
_ASKING = (
    r"(?:try|send|come|connect|deliver|attempt|submit|retry|it) again|again (?:in|after)|retry"
    r"|(?:come|be) back|back in|blocked|reconnect|resend|next (?:attempt|try)|remaining|time left"
    r"|versuch|erneut|essay|patient|int[eé]nt|prueb|vuelva|esper[ea]|de nuevo|tente |novamente"
    r"|aguard|riprov|ritent|attend[aei]|opnieuw|probeer|wacht|spr[oó]buj|ponów|повтор|попроб|попыт"
)
_SAME_SENTENCE = r"(?:[^0-9~.;!?]|\.[^ 0-9~]){0,40}?"
# "at 10:30:00" is a time of day, "in 00:05:00" a delay; "over 5 minutes" is how long it took, and
# "over 5 minuten" is Dutch.
_DELAY = (
    rf"(?:(?:wait|gr[ea]ylist)[^0-9~]{{0,40}}?|(?:{_ASKING}){_SAME_SENTENCE}"
    r"|(?:banned|denied|deferred|delayed)(?: [a-z]+){0,3}? for"
    rf"|(?-u:\b)(?:dans|tra|fra|za)(?: environ| circa| około)?|через(?: около)?){_SPAN}"
    rf"|(?:{_ASKING}|wait|gr[ea]ylist)[^0-9~]{{0,40}}?(?-u:\b)(?:in|after|for) {_CLOCK}"
    rf"|(?:remaining|left|wait)[: ]+{_CLOCK}"
    rf"|(?-u:\b)(?:in|after|nach){_SPAN}(?:,? ?you (?:may|can|should)|erneut|wieder|noch ?mal)"
    rf"|(?-u:\b)over {_MANY} (?:seconden|minuten|minuut|uur|uren|dagen|dag){_NO_LETTER}"
    rf"|(?:{_MANY} ?(?:{_ANY_BLANKLESS})){{1,3}}[之以间間]*[后後]"
    # RFC 9110 §10.2.3: seconds
    r"|retry[-_ ]?after ?[:=] ?[0-9]{1,6}(?:[^0-9a-z.,:-]|[.,]?(?: |$))"
)
# Times that nobody is asked to wait: how long a queue will try, what happened before, a rate.
_NO_DELAY = (
    r"(?:(?:keep|kept|continu[a-z]*|going)(?: [a-z]+){0,3}? (?:re-?)?(?:try|tried|send|deliver)"
    r"[^0-9~]{0,40}?|tr(?:y|ied|ying|ies)(?: it| delivery)? (?:for|until)(?: [a-z]+){0,3}?"
    r"|(?-u:\b)(?:since|past|last|per|seit|depuis)"
    rf"|(?:messages?|mails?|connections?|recipients|attempts) (?:in|within)){_SPAN}|{_SPAN}ago\b"
).replace(r"\b", r"(?-u:\b)")
_ARTICLE = (
    r"(?-u:\b)(in|for|after|within|wait|another|about|dans|en|em|tra|fra|over) "
    r"(?:an?|eine[rnm]?|une|una|uma|een|un) "
    rf"((?:{_ANY_SPACED}){_NO_LETTER})"
)
_WORDS_TO_TEN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TENS = {"fifteen": 15, "twenty": 20, "thirty": 30, "forty-five": 45, "sixty": 60, "ninety": 90}
_NUMBERS = {
    f" {word} ": f" {number} "
    for word, number in (*zip(_WORDS_TO_TEN, range(1, 11), strict=True), *_TENS.items())
} | {" half an hour": " 30 minutes"}
_MAY_ASK = (
    f"{_ASKING}|wait|gr[ea]ylist|left|banned|denied|deferred|delayed|dans |tra |fra |za |через "
    "|over |you (?:may|can|should)|wieder|noch ?mal|[后後]"
)
_MAY_BE_DELAY = (
    r"[0-9]\s*[smhdwtjguoчмснд秒分小时時天日周]|[0-9]:[0-9]|after ?[:=]"
    "|second|minute|hour|heure|stunde|hora| ora| uur"
)


def retry_after(reply: pl.Expr) -> pl.Expr:
    """Give the delay that the receiver asks for, as Duration(us), else null.

    >>> pl.select(retry_after(pl.lit("450 4.2.0 Greylisted, try again in 300 seconds"))).item()
    datetime.timedelta(seconds=300)
    """
    return retry_after_of(wording(reply)).alias("retry_after")


def retry_after_of(text: pl.Expr) -> pl.Expr:
    """Do what `retry_after` does with a `wording`."""
    asks = text.str.contains(_MAY_ASK) & text.str.contains(_MAY_BE_DELAY)
    told = (
        folded(pl.when(asks).then(text))
        .str.replace_many(_NUMBERS, leftmost=True)
        .str.replace_all(_ARTICLE, "$1 1 $2")
        .str.replace_all(_NO_DELAY, " . ")
        .str.extract_all(_DELAY)
        .list.first()
        .str.replace(r"([0-9]+):([0-9]+):([0-9]+)", "${1}h${2}m${3}s")
        .str.replace(r"([:=] ?[0-9]+)[^0-9a-z]*$", "${1}s")
        .str.replace_all(",([0-9]{3})", "$1")
        .str.replace_all(",", ".", literal=True)
    )
    delay = pl.sum_horizontal(_seconds(pl.field("told"), each) for each in _UNITS)
    read = pl.struct(told=told).struct.with_fields(
        delay=pl.when(pl.field("told").is_not_null()).then(delay)
    )
    return pl.duration(seconds=read.struct.field("delay").cast(pl.Int64))


def _seconds(span: pl.Expr, unit: int) -> pl.Expr:
    """Give how long a span is by one of its units."""
    words = rf"(?:{_SPACED[unit]}){_NO_LETTER}|{_BLANKLESS[unit]}"
    many = span.str.extract(rf"([0-9]+(?:\.[0-9]+)?) ?(?:{words})")
    return many.cast(pl.Float64) * unit


def _bounded(reply: pl.Expr) -> pl.Expr:
    return where([reply], lambda text: text.str.len_bytes() > LONGEST_TEXT, _ends, pl.String())


def _ends(text: pl.Expr) -> pl.Expr:
    beginning = text.str.head(LONGEST_TEXT - LONGEST_END)
    end = text.str.slice(LONGEST_TEXT - LONGEST_END).str.tail(LONGEST_END)
    return pl.concat_str(beginning, end, separator="\n")
