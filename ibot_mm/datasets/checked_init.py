"""A look at the samples of a host's data set before it hides them."""

from collections.abc import Callable

from mmengine.dataset import BaseDataset

Samples = list[dict]


def checked_init(dataset: BaseDataset,
                 check: Callable[[Samples], None]) -> None:
    """Initialise a data set as the host does, with a check on the way.

    The host turns its list of samples into bytes as soon as it has it, and
    fails on an empty one without saying why.

    Args:
        dataset: Built with ``lazy_init=True``.
        check: Gets the samples that are left after the filter; raises an
            error if they are wrong.
    """
    serialize, dataset.serialize_data = dataset.serialize_data, False
    dataset.full_init()
    check(dataset.data_list)
    if serialize:
        dataset.serialize_data = True
        dataset.data_bytes, dataset.data_address = dataset._serialize_data()
