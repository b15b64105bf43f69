"""Self-distillation of masked patches."""

from torch import Tensor, nn


class IBOTPatchLoss(nn.Module):
    """L_MIM, the cross-entropy of masked patches.

    sum_i w_i -<p_i, log softmax(s_i / tau_s)> (paper, equation 2) over the
    masked patches i of the global views, with the teacher's distributions p
    and the student's logits s.

    Args:
        student_temp: tau_s.
    """

    def __init__(self, student_temp: float = 0.1) -> None:
        super().__init__()
        self.student_temp = student_temp

    def forward(self, student: Tensor, teacher: Tensor,
                weight: Tensor) -> Tensor:
        """Contribution of some masked patches; those of all add up.

        Args:
            student: Logits, (P, K), float32.
            teacher: Distributions, (P, K).
            weight: w, (P,); see :class:`GlobalView`. An image without masks
                contributes 0 and is still counted.

        Returns:
            A scalar.
        """
        log_p = (student / self.student_temp).log_softmax(-1)
        return -((log_p * teacher).sum(-1) * weight).sum()
