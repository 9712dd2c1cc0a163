"""Times of an engine that a file gives in place of those that were measured with it on a device."""

from __future__ import annotations

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.efficiency import Overhead
from cluster_sim.schema import Description
from cluster_sim.units import Seconds


class OwnTimes(Description):
    """Times of an engine on every device. Default: those that the device lists for the engine."""

    request_s: Seconds | None = None
    """Time from the arrival of a request at the server until the scheduler sees it [s]."""
    step_s: Seconds | None = None
    """Host and sampling time per step that no kernel hides [s]. It is a part of each step and not the
    whole: times of kernels, launches and sequences are added."""
    sequence_s: Seconds | None = None
    """Host and sampling time per sequence that gets a token in a step [s]."""
    layer_s: Seconds | None = None
    """Time of launches of a layer's element-wise kernels [s]."""
    expert_layer_s: Seconds | None = None
    """Time of launches for routing and sorting in a layer with experts [s]."""
    latent_layer_s: Seconds | None = None
    """Time of additional launches in a layer of latent attention [s]."""
    latent_fp8_layer_s: Seconds | None = None
    """Time of further launches in a layer of latent attention with weights in fp8 [s]."""
    eager_split_layer_s: Seconds | None = None
    """Minimum time per layer of a step that runs outside CUDA graphs, if the engine is compiled in
    pieces [s]."""
    eager_layer_s: Seconds | None = None
    """Minimum time per layer of a step that runs outside CUDA graphs [s]."""
    eager_latent_layer_s: Seconds | None = None
    """Minimum time per layer with latent attention of a step that runs outside CUDA graphs [s]."""
    eager_expert_layer_s: Seconds | None = None
    """Further minimum time per layer with experts of a step that runs outside CUDA graphs [s]."""
    piecewise_layer_s: Seconds | None = None
    """Minimum time per layer of a step in piecewise CUDA graphs [s]."""
    piece_s: Seconds | None = None
    """Time per layer that a step in piecewise CUDA graphs takes longer than as one graph [s]."""

    @property
    def own_times(self) -> dict[str, float]:
        """Times that the file gives [s], by their names in `hardware.efficiency.Overhead`."""
        values = {name: getattr(self, name) for name in OwnTimes.model_fields}
        return {name: value for name, value in values.items() if value is not None}

    def measured_on(self, device: Device, profile: str) -> Device:
        """Return a device on which the engine called `profile` has these times.

        Parameters
        ----------
        device
            Device with the times of engines.
        profile
            Name under which the device lists times of the engine.
        """
        if not self.own_times or not device.overheads:
            return device
        own: Overhead = device.overhead(profile).model_copy(update=self.own_times)
        return device.model_copy(update={"overheads": {**device.overheads, profile: own}})
