"""A backbone and one linear classifier on its pooled tokens."""

from typing import Any

from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.official.state_dict import State
from ibot_mm.checkpoints.pretrained import weights_of
from ibot_mm.registry import MODELS

from .feature_extractor import pooled_tokens


@MODELS.register_module()
class LinearClassifier(ImageClassifier):
    """MMPretrain's classifier on the features of the linear probe.

    ``tools/model_converters/merge_linear_head.py`` makes a checkpoint of it
    from one of :class:`LinearProbe`. The head is ``LinearClsHead``.

    Args:
        backbone: Config of ``IBOTViT`` or ``IBOTSwin``.
        n_last_blocks: See :func:`pooled_tokens`.
        pooling: See :func:`pooled_tokens`.
        num_parts: See :func:`pooled_tokens`.
        **kwargs: As in MMPretrain's ImageClassifier.
    """

    def __init__(self,
                 backbone: dict,
                 n_last_blocks: int = 1,
                 pooling: str = 'cls',
                 num_parts: int | None = None,
                 **kwargs) -> None:
        super().__init__(backbone, **kwargs)
        self.n_last_blocks = n_last_blocks
        self.pooling = pooling
        self.num_parts = num_parts

    def extract_feat(self, inputs: Tensor,
                     stage: str = 'neck') -> tuple[Tensor]:
        """Features (B, C), as a tuple of one, of normalized images.

        Args:
            inputs: (B, C_in, H, W).
            stage: Not used: the features of all stages are the same.
        """
        return (pooled_tokens(self.backbone, inputs, self.n_last_blocks,
                              self.pooling, self.num_parts), )

    def adapt_checkpoint(self, checkpoint: dict[str, Any]) -> State:
        """State dict of a checkpoint of this model.

        Raises:
            CheckpointError: It is one of a linear probe.
        """
        state = weights_of(checkpoint)
        if 'weight' in state and 'head.fc.weight' not in state:
            raise CheckpointError(
                'the checkpoint is one of a linear probe: make a classifier '
                'of it with tools/model_converters/merge_linear_head.py.')
        return state
