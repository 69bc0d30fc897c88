"""Make a year of a newsletter whose owner never took a bounced address off the list.

The world, all of it invented: 26 mailings, one every second Tuesday at 09:00 UTC, leave from two
addresses within about an hour, to subscribers in the order in which they joined. Mailboxes are
lost and some come back (`SIGN_UPS`, `GONE_BEFORE`, `BECOMES`), subscribers join and leave, servers
speak as `wordings.toml` has it, and what may happen to a sender happens to this one (`INCIDENTS`).
What the sending service exports goes to `newsletter.csv.zst`, one row an event; what was true of
each mailbox, and when, to `newsletter_truth.csv.zst`.

Run as `python data/make_newsletter.py`. The same seed gives the same rows on every machine: of
Python's generator only `random()` is used, whose numbers every version keeps.
"""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import polars as pl

T = TypeVar("T")

SEED = 550
HERE = Path(__file__).parent
FILES = ("newsletter.csv.zst", "newsletter_truth.csv.zst")
ZSTD_LEVEL = 15  # the first whose window reaches back to the mailing before

FIRST_MAILING = date(2024, 10, 1)
FORTNIGHT = timedelta(weeks=2)
MAILINGS = tuple(FIRST_MAILING + FORTNIGHT * i for i in range(26))
STARTS_AT = time(9, tzinfo=UTC)
PER_SECOND = 5.5  # messages sent
BATCH = 1000  # messages that leave by one address before the other one takes over
IPS = ("192.0.2.10", "192.0.2.11")
FROM = "news@mail.example.com"

FOUNDED = date(2021, 1, 1)
FOUNDERS = 17_500  # on the list before the first mailing
JOINERS = 150  # who join between two mailings

# What kind of address is typed into the form; all others are somebody's own mailbox.
SIGN_UPS = {
    "founder": {"never_valid": 0.010, "typo_domain": 0.004, "forwarding": 0.010},
    "joiner": {"never_valid": 0.025, "typo_domain": 0.010, "forwarding": 0.005},
}
FAKE = 0.4  # of the never valid addresses: typed by somebody who didn't want to give one
# Founders' mailboxes that were lost before the first mailing: the list was never cleaned.
GONE_BEFORE = {"closed": 0.009, "disabled": 0.003, "full_forever": 0.003, "refusing": 0.002}
# What a mailbox may become within two weeks.
BECOMES = {
    "valid": {
        "closed": 0.0007,
        "disabled": 0.0003,
        "full_forever": 0.0003,
        "full_then_emptied": 0.0002,
        "moved": 0.00005,
        "refusing": 0.00005,
    },
    "forwarding": {"forwarding_broken": 0.008},
    "closed": {"reopened": 0.006},
    "disabled": {"reopened": 0.012},
    "full_then_emptied": {"valid": 0.25},
}
TAKES_MAIL = ("valid", "reopened", "forwarding")
# Why a mailbox in one of the other states refuses: a cause in wordings.toml.
CAUSES = {
    "never_valid": "unknown_user",
    "typo_domain": "unknown_domain",
    "closed": "unknown_user",
    "disabled": "inactive_mailbox",
    "full_forever": "mailbox_full",
    "full_then_emptied": "mailbox_full",
    "moved": "moved",
    "refusing": "recipient_refused",
}

HICCUP = 0.0006  # of the messages meet a temporary error at the receiver
OPENED = 0.004  # few opens are kept: enough to prove that somebody is there
OPENED_AFTER_COMEBACK = 0.5
ACCEPTS_THEN_BOUNCES = 0.3  # of the broken forwardings

RETRIES = tuple(timedelta(minutes=m) for m in (0, 10, 45, 180))
EXPIRES_AFTER = timedelta(hours=72)
EXPIRED = "554 5.4.7 [internal] message timeout (exceeded max time, last transcript: {reply})"
# Within how many retries a deferral for this cause gives way; other causes never do.
GIVES_WAY_WITHIN = {"greylisted": 1, "server_error": 2, "rate_limited": 4}

LEAVES = {"unsubscribe": 0.002, "spamreport": 0.0002}  # of the readers of a mailing
LEFT = {"unsubscribe": "unsubscribed", "spamreport": "complained"}
# Leavers who are on the list of the next mailing all the same; the sending service drops them.
NOT_TAKEN_OFF = {"unsubscribed": 0.1, "complained": 1.0}
DROPPED = {"unsubscribed": "Unsubscribed Address", "complained": "Spam Reporting Address"}
# So many never valid addresses the sending service knew from an earlier list of this sender.
SUPPRESSED = 8

# Two exports overlapped: the rows of this minute stand in the file twice.
OVERLAP = (datetime(2025, 1, 7, 9, 40, tzinfo=UTC), datetime(2025, 1, 7, 9, 41, tzinfo=UTC))


class Incident(NamedTuple):
    """Something that happens to a part of one mailing or more, whatever the mailbox is like."""

    cause: str
    servers: tuple[str, ...]
    since: datetime
    until: datetime
    share: float  # of the messages to these servers
    ip: str = ""  # the sending address it is about, if one
    first: bool = False  # refused before the recipient is looked at: hides lost mailboxes


INCIDENTS = (
    Incident(  # a mailing for the sales week reads like spam
        "spam_content",
        ("courrier",),
        datetime(2024, 11, 26, tzinfo=UTC),
        datetime(2024, 11, 27, tzinfo=UTC),
        share=0.6,
    ),
    Incident(
        "rate_limited",
        ("pochta", "oldhost"),
        datetime(2024, 12, 10, tzinfo=UTC),
        datetime(2024, 12, 11, tzinfo=UTC),
        share=0.7,
    ),
    Incident(  # a new sending host was missing from the sender's SPF record, DMARC says reject
        "authentication_failed",
        ("tenant",),
        datetime(2025, 2, 4, tzinfo=UTC),
        datetime(2025, 2, 5, tzinfo=UTC),
        share=0.8,
    ),
    Incident(  # an outage: good mailboxes are said not to exist, and take mail again afterwards
        "unknown_user",
        ("bigmail",),
        datetime(2025, 3, 4, 9, tzinfo=UTC),
        datetime(2025, 3, 4, 12, tzinfo=UTC),
        share=0.45,
    ),
    Incident(
        "blocklisted",
        ("postbox", "mailhaus", "postfix", "exim"),
        datetime(2025, 5, 13, 9, 20, tzinfo=UTC),
        datetime(2025, 5, 28, tzinfo=UTC),
        share=0.7,
        ip=IPS[1],
        first=True,
    ),
    Incident(  # the sender's own MX record was lost for a day
        "sender_dns",
        ("oldhost",),
        datetime(2025, 7, 8, tzinfo=UTC),
        datetime(2025, 7, 9, tzinfo=UTC),
        share=0.9,
        first=True,
    ),
)


@dataclass(frozen=True)
class Server:
    """A mailbox provider or a kind of small server: what it serves and how it speaks."""

    name: str
    share: float
    domains: tuple[str, ...]
    mx: str
    names: tuple[str, ...]
    greylists: float
    replies: Mapping[str, Sequence[str]]


class Span(NamedTuple):
    """What a mailbox is from one day to the other; the last span has no end."""

    state: str
    since: date
    until: date | None


@dataclass(frozen=True)
class Mailbox:
    """One address, and who answers for it."""

    email: str
    server: Server
    accent: float  # from 0 to 1; picks what stays the same: its host and its server's wording
    mx: str | None  # None where no host answers


@dataclass(frozen=True)
class Subscriber:
    """One address on the list, with the life of its mailbox."""

    number: int
    mailbox: Mailbox
    target: Mailbox  # where the mail goes that a forwarding or moved mailbox gets
    life: tuple[Span, ...]

    def span(self, day: date) -> Span:
        """Give the span of the mailbox's life that this day lies in."""
        return next(s for s in self.life if s.until is None or day < s.until)


class Send(NamedTuple):
    """One message of one mailing, as it leaves."""

    subscriber: Subscriber
    mailing: date
    at: datetime
    ip: str


class Event(NamedTuple):
    """One row of the export, columns in its order; `from` is the same in all and added later."""

    timestamp: datetime
    event: str
    campaign: str
    ip: str | None
    email: str
    final_recipient: str | None
    reason: str | None
    mx: str | None
    message_id: str


EXPORT = ("timestamp", "event", "campaign", "from", *Event._fields[3:])


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """Draw one of the items."""
    return items[int(rng.random() * len(items))]


def draw(rng: random.Random, chances: Mapping[str, float], otherwise: str) -> str:
    """Draw one key with its chance; `otherwise` has what the chances leave to 1."""
    left = rng.random()
    for key, chance in chances.items():
        left -= chance
        if left < 0:
            return key
    return otherwise


def signs(rng: random.Random, count: int) -> str:
    """Draw the letters and digits of an id."""
    return "".join(pick(rng, "0123456789abcdefghijkmnpqrstuvwxyz") for _ in range(count))


def minutes(rng: random.Random, most: int) -> timedelta:
    """Draw a time of up to so many minutes, in whole seconds."""
    return timedelta(seconds=1 + int(rng.random() * most * 60))


def wordings() -> dict[str, Any]:
    """Read the table of servers, their replies and the words that names are made of."""
    return tomllib.loads((HERE / "wordings.toml").read_text(encoding="utf-8"))


def made_up_domains(rng: random.Random, parts: Mapping[str, Any]) -> Iterator[str]:
    """Make up domains of companies, clubs and families, each once."""
    seen = set()
    first, second = parts["first"].split(), parts["second"].split()
    while True:
        domain = pick(rng, first) + pick(rng, parts["endings"]).format(second=pick(rng, second))
        if domain not in seen:
            seen.add(domain)
            yield domain


def servers(rng: random.Random, words: Mapping[str, Any]) -> list[Server]:
    """Read the servers from the wordings and give the small ones their domains."""
    made_up = made_up_domains(rng, words["domains"])
    return [
        Server(
            name=name,
            share=server.get("share", 0.0),
            domains=tuple(server.get("domains") or islice(made_up, server["made_up"])),
            mx=server["mx"],
            names=tuple(server["names"]),
            greylists=server.get("greylists", 0.0),
            replies=server["replies"],
        )
        for name, server in words["servers"].items()
    ]


def user(rng: random.Random, server: Server, names: Mapping[str, Any]) -> str:
    """Make up what stands before the @, from names of the server's languages."""
    language = names[pick(rng, server.names)]
    first, last = pick(rng, language["first"].split()), pick(rng, language["last"].split())
    year = f"{(60 + int(rng.random() * 45)) % 100:02}"
    patterns = (
        f"{first}.{last}",
        f"{first}{last}",
        f"{first[0]}.{last}",
        f"{last}.{first}",
        f"{first}_{last}",
        f"{first}.{last}{year}",
        f"{first}{year}",
    )
    return pick(rng, patterns)


def mailbox(rng: random.Random, server: Server, user: str, taken: set[str]) -> Mailbox:
    """Open a mailbox at the server; its address has a number if somebody has the name already."""
    domain = pick(rng, server.domains)
    email = f"{user}@{domain}"
    while email in taken:
        email = f"{user}{int(rng.random() * 1000)}@{domain}"
    taken.add(email)
    # A small server speaks in one way for all of a domain, a big one is many machines.
    small = len(server.domains) > 2
    accent = server.domains.index(domain) / len(server.domains) if small else rng.random()
    host = server.mx.format(domain=domain, label=domain.replace(".", "-"), k=1 + int(accent * 4))
    return Mailbox(email, server, accent, host or None)


def life(rng: random.Random, sign_up: str, joined: date) -> tuple[Span, ...]:
    """Live a mailbox's life from the day its owner joined to the last mailing."""
    state, since, spans = sign_up, joined, []
    if state == "valid" and joined < FIRST_MAILING:
        state = draw(rng, GONE_BEFORE, otherwise="valid")
        if state != "valid":
            since += timedelta(days=1 + int(rng.random() * (FIRST_MAILING - joined).days))
            spans.append(Span("valid", joined, since))
    for mailing in MAILINGS:
        day = mailing - timedelta(days=int(rng.random() * FORTNIGHT.days))
        becomes = draw(rng, BECOMES.get(state, {}), otherwise=state)
        if becomes != state and day > since:
            spans.append(Span(state, since, day))
            state, since = becomes, day
    still = "full_forever" if state == "full_then_emptied" else state
    return (*spans, Span(still, since, None))


def join_days() -> Iterator[tuple[str, date]]:
    """Give who joins when: founders in the years before, joiners between two mailings."""
    for number in range(FOUNDERS):
        yield "founder", FOUNDED + (FIRST_MAILING - FOUNDED) * number // FOUNDERS
    for mailing in MAILINGS[:-1]:
        for number in range(JOINERS):
            yield "joiner", mailing + FORTNIGHT * number // JOINERS


def subscribers(rng: random.Random, words: Mapping[str, Any]) -> list[Subscriber]:
    """Make everyone who is ever on the list, in the order of joining."""
    hosts = servers(rng, words)
    by_name = {host.name: host for host in hosts}
    shares = {host.name: host.share for host in hosts if host.share}
    misspelt = [host for host in hosts if not host.share]
    fakes = words["fakes"]["users"].split()
    taken: set[str] = set()
    people = []
    for number, (group, joined) in enumerate(join_days()):
        sign_up = draw(rng, SIGN_UPS[group], otherwise="valid")
        server, other = (by_name[draw(rng, shares, hosts[0].name)] for _ in range(2))
        if sign_up == "typo_domain":
            server = pick(rng, misspelt)
        fake = sign_up == "never_valid" and rng.random() < FAKE
        name = pick(rng, fakes) if fake else user(rng, server, words["names"])
        people.append(
            Subscriber(
                number=number,
                mailbox=mailbox(rng, server, name, taken),
                target=mailbox(rng, other, name, taken),
                life=life(rng, sign_up, joined),
            )
        )
    return people


def said(rng: random.Random, send: Send, cause: str, mailbox: Mailbox) -> str:
    """Give what the mailbox's server says to this try: its wording for the cause, filled in."""
    # A server that keeps no notes of who moved where says that the user is unknown.
    replies = mailbox.server.replies.get(cause) or mailbox.server.replies["unknown_user"]
    name, domain = mailbox.email.split("@")
    return replies[int(mailbox.accent * len(replies))].format(
        email=mailbox.email,
        user=name,
        domain=domain,
        ip=send.ip,
        target=send.subscriber.target.email,
        id=signs(rng, 8),
        hex=signs(rng, 6),
        n=1 + int(rng.random() * 9),
    )


def row(
    send: Send,
    event: str,
    after: timedelta = timedelta(0),
    reason: str | None = None,
    target: Mailbox | None = None,
) -> Event:
    """Give one row of the export: what became of this message, so long after it left."""
    who, campaign = send.subscriber, str(send.mailing)
    by_server = event in ("delivered", "bounce", "deferred")
    return Event(
        timestamp=send.at + after,
        event=event,
        campaign=campaign,
        ip=send.ip if by_server else None,
        email=who.mailbox.email,
        final_recipient=target.email if target else None,
        reason=reason,
        mx=(target or who.mailbox).mx if by_server else None,
        message_id=f"<{who.number:05}.{campaign}@mail.example.com>",
    )


@cache
def incidents_on(mailing: date) -> tuple[Incident, ...]:
    """Give the incidents that touch the day of this mailing."""
    return tuple(i for i in INCIDENTS if i.since.date() <= mailing <= i.until.date())


def incident_cause(rng: random.Random, send: Send, takes_mail: bool) -> str | None:
    """Give the cause of the incident that hits this message, if one does."""
    for incident in incidents_on(send.mailing):
        if (
            incident.since <= send.at < incident.until
            and send.subscriber.mailbox.server.name in incident.servers
            and incident.ip in ("", send.ip)
            and (takes_mail or incident.first)
            and rng.random() < incident.share
        ):
            return incident.cause
    return None


def cause(rng: random.Random, send: Send, state: str) -> str | None:
    """Give why the first try fails, None where the server takes the message."""
    incident = incident_cause(rng, send, state in TAKES_MAIL)
    if incident or state in CAUSES:
        return incident or CAUSES[state]
    if state not in TAKES_MAIL:
        return None
    mailbox = send.subscriber.mailbox
    if mailbox.accent < mailbox.server.greylists:
        return "greylisted"
    return "server_error" if rng.random() < HICCUP else None


def tries(rng: random.Random, send: Send, cause: str) -> Iterator[Event]:
    """Give the rows of a message that fails at first: retried until it goes, or for three days."""
    mailbox = send.subscriber.mailbox
    reply = said(rng, send, cause, mailbox)
    if reply.startswith("5"):
        yield row(send, "bounce", reason=reply)
        return
    needed = len(RETRIES)
    if cause in GIVES_WAY_WITHIN:
        needed = 1 + int(rng.random() ** 2 * GIVES_WAY_WITHIN[cause])
    for after in RETRIES[:needed]:
        reply = said(rng, send, cause, mailbox)
        yield row(send, "deferred", after, reply)
    if needed < len(RETRIES):
        yield row(send, "delivered", RETRIES[needed])
    else:
        yield row(send, "bounce", EXPIRES_AFTER, EXPIRED.format(reply=reply))


def forwarded(rng: random.Random, send: Send) -> Iterator[Event]:
    """Give the rows of a message whose forwarding leads to a mailbox that no longer exists."""
    who = send.subscriber
    reply = said(rng, send, "unknown_user", who.target)
    if who.mailbox.accent < ACCEPTS_THEN_BOUNCES:
        yield row(send, "delivered")
        yield row(send, "bounce", minutes(rng, 20), reply, who.target)
    else:
        yield row(send, "bounce", reason=reply, target=who.target)


def reader(rng: random.Random, send: Send, came_back: bool) -> Iterator[Event]:
    """Give what the reader of a delivered message does, of what the sender learns."""
    if rng.random() < (OPENED_AFTER_COMEBACK if came_back else OPENED):
        yield row(send, "open", minutes(rng, 48 * 60))
    event = draw(rng, LEAVES, otherwise="")
    if event:
        yield row(send, event, minutes(rng, 48 * 60))


def events_of(rng: random.Random, send: Send) -> Iterator[Event]:
    """Give all rows of one message."""
    who = send.subscriber
    now = who.span(send.mailing)
    why = cause(rng, send, now.state)
    if why:
        yield from tries(rng, send, why)
    elif now.state == "forwarding_broken":
        yield from forwarded(rng, send)
    else:
        yield row(send, "delivered")
        yield from reader(rng, send, came_back=now is not who.life[0])


def on_list(
    rng: random.Random, people: Sequence[Subscriber], left: Mapping[int, Span], mailing: date
) -> list[Subscriber]:
    """Give who is sent this mailing: who has joined and not left, and a few who just left."""

    def sent_to(who: Subscriber) -> bool:
        leaving = left.get(who.number)
        if not leaving:
            return who.life[0].since < mailing
        just_left = leaving.since >= mailing - FORTNIGHT
        return just_left and rng.random() < NOT_TAKEN_OFF[leaving.state]

    return [who for who in people if sent_to(who)]


def year(rng: random.Random, people: Sequence[Subscriber]) -> tuple[list[Event], dict[int, Span]]:
    """Send all mailings; give the rows, and who left when by the subscriber's number."""
    never_valid = (who.number for who in people if who.life[0].state == "never_valid")
    suppressed = set(islice(never_valid, SUPPRESSED))
    left: dict[int, Span] = {}
    events = []
    for count, mailing in enumerate(MAILINGS):
        starts = datetime.combine(mailing, STARTS_AT)
        for position, who in enumerate(on_list(rng, people, left, mailing)):
            at = starts + timedelta(seconds=int(position / PER_SECOND))
            send = Send(who, mailing, at, IPS[(position // BATCH + count) % len(IPS)])
            if who.number in left:
                events.append(row(send, "dropped", reason=DROPPED[left[who.number].state]))
            elif who.number in suppressed:
                events.append(row(send, "dropped", reason="Bounced Address"))
            else:
                for event in events_of(rng, send):
                    events.append(event)
                    if event.event in LEFT:
                        left[who.number] = Span(LEFT[event.event], event.timestamp.date(), None)
    return events, left


def export(events: Sequence[Event]) -> pl.DataFrame:
    """Give the rows as the sending service exports them: text, sorted by time, one part twice."""
    columns = dict.fromkeys(Event._fields, pl.String) | {"timestamp": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(events, schema=columns, orient="row")
    overlap = frame.filter(pl.col("timestamp").is_between(*OVERLAP, closed="left"))
    return (
        pl.concat([frame, overlap])
        .sort("timestamp", maintain_order=True)
        .with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .with_columns(pl.lit(FROM).alias("from"))
        .select(EXPORT)
    )


def truth(people: Sequence[Subscriber], left: Mapping[int, Span]) -> pl.DataFrame:
    """Give what each address was and when; after it left the list nothing more is told."""
    spans = []
    for who in people:
        leaving = left.get(who.number)
        for span in who.life:
            if leaving is None:
                spans.append((who.mailbox.email, *span))
            elif span.since < leaving.since:
                until = min(span.until or leaving.since, leaving.since)
                spans.append((who.mailbox.email, span.state, span.since, until))
        if leaving:
            spans.append((who.mailbox.email, *leaving))
    told = pl.DataFrame(spans, schema=["email", *Span._fields], orient="row")
    # Addresses in two columns, so that nobody who reads the folder takes them for an export.
    parts = pl.col("email").str.split_exact("@", 1)
    name, domain = (parts.struct.field(f"field_{part}") for part in range(2))
    return told.select(name.alias("local_part"), domain.alias("domain"), *Span._fields)


def newsletter(seed: int = SEED) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make the export and the truth behind it; the same seed gives the same frames."""
    rng = random.Random(seed)
    people = subscribers(rng, wordings())
    events, left = year(rng, people)
    return export(events), truth(people, left)


def write(folder: Path) -> None:
    """Write the export and the truth to the folder."""
    for name, frame in zip(FILES, newsletter(), strict=True):
        frame.write_csv(folder / name, compression="zstd", compression_level=ZSTD_LEVEL)


if __name__ == "__main__":
    write(HERE)
