"""Folders of Hugging Face, out and in."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ibot_mm import Embedder
from ibot_mm.checkpoints.huggingface import to_huggingface
from ibot_mm.checkpoints.huggingface_folder import image_processor
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.models import IBOTSwin, IBOTViT
from tests.helpers import launched
from tests.helpers.builders import ARCH, build_model, model_config
from tests.helpers.in_process import run_tool

pytest.importorskip('safetensors')
TO_HF = 'model_converters/mm_to_hf.py'
# Beside the environment: see tools/environment.sh.
TRANSFORMERS = Path(sys.prefix) / 'transformers'

KINDS = {
    'ViTModel': dict(),
    'ViTModel without bias': dict(qkv_bias=False),
    'Dinov2Model': dict(layer_scale_init_value=0.3),
    'Dinov2Model gated': dict(layer_cfgs=dict(ffn_type='swiglu_fused')),
    'Dinov2WithRegistersModel': dict(layer_scale_init_value=0.3,
                                     num_register_tokens=3),
    'Dinov2WithRegistersModel without LayerScale': dict(
        num_register_tokens=4)}


def write(kind, folder, img_size=32):
    """A folder of random weights; the backbone and the output."""
    settings = dict(KINDS[kind], img_size=img_size)
    model = build_model(backbone=settings)
    source = folder / 'epoch_3.pth'
    cfg = Config(dict(
        model=model_config(backbone=settings),
        train_dataloader=dict(batch_size=64, dataset=dict(
            data_root='data/mine', pipeline=[])),
        train_cfg=dict(max_epochs=3)))
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(cfg=cfg.pretty_text)), source)
    (folder / 'results.md').write_text('| k-NN | 12.3 |')
    out = run_tool(TO_HF, source, folder / 'mine', '--evaluation',
                   folder / 'results.md').out
    assert kind.partition(' ')[0] in out
    return model.teacher.backbone.eval()


# Of files that save_pretrained of transformers 4.49 and 5.24 wrote, for one
# layer; # stands for weight and bias.
EMBEDDINGS = """embeddings.cls_token embeddings.position_embeddings
embeddings.patch_embeddings.projection.# layernorm.#"""
ATTENTION = """attention.attention.query.# attention.attention.key.#
attention.attention.value.# attention.output.dense.#"""
NAMES = dict(
    ViTModel=f"""{ATTENTION} layernorm_before.# layernorm_after.#
    intermediate.dense.# output.dense.#""",
    Dinov2WithRegistersModel=f"""{ATTENTION} norm1.# norm2.# mlp.fc1.#
    mlp.fc2.# layer_scale1.lambda1 layer_scale2.lambda1""")


@pytest.mark.parametrize('kind', NAMES)
def test_names_of_transformers(kind):
    expected = [*EMBEDDINGS.split(), *(
        f'encoder.layer.{i}.{name}' for i in range(2)
        for name in NAMES[kind].split())]
    if kind != 'ViTModel':
        expected += ['embeddings.mask_token', 'embeddings.register_tokens']
    state = build_model(backbone=KINDS[kind]).teacher.backbone.state_dict()
    config, weights = to_huggingface(state, 3, (32, 32))
    assert sorted(weights) == sorted({
        name.replace('#', end) for name in expected
        for end in ('weight', 'bias')})
    query, _, value = state['layers.1.attn.qkv.weight'].chunk(3)
    attention = 'encoder.layer.1.attention.attention'
    assert weights[f'{attention}.query.weight'].equal(query)
    assert weights[f'{attention}.value.weight'].equal(value)
    assert config['architectures'] == [kind]


def tokens(backbone, x):
    with torch.no_grad():
        cls, patches = backbone.extract_tokens(x)
    return torch.cat([cls[:, None], patches], 1)


@pytest.mark.parametrize('kind', KINDS)
def test_a_folder_is_a_checkpoint_everywhere(kind, tmp_path):
    backbone = write(kind, tmp_path)
    x = torch.randn(2, 3, 32, 32)
    expected = tokens(backbone, x)
    read = Embedder(tmp_path / 'mine', device='cpu')
    torch.testing.assert_close(tokens(read.backbone, x), expected)
    again = IBOTViT(ARCH, img_size=32, patch_size=8, **KINDS[kind], init_cfg=(
        dict(type='Pretrained', checkpoint=str(tmp_path / 'mine'))))
    again.init_weights()
    torch.testing.assert_close(tokens(again.eval(), x), expected)


def test_the_card_tells_the_run(tmp_path):
    write('ViTModel', tmp_path)
    card = (tmp_path / 'mine/README.md').read_text()
    for row in ('| data | data/mine |', '| epochs | 3 |', '| k-NN | 12.3 |',
                '| checkpoint | epoch_3.pth |', '| patch size | 8 |'):
        assert row in card
    images = json.loads(
        (tmp_path / 'mine/preprocessor_config.json').read_text())
    assert images['image_mean'] == pytest.approx([0.485, 0.456, 0.406])
    assert images['image_std'] == pytest.approx([0.229, 0.224, 0.225])
    assert images['size'] == dict(shortest_edge=256)


@pytest.mark.skipif(not TRANSFORMERS.is_dir(), reason='no transformers')
@pytest.mark.slow
def test_tokens_and_preparation_in_transformers(tmp_path, shapes):
    """Positions are resized as there, once a folder is the checkpoint."""
    batches = [torch.randn(2, 3, side, side) for side in (32, 48, 24)]
    torch.save(batches, tmp_path / 'x.pt')
    image = next(shapes.glob('val/*/*'))
    backbones = {}
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        backbones[kind] = write(kind, tmp_path / kind)
    launched.run(sys.executable, 'tests/helpers/in_transformers.py',
                 tmp_path / 'x.pt', image,
                 *(tmp_path / kind / 'mine' for kind in KINDS),
                 PYTHONPATH=str(TRANSFORMERS))
    for kind, backbone in backbones.items():
        out = torch.load(tmp_path / kind / 'mine/tokens.pt')
        assert out['kind'] == kind.partition(' ')[0]
        registers = backbone.num_prefix_tokens - 1
        found = [torch.cat([x[:, :1], x[:, 1 + registers:]], 1)
                 for x in out['tokens']]
        torch.testing.assert_close(tokens(backbone, batches[0]), found[0],
                                   atol=1e-5, rtol=0)
        embedder = Embedder(tmp_path / kind / 'mine', device='cpu')
        for x, expected in zip(batches, found):
            torch.testing.assert_close(tokens(embedder.backbone, x),
                                       expected, atol=1e-5, rtol=0)
        # Two gray levels: torchvision resizes there, Pillow here.
        # Without a validation in the config, 256 and 224.
        pixels = embedder.normalize(embedder.load(image)[None])
        torch.testing.assert_close(out['pixels'], pixels,
                                   atol=2 / 57, rtol=0)


@pytest.mark.parametrize('steps', [
    [dict(type='Resize', scale=(32, 32), backend='pillow',
          interpolation='bicubic')],
    [dict(type='ResizeEdge', scale=40, edge='short', backend='pillow',
          interpolation='bicubic'), dict(type='CenterCrop', crop_size=32)]])
def test_images_are_prepared_as_before(steps, tmp_path, shapes):
    model = build_model()
    pipeline = [dict(type='ibot_mm.LoadImage'), *steps,
                dict(type='PackInputs')]
    cfg = Config(dict(
        model=model_config(data_preprocessor=dict(
            mean=[100., 110., 120.], std=[50., 60., 70.], to_rgb=True)),
        val_dataloader=dict(dataset=dict(pipeline=pipeline))))
    source = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(cfg=cfg.pretty_text)), source)
    run_tool(TO_HF, source, tmp_path / 'mine')
    image = next(shapes.glob('val/*/*'))
    before, after = (Embedder(path, device='cpu')(image)
                     for path in (source, tmp_path / 'mine'))
    for expected, found in zip(before, after):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_what_transformers_has_no_place_for(tmp_path):
    swin = IBOTSwin(
        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
        img_size=56, out_indices=(1, ))
    with pytest.raises(CheckpointError, match='stages.0'):
        to_huggingface(swin.state_dict(), 0, (56, 56))


def test_layer_norms_divide_as_in_the_folder(tmp_path):
    write('ViTModel', tmp_path)
    path = tmp_path / 'mine/config.json'
    config = json.loads(path.read_text())
    assert config['layer_norm_eps'] == 1e-6
    path.write_text(json.dumps(dict(config, layer_norm_eps=1e-12)))
    backbone = Embedder(tmp_path / 'mine', device='cpu').backbone
    found = {module.eps for module in backbone.modules()
             if isinstance(module, torch.nn.LayerNorm)}
    assert found == {1e-12}


@pytest.mark.parametrize('change, message', [
    (dict(model_type='bert'), 'model_type.*bert'),
    (dict(hidden_act='relu'), 'hidden_act.*relu'), (None, 'config.json')])
def test_other_folders(tmp_path, change, message):
    write('ViTModel', tmp_path)
    path = tmp_path / 'mine/config.json'
    content = {**json.loads(path.read_text()), **(change or {})}
    path.unlink()
    if change:
        path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(str(tmp_path / 'mine'))


def test_preparation_in_numbers():
    """Sizes as one number or as two, and the filter of the pipeline."""
    images = image_processor(
        [dict(type='ibot_mm.LoadImage'),
         dict(type='Resize', scale=48, interpolation='bicubic'),
         dict(type='CenterCrop', crop_size=(32, 40))],
        dict(mean=[255., 0., 51.], std=[1., 1., 1.], to_rgb=True))
    assert images['size'] == dict(height=48, width=48)
    assert images['crop_size'] == dict(height=32, width=40)
    assert images['resample'] == 3 and images['image_mean'] == [1., 0., 0.2]
    images = image_processor([dict(type='ResizeEdge', scale=64)], dict(
        mean=[0., 0., 0.], std=[1., 1., 1.], to_rgb=True))
    assert images['size'] == dict(shortest_edge=64)
    assert images['resample'] == 2  # bilinear, MMPretrain's default
