"""bouncekit: why did it bounce, whose fault is it, and which addresses must come off the list?

The tour, in the order of the work:

read(*paths)            any export, mailbox or folder -> the bounces frame, nothing lost;
                        load(*paths) tells besides what became of each record
classify(bounces)       adds category, fault, and the words that made us say so
explain(reply)          the same for one reply, to read
distribution(bounces)   how many of what; unclassified(bounces): what nobody could name
offenders(bounces)      who keeps bouncing, how often, since when
incidents(bounces)      providers' outages; alerts(bounces): what you must mend yourself
decide(bounces)         a verdict on each address, with the reason in words
backtest(bounces, ...)  what policies would have removed, saved and lost
write_suppressions(...) the removal list as your mail service imports it
bring_back(bounces)     whom an outage took off an earlier list

reply_codes() and enhanced_codes() say what the codes mean, blocklists() where to ask for removal.
match_sent() marks events of messages nobody sent, unmatched() reports them; verp signs return paths
that nobody can forge. mask() makes addresses safe to show; charts draws the frames above;
use_theme() sets notebooks up. Frames are Polars, eager or lazy.
"""

import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

# While Python looks for `python -m bouncekit`, which loads all of this first.
if sys.argv[:1] == ["-m"] and ("-m", "bouncekit") in pairwise(sys.orig_argv):
    from _bouncekit import stop_at_once

    stop_at_once()

from bouncekit import verp
from bouncekit.alerts import alerts
from bouncekit.backtest import backtest
from bouncekit.bring_back import bring_back
from bouncekit.classify import classify
from bouncekit.codes import enhanced_codes, reply_codes
from bouncekit.counts import distribution, unclassified
from bouncekit.details import blocklists
from bouncekit.errors import BouncekitError
from bouncekit.explain import explain
from bouncekit.incidents import incidents
from bouncekit.mask import mask
from bouncekit.offenders import offenders
from bouncekit.policy import Policy, decide, policies
from bouncekit.read import load, read, scan
from bouncekit.sent import match_sent, unmatched
from bouncekit.suppress import write_suppressions

if TYPE_CHECKING:
    from bouncekit import charts
    from bouncekit.theme import use_theme

__all__ = [
    "BouncekitError",
    "Policy",
    "alerts",
    "backtest",
    "blocklists",
    "bring_back",
    "charts",
    "classify",
    "decide",
    "distribution",
    "enhanced_codes",
    "explain",
    "incidents",
    "load",
    "mask",
    "match_sent",
    "offenders",
    "policies",
    "read",
    "reply_codes",
    "scan",
    "unclassified",
    "unmatched",
    "use_theme",
    "verp",
    "write_suppressions",
]


def __getattr__(name: str) -> Any:
    """Load what few ask for when they do: Altair alone takes longer to load than all the rest."""
    import importlib

    if name == "charts":
        return importlib.import_module("bouncekit.charts")
    if name == "use_theme":
        return importlib.import_module("bouncekit.theme").use_theme
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("bouncekit")
    raise AttributeError(f"module 'bouncekit' has no attribute '{name}'")
