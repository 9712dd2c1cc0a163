"""Memory of activations: memory of one step in addition to weights and KV cache.

Before vLLM sizes the KV cache, it runs one step with the maximum number of tokens, samples one
token for the maximum number of sequences, and reserves the highest memory use. The two phases follow each
other, so the larger one counts. Source: vLLM 0.8 to 0.33, `v1/worker/gpu_worker.py`
determine_available_memory, `v1/worker/gpu_model_runner.py` profile_run and _dummy_sampler_run.

* A layer with experts holds one row per token and routed expert. One buffer holds the output of the
  first or of the last product, whichever is wider. A second buffer holds the activated output
  (vLLM 0.7 to 0.33, `fused_moe/fused_moe.py` intermediate_cache1 to 3; caches 1 and 3 are shared
  since pull request 13625). Kernels that sort the rows by expert pad the rows of each expert to a
  block and copy the input into them (DeepGEMM: `fused_moe/deep_gemm_moe.py` workspace_shapes,
  `deep_gemm_utils.py` compute_aligned_M). A layer processes at most 32,768 tokens in one pass
  (VLLM_FUSED_MOE_CHUNK_SIZE, vLLM 0.6 to 0.11).
* Sampling holds several values per logit simultaneously. PyTorch's sort of all logits takes 38 B: 2
  B in 16 bit, 4 B in 32 bit, 4 B for sorted values, 8 B for their indices, 8 B for the indices
  before sorting, and 12 B of scratch memory (`aten/src/ATen/native/cuda/SortStable.cu`
  segmented_sort_pairs, for 128 sequences and more). vLLM sorts like this without FlashInfer: by
  default until early 2026.

Accuracy: tests/physics/test_activation_memory.py compares the rule of the sampler with logs. Five
models on H100 (vLLM 0.11) are within 2 %.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cluster_sim.llm.model import Model
from cluster_sim.physics.replica_layout import ReplicaLayout

ExpertRows = Literal["in_place", "sorted"]
"""Row layout in kernels of experts: in arrival order, or sorted by expert and padded to blocks."""

_ACTIVATION_BYTES = 2.0  # per value, 16 bit
_QUANTISED_BYTES = {"bf16": 0.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}  # of the quantised copy
_TOKENS_AT_ONCE = 32_768  # tokens per pass of a layer with experts
_BLOCK_ROWS = 128  # padding of the rows of one expert


class LargestStep(NamedTuple):
    """Step that an engine measures before it sizes the KV cache."""

    tokens: int
    """Number of tokens of the step, over all ranks."""
    sequences: int
    """Number of sequences for which a token is sampled, over all ranks."""
    logit_bytes: float = 0.0
    """Memory of the sampler per logit [B]; 0 if the sampler is not counted."""
    expert_rows: ExpertRows = "in_place"
    """Row layout in kernels of experts: in arrival order, or sorted by expert and padded to blocks.
    """


def activation_bytes(model: Model, layout: ReplicaLayout, step: LargestStep) -> float:
    """Return the highest memory of activations of a step on one device [B].

    Layers without experts are omitted: an engine profile already reserves their activations. The
    module docstring gives the rules and their sources.

    Parameters
    ----------
    model
        Shape of the model.
    layout
        Distribution of the model over devices.
    step
        Step that the engine measures before it sizes the KV cache.

    Returns
    -------
    float
        Larger one of the memory of a layer with experts and of the sampler [B].

    Examples
    --------
    Qwen3-235B in fp8 on four devices, 8,192 tokens: 65,536 rows of 4,096 + 384 values of 2 B and
    384 of 1 B, and 5 B for each value of the input.

    >>> from cluster_sim.schema import catalog_entry
    >>> qwen3 = Model.model_validate(catalog_entry("models", "qwen3-235b"))
    >>> round(activation_bytes(qwen3, ReplicaLayout(4, weights="fp8"), LargestStep(8192, 512)) / 1e6)
    780
    """
    return max(_expert_bytes(model, layout, step), _sampler_bytes(model, layout, step))


def _expert_bytes(model: Model, layout: ReplicaLayout, step: LargestStep) -> float:
    """Return the activations of a layer with experts [B]; 0 for a model without experts.

    A rank of attention data parallelism counts only the rows of its own tokens. Expert-parallel
    groups receive the tokens of all ranks, an equal share each. Experts that are split by tensor
    parallelism also hold rows of other ranks; how many depends on the communication backend, which
    no profile specifies.
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
    # input of the layer and the residual, the output of shared experts, latent vectors in and out
    values = (3 if experts.shared else 2) * model.hidden + 2 * (experts.latent or 0)
    token_bytes = _ACTIVATION_BYTES * values + quantised_bytes * expert_hidden
    return rows * row_bytes + tokens * token_bytes


def _sampler_bytes(model: Model, layout: ReplicaLayout, step: LargestStep) -> float:
    """Return the memory of sampling and of the hidden states of its step [B]."""
    if not step.logit_bytes:
        return 0.0
    hidden_bytes = _ACTIVATION_BYTES * step.tokens * model.hidden
    logits = step.sequences * model.vocabulary
    return (logits * step.logit_bytes + hidden_bytes) / layout.data_parallel
