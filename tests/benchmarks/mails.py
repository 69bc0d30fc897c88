"""How many bounce messages a second are read, beside the standard library and flufl.bounce.

python tests/benchmarks/mails.py [MAILS] [FOLDER]

Makes an mbox of MAILS bounces as Postfix, Exim, Exchange and qmail write them, or of the mails in
FOLDER over and over, and reads it with all cores. The others get the same mails, already apart,
in one process: `email` only parses them; `flufl.bounce` finds addresses in what it parsed, and no
reasons.
"""

import sys
from collections.abc import Iterator
from email import message_from_bytes
from itertools import chain, cycle, islice
from os import cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import polars as pl
from flufl.bounce import all_failures

from bouncekit.read.mailbox import blocks, chunks_of, mails
from bouncekit.read.messages import read_messages
from bouncekit.read.reports import parse_message

HEADERS = """\
Return-Path: <>
Received: by mx.example.net (Mail) id 4F{number}F; Mon, 3 Jun 2024 12:00:00 +0200
Date: Mon, 3 Jun 2024 12:00:00 +0200
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: news-bounces@example.com
Auto-Submitted: auto-replied
Message-Id: <{number}@mx.example.net>
"""
ORIGINAL = """\
Return-Path: <news-bounces@example.com>
Received: from out.example.com (out.example.com [192.0.2.7]) by mx.example.net id {number}
    for <user{number}@example.org>; Mon, 3 Jun 2024 10:00:00 +0000
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s1; h=from:to:subject;
    bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=Zm9v
From: News <news@example.com>
To: user{number}@example.org
Subject: June
Date: Mon, 3 Jun 2024 09:59:00 +0000
Message-ID: <june.{number}@example.com>
List-Id: The news <news.example.com>
Feedback-ID: june:news:example
"""
REPORT = (
    HEADERS
    + """\
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b{number}"

--b{number}
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.net. Your message could not be delivered to one or more
recipients. It's attached below.

<user{number}@example.org>: host mx.example.org[192.0.2.25] said: 550 5.1.1
    <user{number}@example.org>: Recipient address rejected: User unknown (in reply to RCPT TO)

--b{number}
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Mon,  3 Jun 2024 11:59:58 +0200 (CEST)

Final-Recipient: rfc822; user{number}@example.org
Original-Recipient: rfc822;user{number}@example.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.org
Diagnostic-Code: smtp; 550 5.1.1 <user{number}@example.org>: Recipient address rejected: User
    unknown

--b{number}
Content-Type: message/rfc822

"""
    + ORIGINAL
    + """
Good morning.

--b{number}--
"""
)
EXIM = (
    HEADERS
    + """\
X-Failed-Recipients: user{number}@example.org
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its recipients. This is a
permanent error. The following address(es) failed:

  user{number}@example.org
    host mx.example.org [192.0.2.25]
    SMTP error from remote mail server after RCPT TO:<user{number}@example.org>:
    552 5.2.2 This mailbox is over quota

------ This is a copy of the message's headers. ------

"""
    + ORIGINAL
)
QMAIL = (
    HEADERS
    + """\
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<user{number}@example.org>:
192.0.2.25 does not like recipient.
Remote host said: 550 sorry, no mailbox here by that name
Giving up on 192.0.2.25.

--- Below this line is a copy of the message.

"""
    + ORIGINAL
)
KINDS = (REPORT, REPORT, REPORT, EXIM, QMAIL)


def made() -> Iterator[bytes]:
    """Three of five mails with the fields of RFC 3464, the others without."""
    for number, kind in enumerate(cycle(KINDS)):
        yield kind.replace("{number}", str(number)).encode()


def found(folder: Path) -> Iterator[bytes]:
    """The mails of a folder, over and over."""
    mails = [path.read_bytes() for path in sorted(folder.glob("*"))]
    return cycle(mail.replace(b"\r\n", b"\n").lstrip() for mail in mails)


def main(count: int, folder: Path | None) -> None:
    """Print mails a second and ratios."""
    with TemporaryDirectory() as place:
        mbox = Path(place) / "bounces.mbox"
        with mbox.open("wb") as file:
            for mail in islice(found(folder) if folder else made(), count):
                file.write(b"From a Mon Jun  3 10:00:00 2024\n")
                file.write(mail.replace(b"\nFrom ", b"\n>From ") + b"\n\n")
        start = perf_counter()
        rows = read_messages(mbox).select(pl.col("line").max()).collect(engine="streaming")
        speeds = {f"bouncekit, {cpu_count()} cores": rows.item() / (perf_counter() - start)}
        apart = chain.from_iterable(map(mails, blocks(chunks_of(mbox))))
        few = list(islice(apart, 3_000))
    start = perf_counter()
    for raw in few:
        parse_message(raw)
    speeds["bouncekit, one process"] = len(few) / (perf_counter() - start)
    start = perf_counter()
    for raw in few:
        message_from_bytes(raw)
    speeds["email"] = len(few) / (perf_counter() - start)
    start = perf_counter()
    for raw in few:
        all_failures(message_from_bytes(raw))
    speeds["email and flufl.bounce"] = len(few) / (perf_counter() - start)
    print(f"{rows.item():,} mails of {sum(map(len, few)) / len(few):,.0f} bytes")
    for name, speed in speeds.items():
        print(f"{name:<26}{speed:>9,.0f} a second{speed / speeds['email']:>7.1f}")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 50_000,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
