"""Print a complete config, including everything it inherits."""

import ibot_mm  # noqa: F401  (configs may use its helpers)
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
)


@report_errors
def main() -> None:
    """Print the config."""
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override config settings')
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    print(cfg.pretty_text)


if __name__ == '__main__':
    main()
