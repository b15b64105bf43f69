"""Settings of the command line."""

from argparse import ArgumentParser

import pytest

from ibot_mm.command_line import ConfigOptions, read_config


@pytest.fixture
def parse():
    parser = ArgumentParser()
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
