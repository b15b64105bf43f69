# Classes of the shapes data set, in the order of their labels, and the network
# of the quickstart, for detectors and segmentors.
shapes_classes = ('striped_disc', 'dotted_star', 'ringed_square',
                  'checked_flower', 'waved_triangle', 'rayed_gear',
                  'gridded_cross', 'bricked_hexagon', 'crossed_bean',
                  'scaled_leaf', 'zigzagged_drop', 'swirled_bone')
shapes_backbone = dict(
    arch=dict(
        _delete_=True,
        embed_dims=96,
        num_layers=4,
        num_heads=3,
        feedforward_channels=384),
    img_size=48,
    patch_size=8,
    drop_path_rate=0.)
