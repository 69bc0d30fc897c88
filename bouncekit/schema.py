"""Columns, dtypes and vocabularies of every frame, stated once."""

import polars as pl

EVENTS = (
    "bounce",
    "deferral",
    "delivery",
    "engagement",
    "complaint",
    "unsubscribe",
    "auto_reply",
    "dropped",
    "unreadable",
)

# What tells of no failure, and so has no cause.
NO_FAILURE = ("delivery", "engagement", "unsubscribe", "unreadable")

# Which categories are whose fault. The order is the order of every table and chart.
CATEGORIES_BY_FAULT = {
    "recipient": (
        "unknown_user",
        "unknown_domain",
        "inactive_mailbox",
        "mailbox_full",
        "moved",
        "recipient_refused",
    ),
    "sender": (
        "blocklisted",
        "bad_reputation",
        "authentication_failed",
        "sender_dns",
        "sender_refused",
        "relay_denied",
        "rate_limited",
        "too_many_recipients",
    ),
    "message": (
        "spam_content",
        "virus",
        "content_refused",
        "message_too_large",
    ),
    "system": (
        "greylisted",
        "server_error",
        "connection_failed",
        "expired",
        "routing_error",
        "protocol_error",
        "encryption_required",
        "policy_refused",
    ),
    "none": (
        "auto_reply",
        "complaint",
        "suppressed",
        "unclassified",
    ),
}
FAULTS = tuple(CATEGORIES_BY_FAULT)
CATEGORIES = tuple(c for categories in CATEGORIES_BY_FAULT.values() for c in categories)
FAULT_OF = {c: fault for fault, categories in CATEGORIES_BY_FAULT.items() for c in categories}

# What a category asks for. Colour in every chart means this, and nothing else.
ACTIONS_BY_CATEGORY = {
    "remove": ("unknown_user", "unknown_domain", "inactive_mailbox", "moved"),
    "full": ("mailbox_full",),
    "refused": ("recipient_refused",),
    "fix_sender": CATEGORIES_BY_FAULT["sender"],
    "fix_message": CATEGORIES_BY_FAULT["message"],
    "wait": tuple(c for c in CATEGORIES_BY_FAULT["system"] if c != "policy_refused"),
    "policy": ("policy_refused",),
    "complaint": ("complaint",),
    "none": ("auto_reply", "suppressed", "unclassified"),
}
ACTIONS = tuple(ACTIONS_BY_CATEGORY)
ACTION_OF = {c: action for action, categories in ACTIONS_BY_CATEGORY.items() for c in categories}

CERTAINTIES = ("text", "source_class", "enhanced_code", "reply_code", "none")
VERDICTS = ("remove", "pause", "hold", "keep")

Event = pl.Enum(EVENTS)
Category = pl.Enum(CATEGORIES)
Fault = pl.Enum(FAULTS)
Action = pl.Enum(ACTIONS)
Certainty = pl.Enum(CERTAINTIES)
Verdict = pl.Enum(VERDICTS)
Listed = pl.Enum(["ip", "domain", "url"])
Time = pl.Datetime("us", "UTC")

# One row is one event of one recipient.
BOUNCES: dict[str, pl.DataType] = {
    "time": Time,
    "event": Event,
    "recipient": pl.String(),
    "final_recipient": pl.String(),
    "reply": pl.String(),
    "reply_code": pl.Int16(),
    "enhanced_code": pl.String(),
    "source_class": pl.String(),
    "mailing": pl.String(),
    "message_id": pl.String(),
    "sender": pl.String(),
    "sending_ip": pl.String(),
    "remote_mta": pl.String(),
    "source": pl.String(),
    "line": pl.Int64(),
}

# What classify() adds (reply_code, enhanced_code and sending_ip are filled where they were null).
CLASSIFICATION: dict[str, pl.DataType] = {
    "category": Category,
    "fault": Fault,
    "permanent": pl.Boolean(),
    "blocklist": pl.String(),
    "listed": Listed,
    "size_limit": pl.Int64(),
    "retry_after": pl.Duration("us"),
    "provider": pl.String(),
    "certainty": Certainty,
    "conflict": pl.Boolean(),
    "because": pl.String(),
    "rule": pl.String(),
}
