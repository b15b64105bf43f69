"""How the images of an optimizer step are split over a machine."""

import math
from typing import NamedTuple

from .image_survey import ImageSurvey
from .machine import Machine
from .step_probe import StepProbe


class Batch(NamedTuple):
    """How the images of a step are split.

    Attributes:
        size: Images per process and forward pass.
        processes: GPUs, or 1 on a CPU.
        accumulation: Forward passes per step.
    """

    size: int
    processes: int
    accumulation: int

    @property
    def total(self) -> int:
        """Images per step."""
        return self.size * self.processes * self.accumulation


def power_of_two(value: float, least: int, most: int) -> int:
    """The largest power of two up to a value, within limits."""
    return min(max(2**int(math.log2(max(value, 1))), least), most)


def choose_batch(wanted: int | None, survey: ImageSurvey, machine: Machine,
                 probe: StepProbe | None, activation_bytes: float
                 ) -> tuple[Batch, str, str]:
    """Split of a step, and reasons for size and accumulation.

    Args:
        wanted: Images per step that the user asks for; None for the rule.
        survey: Of the images.
        machine: Its memory is what must suffice.
        probe: Measured memory of a GPU; None to use ``activation_bytes``.
        activation_bytes: Memory per image of a step that runs all views at
            once, from the trace.
    """
    processes = max(machine.gpus, 1)
    # A hundred steps per epoch where there are images for it.
    total = wanted or power_of_two(survey.count / 100, 64, 1024)
    total = min(total, survey.count)
    image, fixed = activation_bytes, 0.
    source = 'predicted from a trace'
    if probe is not None and probe.image_bytes:
        image, fixed = probe.image_bytes, probe.fixed_bytes
        source = 'measured on this GPU'
    # With fewer views per pass, which views_per_pass='auto' takes where
    # memory is short, a step needs about a quarter.
    fits = max(int((0.8 * machine.memory - fixed) / (image / 3)), 1)
    per_process = max(total // processes, 1)
    accumulation = math.ceil(per_process / fits)
    batch = Batch(per_process // accumulation, processes, accumulation)
    why = ('--batch.' if wanted else
           f'100 steps per epoch of {survey.count:,} images, from 64 to the '
           'published 1,024 images per step.')
    return batch, (f'{batch.size} x {processes} x {accumulation} = '
                   f'{batch.total} images per step: {why}'), (
        f'{fits:,} images fit into {machine.memory / 2**30:.0f} GiB '
        f'({image / 2**20:.0f} MiB each with all views at once, {source}; a '
        'third of it with fewer).')


def image_seconds(probe: StepProbe, workers: int, batch: Batch) -> float:
    """Time per image of all processes: of the steps, or of the workers."""
    step = probe.image_seconds + probe.fixed_seconds / batch.size
    return max(step, probe.load_seconds / workers) / batch.processes
