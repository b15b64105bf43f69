"""What is used from Python without a config file."""

from .pretrain import Plan, pretrain

__all__ = ['Plan', 'pretrain']
