from .config_options import ConfigOptions, read_config
from .error_report import CommandParser, report_errors, sentence_of

__all__ = ['CommandParser', 'ConfigOptions', 'read_config', 'report_errors',
           'sentence_of']
