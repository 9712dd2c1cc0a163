"""Columns of the tables that studies write: name, unit and meaning of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cluster_sim.results.columns import Column

AXIS: Final = "KEY"
"""Stands for the keys that vary, in the name of a column."""
OBJECTIVE: Final = "OBJECTIVE"
"""Stands for ttft, tpot, itl and e2el, or CLASS.ttft and so on where classes have objectives."""

_VARIANT = Column("variant", "", "Name of the variant; only for files with variants.", "texts")
_VALUE = Column(AXIS, "", "Value of a key that varies, such as `workload.arrivals.rate_per_s`; one column per key. Its name ends in the unit of its numbers.")  # fmt: skip
_STATUS = Column("status", "", "done, or failed.", "texts")
_REASON = Column("reason", "", "Reason of the failure; empty if it is done.", "texts")
_LATENCY = Column(f"{OBJECTIVE}_s", "s", "Latency at the judged percentile; infinite if too few requests finish.")  # fmt: skip
_MARGIN = Column(f"{OBJECTIVE}_margin", "", "Limit minus latency, as a share of the limit; negative if the objective is missed.")  # fmt: skip
_COST = Column("usd_per_hour", "USD/h", "Cost of the cluster; null without prices.")
_FRONT = Column("front", "", "Whether the row is on the Pareto front: no other row that meets the SLO has lower cost and lower latencies.", "truths")  # fmt: skip

SWEEP: Final = (
    Column("sweep", "", "Name of the sweep.", "texts"),
    Column("point", "", "Values of the axes as a JSON object, as the file has them.", "texts"),
    _VARIANT,
    _VALUE,
    Column("seed", "", "Seed of the simulation."),
    Column("replication", "", "Number of the replication of the point, from 0 on."),
    _STATUS,
    _REASON,
    Column("key", "", "Name of the stored point: a hash of what is simulated.", "texts"),
    Column(
        f"slo_margins.{OBJECTIVE}",
        "",
        "Limit minus latency, as a share of the limit, by objective.",
    ),
)
"""Columns of `sweep.parquet`, one row per simulation. The names of the summary follow, those of a
class of traffic as `classes.CLASS.NAME`."""

CAPACITY: Final = (
    _VARIANT,
    _VALUE,
    Column("nodes", "", "Number of nodes of the counted pool."),
    Column("replicas", "", "Number of replicas of the counted pool."),
    Column("rate_per_s", "1/s", "Mean rate of requests."),
    _LATENCY,
    _MARGIN,
    _COST,
    Column("good", "", "Whether all objectives are met.", "truths"),
    Column(
        "answer", "", "Whether this is the answer: the highest rate, or the fewest nodes.", "truths"
    ),
    _FRONT,
    _STATUS,
    _REASON,
)
"""Columns of the table of `capacity --out`, one row per trial."""

PLAN: Final = (
    _VARIANT,
    _VALUE,
    Column("nodes", "", "Number of nodes of all pools."),
    Column("simulated", "", "Share of the requests that was simulated; 1 for a whole run."),
    _LATENCY,
    _MARGIN,
    _COST,
    Column("request_goodput", "1/s", "Requests within the SLO per second."),
    Column("slo_attainment", "", "Share of the requests within the SLO."),
    Column("mean_power_w", "W", "Mean power of the nodes."),
    Column("completed", "", "Number of requests that finished."),
    Column("optimised", "", "Quantity that the plan optimises.", "texts"),
    Column(
        "ended_early", "", "Whether the run ended because the SLO was missed for certain.", "truths"
    ),
    Column("good", "", "Whether a whole run meets the SLO.", "truths"),
    Column("answer", "", "Whether this is the winner of its variant.", "truths"),
    _FRONT,
    _STATUS,
    _REASON,
)
"""Columns of `plan.parquet`, one row per simulated deployment."""

SENSITIVITY: Final = (
    Column("name", "", "Catalog entry, and path of the figure in it.", "texts"),
    Column("value", "", "Value of the figure in the catalog, with its unit.", "texts"),
    Column("low", "", "Low end of its range, with its unit.", "texts"),
    Column("high", "", "High end of its range, with its unit.", "texts"),
    Column("confidence", "", "Confidence of the figure: low, medium or high.", "texts"),
    Column("note", "", "Note of the catalog on the figure.", "texts"),
    Column("metric", "", "Name of the summary that is compared.", "texts"),
    Column("base", "", "Metric with the catalog's figures, in the unit of the metric."),
    Column("at_low", "", "Metric with the figure at the low end of its range."),
    Column("at_high", "", "Metric with the figure at the high end of its range."),
    Column("swing", "", "Largest minus smallest of the three metrics."),
)
"""Columns of the table of `sensitivity --out`, one row per figure that changes the metric."""

DESCRIBED: Final[Mapping[str, tuple[Column, ...]]] = {
    "sweep": SWEEP,
    "capacity": CAPACITY,
    "plan": PLAN,
    "sensitivity": SENSITIVITY,
}
"""Columns of the tables of studies by the command that writes them."""
