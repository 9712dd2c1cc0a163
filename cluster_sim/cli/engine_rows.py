"""Rows of the table of estimates about the engine: limits, attention, CUDA graphs, drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cluster_sim.analysis.engine_facts import EngineFacts
    from cluster_sim.physics.replica_layout import GraphPlan


def engine_rows(engines: Sequence[EngineFacts]) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of limits, attention, graphs and drafts that some engine has."""
    if any(engine.admission not in ("first_chunk", "static") for engine in engines):
        yield "admission reserves", [_admission(engine) for engine in engines]
    if any(engine.by_device for engine in engines):
        yield "max_sequences", [f"{engine.max_sequences:,}" for engine in engines]
        yield "max_batched_tokens", [f"{engine.max_batched_tokens:,}" for engine in engines]
    if any(engine.attention_backend != "default" for engine in engines):
        yield "attention back end", [engine.attention_backend for engine in engines]
    if any(engine.exchanges for engine in engines):
        yield "exchange of experts, prompts", [_exchange(engine, 0) for engine in engines]
        yield "exchange of experts, decode", [_exchange(engine, 1) for engine in engines]
    yield from _draft_rows(engines)
    if not any(engine.graph_mode for engine in engines):
        return
    yield "CUDA graphs", [engine.graph_mode or "-" for engine in engines]
    yield "  of decode steps [sequences]", [_decode(engine.graphs) for engine in engines]
    yield "  of steps with a prompt [tokens]", [_mixed(engine.graphs) for engine in engines]
    if any(engine.graph_bytes for engine in engines):
        yield (
            "  memory per device [GB]",
            [f"{engine.graph_bytes / 1e9:.2f}" if engine.graph_mode else "-" for engine in engines],
        )


def _exchange(engine: EngineFacts, phase: int) -> str:
    """Return the kind of exchange of a phase, in words."""
    return "-" if engine.exchanges is None else engine.exchanges[phase].replace("_", " ")


def _draft_rows(engines: Sequence[EngineFacts]) -> Iterator[tuple[str, list[str]]]:
    drafts = [engine.drafts for engine in engines]
    if not any(drafts):
        return
    yield "drafts per step and sequence", [f"{each.tokens}" if each else "-" for each in drafts]
    lengths = [f"{each.tokens_per_step:.2f}" if each else "-" for each in drafts]
    yield "tokens per step and sequence", lengths
    ranges = [each.measured if each else None for each in drafts]
    if any(ranges):
        texts = [
            f"{low_high[0]:.2f} to {low_high[1]:.2f}" if low_high else "-" for low_high in ranges
        ]
        yield "  as measured", texts


_RESERVED = {
    "static": "batches are static",
    "first_chunk": "first chunk; preempts when full",
    "full_isl": "whole prompt; preempts when full",
    "whole_prompts": "whole prompt; never preempts",
    "max_utilization": "whole prompt, next step of all; pauses the last",
    "guaranteed_no_evict": "prompt and longest answer; never preempts",
}
"""Reservation of an admission, by the rule, and its consequence."""


def _admission(engine: EngineFacts) -> str:
    """Return what an admission reserves; SGLang's rule depends on its settings."""
    if engine.admission == "prefill_first":
        return f"prompt, longest answer, {engine.reserved_answers:.0%} of running answers; retracts when full"
    return _RESERVED[engine.admission]


def _decode(graphs: GraphPlan | None) -> str:
    """Return the sizes of decode steps, which other graphs may run as well."""
    if graphs is not None and graphs.decode_sequences:
        return _sizes(graphs.decode_sequences, padding=graphs.padding)
    return _mixed(graphs)


def _mixed(graphs: GraphPlan | None) -> str:
    if graphs is None or not (graphs.step_tokens or graphs.piece_tokens):
        return "-"
    text = _sizes(graphs.step_tokens or graphs.piece_tokens, padding=graphs.padding)
    return text if graphs.step_tokens else f"{text}, piecewise"


def _sizes(sizes: tuple[int, ...], *, padding: bool) -> str:
    text = f"{len(sizes)} sizes up to {sizes[-1]:,}"
    return text if padding else f"exactly {text}"
