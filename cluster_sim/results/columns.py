"""Columns of the tables of a run: name, unit and meaning of each, in the order of the files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, NamedTuple

Holds = Literal["numbers", "texts", "truths"]
"""What a column holds."""


class Absence(Enum):
    """What a run folder without a column is."""

    DAMAGED = "every version writes it"
    EARLIER = "earlier versions, or runs without what it tells, lack it; readers ask"


class Column(NamedTuple):
    """A column of a table of a run."""

    name: str
    unit: str
    """Unit of its numbers; empty for text, counts and shares."""
    meaning: str
    holds: Holds = "numbers"
    without: float | Absence | None = Absence.DAMAGED
    """Value in folders of earlier versions, which lack the column; None for null."""

    @property
    def is_in_all_versions(self) -> bool:
        """Whether every run folder has it."""
        return self.without is Absence.DAMAGED

    @property
    def has_neutral(self) -> bool:
        """Whether there is a value for folders that lack it."""
        return not isinstance(self.without, Absence)

    @property
    def neutral(self) -> float | None:
        """Value for folders that lack it."""
        assert not isinstance(self.without, Absence)
        return self.without


_EARLIER = Absence.EARLIER


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of columns in their order."""
    return tuple(column.name for column in columns)


REQUESTS = (
    Column("request", "", "Number of the request, in the order of arrival."),
    Column("status", "", "Outcome: rejected, unfinished or finished.", "texts"),
    Column("counted", "", "Whether the request lies outside the warm-up.", "truths"),
    Column("class", "", "Class of traffic; null without classes.", "texts", None),
    Column("pool", "", "Pool whose replica answered; null for a rejected request.", "texts"),
    Column("replica", "", "Number of the replica that answered; null for a rejected request."),
    Column("prefill_replica", "", "Replica that prefilled it; null where it is `replica`.", without=None),
    Column("prompt_tokens", "tokens", "Length of the prompt."),
    Column("output_tokens", "tokens", "Length of the answer, reasoning included."),
    Column("prefix_hit_tokens", "tokens", "Prompt tokens found in the prefix cache.", without=0),
    Column("fetched_tokens", "tokens", "Prompt tokens fetched from tiers of offloaded KV.", without=0),
    Column("preemptions", "", "Number of times the request was preempted."),
    Column("arrival_s", "s", "Time of arrival at the front door."),
    Column("admitted_s", "s", "Time at which the first step that works on it begins."),
    Column("first_token_s", "s", "Time at which its first token is back at the front door."),
    Column("hand_over_wait_s", "s", "Time from the first token until a decode replica has room.", without=None),
    Column("kv_transfer_s", "s", "Time from then until its KV has arrived there.", without=None),
    Column("finish_s", "s", "Time at which its last token is back at the front door."),
    Column("bus_s", "s", "Latency added because others used the memories of its replicas.", without=0.0),
    Column("link_s", "s", "Latency added because others used the links of its collectives.", without=0.0),
    Column("kv_contention_s", "s", "Latency added because others used the links of its transfer.", without=0.0),
    Column("reasoning_tokens", "tokens", "Tokens of the answer that are reasoning.", without=_EARLIER),
    Column("first_output_token_s", "s", "Time at which the first token after reasoning is back.", without=_EARLIER),
)  # fmt: skip
"""Requests, one row each. The last two columns exist where the scenario says what is reasoning."""

MAY_BE_NULL = {
    "requests": ("pool", "replica", "admitted_s", "first_token_s", "finish_s"),
    "thermal": ("die_c", "memory_c", "reason"),
}
"""Columns, by the name of their table, that are null where a request did not get so far, and where
there is no such part or reason. Other columns that every version writes have no nulls."""

STRETCHES = (
    Column("replica", "", "Number of the replica."),
    Column("began_s", "s", "Time at which the first step begins."),
    Column("first_s", "s", "Duration of the first step."),
    Column("slope_s", "s", "Duration by which each step is longer than the one before."),
    Column("steps", "", "Number of steps."),
    Column("batch", "", "Sequences that decode in each step."),
    Column("counted", "", "Sequences of `batch` that lie outside the warm-up."),
    Column("prompt_tokens", "tokens", "Prompt tokens that each step prefills."),
    Column("sampled", "", "Sequences for which each step samples a token."),
    Column("context", "tokens", "Keys that the first step reads in a layer of full attention."),
    Column("growth", "tokens", "Tokens that each step adds to the context."),
    Column("windowed", "tokens", "Keys that the first step reads in a layer with a window."),
    Column("growing", "", "Sequences that have yet to fill the sliding window."),
    Column("pairs", "", "Pairs of query and key of prompt tokens in a layer of full attention."),
    Column("windowed_pairs", "", "Such pairs in a layer with a sliding window."),
    Column(
        "kv_tokens",
        "tokens",
        "Tokens in the KV cache when the stretch begins; where groups of layers share it, the part of its capacity that is taken.",
    ),
    Column("running", "", "Requests that run when the stretch begins."),
    Column("waiting", "", "Requests that wait when the stretch begins."),
    Column("clock", "", "Clock of the devices, as a share of their own.", without=1.0),
    Column("memory_share", "", "Share of the memory bandwidth that other traffic left.", without=1.0),
    Column("link_share", "", "Share of the bandwidth of collectives that other traffic left.", without=1.0),
    Column("bus_s", "s", "Time added because others used the replica's memories.", without=0.0),
    Column("link_s", "s", "Time added because others used the links of its collectives.", without=0.0),
)  # fmt: skip
"""Stretches of like engine steps as recorded. The i-th step lasts first_s + i·slope_s; counts are
those of the first step, see physics/step_work.py."""

STRETCH_TOTALS = (
    Column("ended_s", "s", "Time at which the last step ends."),
    Column("flop", "FLOP", "FLOP of all devices of the replica."),
    Column("bytes", "B", "Bytes that all devices read and write in memory."),
    Column("energy_j", "J", "Energy of all devices; null where it is not known.", without=None),
    Column("station_occupancy", "", "Share of it in which a wafer's slowest pipeline stage works.", without=None),
)  # fmt: skip
"""Columns that follow those of STRETCHES in the table, worked out when the run has ended."""

DEVICES = (
    Column("device", "", "Name of the device, such as b200/0/device3.", "texts"),
    Column("pool", "", "Pool of the device.", "texts"),
    Column("replica", "", "Number of the replica that the device holds."),
    Column("kind", "", "Name of the device in the catalog.", "texts"),
    Column("busy_s", "s", "Time in which its replica runs steps."),
    Column("flop", "FLOP", "FLOP of the device."),
    Column("bytes", "B", "Bytes that the device reads and writes in memory."),
    Column(
        "energy_j",
        "J",
        "Energy of the device; null where it does not say what it draws.",
        without=None,
    ),
    Column("mean_power_w", "W", "Mean power of the device over the run.", without=None),
    Column("compute_utilisation", "", "FLOP over what the peak of the device allows in the run."),
    Column("bandwidth_utilisation", "", "Bytes over what the memory bandwidth allows in the run."),
    Column("max_die_c", "degC", "Highest temperature of the die.", without=_EARLIER),
    Column("max_memory_c", "degC", "Highest temperature of the memory.", without=_EARLIER),
    Column("throttled_s", "s", "Time in which heat throttles the device.", without=_EARLIER),
    Column(
        "lowest_clock",
        "",
        "Lowest clock, as a share of what the device runs at when cool.",
        without=_EARLIER,
    ),
)
"""Devices that hold a replica, one row each, over the whole run.

Each replica's work is split evenly over its devices."""

LINKS = (
    Column("from", "", "Place at one end.", "texts"),
    Column("to", "", "Place at the other end.", "texts"),
    Column("kind", "", "Kind of link.", "texts"),
    Column("bandwidth_bytes_per_s", "B/s", "Bandwidth of one direction."),
    Column("latency_s", "s", "Latency."),
    Column("requests", "", "Requests that crossed it on their way from the front door."),
    Column("utilisation", "", "Bytes moved over what it could move, in the busier direction.", without=_EARLIER),
    Column("saturated_share", "", "Share of the time in which transfers were held back by it.", without=_EARLIER),
)  # fmt: skip
"""Links, one row each, over the whole run. Before `utilisation` stands one column `KIND_bytes` for
each kind of transfer: bytes of both directions."""

EVENTS = (
    Column("at_s", "s", "Time."),
    Column("what", "", "What happened, see EVENT_KINDS.", "texts"),
    Column("replica", "", "Number of the replica; -1 for none."),
    Column("request", "", "Number of the request; -1 for none."),
    Column("value", "", "Amount that belongs to the kind of event, see EVENT_KINDS."),
)
"""Events as recorded, one row each."""

EVENT_KINDS = {
    "preempted": "A request leaves the batch; value: output tokens so far.",
    "resumed": "A request decodes again; value: gap between its two tokens [s].",
    "handed_over": "The KV of a request has arrived; value: time since its first token [s].",
    "rejected": "A request is turned away; value: tokens of KV cache it would take.",
    "shutdown": "A replica's devices shut down; value: their temperature [degC].",
    "retried": "A request of such a replica begins anew elsewhere; value: output tokens so far.",
    "failed": "A request of such a replica is lost; value: output tokens so far.",
}
"""Kinds of events, and what `value` holds for each."""

EVENT_REASON = Column(
    "reason",
    "",
    "Cause of a rejection or failure: too_long (for every replica), all_down (every replica that "
    "could serve it is lost), or the admission policy.",
    "texts",
    None,
)
"""Column that follows those of EVENTS in the table."""

TRANSFERS = (
    Column("kind", "", "Kind of transfer.", "texts"),
    Column("from_replica", "", "Number of the replica that sends."),
    Column("to_replica", "", "Number of the replica that receives."),
    Column("request", "", "Number of the request; -1 for several."),
    Column("bytes", "B", "Bytes moved."),
    Column("began_s", "s", "Time at which its first byte could be sent."),
    Column("ended_s", "s", "Time at which its last byte had left; latency comes after."),
    Column("alone_s", "s", "Duration that it would have had without other transfers."),
)
"""Transfers that have ended, one row each."""

THERMAL = (
    Column("device", "", "Name of the first of the devices that are alike.", "texts"),
    Column("alike", "", "Number of devices with these temperatures."),
    Column("at_s", "s", "End of the bin."),
    Column("power_w", "W", "Mean power in the bin."),
    Column("die_c", "degC", "Highest temperature of the die in the bin."),
    Column("memory_c", "degC", "Highest temperature of the memory in the bin."),
    Column("clock", "", "Lowest clock, as a share of what the device runs at when cool."),
    Column("refresh_share", "", "Lowest share of the memory bandwidth that refreshing leaves."),
    Column(
        "reason", "", "Worst cause of throttling in the bin; null where there is none.", "texts"
    ),
)
"""Temperatures, power and clocks over time in equal bins."""

STRETCH_COLUMNS = names(STRETCHES)
EVENT_COLUMNS = names(EVENTS)
TRANSFER_COLUMNS = names(TRANSFERS)
