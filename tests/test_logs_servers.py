"""Logs of servers whose lines must be joined by their own rules: who, what, why, from whom."""

import gzip
import json
import re
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from test_logs import EXIM, POSTFIX, written

import bouncekit as bk
from bouncekit.errors import BouncekitError
from bouncekit.read.logs import server_of

SENDMAIL = """\
Mar  4 09:12:00 mx sm-mta[7]: 4249C0aB000123: from=<news@example.com>, size=1200, class=0, nrcpts=3, msgid=<m1@example.com>, proto=ESMTP, daemon=MTA, relay=localhost [127.0.0.1]
Mar  4 09:12:01 mx sm-mta[8]: 4249C0aB000123: to=<ann@Example.org>,<bo@example.org>, ctladdr=<news@example.com> (1000/1000), delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=61200, relay=mx.example.org. [192.0.2.25], dsn=5.1.1, reply=550 5.1.1 <ann@Example.org>... User unknown, stat=User unknown
Mar  4 09:12:02 mx sm-mta[8]: 4249C0aB000123: to=<cy@slow.example>, ctladdr=<news@example.com> (1000/1000), delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=61200, relay=mx.slow.example. [192.0.2.99], dsn=4.0.0, stat=Deferred: Connection timed out with mx.slow.example.
Mar  4 09:12:03 mx sm-mta[8]: 4249C0aB000123: to=<dee@example.net>, delay=00:00:03, xdelay=00:00:01, mailer=esmtp, pri=61200, relay=mx.example.net. [192.0.2.26], dsn=2.0.0, stat=Sent (ok: queued as 77)
Mar  4 09:12:04 mx sm-mta[8]: 4249C0aB000123: 4249C0aC000124: DSN: User unknown
Mar  4 09:12:05 mx sm-mta[8]: 4249C0aC000124: to=<news@example.com>, delay=00:00:00, xdelay=00:00:00, mailer=local, pri=30000, dsn=5.1.1, stat=User unknown
Mar  4 09:12:06 mx sendmail[5]: 4249C0aD000125: to=eve@example.org, ctladdr=news (1000/1000), delay=00:00:00, xdelay=00:00:00, mailer=relay, pri=30000, relay=[127.0.0.1] [127.0.0.1], dsn=2.0.0, stat=Sent (4249C0aE000126 Message accepted for delivery)
Mar  4 09:12:07 mx sm-mta[9]: 4249C0aF000127: ruleset=check_rcpt, arg1=<x@example.com>, relay=[198.51.100.7], reject=550 5.7.1 <x@example.com>... Relaying denied
Mar  4 09:12:08 mx sm-mta[9]: 4249C0aF000127: to=<broken
Mar  4 09:12:09 mx sm-mta[9]: 4249C0aB000123: to=postmaster, delay=00:00:00, mailer=local, dsn=2.0.0, stat=Sent
Mar  9 09:12:09 mx sm-mta[9]: 4249C0aB000123: 4299C0aB000200: DSN: Cannot send message for 5 days
"""  # noqa: E501

QMAIL = """\
1709543520.100000 new msg 4711
1709543520.200000 info msg 4711: bytes 1200 from <news@example.com> qp 9 uid 1000
1709543520.300000 starting delivery 1: msg 4711 to remote ann@Example.org
1709543520.300001 status: local 0/10 remote 1/20
1709543520.400000 starting delivery 2: msg 4711 to remote bo@slow.example
1709543521.000000 delivery 1: failure: 192.0.2.25_does_not_like_recipient./Remote_host_said:_550_no_mailbox_here_by_that_name_(#5.1.1)/Giving_up_on_192.0.2.25./
1709543522.000000 delivery 2: deferral: Sorry,_I_wasn't_able_to_establish_an_SMTP_connection._(#4.4.1)/
1709543523.000000 bounce msg 4711 qp 10
1709543523.100000 end msg 4711
1709543523.200000 new msg 4711
1709543523.300000 info msg 4711: bytes 2000 from <> qp 10 uid 1001
1709543523.400000 starting delivery 1: msg 4711 to local news@example.com
1709543523.500000 delivery 1: failure: Sorry,_no_mailbox_here_by_that_name._(#5.1.1)/
1709543524.200000 new msg 4712
1709543524.300000 info msg 4712: bytes 2000 from <other@example.com> qp 10 uid 1001
1709543524.400000 starting delivery 1: msg 4712 to remote cy@example.net
1709543524.500000 delivery 1: success: 192.0.2.26_accepted_message./Remote_host_said:_250_ok/
"""  # noqa: E501

OPENSMTPD = """\
2024-03-04T09:12:00.000Z mx smtpd[7]: 4f3b2c1d0a9e8f70 smtp connected address=198.51.100.7 host=x
2024-03-04T09:12:01.000Z mx smtpd[7]: 4f3b2c1d0a9e8f70 smtp failed-command command="RCPT TO:<x@example.com>" result="550 Invalid recipient"
2024-03-04T09:12:02.000Z mx smtpd[7]: 4f3b2c1d0a9e8f71 mta delivery evpid=0a1b2c3d4e5f6071 from=<news@example.com> to=<ann@Example.org> rcpt=<-> source="198.51.100.1" relay="192.0.2.25 (mx.example.org)" delay=1s result="PermFail" stat="550 5.1.1 No "such" user"
2024-03-04T09:12:03.000Z mx smtpd[7]: 4f3b2c1d0a9e8f71 mta event=delivery evpid=0a1b2c3d4e5f6072 from=<news@example.com> to=<bo@example.net> rcpt=<list@example.com> source="-" relay="mx.example.net (192.0.2.26)" delay=1s result="TempFail" stat="451 4.7.1 Greylisted"
2024-03-04T09:12:04.000Z mx smtpd[7]: relay: Ok for 0a1b2c3d4e5f6073: session=4f3b2c1d0a9e8f72, from=<news@example.com>, to=<cy@example.org>, rcpt=<->, source=198.51.100.1, relay=192.0.2.25 (mx.example.org), delay=1s, stat=250 2.0.0 Ok
2024-03-04T09:12:05.000Z mx smtpd[7]: 4f3b2c1d0a9e8f71 mta delivery evpid=0a1b2c3d4e5f6074 from=<> to=<news@example.com> rcpt=<-> source="198.51.100.1" relay="192.0.2.25 (mx.example.org)" delay=1s result="PermFail" stat="550 gone"
2024-03-04T09:12:06.000Z mx smtpd[7]: 4f3b2c1d0a9e8f71 mta delivery evpid=0a1b2c3d4e5f6075 from=<news@example.com> to=<dee@examp
"""  # noqa: E501

HMAILSERVER = """\
"SMTPD"	10	1	"2024-03-04 09:11:00.000"	"127.0.0.1"	"RECEIVED: RCPT TO:<ann@Example.org>"
"SMTPD"	10	1	"2024-03-04 09:11:00.001"	"127.0.0.1"	"SENT: 250 OK"
"APPLICATION"	11	"2024-03-04 09:11:59.000"	"SMTPDeliverer - Message 5: Delivering message from news@example.com to ann@Example.org, cy@example.net. File: C:\\Data\\{0A}.eml"
"SMTPC"	12	2	"2024-03-04 09:12:00.000"	"192.0.2.25"	"RECEIVED: 220 mx.example.org ESMTP"
"SMTPC"	12	2	"2024-03-04 09:12:00.001"	"192.0.2.25"	"SENT: STARTTLS"
"SMTPC"	12	2	"2024-03-04 09:12:00.002"	"192.0.2.25"	"RECEIVED: 220 2.0.0 Ready"
"SMTPC"	12	2	"2024-03-04 09:12:00.003"	"192.0.2.25"	"SENT: MAIL FROM:<news@example.com>"
"SMTPC"	13	3	"2024-03-04 09:12:00.003"	"192.0.2.26"	"RECEIVED: 220 mx.example.net ESMTP"
"SMTPC"	12	2	"2024-03-04 09:12:00.004"	"192.0.2.25"	"RECEIVED: 250 ok"
"SMTPC"	12	2	"2024-03-04 09:12:00.005"	"192.0.2.25"	"SENT: RCPT TO:<ann@Example.org>"
"SMTPC"	13	3	"2024-03-04 09:12:00.005"	"192.0.2.26"	"SENT: MAIL FROM:<news@example.com>"
"SMTPC"	12	2	"2024-03-04 09:12:01.000"	"192.0.2.25"	"RECEIVED: 550-5.1.1 No such[nl]550 5.1.1 user"
"SMTPC"	12	2	"2024-03-04 09:12:01.001"	"192.0.2.25"	"SENT: RCPT TO:<bo@example.org>"
"SMTPC"	12	2	"2024-03-04 09:12:01.002"	"192.0.2.25"	"RECEIVED: 250 ok"
"SMTPC"	12	2	"2024-03-04 09:12:01.003"	"192.0.2.25"	"SENT: DATA"
"SMTPC"	12	2	"2024-03-04 09:12:01.004"	"192.0.2.25"	"RECEIVED: 354 go on"
"SMTPC"	12	2	"2024-03-04 09:12:01.005"	"192.0.2.25"	"SENT: [nl]."
"SMTPC"	12	2	"2024-03-04 09:12:01.006"	"192.0.2.25"	"RECEIVED: 554 5.7.1 Looks like spam"
"SMTPC"	13	3	"2024-03-04 09:12:02.000"	"192.0.2.26"	"RECEIVED: 250 ok"
"SMTPC"	13	3	"2024-03-04 09:12:02.001"	"192.0.2.26"	"SENT: RCPT TO:<cy@example.net>"
"SMTPC"	13	3	"2024-03-04 09:12:02.002"	"192.0.2.26"	"RECEIVED: 451 4.7.1 Greylisted"
"APPLICATION"	11	"2024-03-04 09:12:02.100"	"SMTPDeliverer - Message 5: Message could not be delivered. Scheduling it for later delivery in 60 minutes."
"APPLICATION"	14	"2024-03-04 09:12:02.200"	"SMTPDeliverer - Message 6: Delivering message from news@example.com to dee@Gone.example, eve@example.org. File: C:\\Data\\{0B}.eml"
"APPLICATION"	14	"2024-03-04 09:12:02.300"	"SMTPDeliverer - Message 6: No mail servers could be found for the address dee@Gone.example."
"APPLICATION"	11	"2024-03-04 09:12:02.400"	"SMTPDeliverer - Message 5: Delivering message from news@example.com to cy@example.net. File: C:\\Data\\{0A}.eml"
"APPLICATION"	14	"2024-03-04 09:12:02.500"	"SMTPDeliverer - Message 6: Message could not be delivered. Returning error log to sender."
"APPLICATION"	11	"2024-03-04 09:12:02.600"	"SMTPDeliverer - Message 5: Message could not be delivered. Returning error log to sender."
"APPLICATION"	15	"2024-03-04 09:12:02.700"	"SMTPDeliverer - Message 7: Delivering message from <Empty> to news@example.com. File: C:\\Data\\{0C}.eml"
"APPLICATION"	15	"2024-03-04 09:12:02.800"	"SMTPDeliverer - Message 7: Message could not be delivered. Returning error log to sender."
"APPLICATION"	15	"2024-03-04 09:12:02.900"	"SMTPDeliverer - Message 7: Message delivery thread completed."
"""  # noqa: E501

MAILENABLE = """\
[03/04/24 09:11:00]****************** LOG FILE STARTED *******************
03/04/24 09:11:00	SMTP-IN	0A0A.MAI	9	127.0.0.1	RCPT	RCPT TO:<ann@Example.org>	250 OK	30	10		June
03/04/24 09:12:00	SMTP-OU	0A1B.MAI	7	192.0.2.25	CONN		220 mx.example.org ESMTP	0	10		June
03/04/24 09:12:00	SMTP-OU	0A1B.MAI	7	192.0.2.25	MAIL	MAIL FROM:<news@example.com> SIZE=1000	250 OK	40	10		June
03/04/24 09:12:01	SMTP-OU	0A1B.MAI	7	192.0.2.25	RCPT	RCPT TO:<ann@Example.org>	550 5.1.1 No such user	30	10		June
03/04/24 09:12:02	SMTP-OU	0A1C.MAI	8	192.0.2.26	CONN		220 mx.example.net ESMTP	0	10		June
03/04/24 09:12:02	SMTP-OU	0A1C.MAI	8	192.0.2.26	MAIL	MAIL FROM:<news@example.com>	250 OK	40	10		June
03/04/24 09:12:02	SMTP-OU	0A1C.MAI	8	192.0.2.26	RCPT	RCPT TO:<cy@example.net>	250 OK	30	10		June
03/04/24 09:12:03	SMTP-OU	0A1C.MAI	8	192.0.2.26	DATA	DATA	354 go on	30	10		June
03/04/24 09:12:03	SMTP-OU	0A1C.MAI	8	192.0.2.26	DATE	.	250 2.0.0 queued	1000	10		June
"""  # noqa: E501

MDAEMON = """\
Mon 2024-03-04 09:11:00.000: 05: [11:1] Session 11; child 1
Mon 2024-03-04 09:11:00.001: 02: [11:1] <-- RCPT To:<ann@Example.org>
Mon 2024-03-04 09:11:00.002: 03: [11:1] --> 250 <ann@Example.org>, Recipient ok
Mon 2024-03-04 09:12:00.000: 05: [12:1] Session 12; child 1
Mon 2024-03-04 09:12:00.001: 02: [12:1] <-- 220 mx.example.org ESMTP
Mon 2024-03-04 09:12:00.002: 03: [12:1] --> MAIL From:<news@example.com> SIZE=8303
Mon 2024-03-04 09:12:00.003: 05: [13:1] Session 13; child 1
Mon 2024-03-04 09:12:00.003: 02: [12:1] <-- 250 2.1.0 Ok
Mon 2024-03-04 09:12:00.004: 03: [12:1] --> RCPT To:<ann@Example.org>
Mon 2024-03-04 09:12:01.000: 02: [12:1] <-- 550-5.1.1 No such
Mon 2024-03-04 09:12:01.000: 02: [12:1] <-- 550 5.1.1 user
Mon 2024-03-04 09:12:01.001: 03: [12:1] --> QUIT
Mon 2024-03-04 09:12:01.002: 02: [12:1] <-- 221 2.0.0 Bye
 Tue 2024-03-05 09:12:00: Session 14; child 2
 Tue 2024-03-05 09:12:00: --> MAIL From:<news@example.com>
 Tue 2024-03-05 09:12:00: <-- 250 2.1.0 Ok
 Tue 2024-03-05 09:12:00: --> RCPT To:<cy@example.net>
 Tue 2024-03-05 09:12:01: <-- 250 2.1.5 Ok
 Tue 2024-03-05 09:12:01: --> DATA
 Tue 2024-03-05 09:12:01: <-- 354 go on
 Tue 2024-03-05 09:12:02: <-- 250 2.0.0 queued
"""

MAIL = "9FF7F70E-5D57-435A-AAD9-EA069B6159D9.1"
HARAKA = """\
2024-03-04T09:12:00.000Z [NOTICE] [9FF7F70E-5D57-435A-AAD9-EA069B6159D9] [core] connect ip=127.0.0.1
2024-03-04T09:12:00.001Z [NOTICE] [U.1] [core] sender <news@example.com> code=CONT msg=""
2024-03-04T09:12:00.002Z [NOTICE] [U.1] [core] recipient <ann@Example.org> code=OK msg="" sender=news@example.com
2024-03-04T09:12:00.003Z [NOTICE] [U.1] [core] recipient <bo@example.org> code=OK msg="" sender=news@example.com
2024-03-04T09:12:00.004Z [NOTICE] [U.1] [core] recipient <cy@example.org> code=OK msg="" sender=news@example.com
2024-03-04T09:12:00.005Z [NOTICE] [U.1] [core] recipient <dee@gone.example> code=OK msg="" sender=news@example.com
2024-03-04T09:12:00.006Z [NOTICE] [U.1] [core] recipient <eve@slow.example> code=OK msg="" sender=news@example.com
2024-03-04T09:12:00.007Z [NOTICE] [U.1] [core] recipient <spy@example.net> code=DENY msg="no" sender=news@example.com
2024-03-04T09:12:00.008Z [NOTICE] [U.1] [core] message mid=<m1@example.com> size=451 rcpts=5/0/1 delay=0.009 code=OK msg=""
2024-03-04T09:12:01.000Z [INFO] [U.1.1] [outbound] Attempting to deliver to: 192.0.2.25:25 (0) (0)
2024-03-04T09:12:01.001Z [NOTICE] [U.1.1] [outbound] recipient <ann@Example.org> rejected: 550 5.1.1 No such user
2024-03-04T09:12:01.002Z [NOTICE] [U.1.1] [outbound] recipient <bo@example.org> deferred: 451 4.7.1 Greylisted
2024-03-04T09:12:01.003Z [INFO] [U.1.1] [outbound] bouncing mail: Some recipients failed: <ann@Example.org>
2024-03-04T09:12:01.004Z [INFO] [U.1.1] [outbound] Temp failing 1_1_1_7_x for 64 seconds: Some recipients temp failed: <bo@example.org>
2024-03-04T09:12:01.005Z [NOTICE] [U.1.1] [outbound] delivered file=1_1_0_7_x domain=example.org host=mx.example.org ip=192.0.2.25 port=25 mode=SMTP tls=Y auth=N response="2.0.0 \\"Ok\\": queued" delay=1.2 fails=0 rcpts=1/1/1
2024-03-04T09:12:02.000Z [INFO] [U.1.2] [outbound] bouncing mail: Domain gone.example sends and receives no email (NULL MX)
2024-03-04T09:12:03.000Z [INFO] [U.1.3] [outbound] Attempting to deliver to: 192.0.2.99:25 (0) (0)
2024-03-04T09:12:03.001Z [NOTICE] [U.1.3] [outbound] recipient <eve@slow.example> deferred: 452 4.2.2 Mailbox full
2024-03-04T09:12:03.002Z [INFO] [U.1.3] [outbound] bouncing mail: Too many failures (Some recipients temp failed: <eve@slow.example>)
2024-03-04T09:13:05.000Z [NOTICE] [U.1.1] [outbound] delivered file=1_1_1_7_x domain=example.org host=mx.example.org ip=192.0.2.25 port=25 mode=SMTP tls=Y auth=N response="2.0.0 Ok" delay=65 fails=1 rcpts=1/0/0
2024-03-04T09:14:00.000Z [INFO] [7A07F70E-5D57-435A-AAD9-EA069B6159D9.1.1] [outbound] bouncing mail: 550 5.7.26 Unauthenticated
""".replace("U.1", MAIL)  # noqa: E501

LOGS = {
    "Haraka": HARAKA,
    "Postfix": POSTFIX,
    "Exim": EXIM,
    "Sendmail": SENDMAIL,
    "qmail": QMAIL,
    "OpenSMTPD": OPENSMTPD,
    "hMailServer": HMAILSERVER,
    "MailEnable": MAILENABLE,
    "MDaemon": MDAEMON,
}
TOLD = ["line", "event", "recipient", "sender", "reply", "enhanced_code", "remote_mta"]
NEWS = "news@example.com"


def test_sendmail_lines_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, SENDMAIL), year=2024)
    unknown = "550 5.1.1 <ann@Example.org>... User unknown"
    waited = "Connection timed out with mx.slow.example."
    assert frame.select(TOLD).rows() == [
        (
            2,
            "bounce",
            "ann@example.org",
            NEWS,
            unknown,
            "5.1.1",
            "mx.example.org",
        ),
        (2, "bounce", "bo@example.org", NEWS, unknown, "5.1.1", "mx.example.org"),
        (3, "deferral", "cy@slow.example", NEWS, waited, "4.0.0", "mx.slow.example"),
        (4, "delivery", "dee@example.net", NEWS, "ok: queued as 77", "2.0.0", "mx.example.net"),
        (9, "unreadable", None, None, SENDMAIL.split("\n")[8], None, None),
        (11, "bounce", "cy@slow.example", NEWS, waited, "4.0.0", "mx.slow.example"),
    ]
    assert set(frame["message_id"]) == {"m1@example.com", None}
    assert frame["source_class"].to_list()[-1] == "sendmail:expired"
    assert bk.classify(frame)["category"].to_list()[-1] == "connection_failed"


def test_qmail_lines_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, QMAIL))
    unknown = "550 no mailbox here by that name (#5.1.1)"
    waited = "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)"
    other = "other@example.com"
    assert frame.select(TOLD).rows() == [
        (6, "bounce", "ann@example.org", NEWS, unknown, None, "192.0.2.25"),
        (7, "deferral", "bo@slow.example", NEWS, waited, None, None),
        (17, "delivery", "cy@example.net", other, "250 ok", None, "192.0.2.26"),
    ]
    assert frame["time"][0] == datetime(2024, 3, 4, 9, 12, 1, tzinfo=UTC)
    assert bk.classify(frame)["category"].to_list()[0] == "unknown_user"


@pytest.mark.parametrize("before", ["", "Mar  4 09:08:39 mx qmail: "])
def test_a_tai64n_label_is_a_time(tmp_path: Path, before: str) -> None:
    log = QMAIL.replace("1709543521.000000", f"{before}@4000000065e58f7b1dcd6500")
    frame = bk.read(written(tmp_path, log), year=2024)
    assert frame["time"][0] == datetime(2024, 3, 4, 9, 8, 1, 500_000, tzinfo=UTC)


def test_opensmtpd_lines_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, OPENSMTPD))
    assert frame.select(TOLD).rows() == [
        (3, "bounce", "ann@example.org", NEWS, '550 5.1.1 No "such" user', None, "mx.example.org"),
        (4, "deferral", "list@example.com", NEWS, "451 4.7.1 Greylisted", None, "mx.example.net"),
        (5, "delivery", "cy@example.org", NEWS, "250 2.0.0 Ok", None, "mx.example.org"),
        (7, "unreadable", None, NEWS, OPENSMTPD.split("\n")[6], None, None),
    ]
    assert frame["final_recipient"].to_list() == [None, "bo@example.net", None, None]
    # What it calls msgid is a number in its queue: to a sent list of Message-IDs it is nobody's.
    assert frame["message_id"].null_count() == len(frame)


def test_hmailserver_sessions_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, HMAILSERVER), tz="Europe/Berlin")
    unknown, spam = "550-5.1.1 No such\n550 5.1.1 user", "554 5.7.1 Looks like spam"
    unserved = "No mail servers could be found for the address dee@Gone.example."
    given_up = "Message could not be delivered. Returning error log to sender."
    assert frame.select(TOLD).rows() == [
        (12, "bounce", "ann@example.org", NEWS, unknown, None, "mx.example.org"),
        (14, "bounce", "bo@example.org", NEWS, spam, None, "mx.example.org"),
        (21, "deferral", "cy@example.net", NEWS, "451 4.7.1 Greylisted", None, "mx.example.net"),
        (24, "deferral", "dee@gone.example", NEWS, unserved, None, None),
        (26, "bounce", "dee@gone.example", NEWS, unserved, None, None),
        (27, "bounce", "cy@example.net", NEWS, given_up, None, None),
    ]
    assert frame["source_class"].to_list() == [None] * 4 + ["hmailserver:expired"] * 2
    assert frame["time"][0] == datetime(2024, 3, 4, 8, 12, 1, tzinfo=UTC)


def test_mailenable_lines_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, MAILENABLE))
    assert frame.select(TOLD).rows() == [
        (5, "bounce", "ann@example.org", NEWS, "550 5.1.1 No such user", None, "mx.example.org"),
        (8, "delivery", "cy@example.net", NEWS, "250 2.0.0 queued", None, "mx.example.net"),
    ]
    assert frame["time"][0] == datetime(2024, 3, 4, 9, 12, 1, tzinfo=UTC)


def test_mdaemon_sessions_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, MDAEMON))
    unknown = "550-5.1.1 No such\n550 5.1.1 user"
    assert frame.select(TOLD).rows() == [
        (10, "bounce", "ann@example.org", NEWS, unknown, None, "mx.example.org"),
        (18, "delivery", "cy@example.net", NEWS, "250 2.0.0 queued", None, None),
    ]
    assert frame["time"][0] == datetime(2024, 3, 4, 9, 12, 1, tzinfo=UTC)


HARAKA_TOLD = [
    (11, "bounce", "ann@example.org", NEWS, "550 5.1.1 No such user", "192.0.2.25"),
    (12, "deferral", "bo@example.org", NEWS, "451 4.7.1 Greylisted", "192.0.2.25"),
    (15, "delivery", "cy@example.org", NEWS, '2.0.0 "Ok": queued', "mx.example.org"),
    (
        16,
        "bounce",
        "dee@gone.example",
        NEWS,
        "Domain gone.example sends and receives no email (NULL MX)",
        None,
    ),
    (18, "deferral", "eve@slow.example", NEWS, "452 4.2.2 Mailbox full", "192.0.2.99"),
    (19, "bounce", "eve@slow.example", NEWS, "452 4.2.2 Mailbox full", "192.0.2.99"),
    (20, "delivery", "bo@example.org", NEWS, "2.0.0 Ok", "mx.example.org"),
    # Nothing in the log tells whose mail this was.
    (21, "bounce", None, None, "550 5.7.26 Unauthenticated", None),
]


def parted(line: str) -> tuple[str, dict[str, str]]:
    """Give the time of one of Haraka's lines and its fields, those of objects one by one."""
    stamp, level, uuid, origin, said = line.split(" ", 4)
    is_object = origin == "[core]" or said.startswith("delivered ")
    parts = re.match(r"^(.*?)((?: \w+=.*)?)$", said) if is_object else None
    message, fields = parts.groups() if parts else (said, "")
    pairs = re.findall(r' (\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', fields)
    told = {key: quoted.replace('\\"', '"') or plain for key, quoted, plain in pairs}
    names = {"level": level, "uuid": uuid, "origin": origin}
    return stamp, {**{k: v[1:-1] for k, v in names.items()}, "message": message, **told}


def logfmt(log: str) -> str:
    """Write Haraka's lines in its second format."""

    def written(value: str) -> str:
        needs_marks = not value or set(value) & set(' ="\\')
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"' if needs_marks else value

    lines = [parted(line) for line in log.splitlines()]
    return "".join(
        f"{stamp} {' '.join(f'{key}={written(value)}' for key, value in fields.items())}\n"
        for stamp, fields in lines
    )


def as_json(log: str) -> str:
    """Write Haraka's lines in its third format."""
    lines = [parted(line) for line in log.splitlines()]
    return "".join(
        f"{stamp} {json.dumps(fields, separators=(',', ':'))}\n" for stamp, fields in lines
    )


FORMATS = {"default": HARAKA, "logfmt": logfmt(HARAKA), "json": as_json(HARAKA)}


@pytest.mark.parametrize("log", FORMATS.values(), ids=FORMATS)
def test_haraka_mails_become_what_became_of_each_recipient(tmp_path: Path, log: str) -> None:
    frame = bk.read(written(tmp_path, log))
    columns = [name for name in TOLD if name != "enhanced_code"]
    assert frame.select(columns).rows() == HARAKA_TOLD
    assert frame["message_id"].to_list() == ["m1@example.com"] * 7 + [None]
    assert frame["time"][0] == datetime(2024, 3, 4, 9, 12, 1, 1_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("others", "charged"), [([], ["ann@example.org"]), (["bo@example.net"], [None])]
)
def test_a_haraka_mail_of_unknown_domain_is_charged_to_nobody_else(
    tmp_path: Path, others: list[str], charged: list[str | None]
) -> None:
    taken = "".join(
        f'[NOTICE] [{MAIL}] [core] recipient <{who}> code=OK msg="" sender={NEWS}\n'
        for who in ["ann@example.org", *others]
    )
    refused = f"[INFO] [{MAIL}.1] [outbound] bouncing mail: 550 5.7.26 Unauthenticated\n"
    frame = bk.read(written(tmp_path, taken + refused))
    assert frame["recipient"].to_list() == charged
    assert frame["event"].to_list() == ["bounce"]


@pytest.mark.parametrize("server", LOGS)
def test_a_log_is_told_by_its_lines(server: str) -> None:
    assert server_of(LOGS[server].encode()) == server


@pytest.mark.parametrize(("server", "other"), list(permutations(LOGS, 2)))
def test_no_server_reads_the_lines_of_another(tmp_path: Path, server: str, other: str) -> None:
    frame = bk.read(written(tmp_path, LOGS[other]), source=server.lower(), year=2024)
    assert frame.is_empty()


@pytest.mark.parametrize("server", LOGS)
def test_a_log_is_read_with_other_line_ends_packed_and_cut_off(tmp_path: Path, server: str) -> None:
    log = LOGS[server]
    rows = bk.read(written(tmp_path, log), year=2024).drop("source")
    windows = written(tmp_path, log.replace("\n", "\r\n"), "windows.log")
    assert bk.read(windows, year=2024).drop("source").equals(rows)
    packed = tmp_path / "mail.log.gz"
    packed.write_bytes(gzip.compress(log.encode()))
    assert bk.read(packed, year=2024).drop("source").equals(rows)
    for cut in range(len(log) - 400, len(log), 7):
        try:
            bk.read(written(tmp_path, log[:cut]), year=2024)
        except BouncekitError:
            assert server_of(log[:cut].encode()) is None
