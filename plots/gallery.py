"""Pictures of the gallery, one per scenario that no other script draws.

python plots/gallery.py RUNS [NAME ...]

RUNS is a folder with what `cluster-sim run example:NAME --out RUNS/NAME` wrote, or a sweep where the
figure is one of a sweep. Names without such a folder are left out.
"""

import sys
from pathlib import Path

import cluster_sim
from cluster_sim import figures
from cluster_sim.figures.purposes import OF_RUNS

HERE = Path(__file__).parent
FIGURES = {
    "admission_burst": "goodput",
    "arrival_processes": "latency_ccdf",
    "azure_conversation": "latency_cdf",
    "burst_contention": "latency_ccdf",
    "chat_closed_loop": "latency_cdf",
    "codex_spark": "latency_cdf",
    "contract_10b": "cost_breakdown",
    "cool_under_fire": "latency_ccdf",
    "cooling_in_july": "room",
    "disaggregated_70b": "latency_cdf",
    "energy_at_same_slo": "latency_cdf",
    "fleet_10000_gpus": "latency_cdf",
    "hbm_throttle_claim": "thermal",
    "hetero_prefill_decode": "latency_cdf",
    "kv_offload": "latency_cdf",
    "kv_swap": "latency_cdf",
    "long_prompts_apart": "ttft_tpot_scatter",
    "matx_what_if": "latency_cdf",
    "mooncake_trace": "ttft_over_time",
    "offline_405b": "latency_cdf",
    "one_user_and_many": "latency_cdf",
    "other_accelerators": "latency_cdf",
    "overnight_sweep": "rate_latency",
    "prefix_caching_chat": "latency_cdf",
    "priority_classes": "latency_ccdf",
    "reasoning_clients": "latency_ccdf",
    "routing_policies": "latency_ccdf",
    "speculation_70b": "latency_cdf",
    "static_vs_continuous": "latency_cdf",
    "streamed_405b": "step_time",
    "thermal_burst": "thermal",
    "what_saturates": "bandwidth",
    "working_day": "goodput",
}
"""Figure of each scenario."""
CHOSEN = {
    "codex_spark": ("b200", "cs3", "cs3-4-bit-pairs", "cs3-read-each-time"),
    "other_accelerators": ("b200", "rubin", "mi355x", "tpu-v7", "groq-3", "hybrid"),
}
"""Variants that are drawn, of scenarios with many."""
WHERE = {"overnight_sweep": {"prompt_tokens.median": "1500", "output_tokens.median": "320"}}
"""Values of the points of a sweep that are drawn."""


def draw(name: str, folder: Path) -> None:
    """Draw the figure of a scenario from its runs or its sweep."""
    figure = FIGURES[name]
    if figure in OF_RUNS:
        paths = sorted(path.parent for path in folder.glob("**/manifest.json"))
        chosen = CHOSEN.get(name, [path.name for path in paths if "without" not in path.parts])
        shown = [cluster_sim.load_results(path) for path in paths if path.name in chosen]
        picture = figures.draw(figure, shown)
    else:
        picture = figures.draw_study(figure, folder, where=WHERE.get(name))
    print(figures.save(picture, HERE / "gallery" / f"{name}.png", dpi=80))


if __name__ == "__main__":
    runs, chosen = Path(sys.argv[1]), sys.argv[2:] or list(FIGURES)
    for each in chosen:
        if (runs / each).is_dir():
            draw(each, runs / each)
