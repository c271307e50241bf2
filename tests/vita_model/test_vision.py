from __future__ import annotations

import pytest
import torch
from PIL import Image

from vita_model.config import VisionConfig, VitaConfig
from vita_model.vision import tiling
from vita_model.vision.encoder import VisionTower, space_to_depth
from vita_model.vision.pooling import slow_fast

pytestmark = pytest.mark.unit


def test_space_to_depth_joins_neighbours_row_by_row():
    grid = torch.arange(16.0).view(1, 16, 1)
    assert space_to_depth(grid)[0].tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


def test_a_trained_grid_may_be_odd_but_not_the_one_that_is_looked_at():
    config = VisionConfig(hidden_size=8, layers=1, heads=2, intermediate_size=8, image_size=42)
    tower = VisionTower(config)
    assert tower(torch.zeros(1, 3, 56, 56)).shape == (1, 4, 32)
    with pytest.raises(ValueError, match="9 patches"):
        tower(torch.zeros(1, 3, 42, 42))
    with pytest.raises(ValueError, match="even number of patches"):
        VitaConfig(vision=config)


def test_features_are_halved_and_the_class_row_dropped():
    config = VisionConfig(hidden_size=8, layers=1, heads=2, intermediate_size=8, image_size=56)
    tower = VisionTower(config)
    pixels = torch.randn(1, 3, 56, 56)
    rows = tower.vision_tower(pixels)
    assert torch.allclose(tower(pixels), space_to_depth(rows[:, 1:]) * 0.5)


@pytest.mark.parametrize(
    ("size", "units", "tokens"),
    [
        ((448, 448), 1, 256),
        ((100, 100), 1, 256),
        ((896, 448), 3, 768),
        ((500, 2000), 5, 1280),
        ((1280, 768), 7, 1792),
        ((640, 480), 13, 3328),
        ((800, 600), 13, 3328),
        ((1024, 768), 13, 3328),
        ((320, 240), 13, 3328),
        ((352, 288), 13, 3328),
        ((1280, 720), 9, 2304),
        ((1920, 1080), 9, 2304),
        ((1080, 1920), 9, 2304),
        ((3000, 300), 11, 2816),
    ],
)
def test_number_of_tiles_and_of_their_tokens(size, units, tokens):
    columns, rows = tiling.grid(*size)
    assert columns * rows + (columns * rows > 1) == units
    assert units * VisionConfig().rows_per_tile == tokens


def test_tiles_are_cut_row_by_row_with_a_thumbnail_last():
    picture = Image.new("RGB", (56, 28), "black")
    picture.paste("white", (28, 0, 56, 28))
    left, right, whole = tiling.tiles(picture, size=28)
    assert left.getpixel((5, 14)) == (0, 0, 0)
    assert right.getpixel((22, 14)) == (255, 255, 255)
    assert whole.getpixel((2, 14)) == (0, 0, 0)
    assert whole.getpixel((26, 14)) == (255, 255, 255)


def test_live_frames_are_one_tile():
    (tile,) = tiling.tiles(Image.new("RGB", (640, 480)), most=1)
    assert tile.size == (448, 448)


def test_pixels_are_normalised_and_cropped_about_the_centre():
    picture = Image.new("RGB", (300, 100), "black")
    picture.paste("white", (100, 0, 200, 100))
    values = tiling.batch([picture], size=100)
    assert values.shape == (1, 3, 100, 100)
    expected = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    assert torch.allclose(values[0, :, 50, 50], expected)


@pytest.mark.parametrize(
    ("count", "rate", "frames"),
    [
        (250, 25.0, [0, 25, 50, 75, 100, 125, 150, 175, 200, 225]),
        (50, 25.0, [0, 16, 32, 49]),
        (1, 25.0, [0, 0, 0, 0]),
    ],
)
def test_video_frames_are_taken_once_a_second(count, rate, frames):
    assert tiling.video_frames(count, rate) == frames


def test_long_videos_give_sixteen_frames():
    frames = tiling.video_frames(25 * 600, 25.0)
    assert len(frames) == 16
    assert frames[0] == 0
    assert frames[-1] == 25 * 599


def test_an_earlier_layer_may_be_selected():
    config = VisionConfig(hidden_size=8, layers=2, heads=2, intermediate_size=8, image_size=56)
    last, earlier = (
        VisionTower(config.model_copy(update={"select_layer": layer})) for layer in (-1, 1)
    )
    earlier.load_state_dict(last.state_dict())
    pixels = torch.randn(1, 3, 56, 56)
    states = list(last.vision_tower.states(pixels))
    assert len(states) == 3
    assert torch.equal(earlier(pixels), space_to_depth(states[1][:, 1:]) * 0.5)


def test_frames_of_a_clip_are_pooled_and_pictures_are_not():
    frames = [torch.randn(256, 6) for _ in range(8)]
    pooled = slow_fast(frames, [1, 1, 1, 1, 1, 2, 2, 0])
    assert [len(rows) for rows in pooled] == [144, 49, 49, 49, 144, 144, 49, 256]
    assert torch.equal(pooled[7], frames[7])
