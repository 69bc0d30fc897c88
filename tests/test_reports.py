import base64
import gzip
import json
import quopri
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import process_time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bouncekit as bk
from bouncekit.errors import BouncekitError
from bouncekit.read import load, mailbox, messages, reports
from bouncekit.read.addresses import addresses, in_verp
from bouncekit.read.mailbox import is_message
from bouncekit.read.maildates import parse_time
from bouncekit.read.messages import read_messages
from bouncekit.read.mime import read_mail
from bouncekit.read.reports import events, parse_message
from bouncekit.schema import BOUNCES, EVENTS

ORIGINAL = """\
Return-Path: <news@list.example>
Received: from out.list.example by mx.example.net; Mon, 3 Jun 2024 10:00:00 +0000
From: News <news@list.example>
To: ann@example.org
Subject: June
Date: Mon, 3 Jun 2024 09:59:00 +0000
Message-ID: <june.1@list.example>
List-Id: The news <news.list.example>
X-Campaign-ID: june-2024

Hello"""


def notice(text: str, *, writer: str = "MAILER-DAEMON@mx.example.net", headers: str = "") -> str:
    """A bounce that is one text: what the mail system writes to the sender of the original."""
    subject = "" if "Subject:" in headers else "Subject: failure notice\n"
    return (
        f"From: {writer}\nTo: news@list.example\n"
        f"Date: Mon, 3 Jun 2024 12:00:00 +0200\n{headers}{subject}\n{text}\n"
    )


def dsn(
    status: str, *, text: str = "Your mail could not be delivered.", original: str = ORIGINAL
) -> str:
    """A delivery status notification with a notice, the fields and the original."""
    return f"""\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: news@list.example
Subject: Undelivered Mail Returned to Sender
Date: Mon, 3 Jun 2024 12:00:00 +0200
Content-Type: multipart/report; report-type=delivery-status; boundary="b0"

--b0
Content-Type: text/plain; charset=utf-8

{text}

--b0
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Mon, 3 Jun 2024 10:00:01 +0000

{status}

--b0
Content-Type: message/rfc822

{original}
--b0--
"""


def refusal(fields: str, text: str) -> str:
    """A disposition notification by which a filter refuses a mail."""
    return (
        dsn("", text=text)
        .replace("delivery-status", "disposition-notification")
        .replace(
            "Reporting-MTA: dns; mx.example.net",
            f"{fields}\nDisposition: automatic-action/MDN-sent-automatically; deleted",
        )
    )


# Layout: the mail, then for each row its event, recipient, reply.
LAYOUTS: dict[str, tuple[str, list[tuple[str, str | None, str]]]] = {
    "DSN": (
        dsn("""\
Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.org>:
 Recipient address rejected"""),
        [
            (
                "bounce",
                "ann@example.org",
                "smtp; 550 5.1.1 <ann@example.org>: Recipient address rejected",
            )
        ],
    ),
    "DSN about three recipients of different fates": (
        dsn("""\
Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 full

Final-Recipient: rfc822; bo@example.org
Action: delayed
Status: 4.4.1
Diagnostic-Code: smtp; timed out

Final-Recipient: RFC822;cy@EXAMPLE.org
Action: relayed
Status: 2.0.0"""),
        [
            ("bounce", "ann@example.org", "smtp; 552 full"),
            ("deferral", "bo@example.org", "smtp; timed out"),
            ("delivery", "cy@example.org", "relayed"),
        ],
    ),
    "DSN that gives up on two recipients, on one of them for another reason": (
        dsn(
            """\
Final-Recipient: rfc822;bo@example.org
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 451 4.7.1 Greylisted: retry timeout exceeded

Final-Recipient: rfc822;ann@example.org
Action: failed
Status: 5.0.0""",
            text="""\
The following address(es) failed:

  ann@example.org
    retry timeout exceeded
  bo@example.org
    SMTP error from remote mail server after RCPT TO:<bo@example.org>:
    451 4.7.1 Greylisted:
    retry timeout exceeded""",
        ),
        [
            ("bounce", "bo@example.org", "smtp; 451 4.7.1 Greylisted: retry timeout exceeded"),
            ("bounce", "ann@example.org", "retry timeout exceeded"),
        ],
    ),
    "DSN whose reason stands only in the transcript": (
        dsn(
            """\
Final-Recipient: RFC822; ann@example.org
Action: failed
Status: 5.0.0""",
            text="""\
   ----- The following addresses had permanent fatal errors -----
<ann@example.org>

   ----- Transcript of session follows -----
... while talking to mx.example.org.:
>>> RCPT To:<ann@example.org>
<<< 550 5.1.1 <ann@example.org>... User unknown
550 5.1.1 <ann@example.org>... User unknown""",
        ),
        [("bounce", "ann@example.org", "550 5.1.1 <ann@example.org>... User unknown")],
    ),
    "DSN whose reason is the comment of its status": (
        dsn("""\
Original-Recipient: rfc822;ann@example.org
Action: failed
Status: 5.2.2 (Over quota)"""),
        [("bounce", "ann@example.org", "Over quota")],
    ),
    "DSN whose fields have no blank lines between recipients and blanks before colons": (
        dsn("""\
Action : failed
Status : 5.0.0
Diagnostic-Code : smtp;550 unknown
Final-Recipient : rfc/822;ann@example.org
Action : failed
Status : 5.0.0
Diagnostic-Code : smtp;551 gone
Final-Recipient : rfc/822;bo@example.org"""),
        [
            ("bounce", "ann@example.org", "smtp;550 unknown"),
            ("bounce", "bo@example.org", "smtp;551 gone"),
        ],
    ),
    "DSN with a boundary that never comes": (
        dsn("""\
Final-Recipient: rfc822; ann@example.org
Action: failed
Diagnostic-Code: smtp; 550 gone""").replace("\n--b0", "\n--b1"),
        [("bounce", "ann@example.org", "smtp; 550 gone")],
    ),
    "DSN without a Content-Type header": (
        dsn("""\
Final-Recipient: rfc822; ann@example.org
Action: failed
Diagnostic-Code: smtp; 550 gone""").replace(
            """\
Content-Type: multipart/report; report-type=delivery-status; boundary="b0"
""",
            "",
        ),
        [("bounce", "ann@example.org", "smtp; 550 gone")],
    ),
    "DSN whose fields stand in the text": (
        notice("""\
An error occurred.

Technical report:

Reporting-MTA: dns; mx.example.net

Action: failed
Final-Recipient: rfc822; ann@example.org
Diagnostic-Code: smtp; 550 5.2.1 User unknown
Status: 5.2.1"""),
        [("bounce", "ann@example.org", "smtp; 550 5.2.1 User unknown")],
    ),
    "DSN forwarded as an attachment": (
        """\
From: Boss <boss@list.example>
To: list@list.example
Subject: Fwd: please look
Content-Type: multipart/mixed; boundary=b9

--b9
Content-Type: text/plain

What is this?
--b9
Content-Type: message/rfc822

"""
        + dsn("""\
Final-Recipient: rfc822; ann@example.org
Action: failed
Diagnostic-Code: smtp; 550 gone""")
        + "--b9--\n",
        [("bounce", "ann@example.org", "smtp; 550 gone")],
    ),
    "DSN with a UTF-8 address": (
        dsn("""\
Final-Recipient: utf-8; r\\x{00E9}mi@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 inconnu""").replace(
            "message/delivery-status", "message/global-delivery-status"
        ),
        [("bounce", "rémi@example.org", "smtp; 550 inconnu")],
    ),
    "qmail": (
        notice(f"""\
Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.org>:
192.0.2.5 does not like recipient.
Remote host said: 550 5.1.1 User unknown
Giving up on 192.0.2.5.

<bo@example.org>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

{ORIGINAL}"""),
        [
            ("bounce", "ann@example.org", "550 5.1.1 User unknown"),
            ("bounce", "bo@example.org", "Sorry, no mailbox here by that name. (#5.1.1)"),
        ],
    ),
    "Exim": (
        notice(
            f"""\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@example.org
    host mx.example.org [192.0.2.5]
    SMTP error from remote mail server after RCPT TO:<ann@example.org>:
    550-The account is closed.
    550 Goodbye
  bo@example.org
    retry timeout exceeded

------ This is a copy of the message, including all the headers. ------

{ORIGINAL}""",
            headers="""\
X-Failed-Recipients: ann@example.org,
 bo@example.org
Auto-Submitted: auto-replied
""",
        ),
        [
            ("bounce", "ann@example.org", "550-The account is closed.\n550 Goodbye"),
            ("bounce", "bo@example.org", "retry timeout exceeded"),
        ],
    ),
    "Exim after an alias": (
        notice("""\
The following address(es) failed:

  ann@example.com
    (generated from ann@example.org)
    Unrouteable address

  bo@example.com
    (ultimately generated from bo@example.org)
    all hosts have been failing for a long time and were last tried after this message arrived
"""),
        [
            ("bounce", "ann@example.org", "Unrouteable address"),
            (
                "bounce",
                "bo@example.org",
                "(ultimately generated from bo@example.org)\nall hosts have been failing for a long"
                " time and were last tried after this message arrived",
            ),
        ],
    ),
    "Sendmail 5, one session with several hosts": (
        notice(f"""\
   ----- Transcript of session follows -----
While talking to mx.example.org:
>>> RCPT To:<ann@example.org>
<<< 550 No such user here
550 <ann@example.org>... User unknown
550 gone.example (smtp)... 550 Host unknown
554 <bo@gone.example>... 550 Host unknown (Authoritative answer from name server)

   ----- Unsent message follows -----
{ORIGINAL}"""),
        [
            ("bounce", "ann@example.org", "550 No such user here"),
            (
                "bounce",
                "bo@gone.example",
                "554 <bo@gone.example>... 550 Host unknown (Authoritative",
            ),
        ],
    ),
    "Postfix in plain text, the reply wrapped": (
        notice("""\
I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to <postmaster@mx.example.net>

<ann@example.org>: host mx.example.org[192.0.2.5] said: 550 5.1.1
    <ann@example.org>: Recipient address rejected (in reply to RCPT TO)
"""),
        [("bounce", "ann@example.org", "550 5.1.1\n<ann@example.org>: Recipient address rejected")],
    ),
    "Postfix session report: only the refused recipient bounced": (
        notice(
            """\
Transcript of session follows.

 Out: 220 mx.example.net ESMTP
 In:  MAIL FROM:<news@list.example>
 Out: 250 2.1.0 Ok
 In:  RCPT TO:<ann@example.org>
 Out: 250 2.1.5 Ok
 In:  RCPT TO:<bo@example.org>
 Out: 554 5.7.1 Relay access denied
 In:  QUIT
 Out: 221 2.0.0 Bye
""",
            headers="Subject: Postfix SMTP server: errors from localhost[127.0.0.1]\n",
        ),
        [("bounce", "bo@example.org", "554 5.7.1 Relay access denied")],
    ),
    "Gmail": (
        notice(f"""\
Delivery to the following recipient failed permanently:

     ann@example.org

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected.

The error that the other server returned was:
550 5.1.1 User Unknown

----- Original message -----

{ORIGINAL}"""),
        [("bounce", "ann@example.org", "550 5.1.1 User Unknown")],
    ),
    "Google Workspace, in a sentence": (
        notice(
            """\
** Address not found **

Your message wasn't delivered to ann@example.org because the
address couldn't be found, or is unable to receive mail.

The response was:

The email account that you tried to reach does not exist""",
            headers="Subject: Delivery Status Notification (Failure)\n",
        ),
        [
            (
                "bounce",
                "ann@example.org",
                "The email account that you tried to reach does not exist",
            )
        ],
    ),
    "Exchange 2003": (
        notice(
            """\
Your message

  To:      staff@example.org
  Subject: June
  Sent:    Mon, 3 Jun 2024 10:00:00 -0000

did not reach the following recipient(s):

ann@example.org on Mon, 3 Jun 2024 10:00:01 -0000
    The recipient name is not recognized
    MSEXCH:IMS:EXAMPLE:SITE:MX 0 (000C05A6) Unknown Recipient
""",
            writer="postmaster@example.org",
        ),
        [("bounce", "ann@example.org", "The recipient name is not recognized\nMSEXCH")],
    ),
    "Domino": (
        notice("""\
Your message

  Subject: June

was not delivered to:

  ann@example.org

because:

  User ann (ann@example.org) not listed in Domino Directory
"""),
        [
            (
                "bounce",
                "ann@example.org",
                "User ann (ann@example.org) not listed in Domino Directory",
            )
        ],
    ),
    "Chinese, its marks too": (
        notice("""\
很抱歉，您的邮件被退回来了。

退信原因：
收件人（ann@example.org）邮箱不存在，550 Mailbox not found。

收件人： ann@example.org
主题： June
"""),
        [("bounce", "ann@example.org", "550 Mailbox not found。")],
    ),
    "Chinese of Taiwan, by a postmaster": (
        notice(
            """\
您寄給下列收件者的郵件無法送達：

ann@example.org
原因：信箱已滿，請稍後再試
""",
            writer="postmaster@example.org",
            headers="Subject: Hi\n",
        ),
        [("bounce", "ann@example.org", "原因：信箱已滿，請稍後再試")],
    ),
    "Arabic, by a postmaster": (
        notice(
            """\
تعذر تسليم رسالتك إلى المستلم التالي:

ann@example.org
السبب: صندوق البريد ممتلئ
""",
            writer="postmaster@example.org",
            headers="Subject: Hi\n",
        ),
        [("bounce", "ann@example.org", "السبب: صندوق البريد ممتلئ")],
    ),
    "GroupWise": (
        notice("""\
The message that you sent was undeliverable to the following:
	ann@example.org (user not found)"""),
        [("bounce", "ann@example.org", "user not found")],
    ),
    "GMX": (
        notice(f"""\
A message that you sent could not be delivered. The following address
failed:

"ann@example.org":
SMTP error from remote server after RCPT command:
host: mx.example.org
5.1.1 <ann@example.org>... User Unknown


--- The header of the original message is following. ---

{ORIGINAL}"""),
        [("bounce", "ann@example.org", "5.1.1 <ann@example.org>... User Unknown")],
    ),
    "1&1": (
        notice("""\
A message that you have sent could not be delivered to one or more
recipients.

<ann@example.org>

For the following reason:

Mail size limit exceeded. For explanation visit
http://help.example.net/
"""),
        [("bounce", "ann@example.org", "Mail size limit exceeded.")],
    ),
    "Zoho": (
        notice("""\
This message was created automatically by mail delivery software.
This is a permanent error.

ann@example.org Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 User Unknown
bo@example.org Invalid Address, ERROR_CODE :550, ERROR_CODE :5.2.2 Mailbox Full
"""),
        [
            ("bounce", "ann@example.org", "550, ERROR_CODE :5.1.1 User Unknown"),
            ("bounce", "bo@example.org", "550, ERROR_CODE :5.2.2 Mailbox Full"),
        ],
    ),
    "OpenSMTPD": (
        notice(f"""\
    An error has occurred while attempting to deliver a message for
    the following list of recipients:

ann@example.org: 550 5.2.2 Mailbox Full
bo@gone.example: Domain does not exist

    Below is a copy of the original message:

{ORIGINAL}"""),
        [
            ("bounce", "ann@example.org", "550 5.2.2 Mailbox Full"),
            ("bounce", "bo@gone.example", "Domain does not exist"),
        ],
    ),
    "MailMarshal, the reason before the recipients": (
        notice("""\
Your message:
   From:    news@list.example
   Subject: June

Could not be delivered because of

550 5.1.1 User unknown

The following recipients were affected:
    ann@example.org

Additional Information
======================
Original Sender:    <news@list.example>
"""),
        [("bounce", "ann@example.org", "550 5.1.1 User unknown")],
    ),
    "Biglobe, the reason under a ruled line": (
        notice("""\
   ----- The following addresses had delivery problems -----
<ann@example.org>
   ----- Non-delivered information -----
The number of messages in recipient's mailbox exceeded the local limit.
"""),
        [("bounce", "ann@example.org", "The number of messages in recipient's mailbox exceeded")],
    ),
    "Lotus Notes, Japanese, the reason above the address": (
        notice(f"""\
------- Failure Reasons  --------

User not listed in directory
ann@example.org

------- Returned Message --------
{ORIGINAL}"""),
        [("bounce", "ann@example.org", "User not listed in directory")],
    ),
    "Mobile carrier: reason, blank line, address": (
        notice("""\
The user(s) account is temporarily over quota.

<ann@example.org>
"""),
        [("bounce", "ann@example.org", "The user(s) account is temporarily over quota.")],
    ),
    "Mobile carrier: address and reason in one sentence": (
        notice(
            """\
Your mail sent on: Mon, 3 Jun 2024 11:04:47 +0900
     Could not be delivered to: <ann@example.org>
     As their mailbox is full.
""",
            writer="no-reply@mail.example.net",
            headers="Subject: Mail System Error - Returned Mail\n",
        ),
        [("bounce", "ann@example.org", "As their mailbox is full.")],
    ),
    "IMail": (
        notice(
            f"""\
User mailbox exceeds allowed size: ann@example.org


Original message follows.

{ORIGINAL}""",
            writer="Postmaster@example.org",
            headers="Subject: Undeliverable Mail\n",
        ),
        [("bounce", "ann@example.org", "User mailbox exceeds allowed size: ann@example.org")],
    ),
    "InterScan": (
        notice("""\
Unable to deliver message to <ann@example.org>

Sent <<< RCPT TO:<ann@example.org>
Received >>> 550 5.1.1 user unknown
"""),
        [("bounce", "ann@example.org", "550 5.1.1 user unknown")],
    ),
    "PHPMailer's transcript": (
        notice("""\
2024-03-01 10:00:00\tCLIENT -> SERVER: RCPT TO:<ann@example.org>
2024-03-01 10:00:01\tSERVER -> CLIENT: 550 5.1.1 No such user here
2024-03-01 10:00:01\tSMTP ERROR: RCPT TO command failed: 550 5.1.1 No such user here
"""),
        [("bounce", "ann@example.org", "550 5.1.1 No such user here")],
    ),
    "Mimecast": (
        notice(
            """\
An email that you attempted to send to the following address could not be delivered:
-- ann@example.org

The problem appears to be :
-- Recipient email address is possibly incorrect

Additional information follows :
-- 5.4.1 Recipient address rejected: Access denied.

If you require further information, please contact the Service Desk.
""",
            writer="postmaster@mx.example.net",
        ),
        [("bounce", "ann@example.org", "5.4.1 Recipient address rejected: Access denied.")],
    ),
    "Mail.ru: the same in two languages": (
        notice("""\
К сожалению, Ваше письмо не может быть доставлено одному или нескольким получателям:

  ann@example.org
    host mx.example.org [192.0.2.5]: 550 5.2.2 Mailbox Full

**********************

The following address(es) failed:

  ann@example.org
    host mx.example.org [192.0.2.5]: 550 5.2.2 Mailbox Full
"""),
        [("bounce", "ann@example.org", "550 5.2.2 Mailbox Full")],
    ),
    "delay warning": (
        notice("""\
THIS IS A WARNING MESSAGE ONLY.

Delivery to the following recipient has been delayed:

     ann@example.org

Message will be retried for 2 more day(s)
"""),
        [("deferral", "ann@example.org", "Message will be retried for 2 more day(s)")],
    ),
    "a bounce that names nobody: VERP tells": (
        notice("This mail could not be delivered.").replace(
            "To: news@list.example", "To: bounces+ann=example.org@list.example"
        ),
        [("bounce", "ann@example.org", "This mail could not be delivered.")],
    ),
    "a bounce that names nobody: the original tells": (
        notice(f"""\
This mail could not be delivered.

--- Original message follows ---

{ORIGINAL}"""),
        [("bounce", "ann@example.org", "This mail could not be delivered.")],
    ),
    "out of office": (
        notice(
            "I am away until Monday. Ask bo@example.org.",
            writer="ann@example.org",
            headers="Subject: Automatic reply: June\n",
        ),
        [("auto_reply", "ann@example.org", "Automatic reply: June\nI am away until Monday.")],
    ),
    "vacation notice by header alone": (
        notice(
            "Back on Monday.",
            writer="ann@example.org",
            headers="""\
Subject: Re: June
Auto-Submitted: auto-replied
""",
        ),
        [("auto_reply", "ann@example.org", "Back on Monday.")],
    ),
    "unsubscribe request": (
        notice("", writer="ann@example.org", headers="Subject: unsubscribe\n"),
        [("unsubscribe", "ann@example.org", "unsubscribe")],
    ),
    "DSN whose reply goes on with a word and a colon": (
        dsn("""\
Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.7.3
Diagnostic-Code: smtp; 553 5.7.3 CONTENT
    REJECT:192.0.2.9: policy"""),
        [("bounce", "ann@example.org", "smtp; 553 5.7.3 CONTENT REJECT:192.0.2.9: policy")],
    ),
    "DSN without a reason, which the notice announces": (
        dsn(
            """\
Final-Recipient: rfc822; ann@example.org
Action: delayed
Status: 4.4.1 (Persistent transient failure)""",
            text="""\
Your message has been delayed and is still awaiting delivery
to the following recipient(s):

ann@example.org
Message delayed

Unable to deliver to domain for 12 hours.
Last attempt failed because:
Can't connect to host""",
        ),
        [("deferral", "ann@example.org", "Can't connect to host")],
    ),
    "Sendmail, whose reply stands in brackets": (
        notice("""\
   ----- The following addresses had permanent fatal errors -----
<ann@example.org>
    (reason: 552 5.2.2 Over quota (20 MB))
    (expanded from: <team@example.org>)

   ----- Transcript of session follows -----
554 5.0.0 Service unavailable"""),
        [("bounce", "team@example.org", "552 5.2.2 Over quota (20 MB)")],
    ),
    "reason in brackets without a code": (
        notice("""\
   ----- The message was not delivered to the following addresses -----
<ann@example.org>
   (reason: The user exceeded his storage limit.)"""),
        [("bounce", "ann@example.org", "The user exceeded his storage limit.")],
    ),
    "Exim, which hides an address and quotes what a program said": (
        notice(f"""\
A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  an undisclosed address
    (generated from ann@example.org)

The following text was generated during the delivery attempt:

------ an undisclosed address
       (generated from ann@example.org) ------

Mail quota exceeded.

------ This is a copy of the message, including all the headers. ------

{ORIGINAL}"""),
        [("bounce", "ann@example.org", "Mail quota exceeded.")],
    ),
    "Exim about an alias, with fields that say nothing": (
        dsn(
            "Action: failed\nFinal-Recipient: rfc822;root@example.org\nStatus: 5.0.0",
            text="""\
This is a permanent error. The following address(es) failed:

  ann@example.org
    (generated from root@example.org)
    Unrouteable address""",
        ),
        [("bounce", "root@example.org", "Unrouteable address")],
    ),
    "Postfix, whose reply is folded before another address": (
        notice("""\
<ann@example.org>: host mx.example.org[192.0.2.25] said: 550 5.1.1
    <bounces+bo@example.net>: unauthorized sender (in reply to RCPT TO command)"""),
        [("bounce", "ann@example.org", "550 5.1.1")],
    ),
    "reason in German below the address": (
        notice("""\
Ihre Nachricht an <ann@example.org> konnte nicht zugestellt werden.

Grund:
  Das Postfach ist voll."""),
        [("bounce", "ann@example.org", "Das Postfach ist voll.")],
    ),
    "reason below the address": (
        notice("""\
Undeliverable Address: ann@example.org

Reason: The recipient is over disk quota.

System Contact: postmaster@example.net"""),
        [("bounce", "ann@example.org", "Reason: The recipient is over disk quota.")],
    ),
    "Exchange in Dutch": (
        notice(
            """\
Uw bericht kan niet worden bezorgd bij de volgende geadresseerden of groepen:

ann@example.org<mailto:ann@example.org>
Het door u ingevoerde e-mailadres is niet gevonden.

Diagnostische gegevens voor beheerders:

Bronserver: box.example.org

ann@example.org
Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found'""",
            writer="Microsoft Outlook <exchange@example.org>",
            headers="Subject: Niet bestelbaar: June\n",
        ),
        [("bounce", "ann@example.org", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found")],
    ),
    "refusal by Sieve, sent as a disposition notification": (
        refusal(
            "Original-Recipient: rfc822; ann@example.org\nFinal-Recipient: rfc822; ann",
            """\
Your message was automatically rejected by Sieve, a mail
filtering language.

The following reason was given:
I read this address no longer.""",
        ),
        [("bounce", "ann@example.org", "I read this address no longer.")],
    ),
    "refusal by Dovecot, sent as a disposition notification": (
        refusal(
            "Final-Recipient: rfc822; ann@example.org",
            "Your message to <ann@example.org> was automatically rejected:\nQuota exceeded",
        ),
        [("bounce", "ann@example.org", "Quota exceeded")],
    ),
    "out of office by Notes": (
        notice(
            "I return on Monday.",
            writer="Ann <ann@example.org>",
            headers="Subject: AUTO: Ann is out of the office (returning 05/01/2024)\n",
        ),
        [("auto_reply", "ann@example.org", "AUTO: Ann is out of the office")],
    ),
    "out of office by Notes in German": (
        notice(
            "Ich bin am Montag wieder da.",
            writer="Ann <ann@example.org>",
            headers="Subject: AUTO: Ann ist =?utf-8?q?au=C3=9Fer?= Haus (5.1.2024)\n",
        ),
        [("auto_reply", "ann@example.org", "AUTO: Ann ist außer Haus")],
    ),
    "somebody quotes a bounce in a conversation": (
        notice(
            """\
I got this:

> could not be delivered to
> bo@example.org
> 550 user unknown

What now?""",
            writer="ann@example.org",
            headers="Subject: Re: undelivered mail\n",
        ),
        [("unreadable", None, "Re: undelivered mail\nI got this:")],
    ),
    "ordinary mail": (
        notice(
            "See you at noon. Ask bo@example.org.",
            writer="ann@example.org",
            headers="Subject: Lunch\n",
        ),
        [("unreadable", None, "Lunch\nSee you at noon.")],
    ),
    "notice that names nobody above an original, whose sender is not the one": (
        notice(
            """\
This message was created automatically by mail delivery software.
The following address(es) failed:

Return-path: <news@list.example>
From: News <news@list.example>
Subject: June"""
        ),
        [("unreadable", None, "failure notice\nThis message was created automatically")],
    ),
}


def feedback_report(fields: str, original: str = ORIGINAL, subject: str = "FW: June") -> str:
    return f"""\
From: <fbl@example.net>
To: abuse@list.example
Subject: {subject}
Date: Mon, 3 Jun 2024 12:00:00 +0000
Content-Type: multipart/report; report-type=feedback-report; boundary="b0"

--b0
Content-Type: text/plain

This is an email abuse report.

--b0
Content-Type: message/feedback-report

{fields}
--b0
Content-Type: message/rfc822

{original}
--b0--
"""


FEEDBACK = {
    "Feedback-Type: abuse\nOriginal-Rcpt-To: <ann@example.org>\nSource-IP: 192.0.2.9\n": [
        ("complaint", "ann@example.org", "arf:abuse"),
    ],
    "Feedback-Type: opt-out\nRemoval-Recipient: bo@example.org\n": [
        ("complaint", "bo@example.org", "arf:opt-out"),
    ],
    "Feedback-Type: fraud\n": [("complaint", "ann@example.org", "arf:fraud")],
    "Feedback-Type: abuse\nOriginal-Rcpt-To: ann@example.org\nOriginal-Rcpt-To: bo@example.org\n": [
        ("complaint", "ann@example.org", "arf:abuse/one-of-2"),
        ("complaint", "bo@example.org", "arf:abuse/one-of-2"),
    ],
    "Feedback-Type: not-spam\nOriginal-Rcpt-To: ann@example.org\n": [
        ("engagement", "ann@example.org", "arf:not-spam"),
    ],
    "Feedback-Type: auth-failure\nOriginal-Rcpt-To: ann@example.org\n": [
        ("auto_reply", "ann@example.org", "arf:auth-failure"),
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_tells_who_bounced_and_why(layout: str) -> None:
    mail, expected = LAYOUTS[layout]
    rows = events(read_mail(mail.encode()))
    found = [(row["event"], row["recipient"]) for row in rows]
    assert found == [(event, recipient) for event, recipient, _ in expected]
    for row, (_, _, reply) in zip(rows, expected, strict=True):
        assert row["reply"].startswith(reply) or reply in row["reply"].split("\n")
        assert row.get("remote_mta") != ""


@pytest.mark.parametrize("fields", FEEDBACK)
def test_a_feedback_report_is_a_complaint_only_if_somebody_complained(fields: str) -> None:
    rows = parse_message(feedback_report(fields).encode())
    assert [(r["event"], r["recipient"], r["source_class"]) for r in rows] == FEEDBACK[fields]


def test_a_complaint_may_just_attach_the_mail_complained_about() -> None:
    mail = feedback_report("", f"X-HmXmrOriginalRecipient: bo@example.org\n{ORIGINAL}").replace(
        "message/feedback-report", "text/plain"
    )
    (row,) = parse_message(mail.encode())
    assert (row["event"], row["recipient"]) == ("complaint", "bo@example.org")


HIDDEN = ORIGINAL.replace("To: ann@example.org", "To: undisclosed-recipients:;")
PATHS = {
    "a return path": "Return-Path: <news-bounces+bo=example.org@lists.example.com>",
    "who it was delivered to": "Delivered-To: bo@example.org",
    "a stamp": "Received: from a.example by b.example for <bo@example.org>; Mon, 2 Mar 2026 09:59",
    "an address to unsubscribe": "List-Unsubscribe: <mailto:off+bo=example.org@lists.example.com>",
    "a link to unsubscribe": "List-Unsubscribe: <https://lists.example.com/?m=bo%40example.org>",
}


@pytest.mark.parametrize("told_by", PATHS)
def test_who_complained_is_told_by_the_sender_where_the_receiver_hides_it(told_by: str) -> None:
    report = feedback_report("Feedback-Type: abuse\n", f"{PATHS[told_by]}\n{HIDDEN}")
    (row,) = parse_message(report.encode())
    assert row["recipient"] == "bo@example.org"


def test_a_complaint_about_a_post_is_not_the_lists() -> None:
    post = f"List-Id: <ann.example.org>\n{PATHS['a return path']}\n{ORIGINAL}"
    (row,) = parse_message(feedback_report("Feedback-Type: abuse\n", post).encode())
    assert row["recipient"] == "bo@example.org"


MAILED = "Final-Recipient: rfc822;ann@EXAMPLE.org"
FORWARDED = "Final-Recipient: rfc822;a@box.example"
ALIAS = "<a@box.example> (expanded from <ann@example.org>): gone"
TRACED = f"Delivered-To: ann@example.org\n{ORIGINAL}"


@pytest.mark.parametrize(
    ("fields", "text", "original", "addresses"),
    [
        (f"Original-Recipient: rfc822;ann@example.org\n{FORWARDED}", "", ORIGINAL, "ann box"),
        (f"X-Actual-Recipient: rfc822;a@box.example\n{MAILED}", "", ORIGINAL, "ann box"),
        (FORWARDED, ALIAS, ORIGINAL, "ann box"),
        (FORWARDED, "", TRACED, "ann box"),
        (FORWARDED, "", f"X-BeenThere: ann@example.org\n{TRACED}", "box"),
        (FORWARDED, "", ORIGINAL, "box"),
        (MAILED, "", ORIGINAL, "ann"),
    ],
    ids=["Original-Recipient", "X-Actual-Recipient", "alias", "trace", "list", "unknown", "mailed"],
)
def test_the_recipient_is_the_address_as_mailed(
    fields: str, text: str, original: str, addresses: str
) -> None:
    status = f"{fields}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 gone"
    (row,) = parse_message(dsn(status, text=text or "Sorry", original=original).encode())
    spelled = {"ann": "ann@example.org", "box": "a@box.example"}
    found = [a for a in (row["recipient"], row["final_recipient"]) if a]
    assert found == [spelled[name] for name in addresses.split()]


def test_a_return_path_names_the_reader_of_a_list_who_is_forwarded_elsewhere() -> None:
    status = f"{FORWARDED}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 gone"
    path = "news-bounces+bo=example.org@list.example"
    mail = dsn(status, original=f"X-BeenThere: ann@example.org\n{ORIGINAL}")
    (row,) = parse_message(mail.replace("To: news@list.example", f"To: {path}").encode())
    assert (row["recipient"], row["final_recipient"]) == ("bo@example.org", "a@box.example")


@pytest.mark.parametrize(
    "path",
    [
        "bounces+1234567-0a1b-bo.lee=example.org@em.example.com",
        "bounce+0a1b2c.3d4e5f-bo.lee=example.org@mg.example.com",
        "bounce-mc.us1_1234.567-bo.lee=example.org@mail1.example.com",
        "news-return-12-bo.lee=example.org@lists.example.com",
        "news+bounces-bo.lee=example.org@lists.example.com",
        "news-owner-bo.lee=example.org@lists.example.com",
        "news+bo.lee=example.org@lists.example.com",
        "errors-to+bo.lee=example.org@lists.example.com",
        "sentto-12-345-bo.lee=example.org@groups.example.com",
        "bo.lee=example.org@bounces.example.com",
        "news-bounces+bo.lee=example.org@lists.example.com",
        "bounce+bo.lee==a==example.org==news@lists.example.com",
    ],
)
def test_the_return_paths_of_services_carry_the_recipient_and_more(path: str) -> None:
    assert in_verp(path) == "bo.lee@example.org"


def test_a_return_path_carries_a_tagged_recipient() -> None:
    path = "news-bounces+bo+shop=example.org@lists.example.com"
    assert in_verp(path) == "bo+shop@example.org"


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"{local}=example.org@lists.example.com"
            for local in (
                "news-march-bo",
                "news+4711-bo",
                "b-2026-03-bo",
                "bounce+xy.zz-bo",
                "bounces+a1-bo",
                "mary-jane",
                "news-bo",
                "news+a+bo",
                "bounce_12_bo",
                "prvs=0123456abc=bo",
                "errors-to-bo",
                "majordomo-owner-list-bo",
                "bounces-news-march-bo",
            )
        ),
        "bo=v1.0@lists.example.com",
        "shop+order=123.45@example.com",
        "bounce-12-bo=192.0.2.1@lists.example.com",
        "news-bounces+bo=example.org-20240301@lists.example.com",
        "news+bo=example..org@lists.example.com",
        "news+bo=a.org/123@lists.example.com",
    ],
)
def test_where_the_recipient_is_in_a_return_path_is_not_guessed(path: str) -> None:
    assert in_verp(path) == ""


@pytest.mark.parametrize("recipient", ["bounce+123@example.org", "ann+tag@example.org"])
def test_services_mark_where_the_recipient_begins(recipient: str) -> None:
    carried = recipient.replace("@", "=")
    assert in_verp(f"bounces+1234567-0a1b-{carried}@em.example.com") == recipient
    assert in_verp(f"bounce+8c5f6a.1a2b3c-{carried}@mg.example.com") == recipient


TWO = """\
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: news@lists.example.com
Subject: Mail delivery failed: returning message to sender
X-Failed-Recipients: ann@example.org,
  bo@example.net

The following address(es) failed:

  ann@example.org
    host mx.example.org [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ann@example.org>:
    550 5.1.1 <ann@example.org>: User unknown
  bo@example.net
    host mx.example.net [192.0.2.2]
    SMTP error from remote mail server after end of data:
    554 5.7.1 Message refused as spam
"""


def test_a_reply_ends_where_the_next_recipient_begins() -> None:
    replies = {row["recipient"]: row["reply"] for row in parse_message(TWO.encode())}
    assert replies == {
        "ann@example.org": "550 5.1.1 <ann@example.org>: User unknown",
        "bo@example.net": "554 5.7.1 Message refused as spam",
    }


def test_a_newsletter_about_bounces_is_none() -> None:
    letter = (
        "From: Tips <tips@lists.example.com>\nSubject: Undelivered mail: what it means\n"
        "List-Unsubscribe: <https://lists.example.com/off>\n\n"
        "Servers say: 550 5.1.1 <jane@example.org> no such user\n"
    )
    (row,) = parse_message(letter.encode())
    assert row["event"] == "unreadable"


def test_a_return_path_that_agrees_with_the_original_names_who_was_mailed() -> None:
    status = f"{FORWARDED}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 gone"
    path = "news+ann=example.org@list.example"
    (row,) = parse_message(dsn(status).replace("To: news@list.example", f"To: {path}").encode())
    assert (row["recipient"], row["final_recipient"]) == ("ann@example.org", "a@box.example")


@pytest.mark.parametrize("original", ["message/rfc822", "message/global"])
def test_the_original_is_read_whatever_the_report_is_called(original: str) -> None:
    status = f"{MAILED}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 gone"
    mail = dsn(status).replace("message/delivery-status", "message/global-delivery-status")
    (row,) = parse_message(mail.replace("message/rfc822", original).encode())
    assert (row["message_id"], row["mailing"]) == ("june.1@list.example", "june-2024")


@pytest.mark.parametrize("said", ["smtp; 550 5.7.1", "smtp; 550 No", "X-Postfix; 550 no"])
def test_a_short_reply_with_a_code_is_better_than_a_notice_that_tells_nothing(said: str) -> None:
    status = f"{MAILED}\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: {said}"
    (row,) = parse_message(dsn(status, text="This is the mail system at host mx.").encode())
    assert row["reply"] == said


def test_a_row_tells_time_mailing_message_sender_and_verdict() -> None:
    status = (
        "Final-Recipient: rfc822; ann@example.org\nAction: failed\nStatus: 5.2.2 (full)\n"
        "Remote-MTA: dns; mx.example.org (TCP|192.0.2.5|25)\nDiagnostic-Code: smtp; 552 full\n"
        "Last-Attempt-Date: Mon, 3 Jun 2024 13:00:00 +0300"
    )
    (row,) = parse_message(dsn(status).encode())
    row.pop("reply")
    assert row == {
        "event": "bounce",
        "time": datetime(2024, 6, 3, 10, 0, tzinfo=UTC),
        "recipient": "ann@example.org",
        "final_recipient": None,
        "enhanced_code": "5.2.2",
        "source_class": "dsn:failed/5.2.2",
        "remote_mta": "mx.example.org",
        "mailing": "june-2024",
        "message_id": "june.1@list.example",
        "sender": "news@list.example",
    }


@pytest.mark.parametrize(
    ("text", "remote_mta"),
    [
        ("This is the mail system at host mx.example.net.\n\n<ann@example.org>: gone", None),
        ("<ann@example.org>: host mx.example.org[192.0.2.25] said: 550 gone", "mx.example.org"),
        ("<ann@example.org> (host 'mx.example.org' rejected it: 550 gone)", "mx.example.org"),
    ],
)
def test_the_remote_host_is_the_receivers(text: str, remote_mta: str | None) -> None:
    (row,) = parse_message(notice(text).encode())
    assert row["remote_mta"] == remote_mta


@pytest.mark.parametrize(
    ("headers", "mailing"),
    [
        ("List-Id: The news <news.list.example>", "news.list.example 2024-06-03"),
        ("Feedback-ID: 17:news:list", "17:news:list 2024-06-03"),
        ("X-Mailer: tool", None),
    ],
)
def test_a_list_is_no_mailing_without_the_day(headers: str, mailing: str | None) -> None:
    original = f"{headers}\nFrom: news@list.example\nDate: Mon, 3 Jun 2024 09:59:00 +0000\n\nHi"
    (row,) = parse_message(dsn("Final-Recipient: rfc822;a@b.example", original=original).encode())
    assert row["mailing"] == mailing


@pytest.mark.parametrize(
    ("status", "diagnostic", "code"),
    [
        ("5.1.1", "550 5.7.1 bad", "5.1.1"),
        ("5.0.0", "550 5.1.1 bad", None),
        ("5.0.0", "550 bad", "5.0.0"),
        ("2.0.0", "250 OK", None),
    ],
)
def test_a_general_status_gives_way_to_an_exact_one_in_the_reply(
    status: str, diagnostic: str, code: str | None
) -> None:
    block = f"Final-Recipient: rfc822;ann@example.org\nAction: failed\nStatus: {status}\n"
    (row,) = parse_message(dsn(f"{block}Diagnostic-Code: smtp; {diagnostic}").encode())
    assert row["enhanced_code"] == code


@pytest.mark.parametrize("encoding", ["utf-8", "iso-2022-jp", "euc-jp", "shift_jis"])
@pytest.mark.parametrize("transfer", ["8bit", "base64", "quoted-printable"])
def test_charset_and_transfer_encoding_do_not_matter(encoding: str, transfer: str) -> None:
    body = "メールを配信できませんでした。\n\n宛先がありません。\n\n<ann@example.org>\n".encode(
        encoding
    )
    encode: dict[str, Callable[[bytes], bytes]] = {
        "8bit": bytes,
        "base64": base64.encodebytes,
        "quoted-printable": quopri.encodestring,
    }
    head = (
        f"From: MAILER-DAEMON@mx.example.net\nSubject: Returned\n"
        f"Content-Type: text/plain; charset={encoding}\nContent-Transfer-Encoding: {transfer}\n\n"
    )
    (row,) = parse_message(head.encode() + encode[transfer](body))
    assert (row["recipient"], row["reply"]) == ("ann@example.org", "宛先がありません。")


def test_a_notification_of_amazon_ses_may_come_by_mail() -> None:
    bounced = {"emailAddress": "ann@example.org", "status": "5.1.1", "diagnosticCode": "550 gone"}
    told = {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [bounced],
            "timestamp": "2024-06-03T10:00:00.000Z",
        },
        "mail": {"source": "news@list.example", "messageId": "01"},
    }
    text = json.dumps({"Type": "Notification", "Message": json.dumps(told)}, indent=2)
    broken = text.replace("messageId", "message!\n Id")  # a line longer than SMTP allows
    (row,) = parse_message(notice(f"{broken}\n\n--\nBye", writer="no-reply@sns.example").encode())
    assert (row["recipient"], row["source_class"]) == ("ann@example.org", "ses:Permanent/General")
    assert (row["message_id"], row["reply"]) == ("01", "550 gone")


def test_a_read_receipt_is_a_sign_of_life() -> None:
    mail = dsn("x").replace("report-type=delivery-status", "report-type=disposition-notification")
    mail = mail.replace("message/delivery-status", "message/disposition-notification").replace(
        "Reporting-MTA: dns; mx.example.net",
        "Final-Recipient: rfc822;ann@example.org\n"
        "Disposition: manual-action/MDN-sent-manually; displayed",
    )
    (row,) = parse_message(mail.encode())
    assert (row["event"], row["recipient"]) == ("engagement", "ann@example.org")


# Laws.

SAMPLES = [mail for mail, _ in LAYOUTS.values()] + [feedback_report(f) for f in FEEDBACK]


@pytest.mark.parametrize("blank_lines", [0, 200])
@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_do_not_matter(line_end: str, blank_lines: int) -> None:
    for sample in SAMPLES:
        mail = sample + "\n" * blank_lines
        assert parse_message(mail.replace("\n", line_end).encode()) == parse_message(mail.encode())


PUNCTUATED = st.text(alphabet="ab1.-_+= \t<>\"'(),;:", max_size=8)


@given(st.lists(PUNCTUATED, min_size=2, max_size=3).map("@".join))
def test_an_address_alone_is_read_as_among_other_words(text: str) -> None:
    assert addresses(text) == addresses(f"{text}\nand")


@given(st.binary(max_size=400))
def test_any_bytes_give_at_least_one_row(raw: bytes) -> None:
    assert events(read_mail(raw))


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_mail_still_gives_rows_that_can_be_stored(mail: str, data: st.DataObject) -> None:
    raw = mail.encode()
    cut = data.draw(st.integers(0, len(raw)))
    junk = data.draw(st.binary(max_size=20))
    rest = data.draw(st.integers(cut, len(raw)))
    rows = events(read_mail(raw[:cut] + junk + raw[rest:]))
    assert rows
    assert {row["event"] for row in rows} <= set(EVENTS)
    for row in rows:
        assert set(row) <= set(BOUNCES)
        assert row["reply"]
        "".join(v for v in row.values() if isinstance(v, str)).encode()


HOSTILE = {
    "brackets": "<" * 60_000,
    "half addresses": "a@" * 30_000,
    "one address": "a@b.example " * 5_000,
    "one address a line": "a@b.example\n" * 5_000,
    "addresses in a sentence": "so to a@b.example " * 3_500,
    "a list": "\n".join(f"a{n}@b.example" for n in range(4_000)),
    "a list with reasons": "\n".join(f"a{n}@b.example: no" for n in range(3_000)),
    "fields": "\n\n".join(f"Final-Recipient: rfc822;a{n}@b.example" for n in range(1_500)),
    "codes": "550 " * 16_000,
    "headers": "a: b\n" * 12_000 + "\nReceived: c",
    "traces": "Received: x\n" * 5_000,
    "blanks": " " * 60_000,
    "rules": "-" * 60_000,
    "styles": "<style>" * 9_000,
    "quotes": '"' * 60_000,
    "dots": "x." * 30_000,
}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "message/delivery-status"])
def test_hostile_text_is_read_in_linear_time(text: str, kind: str) -> None:
    headers = f"Content-Type: {kind}\nX-Filler: {HOSTILE[text][:9_000]}\n"
    mail = notice(HOSTILE[text], headers=headers)
    start = process_time()
    assert parse_message(mail.encode())
    assert process_time() - start < 2


# Containers.


def test_a_file_is_known_by_its_beginning() -> None:
    mails = [
        b"From x Mon Jun  3\nSubject: a\n\nb",
        b"Return-Path: <>\r\nReceived: by mx\r\n\r\n",
        b"\xef\xbb\xbfTo: a\rFrom: b\r\r",
    ]
    others = [
        b"",
        b"email,reason\na@example.org,gone",
        b'{"Message": 1}',
        b"Jun  3 10:00:00 mx postfix/smtp[1]: 4: to=<a>",
        b"time: 3\nname: x\n",
        b"From here on:\nnothing",
    ]
    assert [is_message(head) for head in mails] == [True] * len(mails)
    assert [is_message(head) for head in others] == [False] * len(others)


@pytest.fixture
def mbox() -> str:
    mails = [
        notice(f"<{name}@example.org>:\n550 unknown\n\nFrom here on, nothing.\n>From you")
        for name in ("ann", "bo", "cy")
    ]
    return "\n".join(f"From MAILER-DAEMON Mon Jun  3 12:00:00 2024\n{mail}" for mail in mails)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("chunk", [1, 7, 100, 10**6])
def test_an_mbox_is_split_alike_whatever_its_line_ends_and_chunks(
    mbox: str, line_end: str, chunk: int
) -> None:
    raw = mbox.replace("\n", line_end).encode()
    chunks = iter([raw[i : i + chunk] for i in range(0, len(raw), chunk)])
    apart = [mail for block in mailbox.blocks(chunks) for mail in mailbox.mails(block)]
    rows = [parse_message(mail)[0] for mail in apart]
    assert [row["recipient"] for row in rows] == [
        "ann@example.org",
        "bo@example.org",
        "cy@example.org",
    ]


def test_reading_an_mbox_keeps_one_mail_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "LARGEST_MAIL", 5_000)

    def endless_mail() -> Iterator[bytes]:
        yield b"From a\nSubject: big\n\n"
        yield from (b"x" * 4_000 for _ in range(100))
        yield b"\n\nFrom b\nSubject: small\n\nx\n"

    endless, small = mailbox.blocks(endless_mail())
    assert 5_000 <= len(endless) < 15_000
    assert small == b"From b\nSubject: small\n\nx\n"


def test_a_file_a_mailbox_and_a_maildir_become_frames(tmp_path: Path, mbox: str) -> None:
    (tmp_path / "all.mbox").write_text(mbox)
    (tmp_path / "one.eml").write_text(notice("<ann@example.org>:\n550 unknown"))
    (tmp_path / "empty.eml").write_text("")
    for box, name in (("new", "1.x"), ("cur", "2.x:2,S"), ("tmp", "3.x")):
        (tmp_path / "Maildir" / box).mkdir(parents=True)
        (tmp_path / "Maildir" / box / name).write_text(notice(f"<{name[0]}@example.org>:\n550 no"))
    frames = {
        name: read_messages(tmp_path / name).collect()
        for name in ("all.mbox", "one.eml", "empty.eml", "Maildir")
    }
    assert all(frame.schema == pl.Schema(BOUNCES) for frame in frames.values())
    assert {name: frame["line"].to_list() for name, frame in frames.items()} == {
        "all.mbox": [1, 2, 3],
        "one.eml": [1],
        "empty.eml": [],
        "Maildir": [1, 1],
    }
    assert [Path(s).name for s in frames["Maildir"]["source"]] == ["2.x:2,S", "1.x"]


def test_a_mail_beyond_the_limit_is_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "LARGEST_MAIL", 100)
    (row,) = parse_message(b"Subject: x\n\n" + b"x" * 100)
    assert row["event"] == "unreadable"


def many_mails(folder: Path, count: int) -> Path:
    mails = (
        f"From a\n{notice(f'<user{number}@example.org>:{chr(10)}550 unknown')}\n"
        for number in range(count)
    )
    (folder / "many.mbox").write_text("".join(mails))
    return folder / "many.mbox"


def test_the_mails_of_a_folder_are_read_as_each_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.eml", "b.eml", "d.eml", "e.eml"):
        (tmp_path / name).write_text(notice(f"<{name[0]}@example.org>:\n550 unknown"))
    (tmp_path / "c.csv").write_text("email,reason\nc@example.org,550 unknown\n")
    many_mails(tmp_path, 5)
    monkeypatch.setattr(messages, "CHUNK", 1_000)
    together = load(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert together.files["source"].to_list() == [str(file) for file in files]
    assert together.files["records"].to_list() == [1, 1, 1, 1, 1, 5]
    assert together.frame.equals(pl.concat(bk.read(file) for file in files))


def test_processes_read_what_one_process_reads_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails = many_mails(tmp_path, 60)
    alone = read_messages(mails).collect()
    monkeypatch.setattr(messages, "CHUNK", 1_000)
    together = read_messages(mails).collect(engine="streaming")
    assert together.equals(alone)
    assert together["line"].to_list() == list(range(1, 61))


def test_no_more_is_read_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mails = many_mails(tmp_path, 9)
    monkeypatch.setattr(messages, "CHUNK", 1)
    monkeypatch.setattr(messages, "ALONE", 10)
    asked = read_messages(mails).select("recipient").head(2).collect()
    assert asked["recipient"].to_list() == ["user0@example.org", "user1@example.org"]
    seventh = read_messages(mails).filter(pl.col("recipient") == "user6@example.org").collect()
    assert seventh["line"].to_list() == [7]


def test_a_mail_that_trips_a_detector_up_reaches_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "odd.eml").write_bytes(
        b"Subject: failure notice\nReturn-Path: <>\n\nYour mail was not delivered."
    )
    read = "import sys, bouncekit; print(bouncekit.read(sys.argv[1])['event'].to_list())"
    command = [sys.executable, "-c", read, str(tmp_path / "odd.eml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("['unreadable']", "")


def test_a_packed_mailbox_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    mails = many_mails(tmp_path, 5)
    packed = tmp_path / "many.mbox.gz"
    packed.write_bytes(gzip.compress(mails.read_bytes()))
    assert bk.read(packed)["recipient"].to_list() == bk.read(mails)["recipient"].to_list()
    long = gzip.compress(b"".join(f"{n:x}".encode() for n in range(60_000)))
    packed.write_bytes(gzip.compress(mails.read_bytes() + long)[:-9_000])
    with pytest.raises(BouncekitError, match=r"many\.mbox\.gz is cut off"):
        bk.read(packed)


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 3 Jun 2024 12:00:00 +0200",
        "3 Jun 2024 23:30:00 -0130 (CEST)",
        "Mon, 31 Feb 2024 12:00:00 -0000",
        "Mon, 3 Foo 2024 12:00:00 +0200",
        "Mon, 3 Jun 2024 12:00:00 +9999",
        "31 Dec 2099 23:59:59 -0100",
        "Mon, 03 Jun 0024 12:00:00 +0000",
    ],
)
def test_a_plain_time_is_what_the_standard_library_reads(text: str) -> None:
    try:
        expected = parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        expected = None
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("Mon, 3 Jun 2024 12:00:00 GMT+1", 11),
        ("Mon, 3 Jun 2024 12:00:00 UTC+0200", 10),
        ("Mon, 3 Jun 2024 12:00:00 CEST", 10),
        ("Mon, 3 Jun 2024 12:00:00 (CEST)", 10),
        ("Mon Jun  3 12:00:00 CEST 2024", 10),
        ("Mon, 3 Jun 2024 12:00:00 MSK", 9),
        ("Mon, 3 Jun 2024 12:00:00 EST", 17),
        ("Mon, 3 Jun 2024 12:00:00 +0200 (CET)", 10),  # the number is sure
        ("Mon, 3 Jun 2024 12:00:00 IST", 12),  # India's, Ireland's or Israel's
        ("2024-06-03T12:00:00Z", 12),
        ("2024-06-03 12:00:00 +0200", 10),
        ("Mon, 3 Jun 2024 11:59:60 +0000", 11),  # RFC 5322 §3.3: a leap second
    ],
)
def test_an_odd_time_is_read_too(text: str, hour: int) -> None:
    time = parse_time(text)
    assert time is not None
    assert (time.day, time.hour) == (3, hour)


@pytest.mark.parametrize(
    "text", ["", "20240603", "2024-06-31T12:00:00Z", "Mo, 3 Jui 2024", "GMT+1"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None
