"""Errors on corrupted images, ImageNet-C (arXiv 1903.12261)."""

from mmengine.logging import print_log

from ibot_mm.registry import METRICS

from .variant_accuracy import VariantAccuracy

# Mean errors of AlexNet over the five severities, as published with
# ImageNet-C: the corruptions of the mean corruption error, then the others.
ALEXNET = dict(
    gaussian_noise=.886428, shot_noise=.894468, impulse_noise=.922640,
    defocus_blur=.819880, glass_blur=.826268, motion_blur=.785948,
    zoom_blur=.798360, snow=.866816, frost=.826572, fog=.819324,
    brightness=.564592, contrast=.853204, elastic_transform=.646056,
    pixelate=.717840, jpeg_compression=.606500)
EXTRA = ('speckle_noise', 'gaussian_blur', 'spatter', 'saturate')
SEVERITIES = range(1, 6)


@METRICS.register_module()
class CorruptionError(VariantAccuracy):
    """Errors on ``<corruption>/<severity>``, lower is better, in percent.

    A key for each corruption has the mean error over its five severities.
    Then, if none of their corruptions and severities is missing:

    - ``mean_15``: mean over the 15 corruptions of ImageNet-C, not normalized,
    - ``mean_19``: the same with the four extra corruptions,
    - ``mce``: the mean corruption error, for which the error on each of the
      15 is divided by that of AlexNet.

    The log names what is missing.
    """

    default_prefix = 'corruption'

    def compute_metrics(self, results: list[tuple[str, bool]]
                        ) -> dict[str, float]:
        """The errors."""
        accuracy = super().compute_metrics(results)
        wanted = [*ALEXNET, *EXTRA]
        missing = {name: [severity for severity in SEVERITIES
                          if f'{name}/{severity}' not in accuracy]
                   for name in wanted}
        incomplete = [f'{name} ({", ".join(map(str, severities))})'
                      for name, severities in missing.items() if severities]
        if incomplete:
            print_log('missing corruptions (severities): '
                      + ', '.join(incomplete), 'current')
        errors = {
            name: sum(100 - accuracy[f'{name}/{severity}']
                      for severity in SEVERITIES) / len(SEVERITIES)
            for name in wanted if not missing[name]}
        metrics = dict(errors)
        if set(ALEXNET) <= set(errors):
            metrics['mean_15'] = sum(
                errors[name] for name in ALEXNET) / len(ALEXNET)
            metrics['mce'] = sum(
                errors[name] / ALEXNET[name] for name in ALEXNET
            ) / len(ALEXNET)
        if len(errors) == len(wanted):
            metrics['mean_19'] = sum(errors.values()) / len(errors)
        return metrics
