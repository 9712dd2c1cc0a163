"""Memory of activations: what one step holds beside weights and KV cache, as vLLM measures it.

Before it sizes the KV cache, vLLM runs one step of as many tokens as a step may have, samples a
token for as many sequences as the batch may hold, and sets the highest use of memory aside. The
two come one after the other, so the larger one counts (vLLM 0.8 to 0.33, `v1/worker/gpu_worker.py`
determine_available_memory, `v1/worker/gpu_model_runner.py` profile_run and _dummy_sampler_run).

* A layer with experts holds one row per token and expert that the token is routed to: the output
  of the first product or of the last, whichever is wider, in one buffer, and the activated output
  beside it (vLLM 0.7 to 0.33, `fused_moe/fused_moe.py` intermediate_cache1 to 3, cache 1 and 3
  shared since pull request 13625). Kernels that sort the rows by expert pad each expert's rows to
  a block and copy the input into its rows (DeepGEMM: `fused_moe/deep_gemm_moe.py`
  workspace_shapes, `deep_gemm_utils.py` compute_aligned_M). At most 32,768 tokens pass at once
  (VLLM_FUSED_MOE_CHUNK_SIZE, vLLM 0.6 to 0.11).
* Sampling holds several values per logit at once. PyTorch's sort of all logits takes 38 B: 2 B
  in 16 bit, 4 B in 32 bit, sorted values 4 B, their places 8 B, places before sorting 8 B, and 12 B
  of scratch memory (`aten/src/ATen/native/cuda/SortStable.cu` segmented_sort_pairs, for 128
  sequences and more). vLLM samples so without FlashInfer: by default until early 2026.

The sampler's rule is compared with logs in tests/physics/test_activation_memory.py: five models on
H100 (vLLM 0.11) within 2 %.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cluster_sim.llm.model import Model
from cluster_sim.physics.replica_layout import ReplicaLayout

ExpertRows = Literal["in_place", "sorted"]
"""Way in which kernels of experts keep the rows of tokens: as they come, or sorted by expert and
padded to blocks."""

_ACTIVATION_BYTES = 2.0  # 16 bit
_QUANTISED_BYTES = {"bf16": 0.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}  # of the copy that is multiplied
_TOKENS_AT_ONCE = 32_768  # of a layer with experts
_BLOCK_ROWS = 128  # of one expert, where rows are sorted


class LargestStep(NamedTuple):
    """The step that an engine measures before it sizes the KV cache."""

    tokens: int
    """Number of tokens of the step, over all ranks."""
    sequences: int
    """Number of sequences that a token is sampled for, over all ranks."""
    logit_bytes: float = 0.0
    """Memory of the sampler per logit [B]; 0 where the sampler is not counted."""
    expert_rows: ExpertRows = "in_place"
    """Way in which kernels of experts keep the rows of tokens."""


def activation_bytes(model: Model, layout: ReplicaLayout, step: LargestStep) -> float:
    """Return the highest memory of activations of a step on one device [B].

    Layers without experts are left out: their activations are part of what an engine's profile
    reserves.

    Parameters
    ----------
    model
        Shape of the model.
    layout
        Spread of the model over devices.
    step
        Step that the engine measures.

    Examples
    --------
    Qwen3-235B in fp8 on four devices, 8,192 tokens: 65,536 rows of 4,096 + 384 values of 2 B and 384
    of 1 B, and 5 B for each value of the input.

    >>> from cluster_sim.schema import catalog_entry
    >>> qwen3 = Model.model_validate(catalog_entry("models", "qwen3-235b"))
    >>> round(activation_bytes(qwen3, ReplicaLayout(4, weights="fp8"), LargestStep(8192, 512)) / 1e6)
    780
    """
    return max(_expert_bytes(model, layout, step), _sampler_bytes(model, layout, step))


def _expert_bytes(model: Model, layout: ReplicaLayout, step: LargestStep) -> float:
    """Return the activations of a layer with experts; 0 for a model without any.

    A rank of attention data parallelism counts as many rows as its own tokens make. Experts that
    are spread get those of all ranks, each its share; how many rows of other ranks experts that are
    cut hold at once depends on what carries them, which no profile says.
    """
    experts = model.experts
    if experts is None:
        return 0.0
    is_spread = layout.expert_parallel > 1
    tokens = min(step.tokens / layout.data_parallel, _TOKENS_AT_ONCE)
    width = experts.ffn / (1 if is_spread else layout.tensor_parallel * layout.data_parallel)
    first_width = width * (model.ffn_matrices - 1)
    quantised_bytes = _QUANTISED_BYTES[model.computed_in(layout.weights, "experts")]
    rows = tokens * experts.top_k
    expert_hidden = model.expert_hidden
    wider = max(first_width, expert_hidden)
    if step.expert_rows == "sorted":
        rows += experts.count / layout.expert_parallel * (_BLOCK_ROWS - 1)
        row_bytes = _ACTIVATION_BYTES * (wider + max(width, expert_hidden))
        row_bytes += quantised_bytes * expert_hidden
    else:
        row_bytes = _ACTIVATION_BYTES * (wider + width) + quantised_bytes * width
    # the layer's input and the residual, the output of shared experts, latent vectors in and out
    values = (3 if experts.shared else 2) * model.hidden + 2 * (experts.latent or 0)
    token_bytes = _ACTIVATION_BYTES * values + quantised_bytes * expert_hidden
    return rows * row_bytes + tokens * token_bytes


def _sampler_bytes(model: Model, layout: ReplicaLayout, step: LargestStep) -> float:
    """Return the memory of sampling, with the hidden states of the step that it follows."""
    if not step.logit_bytes:
        return 0.0
    hidden_bytes = _ACTIVATION_BYTES * step.tokens * model.hidden
    logits = step.sequences * model.vocabulary
    return (logits * step.logit_bytes + hidden_bytes) / layout.data_parallel
