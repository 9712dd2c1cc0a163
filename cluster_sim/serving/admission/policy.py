"""Base of the admission policies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from cluster_sim.schema import Description
from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal


class AdmissionPolicy(Description):
    """Base of the admission policies, which reject requests at the front door."""

    refuses_nobody: ClassVar[bool] = False
    """Whether the policy admits every request under any load."""

    def faults(self, ttft_s: Sequence[float | None]) -> Iterator[str]:
        """Yield the missing input without which the policy cannot decide.

        Parameters
        ----------
        ttft_s
            Objective for the time to first token of each class of requests [s].
        """
        yield from ()

    @abstractmethod
    def refusal(self, ttft_s: float | None, tokens: int) -> Refusal:
        """Return why the policy has rejected a request, in words.

        Parameters
        ----------
        ttft_s
            Objective for the time to first token of the request's class [s].
        tokens
            Number of tokens of the prompt and the answer.
        """

    @abstractmethod
    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate | None:
        """Return the policy with its state for one run; None if it rejects no request.

        Parameters
        ----------
        prefill
            Prefill speed of each replica.
        ttft_s
            Objective for the time to first token of each class of requests [s].
        """
