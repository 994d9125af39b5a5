"""(u) Whether the manager grows with the messages that it delivers between workers."""

from ..contenders.stead_talk import COPIES, SteadTalk
from .base import Column, Scenario, at_most, figure

BROADCASTS = 125_000
# The first ones, after which buffers are as large as they get.
BROADCASTS_WARM = 12_500
GROWTH_MAX_MEGABYTES = 3.0


def measure(row):
    """At rest: after the first messages, and after all."""
    talk = SteadTalk(row)
    talk.broadcast(BROADCASTS_WARM)
    warm, descriptors_warm = talk.rest()
    delivered = talk.broadcast(BROADCASTS)
    after, descriptors = talk.rest()
    return {
        "delivered": delivered,
        "pss_warm": warm,
        "pss_after": after,
        "descriptors_warm": descriptors_warm,
        "descriptors_after": descriptors,
    }


def goals(figures):
    """Flat."""

    def of(metric, more=0):
        value = figure(figures, "", SteadTalk.label, metric)
        return None if value is None else value + more

    return [
        at_most("memory after a million messages: flat", of("pss_after"), of("pss_warm", GROWTH_MAX_MEGABYTES), " MB"),
        at_most("descriptors after a million messages: as many", of("descriptors_after"), of("descriptors_warm")),
    ]


SCENARIO = Scenario(
    letter="u",
    title="Memory over messages",
    about=(
        f"One copy of a Node.js program broadcasts {BROADCASTS:,} messages to {COPIES - 1} others, each with an acknowledgement. PSS and open "
        f"descriptors of keeper and daemon at rest, after the first {BROADCASTS_WARM:,} and after all."
    ),
    contenders=(SteadTalk,),
    columns=(
        Column("delivered", "delivered"),
        Column("pss_warm", "PSS MB warm", digits=1),
        Column("pss_after", "after", digits=1),
        Column("descriptors_warm", "descriptors warm"),
        Column("descriptors_after", "after"),
    ),
    measure=measure,
    goals=goals,
    limit_seconds=240,
)
