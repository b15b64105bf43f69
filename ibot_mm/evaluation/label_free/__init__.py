from .alignment import Alignment, Uniformity
from .lidar import LiDAR
from .part_matches import PartMatches
from .rankme import RankMe

__all__ = ['Alignment', 'LiDAR', 'PartMatches', 'RankMe', 'Uniformity']
