"""What a user should know before a pre-training begins."""

from typing import Any

from .image_survey import ImageSurvey

# Images below which any pre-training, and one from nothing, rarely gain over
# existing weights (docs/photographs.md).
FEW_IMAGES, FEW_FROM_NOTHING = 1000, 100_000


def warnings(survey: ImageSurvey, folder: str, settings: dict[str, Any]
             ) -> list[str]:
    """What a user should know before the training, a sentence each."""
    found = []
    sample = len(survey.sizes) + len(survey.unreadable)
    if survey.count < FEW_IMAGES:
        found.append(
            f'{survey.count:,} images are few: start from existing weights '
            '(--init), or use those as they are (docs/photographs.md).')
    elif survey.count < FEW_FROM_NOTHING and (
            'init_cfg' not in settings['model']['backbone']):
        found.append(
            f'{survey.count:,} images rarely suffice for a training from '
            'nothing: compare it with existing weights, or start from them '
            '(--init, docs/photographs.md).')
    if survey.unreadable:
        path, reason = survey.unreadable[0]
        found.append(
            f'{len(survey.unreadable)} of {sample} sampled files cannot be '
            f'read, such as "{path}", which {reason}; training leaves them '
            'out and lists them in bad_files.txt.')
    if len(survey.duplicates) > sample / 50:
        first, second = survey.duplicates[0]
        found.append(
            f'{len(survey.duplicates)} pairs among {sample} sampled images '
            f'are almost equal, such as "{first}" and "{second}": frames of '
            'a video or copies count as one image; keep one of each.')
    patch = settings['model']['backbone']['patch_size'].value
    small = sum(min(size) < 2 * patch for size in survey.sizes)
    if small:
        found.append(
            f'{small} of {sample} sampled images are smaller than two '
            f'patches ({2 * patch} pixels): they are enlarged and show '
            f'little; remove them from "{folder}".')
    if survey.bits == 16 and survey.channels <= 4:
        found.append(
            'most images have 16 bits: they are converted to 8 (to keep 16, '
            "see docs/own_data.md, LoadImage(color='unchanged')).")
    return found
