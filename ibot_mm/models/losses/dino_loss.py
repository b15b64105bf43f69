"""Self-distillation between the CLS tokens of views."""

from torch import Tensor, nn


class DINOLoss(nn.Module):
    """L_[CLS], the cross-entropy of CLS tokens across views.

    mean over (q, v), q != v, of -<p_q, log softmax(s_v / tau_s)> (paper,
    equation 3; DINO, arXiv 2104.14294, equation 3), with the teacher's
    distributions p of the G global views and the student's logits s of all V
    views. It is linear in p: each student view needs one log-softmax against
    the sum of the distributions, instead of one per pair.

    Args:
        student_temp: tau_s.
    """

    def __init__(self, student_temp: float = 0.1) -> None:
        super().__init__()
        self.student_temp = student_temp

    def forward(self,
                student: Tensor,
                teacher: Tensor,
                num_views: int,
                views: slice | None = None) -> Tensor:
        """Contribution of a group of student views; those of all add up.

        Args:
            student: Logits of W views, (W, B, K), float32.
            teacher: Distributions of the global views, (G, B, K).
            num_views: V, per image.
            views: Positions of the W views among the global ones, to exclude
                pairs of a view with itself; None for local views.

        Returns:
            A scalar.

        Raises:
            ValueError: There is only one view.
        """
        if num_views < 2:
            raise ValueError(
                'DINOLoss: the CLS loss compares views of an image, so it '
                f'needs at least 2 crops, got {num_views}.')
        num_global, batch = teacher.shape[:2]
        log_p = (student / self.student_temp).log_softmax(-1)
        # All pairs (teacher view q, student view v) except q == v.
        total = -(log_p.sum(0) * teacher.sum(0)).sum()
        if views is not None:
            total = total + (log_p * teacher[views]).sum()
        return total / (num_global * (num_views - 1) * batch)
