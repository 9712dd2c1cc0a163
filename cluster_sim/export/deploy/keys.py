"""Keys: the keys of one pool that a server's arguments stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster_sim.export.deploy.served import Method
from cluster_sim.llm.model_names import known_model

_PRECISIONS = {
    "bfloat16": "bf16",
    "bf16": "bf16",
    "fp8": "fp8",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "fp8_per_tensor": "fp8",
    "fp8_per_block": "fp8",
    "w8a8_fp8": "fp8",
    "modelopt": "fp8",
    "modelopt_fp8": "fp8",
    "modelopt_fp4": "fp4",
    "petit_nvfp4": "fp4",
    "nvfp4": "fp4",
    "mxfp4": "fp4",
    "fp4_e2m1": "fp4",
}
_ASSUMED_ACCEPTANCE = 0.7


class Keys:
    """Dotted keys of one pool with their values, and what the arguments say besides."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        """Name of the model on the hub or in the catalog; None if it is not given."""
        self.values: dict[str, Any] = {}
        """Values by dotted key of a pool."""
        self.context: int | None = None
        """Longest sequence [tokens]; None if it is not given."""
        self.host_bytes: float | None = None
        """Capacity of a host tier of one replica [B]; None without one."""
        self.method: Method | None = None
        """Method that drafts; None without drafts."""
        self.notes: list[str] = []
        """Sentences about what could not be read."""

    def put(self, key: str, value: Any) -> None:
        """Set a key, unless its value is None."""
        if value is not None:
            self.values[key] = value

    def precision(self, key: str, text: str | None) -> None:
        """Set a precision by the name that an engine has for it."""
        if text in (None, "auto"):
            return
        if isinstance(text, str) and text in _PRECISIONS:
            self.values[key] = _PRECISIONS[text]
        else:
            self.notes.append(f"the format {text} is not known; {key} keeps its default")

    def graph_sizes(self, unit: str, sizes: Sequence[int], **others: Any) -> None:
        """Set the captured sizes of CUDA graphs, in place of the rule of the engine."""
        no_rule: dict[str, Any] = {"ranges": [], "largest": None, "per_sequence": None}
        no_rule |= {"captures_limit": False, "captures_full_batch": False}
        rule = {"unit": unit, "sizes": list(sizes), **no_rule, **others}
        self.values["replica.engine.graph_sizes"] = rule

    def drafts(self, tokens: int | None, method: Method | None, model: str | None) -> None:
        """Set speculative decoding. Arguments say nothing of its acceptance."""
        if type(tokens) is not int or method is None:
            self.notes.append("the drafts of this method could not be read; there are none here")
            return
        self.method = method
        self.values["replica.speculation.draft_tokens"] = tokens
        known = None if model is None else known_model(model)
        if method == "draft_model" and known is not None:
            self.values["replica.speculation.draft_model"] = known.name
        elif method == "draft_model":
            self.notes.append(
                f"the catalog has no draft model {model}; its drafts cost nothing here"
            )
        elif method != "n_gram":
            self.values["replica.speculation.mtp_layers"] = 1
        self.values["replica.speculation.acceptance"] = _ASSUMED_ACCEPTANCE
        self.notes.append(
            f"arguments do not state how many drafts are accepted; an acceptance of {_ASSUMED_ACCEPTANCE:g} is assumed"
        )
