"""Drafts of measured runs: as rows state them, or as the scripts of InferenceX set them.

Rows of InferenceX say `mtp` and no more. Their scripts give the number of drafts: TensorRT-LLM
drafts three tokens, one with attention data parallelism; SGLang two on Nvidia's devices and three
on AMD's. Disaggregated runs have recipes of their own, which differ from run to run and are not
used.

The acceptance is that of DeepSeek-R1's own layer, `catalog/drafters/mtp-deepseek-r1.yaml`, and is
the same for all engines, devices and numbers of drafts. Where a server sends a chunk per step, or
every tenth step, the mean gap between chunks over TPOT gives the tokens per step of a run. With
answers of 8,192 tokens it is higher (`mtp-deepseek-r1-long.yaml`): the benchmark forbids answers to
end, and text that goes on repeats itself.

Source: benchmarks/single_node/dsr1_*_mtp.sh of SemiAnalysisAI/InferenceX, January to June 2026.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cluster_sim.validation.layouts import stated_layout
from cluster_sim.validation.table_rows import Row

_DRAFTED = re.compile(r"mtp( \(label\))?")
_MTP = re.compile(r"MTP(\d+)")
_ACCEPTED = re.compile(r"acceptance length ([\d.]+) tokens/step")
_DATASETS = ("inferencex", "inferencemax")
_LONG_TOKENS = 4096
"""Length of answers from which the acceptance is that of long answers [tokens]."""


class StatedDrafts(NamedTuple):
    """Drafts of a measured run."""

    tokens: int
    """Number of drafted tokens per step."""
    length: float | None = None
    """Mean number of tokens per step; None if it is that of the drafter."""
    drafter: str = ""
    """Name of the drafter in the catalog; empty if the run states the length."""

    def keys(self, hardware: str) -> dict[str, Any]:
        """Return the keys of `speculation`.

        Multi-token prediction computes one layer and the output head per drafted token. The draft
        models of public APIs are not published. A model with a fifth of the layers, such as 1B for
        70B, takes a fifth of the time on wafers, where the time of a layer does not depend on its
        width.
        """
        if self.drafter:
            return {"draft_tokens": self.tokens, "drafter": self.drafter}
        cost = {"draft_cost": 0.2} if hardware == "CS-3" else {"mtp_layers": 1}
        return {"draft_tokens": self.tokens, "acceptance_length": self.length} | cost


_OF_APIS = StatedDrafts(4, 3.5)
"""Assumed drafts of public APIs, whose rows do not state them. Vendors state that a small model of
the same family drafts. 2,100 tokens/s against 450 tokens/s with kernels of the same age give 3 to 4
tokens per step (estimate)."""


def stated_drafts(row: Row) -> StatedDrafts | None:
    """Return the drafts of a row; None if neither the row nor a script states them.

    They are an estimate for public APIs that state `yes`.
    """
    stated = row["spec_decoding"]
    if row["hardware"] == "CS-3" and re.match(r"yes( \(|$)", stated):
        return _OF_APIS
    drafted, accepted = _MTP.fullmatch(stated), _ACCEPTED.search(row["notes"])
    if drafted and accepted:
        return StatedDrafts(int(drafted[1]), float(accepted[1]))
    tokens = _tokens_of_script(row) if _DRAFTED.fullmatch(stated) else None
    if tokens is None:
        return None
    is_long = float(row["osl"] or 0) >= _LONG_TOKENS
    return StatedDrafts(tokens, None, f"mtp-deepseek-r1{'-long' if is_long else ''}")


def _tokens_of_script(row: Row) -> int | None:
    """Return the number of drafts by InferenceX's scripts; None if none is known."""
    layout, engine = stated_layout(row), row["framework"].lower().split(" ")[0]
    if (
        not row["dataset"].startswith(_DATASETS)
        or not row["model"].startswith("DeepSeek-R1")
        or layout is None
        or layout.prefill is not None
    ):
        return None
    if engine in ("trtllm", "tensorrt-llm"):
        return 1 if layout.main.data_parallel > 1 else 3
    if engine == "sglang":
        return 3 if row["hardware"].startswith("MI") else 2
    return None
