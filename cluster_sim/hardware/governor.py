"""Limits of the temperatures of a device, and the governor of its clock."""

from __future__ import annotations

import warnings
from typing import Any

from pydantic import model_validator

from cluster_sim.schema import Description, RenamedKeyWarning
from cluster_sim.typing import Share
from cluster_sim.units import Celsius, Hertz, Kelvin, PositiveSeconds, Seconds


class Limits(Description):
    """Temperatures at which a device protects itself."""

    operating_c: Celsius
    """Maximum operating temperature of the device [degC]. Above it, software lowers the clock."""
    slowdown_c: Celsius
    """Temperature at which hardware immediately halves the clock [degC]."""
    shutdown_c: Celsius
    """Temperature at which the device shuts down and is lost [degC]."""
    memory_c: Celsius | None = None
    """Maximum temperature of the memory [degC]. Above it, software lowers the clock of the
    processors; the clock of the memory has no steps. Default: no limit."""
    coolant_c: Celsius | None = None
    """Maximum temperature of the coolant that leaves the device [degC]. Above it, software lowers
    the clock. Default: no limit."""


_OLD_GOVERNOR_KEYS = {"fall_period": "thermal_period", "power_period": ""}
"""New name of a key of earlier versions; empty where nothing reads the key any more."""


class GovernorSpec(Description):
    """Steps and periods in which a device changes its clock to keep its limits."""

    clock_hz: Hertz
    """Highest clock [Hz]."""
    floor_hz: Hertz
    """Lowest clock to which heat or a power limit reduces it [Hz]."""
    lockable_hz: Hertz | None = None
    """Lowest clock to which an operator can lock the device [Hz]. Default: `floor`."""
    step_hz: Hertz
    """Size of one change of the clock [Hz]."""
    power_sample_period_s: PositiveSeconds = 0.1
    """Time between two readings of the power sensor, and between changes of the clock that keep a
    power cap [s]. Default: 100 ms, as on A100 and H100 (arXiv 2312.02741)."""
    power_window_s: PositiveSeconds = 0.025
    """Time before each reading over which the sensor measures the mean power [s]; at most the
    period. Default: 25 ms, as on A100 and H100 (arXiv 2312.02741)."""
    thermal_period_s: PositiveSeconds
    """Time between two decisions of the software that keeps the operating limits [s]. It is short
    against the time constant of a die on its heat sink."""
    thermal_response_s: PositiveSeconds = 2.0
    """Time within which software takes the temperature of the die to its limit [s]. Temperatures
    that follow the clock more slowly, as those of the memory, get more time."""
    rise_period_s: PositiveSeconds | None = None
    """Minimum time between two steps of the clock upwards that follow heat [s]. Default: the clock
    rises as fast as it falls."""
    hysteresis_kelvin: Kelvin
    """Distance below a temperature at which its effect ends [K]: that of the more frequent refresh
    of memory, and of a shutdown."""
    slowdown_factor: Share
    """Share of the clock that remains at the slowdown limit."""
    slowdown_period_s: PositiveSeconds = 0.01
    """Time within which hardware notices that the slowdown limit is reached [s]."""
    slowdown_hold_s: Seconds
    """Minimum duration of a slowdown by hardware [s]. It ends below the operating limit."""

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, value: Any) -> Any:
        """Accept the keys of earlier versions, with a warning."""
        if not isinstance(value, dict) or value.keys().isdisjoint(_OLD_GOVERNOR_KEYS):
            return value
        kept = {key: part for key, part in value.items() if key not in _OLD_GOVERNOR_KEYS}
        for key, new in _OLD_GOVERNOR_KEYS.items():
            if key in value:
                mend = f"write governor.{new}" if new else "nothing reads it, remove it"
                text = f"governor.{key}: this key is deprecated; {mend}"
                warnings.warn(text, RenamedKeyWarning, stacklevel=2)
                kept |= {new: value[key]} if new else {}
        return kept
