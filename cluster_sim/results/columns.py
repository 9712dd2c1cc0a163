"""Columns of the tables of a run: name, unit and meaning of each, in the order of the files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal, NamedTuple

Holds = Literal["numbers", "texts", "truths"]
"""Kind of values in a column."""


class Absence(Enum):
    """Meaning of the absence of a column in a run folder."""

    DAMAGED = "every version writes the column"
    EARLIER = "earlier versions, or runs without the feature, do not write the column"


class Column(NamedTuple):
    """A column of a table of a run."""

    name: str
    unit: str
    """Unit of the numbers; empty for text, counts and shares."""
    meaning: str
    holds: Holds = "numbers"
    without: float | Absence | None = Absence.DAMAGED
    """Value for folders of earlier versions, which do not have the column; None for null."""

    @property
    def is_in_all_versions(self) -> bool:
        """Whether every run folder has the column."""
        return self.without is Absence.DAMAGED

    @property
    def has_neutral(self) -> bool:
        """Whether there is a value for folders without the column."""
        return not isinstance(self.without, Absence)

    @property
    def neutral(self) -> float | None:
        """Value for folders without the column."""
        assert not isinstance(self.without, Absence)
        return self.without


_EARLIER = Absence.EARLIER


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of columns in their order."""
    return tuple(column.name for column in columns)


REQUESTS = (
    Column("request", "", "Number of the request, in the order of arrival."),
    Column("status", "", "Outcome: finished, unfinished (still inside when the run ended), rejected, or failed (lost with its replica and not sent elsewhere). With clients also timed_out and cancelled.", "texts"),
    Column("counted", "", "Whether the request lies outside the warm-up.", "truths"),
    Column("class", "", "Name of the class of traffic; null without classes.", "texts", None),
    Column("pool", "", "Name of the pool whose replica answered; null for a rejected request.", "texts"),
    Column("replica", "", "Number of the replica that answered; null for a rejected request."),
    Column("prefill_replica", "", "Number of the replica that prefilled the request, if it is not `replica`; else null.", without=None),
    Column("prompt_tokens", "tokens", "Length of the prompt."),
    Column("output_tokens", "tokens", "Length of the answer, reasoning included."),
    Column("prefix_hit_tokens", "tokens", "Number of prompt tokens that hit the prefix cache.", without=0),
    Column("fetched_tokens", "tokens", "Number of prompt tokens whose KV cache was fetched from offload tiers.", without=0),
    Column("preemptions", "", "Number of times the request was preempted."),
    Column("arrival_s", "s", "Time of arrival at the front door."),
    Column("admitted_s", "s", "Start of the first engine step that includes the request."),
    Column("first_token_s", "s", "Time at which the first token of the answer is at the front door."),
    Column("hand_over_wait_s", "s", "Time from the first token until a decode replica can admit the request.", without=None),
    Column("kv_transfer_s", "s", "Time from admission by a decode replica until the KV cache has arrived there.", without=None),
    Column("finish_s", "s", "Time at which the last token of the answer is at the front door."),
    Column("bus_s", "s", "Latency added by other traffic on the memories of the request's replicas.", without=0.0),
    Column("link_s", "s", "Latency added by other traffic on the links of the replicas' collectives.", without=0.0),
    Column("kv_contention_s", "s", "Latency added by other traffic on the links of the request's KV transfer.", without=0.0),
    Column("reasoning_tokens", "tokens", "Number of reasoning tokens in the answer.", without=_EARLIER),
    Column("first_output_token_s", "s", "Time at which the first token after reasoning is at the front door.", without=_EARLIER),
    Column("attempts", "", "Number of attempts that the client sent.", without=_EARLIER),
    Column("ended_s", "s", "Time at which the client had its answer or gave up.", without=_EARLIER),
    Column("shown_attempt", "", "Number of the attempt whose values the row has, `request` in the table of attempts: the one that was answered, or else the last one.", without=_EARLIER),
    Column("denied_attempts", "", "Number of retries and hedges that the retry budget denied.", without=_EARLIER),
)  # fmt: skip
"""Columns of the table of requests, one row per request.

The columns of reasoning exist if the scenario gives the share of reasoning tokens. The last four
exist if clients make several attempts: arrival and end are then those that the client sees."""

MAY_BE_NULL = {
    "requests": ("pool", "replica", "admitted_s", "first_token_s", "finish_s"),
    "attempts": ("pool", "replica", "admitted_s", "first_token_s", "finish_s", "left_s"),
    "thermal": ("die_c", "memory_c", "reason"),
}
"""Columns that may be null, by name of their table: a request did not get that far, or a device has
no such part or no cause of throttling. Other columns that every version writes have no nulls."""

STRETCHES = (
    Column("replica", "", "Number of the replica."),
    Column("began_s", "s", "Time at which the first step begins."),
    Column("first_s", "s", "Duration of the first step."),
    Column("slope_s", "s", "Difference in duration from one step to the next."),
    Column("steps", "", "Number of steps."),
    Column("batch", "", "Number of sequences that decode in each step."),
    Column("counted", "", "Number of sequences in `batch` that lie outside the warm-up."),
    Column("prompt_tokens", "tokens", "Number of prompt tokens that each step prefills."),
    Column("sampled", "", "Number of sequences that sample a token in each step."),
    Column("context", "tokens", "Number of keys that the first step reads in a layer with full attention."),
    Column("growth", "tokens", "Number of tokens that each step adds to the context."),
    Column("windowed", "tokens", "Number of keys that the first step reads in a layer with sliding-window attention."),
    Column("growing", "", "Number of keys by which each step of the stretch reads more in such a layer: one per sequence that is shorter than the window."),
    Column("pairs", "", "Number of query-key pairs of prompt tokens in a layer with full attention."),
    Column("windowed_pairs", "", "Number of query-key pairs of prompt tokens in a layer with sliding-window attention."),
    Column(
        "kv_tokens",
        "tokens",
        "Number of tokens in the KV cache when the stretch begins; if groups of layers share the cache, its usage times its capacity.",
    ),
    Column("running", "", "Number of running requests when the stretch begins."),
    Column("waiting", "", "Number of waiting requests when the stretch begins."),
    Column("clock", "", "Clock of the devices, as a share of their normal clock.", without=1.0),
    Column("memory_share", "", "Share of the memory bandwidth that other traffic leaves.", without=1.0),
    Column("link_share", "", "Share of the bandwidth of collectives that other traffic leaves; of groups over nodes, the smaller one of links inside nodes and between them.", without=1.0),
    Column("bus_s", "s", "Time added by other traffic on the replica's memories.", without=0.0),
    Column("link_s", "s", "Time added by other traffic on the links of the replica's collectives.", without=0.0),
    Column("rank_tokens", "tokens", "Number of decoding sequences and prompt tokens per step of the attention rank with the most of them; not written if no replica has several ranks.", without=0.0),
)  # fmt: skip
"""Recorded columns of the table of stretches, which are runs of consecutive engine steps with the
same batch. The i-th step lasts first_s + i·slope_s; counts are those of the first step, see
physics/step_work.py."""

STRETCH_TOTALS = (
    Column("ended_s", "s", "Time at which the last step ends."),
    Column("flop", "FLOP", "FLOP of all devices of the replica."),
    Column("bytes", "B", "Bytes that all devices read and write in memory."),
    Column("energy_j", "J", "Energy of all devices of the replica; null if the devices have no power model.", without=None),
    Column("station_occupancy", "", "Share of the stretch in which a wafer's slowest pipeline stage works.", without=None),
)  # fmt: skip
"""Columns that follow those of STRETCHES in the table; they are computed when the run has ended."""

DEVICES = (
    Column("device", "", "Name of the device, such as b200/0/device3.", "texts"),
    Column("pool", "", "Pool of the device.", "texts"),
    Column("replica", "", "Number of the replica that the device holds."),
    Column("kind", "", "Name of the device in the catalog.", "texts"),
    Column("busy_s", "s", "Time in which the device's replica runs steps."),
    Column("flop", "FLOP", "FLOP of the device."),
    Column("bytes", "B", "Bytes that the device reads and writes in memory."),
    Column(
        "energy_j",
        "J",
        "Energy of the device; null if the device has no power model.",
        without=None,
    ),
    Column("mean_power_w", "W", "Mean power of the device over the run.", without=None),
    Column(
        "compute_utilisation", "", "FLOP over the maximum at the device's peak rate in the run."
    ),
    Column(
        "bandwidth_utilisation",
        "",
        "Bytes moved over the maximum at the memory bandwidth in the run.",
    ),
    Column("max_die_c", "degC", "Highest temperature of the die.", without=_EARLIER),
    Column("max_memory_c", "degC", "Highest temperature of the memory.", without=_EARLIER),
    Column("throttled_s", "s", "Time in which heat throttles the device.", without=_EARLIER),
    Column(
        "lowest_clock",
        "",
        "Lowest clock, as a share of the clock of the cool device.",
        without=_EARLIER,
    ),
)
"""Columns of the table of devices: totals over the run, one row per device that holds a replica.

The work of a replica is split evenly over its devices."""

LINKS = (
    Column("from", "", "Name of the node or switch at one end.", "texts"),
    Column("to", "", "Name of the node or switch at the other end.", "texts"),
    Column("kind", "", "Kind of link.", "texts"),
    Column("bandwidth_bytes_per_s", "B/s", "Bandwidth of one direction."),
    Column("latency_s", "s", "Latency of the link."),
    Column("requests", "", "Number of requests that crossed the link on their path from the front door."),
    Column("utilisation", "", "Bytes moved over the maximum at the link's bandwidth, in the busier direction.", without=_EARLIER),
    Column("saturated_share", "", "Share of the time in which the link slows transfers down.", without=_EARLIER),
)  # fmt: skip
"""Columns of the table of links: totals over the run, one row per link.

Before `utilisation` there is one column `KIND_bytes` per kind of transfer, with the bytes of both
directions."""

EVENTS = (
    Column("at_s", "s", "Time of the event."),
    Column("what", "", "Kind of event, see EVENT_KINDS.", "texts"),
    Column("replica", "", "Number of the replica; -1 for none."),
    Column("request", "", "Number of the request; -1 for none."),
    Column("value", "", "Value of the event; its meaning depends on the kind, see EVENT_KINDS."),
)
"""Recorded columns of the table of events, one row per event."""

EVENT_KINDS = {
    "preempted": "A running request leaves the batch; value: output tokens so far.",
    "held": "A preempted request had held still while steps prefilled; value: time since its last token [s].",
    "on_rank": "An attention rank prefills a request while its decoding sequences hold still; value: number of the rank.",
    "rank_held": "These sequences of the rank that prefills the request hold still; value: number of them outside the warm-up.",
    "resumed": "A preempted request decodes again; value: gap between two output tokens [s].",
    "handed_over": "The KV cache of a request has arrived; value: time since the first token [s].",
    "rejected": "A request is rejected; value: tokens of KV cache that it needs.",
    "shutdown": "The devices of a replica shut down; value: their temperature [degC].",
    "power_brake": "The power brake of a rack or row is commanded; value: its power over its cap.",
    "retried": "A request of a replica that was lost starts again elsewhere; value: output tokens so far.",
    "scaled_up": "Replicas of a pool are started, the one with this number first; value: desired replicas.",
    "scaled_down": "Replicas of a pool are removed, the one with this number last; value: desired replicas.",
    "node_failure": "A node fails; value: time until its repair [s], 0 for none.",
    "device_failure": "A device fails; value: time until its repair [s], 0 for none.",
    "link_failure": "A link fails; value: time until its repair [s], 0 for none.",
    "link_degraded": "A link becomes slower; value: share of its bandwidth that remains.",
    "spot_notice": "The reclaim of a spot node is announced; value: time until the reclaim [s].",
    "spot_reclaim": "A spot node is reclaimed; value: time until there is capacity again [s], 0 for none.",
    "repaired": "A node, device or link is repaired; value: time since its fault [s].",
    "failed": "A request of a replica that was lost has no answer; value: output tokens so far.",
    "cancelled": "A request leaves because its client has left; value: output tokens so far.",
    "timed_out": "A client gives an attempt up; value: time since it was sent [s].",
    "hedged": "A client sends a copy of an attempt to another replica; value: number of earlier attempts.",
    "retried_by_client": "A client sends its request again; value: number of earlier attempts.",
}
"""Kinds of events, with the meaning of `value` for each kind."""

EVENT_REASON = Column(
    "reason",
    "",
    "Cause of a rejection or failure: too_long (for every replica), all_down (every replica that "
    "could serve it is lost), no_rule (of the router matches it), pool_too_small (for the pools to "
    "which rules lead it), or the admission policy.",
    "texts",
    None,
)
"""Column that follows the columns of EVENTS in the table."""

TRANSFERS = (
    Column("kind", "", "Kind of transfer.", "texts"),
    Column("from_replica", "", "Number of the replica that sends."),
    Column("to_replica", "", "Number of the replica that receives."),
    Column("request", "", "Number of the request; -1 for several requests."),
    Column("bytes", "B", "Number of bytes moved."),
    Column("began_s", "s", "Time at which the first byte could be sent."),
    Column("ended_s", "s", "Time at which the last byte was sent, before the latency of the path."),
    Column("alone_s", "s", "Duration without other transfers."),
)
"""Columns of the table of transfers, one row per transfer that has ended."""

THERMAL = (
    Column(
        "device", "", "Name of the first device of a group with the same temperatures.", "texts"
    ),
    Column("alike", "", "Number of devices in the group."),
    Column("at_s", "s", "End of the bin."),
    Column("power_w", "W", "Mean power in the bin."),
    Column("die_c", "degC", "Highest temperature of the die in the bin."),
    Column("memory_c", "degC", "Highest temperature of the memory in the bin."),
    Column("clock", "", "Lowest clock in the bin, as a share of the clock of the cool device."),
    Column(
        "refresh_share",
        "",
        "Lowest share of the memory bandwidth that memory refresh leaves in the bin.",
    ),
    Column("reason", "", "Worst cause of throttling in the bin; null if there is none.", "texts"),
    Column(
        "leakage_w",
        "W",
        "Mean leakage in the bin, relative to that of a board in coolant of the reference "
        "temperature; a part of `power_w`.",
        without=0.0,
    ),
)
"""Columns of the table of temperatures, power and clocks over time, in equal bins."""

STATES = (
    Column("at_s", "s", "Time of the change."),
    Column("replica", "", "Number of the replica."),
    Column("state", "", "State from this time on: off, starting, loading, asleep, ready, draining or lost.", "texts"),
    Column("cause", "", "Cause of the change.", "texts"),
)  # fmt: skip
"""Columns of the table of states, one row per change of the state of a replica.

A replica without a row is ready during the whole run; before its first row, a replica is ready."""

CLOCKS = (
    Column("at_s", "s", "Time of the change."),
    Column("replica", "", "Number of the replica."),
    Column("clock", "", "Highest clock that the locks allow from this time on, as a share of the highest clock."),
)  # fmt: skip
"""Columns of the table of clock locks, one row per change; a replica without a row has no lock."""

EVENT_WHERE = Column(
    "where", "", "Node, device or link of the event; null for other events.", "texts", None
)
"""Column that follows EVENT_REASON in the table of events."""

STRETCH_COLUMNS = names(STRETCHES)
STATE_COLUMNS = names(STATES)
CLOCK_COLUMNS = names(CLOCKS)
EVENT_COLUMNS = names(EVENTS)
TRANSFER_COLUMNS = names(TRANSFERS)
