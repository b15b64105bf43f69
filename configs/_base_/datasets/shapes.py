# Classes of the shapes data set (tools/dataset_tools/make_shapes.py), in the
# order of their labels.
metainfo = dict(
    classes=('striped_disc', 'dotted_star', 'ringed_square', 'checked_flower',
             'waved_triangle', 'rayed_gear', 'gridded_cross',
             'bricked_hexagon', 'crossed_bean', 'scaled_leaf',
             'zigzagged_drop', 'swirled_bone'),
    palette=[[230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200],
             [245, 130, 48], [145, 30, 180], [70, 240, 240], [240, 50, 230],
             [210, 245, 60], [250, 190, 212], [0, 128, 128], [170, 110, 40]])
