"""Errors of the catalog's fits of routed experts on measurements with an uneven load.

    python benchmarks/uneven_experts.py TABLE --device b200-sxm --system b200_sxm

No fit has used these rows. TABLE is aiconfigurator's table of experts (`moe_perf`). Its collector
draws the number of rows of each expert from a power law and measures the group with most rows
(ai-dynamo/aiconfigurator, collector/helper.py, `power_law_logits_v3`). The draws are not published:
the predicted time is the mean of five draws with the same law. DeepSeek-V3 under SGLang and vLLM is
left out, because their router limits the groups of experts.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.engines import ENGINES
from cluster_sim.calibration.expert_rows import measured_experts
from cluster_sim.calibration.expert_sources import FORMATS
from cluster_sim.calibration.kernel_tables import read_kernels
from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.expert_fit import ExpertFit
from cluster_sim.physics.grouped_products import TILE_ROWS, ExpertRows, grouped_s
from cluster_sim.typing import Array

DRAWS = 5
KERNELS = 1000
"""Maximum number of measurements per kernel."""
DEEPSEEK = (7168, 256)


def rows_of_the_fullest(
    tokens: int, experts: int, top_k: int, groups: int, power: float, rng: np.random.Generator
) -> Array:
    """Return the rows of each expert of the group with most rows, for one draw."""
    low, high = (1.0, max(0.8 * tokens, 1.001)) if tokens * top_k > experts else (0.01, 2.0)
    ends = low ** (1.0 - power), high ** (1.0 - power)
    drawn = ((ends[1] - ends[0]) * rng.random(experts) + ends[0]) ** (1.0 / (1.0 - power))
    rows = np.minimum(np.round(drawn / drawn.sum() * tokens * top_k).astype(int), tokens)
    missing = tokens * top_k - int(rows.sum())
    order = np.argsort(rows)
    while missing:  # whole rows, from the emptiest expert on or from the fullest one on
        step = 1 if missing > 0 else -1
        for expert in order[::step]:
            if missing and 0 <= rows[expert] + step <= tokens:
                rows[expert] += step
                missing -= step
    by_group = rows.reshape(groups, -1)
    fullest: Array = by_group[by_group.sum(axis=1).argmax()]
    return fullest


@cache
def loads(tokens: int, experts: int, top_k: int, groups: int, power: float) -> Array:
    """Return rows, experts with rows and tiles of each size, one row per draw."""
    rng = np.random.default_rng(0)
    draws = [rows_of_the_fullest(tokens, experts, top_k, groups, power, rng) for _ in range(DRAWS)]
    return np.array(
        [
            (rows.sum(), (rows > 0).sum(), *(np.ceil(rows / size).sum() for size in TILE_ROWS))
            for rows in draws
        ]
    )


def off(fit: ExpertFit, table: pa.Table) -> Array:
    """Return predicted time / measured time - 1 of each row of a table of one kernel."""
    measured = measured_experts(table)
    columns = ("num_tokens", "num_experts", "topk", "moe_ep_size", "distribution")
    drawn = np.array(
        [
            loads(*(int(row[name]) for name in columns[:4]), float(row["distribution"][10:]))
            for row in table.select(columns).to_pylist()
        ]
    )
    every = [
        grouped_s(
            fit,
            measured.shape,
            ExpertRows(
                measured.load.tokens,
                measured.load.copies,
                drawn[:, draw, 0],
                drawn[:, draw, 1],
                tuple(drawn[:, draw, 2 + place] for place in range(len(TILE_ROWS))),
            ),
        )
        for draw in range(DRAWS)
    ]
    ratios: Array = np.mean(every, axis=0) / measured.seconds - 1.0
    return ratios


def rows_of(key: str, fit: ExpertFit, table: pa.Table) -> pa.Table:
    """Return the measurements of one fit's kernel with an uneven load."""
    kind, _, suffix = key.rpartition("_")
    engine = {name.lower(): short for short, name in ENGINES.items()}.get(suffix, "trtllm")
    number_format = (key if engine == "trtllm" else kind).partition(".")[0]
    same = pc.and_(pc.equal(table["kernel_source"], fit.kernel), pc.equal(table["engine"], engine))
    dtypes = [
        name
        for name, form in FORMATS.items()
        if (form.name, form.computed_in) == (number_format, fit.computed_in)
    ]
    uneven = pc.match_substring(table["distribution"], "power_law")
    rows = table.filter(
        pc.and_(same, pc.and_(uneven, pc.is_in(table["moe_dtype"], pa.array(dtypes))))
    )
    if engine != "trtllm":
        is_deepseek = pc.and_(
            pc.equal(rows["hidden_size"], DEEPSEEK[0]), pc.equal(rows["num_experts"], DEEPSEEK[1])
        )
        rows = rows.filter(pc.invert(is_deepseek))
    return rows.take(np.random.default_rng(0).permutation(len(rows))[:KERNELS])


def main() -> None:
    """Print the errors of each fit of a device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--system", required=True)
    options = parser.parse_args()
    (table,) = read_kernels(options.table, options.system)
    kernels = device_named(options.device).kernels
    assert kernels is not None
    print(f"{'fit':32} rows  median   p90    bias")
    for key, fit in kernels.experts.items():
        rows = rows_of(key, fit, table)
        if len(rows) and "min-latency" not in key:
            ratios = off(fit, rows)
            median, p90 = np.percentile(np.abs(ratios), [50, 90])
            print(f"{key:32} {len(rows):4}  {median:6.1%} {p90:6.1%} {np.median(ratios):+7.1%}")


if __name__ == "__main__":
    main()
