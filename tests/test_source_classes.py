"""What the exports' own verdicts mean: a real one of each service, and laws for all of them."""

import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files

import polars as pl
import pytest
from test_policy import FAIR

from bouncekit import classify, decide, rules
from bouncekit.schema import CATEGORIES, FAULT_OF

CLASSES: dict[str, str] = tomllib.loads(
    files(rules).joinpath("source_classes.toml").read_text(encoding="utf-8")
)

# As the exports write them.
VERDICTS = {
    "sendgrid:Invalid Address": "unknown_user",
    "sendgrid:Mailbox Unavailable": "mailbox_full",
    "sendgrid:Technical": "server_error",
    "sendgrid:Frequency or Volume Too High": "rate_limited",
    "mailgun:605": "suppressed",
    "mailgun:espblock": "bad_reputation",
    "mailgun:old": "expired",
    "ses:Permanent/NoEmail": "unknown_user",
    "ses:Permanent/OnAccountSuppressionList": "suppressed",
    "ses:Transient/MailboxFull": "mailbox_full",
    "ses:Transient/MessageTooLarge": "message_too_large",
    "ses:Transient/AttachmentRejected": "content_refused",
    "ses:Complaint": "complaint",
    "ses:IPFailure": "bad_reputation",
    "ses:Rendering Failure": "content_refused",
    "resend:Permanent/Suppressed": "suppressed",
    "resend:email.complained": "complaint",
    "sparkpost:10": "unknown_user",
    "sparkpost:22": "mailbox_full",
    "sparkpost:25": "suppressed",
    "sparkpost:51": "bad_reputation",
    "sparkpost:54": "relay_denied",
    "sparkpost:60": "auto_reply",
    "mandrill:bad_mailbox": "unknown_user",
    "mandrill:invalid_domain": "unknown_domain",
    "mandrill:unsigned": "authentication_failed",
    "postmark:SpamNotification": "spam_content",
    "postmark:512": "spam_content",
    "postmark:DnsError": "connection_failed",
    "postmark:AutoResponder": "auto_reply",
    "postmark:DMARCPolicy": "authentication_failed",
    "mailjet:recipient/user unknown": "unknown_user",
    "mailjet:domain/no mail host": "connection_failed",
    "mailjet:domain/relay/access denied": "policy_refused",
    "mailjet:mailjet/preblocked": "suppressed",
    "powermta:bad-mailbox": "unknown_user",
    "powermta:invalid-sender": "sender_dns",
    "powermta:quota-issues": "mailbox_full",
    "powermta:virus-related": "virus",
    "postfix:expired": "expired",
    "sendmail:expired": "expired",
    "hmailserver:expired": "expired",
    "kumomta:InvalidRecipient": "unknown_user",
    "kumomta:TooManyRecipients": "too_many_recipients",
    "kumomta:ProtocolErrors": "protocol_error",
    "greenarrow:failure_toolong": "expired",
    "mailchimp:abuse": "complaint",
    "brevo:invalid_email": "unknown_user",
    "brevo:Blocked": "suppressed",
    "mailersend:activity.spam_complaint": "complaint",
    "mailtrap:spam": "complaint",
    "listmonk:complaint": "complaint",
    "hubspot:UNKNOWN_USER": "unknown_user",
    "hubspot:DOMAIN_REPUTATION": "bad_reputation",
    "hubspot:GREYLISTING": "greylisted",
    "klaviyo:USER_SUPPRESSED": "suppressed",
    "sfmc:Inactive Account": "inactive_mailbox",
    "sfmc:2002": "unknown_domain",
    "constantcontact:B": "unknown_user",
    "constantcontact:V": "auto_reply",
    "azure:FilteredSpam": "spam_content",
    "microsoft365:Quarantined": "spam_content",
    "unisender_go:err_user_inactive": "inactive_mailbox",
    "unisender_go:err_blacklisted": "blocklisted",
    "unisender_go:err_no_dns": "unknown_domain",
    "elasticemail:NoMailbox": "unknown_user",
    "elasticemail:ConnectionProblem": "connection_failed",
    "scaleway:email_mailbox_not_found": "unknown_user",
}

# "Hard", "soft" and the like: how bad it was, not why.
SILENT = [
    "sendgrid:blocked",
    "sendgrid:Unclassified",
    "mailgun:generic",
    "ses:Permanent/General",
    "ses:Transient/General",
    "ses:Undetermined/Undetermined",
    "resend:Permanent/General",
    "sparkpost:1",
    "sparkpost:40",
    "mandrill:general",
    "mandrill:hard-bounce",
    "postmark:HardBounce",
    "postmark:SoftBounce",
    "mailjet:mailjet/duplicate in campaign",
    "powermta:other",
    "kumomta:AuthenticationFailed",
    "kumomta:Uncategorized",
    "greenarrow:h",
    "mailchimp:hard",
    "brevo:hard_bounce",
    "mailersend:activity.hard_bounced",
    "mailtrap:hard",
    "listmonk:hard",
    "hubspot:TEMPORARY_PROBLEM",
    "klaviyo:HARD_BOUNCE",
    "sfmc:Other",
    "activecampaign:9.1.1",
    "constantcontact:X",
    "azure:Bounced",
    "unisender_go:err_delivery_failed",
    "postal:HardFail",
    "elasticemail:CodeError",
    "dsn:delayed/unknown",
]

# Words of a verdict on the sender, the message or the way there.
NOT_OF_THE_RECIPIENT = (
    r"sender|sending|spam|black|block|polic|reput|relay|dmarc|authent|content|template|virus|"
    r"throttl|frequency|connection|network|server|dns|timeout|expired|suppress|complain"
)


def said(reply: str | None, verdicts: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give category and certainty of one reply beside each of the verdicts."""
    frame = classify(
        pl.DataFrame({"source_class": list(verdicts)}).with_columns(
            reply=pl.lit(reply, dtype=pl.String)
        )
    )
    return {
        verdict: (category, certainty)
        for verdict, category, certainty in frame.select(
            "source_class", "category", "certainty"
        ).iter_rows()
    }


def test_each_verdict_is_lower_case_behind_its_service_and_means_a_category() -> None:
    for verdict, category in CLASSES.items():
        assert re.fullmatch(r"[a-z0-9_]+:\S[^A-Z]*", verdict), verdict
        assert category in CATEGORIES, verdict
        assert category != "unclassified", verdict


def test_each_service_is_tried() -> None:
    tried = {verdict.partition(":")[0] for verdict in VERDICTS}
    assert tried == {verdict.partition(":")[0] for verdict in CLASSES}


@pytest.mark.parametrize("reply", [None, "", "550"])
def test_a_verdict_decides_where_the_reply_says_nothing(reply: str | None) -> None:
    wanted = {verdict: (category, "source_class") for verdict, category in VERDICTS.items()}
    assert said(reply, VERDICTS) == wanted


def test_a_verdict_that_names_no_cause_decides_nothing() -> None:
    assert said("", SILENT) == dict.fromkeys(SILENT, ("unclassified", "none"))


def test_the_text_outranks_the_verdict() -> None:
    got = said("550 5.7.1 Greylisted, try again later", VERDICTS)
    assert got == dict.fromkeys(VERDICTS, ("greylisted", "text"))


def test_the_verdict_outranks_a_bare_code() -> None:
    assert said("550 5.1.1", ["postmark:SpamNotification", "postmark:HardBounce"]) == {
        "postmark:SpamNotification": ("spam_content", "source_class"),
        "postmark:HardBounce": ("unknown_user", "enhanced_code"),
    }


def test_a_verdict_that_speaks_of_others_blames_no_recipient() -> None:
    blaming = [
        verdict
        for verdict, category in CLASSES.items()
        if FAULT_OF[category] == "recipient"
        and re.search(NOT_OF_THE_RECIPIENT, verdict.partition(":")[2])
    ]
    # A domain without DNS is the recipient's; all else that speaks of others is not.
    assert blaming == ["unisender_go:err_no_dns"]


@pytest.mark.parametrize("policy", FAIR)
def test_a_verdict_on_the_sender_or_the_message_never_removes(policy: str) -> None:
    verdicts = [v for v, c in CLASSES.items() if FAULT_OF[c] in ("sender", "message")]
    rows = [
        ("bounce", f"ann{number}@example.org", f"mailing {month}", "550", verdict, month)
        for number, verdict in enumerate(verdicts)
        for month in range(1, 13)
    ]
    columns = ["event", "recipient", "mailing", "reply", "source_class", "month"]
    frame = pl.DataFrame(rows, columns, orient="row").with_columns(
        time=pl.datetime(2025, "month", 7, 9, time_unit="us", time_zone="UTC")
    )
    decided = decide(classify(frame), policy, guard=False)
    assert decided.height == len(verdicts)
    assert decided.filter(pl.col("verdict") == "remove").is_empty()
