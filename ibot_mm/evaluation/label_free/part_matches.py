"""Share of patches that find themselves in another view."""

from ibot_mm.evaluation.frozen_teacher import FrozenTeacher
from ibot_mm.registry import EVALUATORS


@EVALUATORS.register_module()
class PartMatches:
    """Accuracy of matching patches of two views of an image.

    As in ``tools/visualization/correspondence.py``: a patch token of the first
    view matches the one of the second view with the largest dot product, which
    is right if it shows the nearest place of the image. Counted are the
    patches that both views show.
    """

    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Returns ``quality/part_match_acc`` in percent.

        And ``quality/part_match_chance``, that of random matches. Both are 0
        if no views share a patch.
        """
        views = teacher.views
        shared = max(views.shared, 1)  # views may be of distant places
        return {'quality/part_match_acc': 100 * views.correct / shared,
                'quality/part_match_chance': 100 * views.at_random / shared}
