"""Let real mail servers bounce on loopback, and keep their logs and bounce messages.

Run as root on a machine to throw away, with Debian's postfix installed and exim4-daemon-light
unpacked (they exclude each other as packages):

    apt-get install postfix libidn12
    apt-get download exim4-daemon-light && dpkg -x exim4-daemon-light_*.deb exim
    useradd --system Debian-exim
    python tests/data/servers/make.py exim/usr/sbin/exim4

Writes postfix.log, postfix.mbox, exim.log and exim.mbox beside itself.
"""

import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
PORT = 2525
SENDER = "news@example.com"
# What the receiver says to RCPT TO, by the local part; `spam` is refused after DATA.
ANSWERS = {
    "unknown": "550-5.1.1 The email account that you tried to reach does not exist.\r\n"
    "550 5.1.1 Please check the spelling",
    "full": "552 5.2.2 Mailbox full",
    "blocked": "554 5.7.1 Service unavailable; client blocked using zen.spamhaus.org",
    "grey": "451 4.7.1 Greylisted, please try again later",
    "bare": "550 no such user here",
}
READERS = [
    *(f"{name}@example.org" for name in ("taken", *ANSWERS)),
    "nobody@refused.example",
]
MAILINGS = {"january": READERS, "february": ["spam@example.net"]}
MESSAGE = f"""\
From: {SENDER}
To: readers@example.com
Subject: News
Message-ID: <MAILING@example.com>
List-Id: <news.example.com>

Hello.
"""

returned: list[str] = []


class Receiver(socketserver.StreamRequestHandler):
    """Answer as ANSWERS says, and keep what comes from <>."""

    def handle(self) -> None:
        """Speak SMTP until QUIT."""
        sender, spam = "", False
        self.say("220 mx.example.org ESMTP")
        while line := self.rfile.readline().decode("ascii", "replace").strip():
            command = line.upper()
            if command.startswith("MAIL"):
                sender, spam = line.partition("<")[2].partition(">")[0], False
                self.say("250 2.1.0 Ok")
            elif command.startswith("RCPT"):
                local = line.partition("<")[2].partition("@")[0]
                spam |= local == "spam"
                self.say(ANSWERS.get(local, "250 2.1.5 Ok"))
            elif command == "DATA":
                self.say("354 Go on")
                text = []
                while (line := self.rfile.readline().decode("utf-8", "replace")) != ".\r\n":
                    text.append(line.removeprefix(".").rstrip("\r\n"))
                if not sender:
                    returned.append("\n".join(text))
                self.say("554 5.7.1 Message considered as spam" if spam else "250 2.0.0 Ok")
            elif command == "QUIT":
                self.say("221 2.0.0 Bye")
                return
            else:
                self.say("250 mx.example.org")

    def say(self, reply: str) -> None:
        """Send a reply."""
        self.wfile.write(reply.encode() + b"\r\n")


class Server(socketserver.ThreadingTCPServer):
    """A receiver for each connection."""

    allow_reuse_address = True
    daemon_threads = True


def run(*command: str, text: str | None = None) -> None:
    """Run a command, and stop where it fails."""
    subprocess.run(command, input=text, text=True, check=True)


def send(*sendmail: str) -> None:
    """Hand the mailings to a server."""
    for mailing, readers in MAILINGS.items():
        run(*sendmail, "-f", SENDER, *readers, text=MESSAGE.replace("MAILING", mailing))


def keep(name: str, log: str) -> None:
    """Write a server's log and the mails that it returned."""
    (HERE / f"{name}.log").write_text(log)
    mails = ["From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n" + mail for mail in returned]
    (HERE / f"{name}.mbox").write_text("\n\n".join(mails) + "\n")
    returned.clear()


def postfix() -> None:
    """Send by Postfix, which gives up after some seconds."""
    log, transport = Path("/var/log/bouncekit.log"), Path("/etc/postfix/transport")
    log.unlink(missing_ok=True)
    transport.write_text("refused.example smtp:[127.0.0.1]:1\n")
    settings = {
        "myhostname": "mx.example.com",
        "myorigin": "example.com",
        "mydestination": "",
        "inet_interfaces": "loopback-only",
        "inet_protocols": "ipv4",
        "relayhost": f"[127.0.0.1]:{PORT}",
        "transport_maps": "texthash:/etc/postfix/transport",
        "disable_dns_lookups": "yes",
        "smtp_tls_security_level": "none",
        "maillog_file": str(log),
        "queue_run_delay": "3s",
        "minimal_backoff_time": "2s",
        "maximal_backoff_time": "3s",
        "maximal_queue_lifetime": "10s",
        "delay_warning_time": "0",
    }
    run("postconf", "-e", *(f"{name}={value}" for name, value in settings.items()))
    run("postfix", "start")
    send("sendmail")
    time.sleep(40)
    run("postfix", "stop")
    keep("postfix", log.read_text())


EXIM = f"""\
exim_path = BINARY
keep_environment =
primary_hostname = mx.example.com
spool_directory = SPOOL
log_file_path = SPOOL/%slog
log_selector = +smtp_confirmation +outgoing_interface
tls_advertise_hosts =
never_users =
begin routers
refused:
  driver = manualroute
  domains = refused.example
  route_list = * 127.0.0.1::1
  self = send
  transport = smtp
all:
  driver = manualroute
  route_list = * 127.0.0.1::{PORT}
  self = send
  transport = smtp
begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_try_fastopen =
begin retry
* * F,8s,2s
"""


def exim(binary: str) -> None:
    """Send by Exim, which gives up after some seconds."""
    with tempfile.TemporaryDirectory() as spool:
        shutil.chown(spool, "Debian-exim")
        config = Path(spool, "exim.conf")
        config.write_text(
            EXIM.replace("BINARY", str(Path(binary).resolve())).replace("SPOOL", spool)
        )
        config.chmod(0o644)
        shutil.chown(config, "root")
        send(binary, "-C", str(config), "-odf")
        for _ in range(8):
            time.sleep(3)
            run(binary, "-C", str(config), "-qff")
        keep("exim", Path(spool, "mainlog").read_text())


def main(binary: str) -> None:
    """Run both servers."""
    os.environ["TZ"] = "UTC"
    server = Server(("127.0.0.1", PORT), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    postfix()
    exim(binary)
    for file in sorted(HERE.glob("*.log")):
        print(file.name, len(re.findall("\n", file.read_text())), "lines")


if __name__ == "__main__":
    main(sys.argv[1])
