"""What a command prints of an error."""

import pytest
from torch.utils.data import DataLoader, Dataset

from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.command_line import CommandParser, report_errors, sentence_of
from ibot_mm.engine.schedulers.cosine import cosine_between


class Unreadable(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return load_checkpoint('nowhere.pth')


def raised_by(function, *args, exception=Exception):
    with pytest.raises(exception) as caught:
        function(*args)
    return caught.value


@pytest.mark.parametrize('workers', [0, 1])
def test_errors_that_the_package_raises_are_a_sentence(workers):
    """Also those of a data worker, which arrive with their traceback."""
    loader = DataLoader(Unreadable(), num_workers=workers)
    error = raised_by(list, loader)
    assert sentence_of(error) == (
        'CheckpointError: there is no checkpoint "nowhere.pth".')


def test_a_missing_file_is_a_sentence():
    error = raised_by(open, '/nowhere/x.json')
    assert '/nowhere/x.json' in sentence_of(error)
    assert sentence_of(FileNotFoundError('a socket')) is None


def test_other_errors_are_none():
    """Neither one of this file, nor one that happens in the package."""
    error = raised_by(cosine_between, 0., 'one', 1, 2)
    assert isinstance(error, TypeError) and sentence_of(error) is None
    assert sentence_of(raised_by(int, 'x')) is None


@pytest.fixture
def fails(monkeypatch):
    """A command that fails, as it is started with some arguments."""

    @report_errors
    def main():
        parser = CommandParser()
        parser.parse_args()
        load_checkpoint('nowhere.pth')

    def start(*arguments):
        monkeypatch.setattr('sys.argv', ['/elsewhere/tool.py', *arguments])
        return raised_by(main, exception=BaseException)

    return start


def test_a_command_ends_with_the_sentence(fails):
    error = fails()
    assert isinstance(error, SystemExit)  # Python prints it
    assert error.code == (
        'CheckpointError: there is no checkpoint "nowhere.pth".')


def test_the_traceback_on_demand(fails):
    assert isinstance(fails('--traceback'), CheckpointError)


def test_commands_return_their_result():
    assert report_errors(lambda: 3)() == 3
