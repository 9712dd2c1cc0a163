"""Bursts with silences between them, like the traffic of one tenant's code assistant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import erf, exp, log, sqrt
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from cluster_sim.typing import Sigma
from cluster_sim.units import PerSecond, PositiveSeconds
from cluster_sim.workload.arrivals.process import OpenLoop

# Fitted to the Azure code trace of 2023 (Patel et al., Splitwise, ISCA 2024): 58 bursts in 57
# minutes; a gap above 5 s ends a burst. Over 60 seeds of 3,436 s the process has a CV of gaps
# of 12.0 [p10 10.7, p90 13.8] (trace 13.2), an index of dispersion of 11.9 at 1 s (13.2), 75 at
# 10 s (72), 164 at 60 s (167). Its peak second is 17 times the mean; the trace's is 26 times.
_PRESETS: dict[str, dict[str, Any]] = {
    "azure-code": {
        "on": "16.7 s", "on_shape": 1.6, "off": f"{25.1 * exp(0.95**2 / 2)!r} s", "off_sigma": 0.95, "off_max": "220 s",
        "burst_rate": "9.1 /s", "burst_rate_sigma": 0.6, "gap_shape": 0.4,
    }
}  # fmt: skip

Positive = Annotated[float, Field(gt=0.0)]


def _preset_or_keys(schema: dict[str, Any]) -> None:
    """Require in the JSON Schema either a preset, or the keys that the preset sets."""
    brought = [key for key in schema["required"] if key in _PRESETS["azure-code"]]
    schema["required"] = [key for key in schema["required"] if key not in brought]
    schema["anyOf"] = [{"required": ["preset"]}, {"required": brought}]


class OnOff(OpenLoop):
    """Bursts of gamma-distributed length, each with a random rate, and log-normal silences.

    With all shapes at 1 and `burst_rate_sigma` at 0, lengths of bursts are exponential and arrivals
    within a burst are Poisson.
    """

    model_config = ConfigDict(json_schema_extra=_preset_or_keys)

    process: Literal["on_off"] = "on_off"
    preset: Literal["azure-code"] | None = None
    """Name of a set of values for the omitted keys, fitted to a trace. Default: no preset."""
    on_s: PositiveSeconds
    """Mean length of a burst [s]. Required without a preset."""
    on_shape: Positive = 1.0
    """Gamma shape of the length of a burst; 1 is exponential."""
    off_s: PositiveSeconds
    """Mean silence between bursts, before the cut at `off_max` [s]. Required without a preset."""
    off_sigma: Sigma = 1.0
    """Standard deviation of the logarithm of a silence."""
    off_max_s: PositiveSeconds | None = None
    """Maximum silence; longer silences are cut to it [s]. Default: no cut."""
    burst_rate_per_s: PerSecond
    """Mean rate of arrivals in a burst [1/s]. Required without a preset."""
    burst_rate_sigma: Sigma = 0.0
    """Standard deviation of the logarithm of a burst's rate, which is drawn for each burst."""
    gap_shape: Positive = 1.0
    """Gamma shape of the gaps between arrivals in a burst; 1 is Poisson."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("preset"), str):
            return {**_PRESETS.get(value["preset"], {}), **value}
        return value

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield the ascending arrival times [s] of one burst after another, indefinitely.

        The rate curve is not applied. The probability that time zero lies in a burst is the share
        of time that bursts take.
        """
        mean_on_s, mean_off_s = self.on_s, self._mean_off_s()
        now_s = 0.0 if rng.random() < mean_on_s / (mean_on_s + mean_off_s) else self._silence_s(rng)
        sigma = self.burst_rate_sigma
        gap_shape, gamma = self.gap_shape, rng.gamma
        while True:
            end_s = now_s + gamma(self.on_shape, self.on_s / self.on_shape)
            scale_s = 1.0 / (
                gap_shape
                * self.burst_rate_per_s
                * exp(sigma * rng.standard_normal() - sigma * sigma / 2)
            )
            times_s: list[float] = []
            while (now_s := now_s + gamma(gap_shape, scale_s)) < end_s:
                times_s.append(now_s)
            if times_s:
                yield np.array(times_s)
            now_s = end_s + self._silence_s(rng)

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], to the first order.

        The first gap of a burst is treated like every other gap.
        """
        return self.burst_rate_per_s * self.on_s / (self.on_s + self._mean_off_s())

    def rates_text(self, duration_s: float | None = None) -> str:
        """Return the mean rate over a run, and the rate within a burst."""
        mean = f"mean rate incl. silences {self.mean_rate_per_s(duration_s):.3g}/s"
        return f"{mean} (bursts {self.burst_rate_per_s:.3g}/s)"

    def with_rates(self, change: Callable[[float], float]) -> Self:
        """Return a copy in which `change` is applied to the rate within a burst.

        Bursts and silences keep their lengths, since the time for which somebody works or rests
        does not depend on the number of requests. `burst_rate` alone sets the load.
        """
        return self.model_copy(update={"burst_rate_per_s": change(self.burst_rate_per_s)})

    def periods_until(self, until_s: float) -> float:
        """Return the mean number of bursts and silences until a time [s]."""
        return 2.0 * until_s / (self.on_s + self._mean_off_s())

    def _silence_s(self, rng: np.random.Generator) -> float:
        silence_s = self.off_s * exp(self.off_sigma * rng.standard_normal() - self.off_sigma**2 / 2)
        return silence_s if self.off_max_s is None else min(silence_s, self.off_max_s)

    def _mean_off_s(self) -> float:
        """Return the mean of min(log-normal, off_max) [s].

        The formula is the limited expected value (Klugman, Panjer, Willmot, Loss Models, app. A).
        """
        if self.off_max_s is None or self.off_sigma == 0.0:
            return self.off_s if self.off_max_s is None else min(self.off_s, self.off_max_s)

        def below(x: float) -> float:
            return 0.5 * (1.0 + erf(x / sqrt(2.0)))

        z = (log(self.off_max_s / self.off_s) + self.off_sigma**2 / 2) / self.off_sigma
        return self.off_s * below(z - self.off_sigma) + self.off_max_s * (1.0 - below(z))
