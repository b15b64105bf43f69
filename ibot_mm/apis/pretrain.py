"""Pre-training from a folder of images, without a config."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ibot_mm.checkpoints.architecture import backbone_config
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.official.state_dict import strip_prefix
from ibot_mm.checkpoints.pretrained import select_network
from ibot_mm.checkpoints.resume import saved_last
from ibot_mm.checkpoints.stored_config import hidden_settings, stored_config
from ibot_mm.engine.console_log import build_runner
from ibot_mm.engine.work_dir import require_unused

from .batch_split import Batch, image_seconds
from .commented_config import choices, commented
from .image_survey import ImageSurvey, survey_images
from .machine import Machine
from .recipe import Options, recipe
from .recipe_warnings import warnings
from .step_probe import StepProbe, probe_step

# Without and with weights to start from.
BASE = 'examples/ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py'
CONTINUED_BASE = ('examples/ibot_vit-small-p16_1xb64-multicrop-30e_'
                  'continued-own-images.py')


class Plan:
    """A config for a folder of images, with what it was chosen from.

    Args:
        images: Folder of images.
        out: Folder of the run.
        init: Checkpoint of any kind to start from.
        num_heads: Of the backbone in ``init``, where neither its config nor
            the published network of this size tells.
        machine: To choose for; None for this one.
        **options: ``arch``, ``batch``, ``epochs`` and ``hours`` of
            :class:`Options`.

    Raises:
        ValueError: An option or the folder is invalid.
        CheckpointError: ``init`` has no ViT.
    """

    def __init__(self, images: str, out: str, init: str | None = None,
                 num_heads: int | None = None,
                 machine: Machine | None = None, **options: Any) -> None:
        for name in ('batch', 'epochs', 'hours'):
            value = options.get(name)
            if value is not None and value <= 0:
                raise ValueError(f'{name} must be positive, got {value}.')
        if options.get('epochs') and options.get('hours'):
            raise ValueError('epochs and hours contradict each other: give '
                             'one of them.')
        if options.get('arch') and init:
            raise ValueError('arch and init contradict each other: the '
                             'weights have an architecture.')
        if init:
            content = load_checkpoint(init)
            state = strip_prefix(select_network(content), 'backbone.')
            settings = hidden_settings(stored_config(content))
            if num_heads:
                settings['num_heads'] = num_heads
            options['backbone'] = backbone_config(state, **settings)
            if 'num_layers' not in options['backbone']['arch']:
                raise CheckpointError(
                    f'"{init}" holds a Swin transformer: init takes ViTs; '
                    'choose a config of Swin and give it to tools/train.py '
                    '--pretrained.')
            if '://' not in init:
                init = str(Path(init).expanduser().resolve())
        elif num_heads:
            raise ValueError('num_heads is of the weights to start from: '
                             'give init, too.')
        self.options = Options(init=init, **options)
        self.out = Path(out)
        self.folder = str(Path(images).resolve())
        self.machine = machine or Machine.find()
        self.survey: ImageSurvey = survey_images(self.folder)
        self.settings = self._choose()
        self.probe = probe_step(Config.fromstring(self.text(), '.py'))
        self.settings = self._choose(self.probe)

    def _choose(self, probe: StepProbe | None = None) -> dict[str, Any]:
        return recipe(self.survey, self.machine, self.options, str(self.out),
                      self.folder, probe)

    @property
    def hours(self) -> float:
        """Time that the training will take, by the measured steps."""
        seconds = image_seconds(
            self.probe, self._value('train_dataloader.num_workers'),
            self.batch)
        return (self._value('train_cfg.max_epochs') * self.survey.count
                * seconds / 3600)

    @property
    def config(self) -> Path:
        """Path of the config file."""
        return self.out / 'config.py'

    def _value(self, key: str) -> Any:
        return next(choice.value for name, choice in choices(self.settings)
                    if name == key)

    @property
    def batch(self) -> Batch:
        """Split of a step."""
        return Batch(self._value('train_dataloader.batch_size'),
                     max(self.machine.gpus, 1),
                     self._value('optim_wrapper.accumulative_counts'))

    def text(self) -> str:
        """The config file."""
        size, processes, counts = self.batch
        epochs = self._value('train_cfg.max_epochs')
        per_epoch = self.survey.count // (size * processes)
        command = 'python tools/train.py {}'
        if processes > 1:
            command = f'bash tools/dist_train.sh {{}} {processes}'
        return f'''\
# {command.format(self.config)}
#
# {processes} x batch {size} x {counts} accumulated = \
{self.batch.total} images per step.
# {self.survey.count:,} // {size * processes} = {per_epoch:,} iterations per \
epoch, {per_epoch * epochs:,} in all.
#
# Chosen by tools/pretrain.py for {self.machine}.
_base_ = __import__('ibot_mm').config_path(
    '{CONTINUED_BASE if self.options.init else BASE}')

{commented(self.settings)}
'''

    def explain(self) -> list[str]:
        """Lines on images, machine, choices and warnings."""
        survey = self.survey
        sides = sorted(min(size) for size in survey.sizes)
        lines = [
            f'images   {survey.count:,} in {self.folder}; shorter sides '
            f'{sides[0]} to {sides[-1]} pixels, {survey.channels} channels of '
            f'{survey.bits} bits (of {len(sides)} sampled ones)',
            f'machine  {self.machine}']
        for key, (value, reason) in choices(self.settings):
            if isinstance(value, dict):
                value = self.options.init
            lines.append(f'{key} = {value}\n    {reason}')
        lines.append(
            f'The training will take about {self.hours:,.1f} hours, by a few '
            'measured steps.' + ('' if self.options.hours else
                                 ' --hours limits it.'))
        lines += [f'WARNING: {text}' for text in warnings(
            survey, self.folder, self.settings)]
        return lines

    def write(self) -> None:
        """Write the config file.

        Raises:
            ValueError: There is another one.
        """
        text = self.text()
        if self.config.exists() and self.config.read_text() != text:
            raise ValueError(
                f'"{self.config}" is another config: train it with '
                f'tools/train.py {self.config}, or delete it, or choose '
                'another --out.')
        self.out.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)


def pretrain(images: str, out: str, **options: Any) -> Path:
    """Pre-train on a folder of images, in this process, on one GPU or a CPU.

    Looks at the images and the machine, writes ``config.py`` with a reason for
    every choice into the folder of the run, and trains it.

    Args:
        images: Folder of images, with or without folders in it.
        out: Folder of the run.
        **options: See :class:`Plan`.

    Returns:
        The last checkpoint.

    Raises:
        ValueError: An option or the folder is invalid.
        WorkDirError: ``out`` holds a run.
    """
    require_unused(out)
    machine = Machine.find()
    # Several GPUs need several processes: tools/pretrain.py starts them.
    machine = machine._replace(gpus=min(machine.gpus, 1))
    plan = Plan(images, out, machine=machine, **options)
    plan.write()
    for line in plan.explain():
        print_log(line)
    runner = build_runner(Config.fromfile(plan.config))
    runner.train()
    return saved_last(plan.out)
