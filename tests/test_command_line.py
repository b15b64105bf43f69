"""Options, configs and errors of the commands."""

import pytest
from torch.utils.data import DataLoader, Dataset

from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
    sentence_of,
)
from ibot_mm.engine.schedulers.cosine import cosine_between


@pytest.fixture
def parse():
    parser = CommandParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    return lambda *args: parser.parse_args(['--cfg-options', *args])


@pytest.mark.parametrize('text, value', [
    ('/my data/a  b/c', '/my data/a  b/c'),
    ('/data (copy)/x', '/data (copy)/x'),
    ("['/a b/c', '/d']", ['/a b/c', '/d']),
    ('(/a b, /c)', ('/a b', '/c')),
    # As MMEngine's own.
    ('[1, 2]', [1, 2]),
    ('1, 2', [1, 2]),
    ('[(1, 2.5), [True, None, x]]', [(1, 2.5), [True, None, 'x']]),
    ('1e-3', 0.001),
    ('a=b c', 'a=b c'),
])
def test_options_keep_blanks_inside_of_a_value(parse, text, value):
    found = parse(f'a.b={text}').cfg_options['a.b']
    assert found == value and type(found) is type(value)


def test_options_add_up(parse):
    args = parse('a=/x y', 'b=1', '--cfg-options', 'b=2')
    assert args.cfg_options == dict(a='/x y', b=2)


def test_an_option_without_a_value_is_named(parse, capsys):
    with pytest.raises(SystemExit):
        parse('train_cfg.max_epochs', '3')
    assert '"train_cfg.max_epochs"' in capsys.readouterr().err


def test_configs_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / 'mine.py'
    with pytest.raises(ValueError, match='mine.py'):
        read_config(str(path))
    path.write_text('a = dict(b=[1])\nc = dict(\n')
    with pytest.raises(ValueError, match='mine.py.*line 2'):
        read_config(str(path))


@pytest.mark.parametrize('key', ['a.b.5.c', 'a.b.0.c.d', 'a.b.c'])
def test_options_that_fit_nowhere_are_named(tmp_path, key):
    path = tmp_path / 'mine.py'
    path.write_text('a = dict(b=[dict(c=1)])')
    assert read_config(str(path), {'a.b.0.c': 2}).a.b == [dict(c=2)]
    with pytest.raises(ValueError, match=key):
        read_config(str(path), {key: 2})


class Unreadable(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return load_checkpoint('nowhere.pth')


def raised_by(function, *args):
    with pytest.raises(Exception) as caught:
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


@pytest.mark.parametrize('arguments', [[], ['--traceback']])
def test_commands_end_with_the_sentence(arguments, monkeypatch):
    monkeypatch.setattr('sys.argv', ['/elsewhere/tool.py', *arguments])
    main = report_errors(lambda: load_checkpoint('nowhere.pth'))
    error = raised_by(main) if arguments else None
    if arguments:
        assert type(error).__name__ == 'CheckpointError'
        return
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == (
        'CheckpointError: there is no checkpoint "nowhere.pth".')


def test_commands_return_their_result(monkeypatch):
    assert report_errors(lambda: 3)() == 3
