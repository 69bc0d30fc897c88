"""IP, size limit and what is listed are read from a reply, and nothing else is taken for one."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncekit import names
from bouncekit.batches import portably
from bouncekit.details import blocklists, listed, named_ip, size_limit
from bouncekit.rules import providers
from bouncekit.schema import Listed

IPS: list[tuple[str | None, str | None]] = [
    # the client, as Postfix, Exim and others write it
    ("554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using x", "192.0.2.7"),
    ("554 5.7.1 Client host mail.example.com[192.0.2.7] blocked using x", "192.0.2.7"),
    ("521 client [192.0.2.7] blocked", "192.0.2.7"),
    ("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]", "192.0.2.7"),
    ("550 mail.example.com [192.0.2.7]:25 is in an RBL", "192.0.2.7"),
    ("550 (mail.example.com) [192.0.2.7]:51234 is not permitted to relay", "192.0.2.7"),
    ("host mx.example.org[198.51.100.2] said: 554 Client host [192.0.2.7] blocked", "192.0.2.7"),
    # large providers
    ("550-5.7.1 [192.0.2.7      18] Our system has detected that", "192.0.2.7"),
    ("550-5.7.25 [192.0.2.7] The IP address sending this has no PTR", "192.0.2.7"),
    ("550-5.7.1 [2001:db8::25      18] Our system has detected that", "2001:db8::25"),
    ("550 5.7.1 Messages from [192.0.2.7] weren't sent; our block list (S3150)", "192.0.2.7"),
    ("550 5.7.606 Access denied, banned sending IP [192.0.2.7].", "192.0.2.7"),
    ("550 5.7.511 Access denied, banned sender[192.0.2.7].", "192.0.2.7"),
    ("421 4.7.0 [TSS04] Messages from 192.0.2.7 deferred - 4.16.55.1; see", "192.0.2.7"),
    ("554 IP=192.0.2.7 - A problem occurred.", "192.0.2.7"),
    ("554 mx.example.net comcast 192.0.2.7 Comcast block for spam.", "192.0.2.7"),
    # wordings
    ("550 Your IP (192.0.2.7) is not welcome", "192.0.2.7"),
    ("554 Your access to this server from 192.0.2.7 was refused", "192.0.2.7"),
    ("554 5.7.1 Rejected 192.0.2.7 found in dnsbl.example.org", "192.0.2.7"),
    ("550-192.0.2.7 is listed in b.example.org", "192.0.2.7"),
    ("192.0.2.7 is listed in b.example.org", "192.0.2.7"),
    ("550 SPF fail - 192.0.2.7 is not allowed to send mail from example.org", "192.0.2.7"),
    ("550 Kein Reverse-DNS-Eintrag für 192.0.2.7", "192.0.2.7"),
    ("550 Ihre IP-Adresse 192.0.2.7 steht auf der Sperrliste", "192.0.2.7"),
    ("550 votre adresse IP 192.0.2.7 est bloquée", "192.0.2.7"),
    ("550 connection black ip 192.0.2.7", "192.0.2.7"),
    ("550 (2001:db8:1:2:3:4:5:6) your IP 2001:db8::7 is blocked", "2001:db8::7"),
    ("550 from [IPv6:2001:db8::7] refused", "2001:db8::7"),
    ("550 blocked, client ::ffff:192.0.2.7", "192.0.2.7"),
    # pages to look the address up
    ("550 See https://www.spamhaus.org/query/ip/192.0.2.7", "192.0.2.7"),
    ("550 see https://example.net/help?lang=en&ip=192.0.2.7.", "192.0.2.7"),
    # behind what is said of it, or where it is listed
    ("554 listed with return code 127.0.0.4 in zen.spamhaus.org: 192.0.2.7", "192.0.2.7"),
    ("554 listed, code 127.0.0.x, in bl.example.org: 192.0.2.7", None),
    ("554 listed with code 127.0.0.x in bl.example.org: 192.0.2.7", "192.0.2.7"),
    (
        "host mx.example.org[192.0.2.2] refused to talk: 554 bad reputation 192.0.2.7",
        "192.0.2.7",
    ),
    ("554 found in the SpamRATS database, 192.0.2.7", "192.0.2.7"),
    ("554 listed by mx.example.org[192.0.2.2] by 2.example.org", None),
    # the receiver's own
    ("host mx.example.org[192.0.2.2] said: 550 No such user", None),
    ("connect to mx.example.org[192.0.2.2]:25: Connection timed out", None),
    ("connect to 192.0.2.2: Network is unreachable", None),
    ("192.0.2.2 does not like recipient.", None),
    ("lost connection with mx.example.org[192.0.2.2] while sending", None),
    ("Giving up on 192.0.2.2.", None),
    ("the response from 192.0.2.2 was: 550 no", None),
    ("host mx.example.org [192.0.2.2]: 550 no such user", None),
    ("See http://192.0.2.2/help", None),
    ("host mx.example.de[192.0.2.2] refused to talk to me: 554 IP=192.0.2.7", "192.0.2.7"),
    ("host mx.example.de[192.0.2.2] said: 550 rejected", None),
    ("192.0.2.2 is not responding", None),
    # no address at all, or none of a single sender
    ("550 listed by zen: client 127.0.0.4", None),
    ("452 too much spam from your network 192.0.2.0/24", None),
    ("421 rate of mail from your IP Netblock [192.0.2.0]", None),
    ("550 from version 8.14.4.1.1", None),
    ("451 come back in 00:05:00 from now", None),
    ("550 your IP 300.2.3.4 is listed", None),
    ("550 5.1.1 unknown user", None),
    (None, None),
]


@pytest.mark.parametrize(("reply", "ip"), IPS)
def test_the_sending_ip_is_named(reply: str | None, ip: str | None) -> None:
    assert pl.select(named_ip(pl.lit(reply, pl.String))).item() == ip


SIZES: list[tuple[str | None, int | None]] = [
    ("message size 18876259 exceeds size limit 10240000 of server x[192.0.2.1]", 10_240_000),
    ("552 5.3.4 Message size exceeds fixed maximum message size (10485760)", 10_485_760),
    ("554 Rejected Class=size limit=15728640 Subclass=reject size=18571048", 15_728_640),
    ("552 Maximum allowed size: 20971520", 20_971_520),
    ("552 max_message_size 10485760", 10_485_760),
    ("552 max 10 MB", 10 * 1024**2),
    ("552 limit is 10240KB", 10_240 * 1024),
    ("552 message size 12 MB exceeds the limit of 10.5 MB", 11_010_048),
    ("552 the maximum size is 10,485,760 bytes", 10_485_760),
    ("552 message larger than 25MB", 25 * 1024**2),
    ("552 your message exceeds our 10 MB limit", 10 * 1024**2),
    ("552 zulässige Größe von 20 MB überschritten", 20 * 1024**2),
    ("552 Die Größe der Nachricht überschreitet 20 MB", 20 * 1024**2),
    ("552 taille maximale 10 Mo", 10 * 1024**2),
    ("552 supera el tamaño máximo de 10 MB", 10 * 1024**2),
    ("552 Сообщение превышает 10 МБ", 10 * 1024**2),
    # two sizes: what was sent, and the limit
    ("552 message exceeds the size limit (size: 12MB, limit: 10MB)", 10 * 1024**2),
    ("552 size limit exceeded: 30MB > 25MB", 25 * 1024**2),
    ("552 5.3.4 Message size (31457280) exceeds the maximum allowed (26214400)", 26_214_400),
    ("552 Message size (12345678) exceeds limit (10485760)", 10_485_760),
    ("552 too big (31457280 > 26214400)", 26_214_400),
    ("552 5.3.4 message of 31457280 bytes, limit 26214400", 26_214_400),
    ("552 message exceeds limit: 30 MB, max 25 MB", 25 * 1024**2),
    ("552 maximum 25 MB exceeded by 30 MB", 25 * 1024**2),
    # a number without a unit
    ("552 message too long (max 35840000)", 35_840_000),
    ("552 mail is too big (limit=20480)", 20_480),
    ("552 5.2.3 message too large (max=52428800)", 52_428_800),
    ("552 message too large. Limit 52428800", 52_428_800),
    ("552 maximum permitted: 26214400", 26_214_400),
    ("552 message exceeds the configured limit of 10485760 on this host", 10_485_760),
    # blanks and lines
    ("552 message  exceeds\u00a0size \t limit 10485760", 10_485_760),
    ("552-5.3.4 Message exceeds size limit\r\n552 5.3.4 10485760", 10_485_760),
    ("552-your message is larger 552 5.3.4 than 25 MB", 25 * 1024**2),
    # near misses: the message's own size, a mailbox, a rate, a count
    ("552 Message size (18 MB) too large", None),
    ("552 Mailbox size limit 104857600 exceeded", None),
    ("550 quota exceeded: 500 MB", None),
    ("550 mailbox full, 99 MB of max 100 MB used", None),
    ("450 rate limit of 100 messages per hour exceeded", None),
    ("450 limit of 5000 messages", None),
    ("552 too large <ann@example.org> 31457280", None),
    ("552 too large: 31457280", None),
    ("552 too large <ann1234> 31457280", None),
    ("552 5.6.0 Headers too large (3 max)", None),
    ("552 size limit exceeded 550 5.3.4", None),
    ("552 maximum 99999999999999 GB", None),
    ("552 5.3.4 Message too big for system", None),
    (None, None),
]


@pytest.mark.parametrize(("reply", "size"), SIZES)
def test_the_size_limit_is_read_in_bytes(reply: str | None, size: int | None) -> None:
    assert pl.select(size_limit(pl.lit(reply, pl.String))).item() == size


NAMED: list[tuple[str | None, str | None]] = [
    ("550 blocked using zen.spamhaus.org", "Spamhaus ZEN"),
    ("550 listed by Spamhaus  PBL", "Spamhaus PBL"),
    ("550 listed by Spamhaus\u00a0PBL", "Spamhaus PBL"),
    ("550-listed in Spamhaus\n550-PBL\n550 goodbye", "Spamhaus PBL"),
    ("550-5.7.1 listed in Spamhaus\r\n550 5.7.1 PBL", "Spamhaus PBL"),
    ("550-5.7.1 listed in Spamhaus 550 5.7.1 PBL", "Spamhaus PBL"),
    (r"550-5.7.1 listed in Spamhaus\n550-5.7.1 PBL", "Spamhaus PBL"),
    # Spamhaus' lists without its name
    ("554 listed by sbl and xbl", "Spamhaus SBL"),
    ("554 rejected by the DNSBL (SBL-XBL)", "Spamhaus SBL"),
    ("554 your IP is listed in CBL", "Spamhaus XBL"),
    ("554 ip listed in zen", "Spamhaus ZEN"),
    ("554 Blocked by RBL: ZEN", "Spamhaus ZEN"),
    ("554 PBL listed", "Spamhaus PBL"),
    ("554 blacklisted on the XBL.", "Spamhaus XBL"),
    ("554 listed in dbl, sorry", "Spamhaus DBL"),
    ("554 listed in zenith.example.org", "zenith.example.org"),
    ("554 listed in pbl.example.org", "pbl.example.org"),
    ("554 listed in cbl.anti-spam.org.cn", "CASA"),
    ("554 listed in CBL-2.example.org", "cbl-2.example.org"),
    ("554 zen master not found", None),
    ("554 listed in zenith", None),
    # lists that are not known, by their hosts
    ("550 blocked using dnsbl.spfbl.net", "SPFBL"),
    ("550 listed at dnsbl.inps.de", "inps"),
    ("554 Client host [192.0.2.7] blocked using RBL.Firma.example; see", "rbl.firma.example"),
    ("554 blocked using 7.2.0.192.rbl.firma.example", "rbl.firma.example"),
    ("550 192.0.2.7 is listed in lists.example.net.", "lists.example.net"),
    ("550 192.0.2.7 listed on the RBL (lists.example.net)", "lists.example.net"),
    ("550 192.0.2.7 is in a black list at lists.example.net: go", "lists.example.net"),
    ("550 192.0.2.7 found in lists.example.net", "lists.example.net"),
    ("550-192.0.2.7 listed\r\n550 in lists.example.net", "lists.example.net"),
    ("550 rejected by the DNSBL lists.example.net", "lists.example.net"),
    ("550 192.0.2.7 is in dnsbl-2.example.net", "dnsbl-2.example.net"),
    ("550 blocked by bl.example.net", "bl.example.net"),
    ("550 blocked; see http://rbl.example.net/query", None),
    ("550 blocked; see https://rbl.example.net", None),
    ("550 listed, look up rbl.example.net/why", None),
    ("550 listed at http://lists.example.net", None),
    ("550 listed at www.example.net", None),
    ("550 listed by post.master@example.org", None),
    ("550 listed in 127.0.0.2", None),
    ("550 blocked by mail.example.org", None),
    ("550 listed", None),
    (None, None),
]


@pytest.mark.parametrize(("reply", "name"), NAMED)
def test_the_blocklist_is_named(reply: str | None, name: str | None) -> None:
    assert pl.select(names.blocklists().named(pl.lit(reply, pl.String))).item() == name
    with portably(wanted=True):
        assert pl.select(names.blocklists().named(pl.lit(reply, pl.String))).item() == name


LISTED: list[tuple[str | None, str | None, str | None]] = [
    ("550 blocked using zen.spamhaus.org", "Spamhaus ZEN", "ip"),
    ("550 Client host [mail.example.com] blocked using dbl.spamhaus.org", "Spamhaus DBL", "domain"),
    ("550 blocked by multi.surbl.org", "SURBL", "url"),
    ("550 the domain example.org is listed by URIBL", "URIBL", "domain"),
    ("550 MailFrom domain is listed in Spamhaus", "Spamhaus", "domain"),
    ("550 Your IP is listed in Spamhaus", "Spamhaus", "ip"),
    ("550 message contains a URL listed by Spamhaus", "Spamhaus", "url"),
    ("550 blocked by Spamhaus; follow the link below", "Spamhaus", "ip"),
    ("550 the domain is listed at SpamCop", "SpamCop", "ip"),
    (
        "550 see https://check.spamhaus.org/results/?query=example.com",
        "Spamhaus",
        "domain",
    ),
    ("550 see https://check.spamhaus.org/results/?query=192.0.2.7", "Spamhaus", "ip"),
    ("550 MailFrom  domain\tis\u00a0 listed in Spamhaus", "Spamhaus", "domain"),
    ("550-The sender domain is\r\n550 listed by Spamhaus", "Spamhaus", "domain"),
    ("550 listed", None, None),
    (None, "SpamCop", "ip"),
    ("550 listed", "no such list", None),
    ("554 Client host [mail.example.com] blocked using x", "rbl.firma.example", "ip"),
    ("554 connection refused: listed at x", "rbl.firma.example", "ip"),
    ("554 192.0.2.7 listed in x", "rbl.firma.example", "ip"),
    ("554 Sender address [a@example.com] blocked using x", "rbl.firma.example", "domain"),
    ("554 your domain example.com is listed in x", "rbl.firma.example", "domain"),
    ("554 a link in it is listed in x", "rbl.firma.example", "url"),
]


@pytest.mark.parametrize(("reply", "blocklist", "what"), LISTED)
def test_what_is_listed_follows_the_list_then_the_wording(
    reply: str | None, blocklist: str | None, what: str | None
) -> None:
    got = pl.select(listed(pl.lit(reply, pl.String), pl.lit(blocklist, pl.String)))
    assert got.item() == what
    assert got.dtypes == [Listed]


@pytest.mark.parametrize("function", [named_ip, size_limit])
@given(
    reply=st.text() | st.from_regex(r"(?i)(client|from|max|limit) [\[(]?[0-9a-f.: ]{3,20}.{0,9}")
)
def test_any_text_is_read_without_error(function: object, reply: str) -> None:
    assert callable(function)
    pl.select(function(pl.lit(reply))).item()


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.sampled_from(["[{}]", "({})", "{}", "={}"]))
def test_an_ip_that_is_named_stands_in_the_reply(address: object, form: str) -> None:
    reply = f"550 your IP {form.format(address)} is blocked"
    found = pl.select(named_ip(pl.lit(reply))).item()
    assert found is None or found in reply


def test_every_blocklist_says_what_it_lists_and_where_to_ask() -> None:
    known = blocklists()
    assert known["blocklist"].is_unique().all()
    assert known["words"].list.len().min()
    assert known["lists"].null_count() == 0
    asked = known.filter(pl.col("ended").is_null())["removal"]
    assert asked.str.starts_with("https://").all()
    assert known.filter(pl.col("ended").is_not_null())["removal"].null_count() > 0


@pytest.mark.parametrize(
    "words",
    [
        blocklists()["words"].explode().to_list(),
        [word for words in providers().values() for word in words],
    ],
)
def test_no_word_names_two(words: list[str]) -> None:
    bare = [word if word[0].isalnum() else word[1:] for word in words]
    plain = {word for word in words if word[0].isalnum()}
    assert len(set(words)) == len(words)
    assert not [b for b, word in zip(bare, words, strict=True) if b != word and b in plain]
    assert all(word == word.lower() for word in words)
