"""Which images make a batch, and how they are moved about, against naive searches."""

import itertools

import numpy as np
import pytest
import torch
from tiny import TINY, pixels, tiny_dataset

from bnn_geometry.errors import UserError
from bnn_geometry.training import batches
from bnn_geometry.training.batches import draw_moves, moved, split_indices
from bnn_geometry.training.recipes import ORIGINAL_CIFAR10, ORIGINAL_MNIST


def crop(image, top, left, flip):
    h, w = image.shape[1:]
    padded = np.zeros((image.shape[0], h + 8, w + 8), dtype=np.uint8)
    padded[:, 4 : 4 + h, 4 : 4 + w] = image
    cropped = padded[:, top : top + h, left : left + w]
    return cropped[:, :, ::-1] if flip else cropped


def augment(images, generator, *, padding=4, flip=True):
    moves = draw_moves(len(images), generator, padding=padding, flip=flip)
    return moved(images, moves, padding=padding)


def test_augmentation_without_padding_or_flips_leaves_that_out():
    images = pixels(0, 40, 3, 8, 8)

    def moves(**options):
        return augment(images, torch.Generator().manual_seed(0), **options)

    assert torch.equal(moves(padding=0, flip=False), images)
    mirrored = moves(padding=0)
    same = (mirrored == images).flatten(1).all(1)
    assert 0 < same.sum() < 40
    assert torch.equal(mirrored[~same], images[~same].flip(3))
    for image, made in zip(images.numpy(), moves(padding=1, flip=False).numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        places = [padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
        assert any(np.array_equal(place, made) for place in places)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 6, 9)])
def test_every_augmented_image_is_a_crop_flipped_or_not(shape):
    images = pixels(0, 30, *shape)
    before = images.clone()
    result = augment(images, torch.Generator().manual_seed(5))
    assert torch.equal(images, before)
    assert (result.dtype, result.shape) == (torch.uint8, images.shape)
    moves = set()
    for image, made in zip(images.numpy(), result.numpy(), strict=True):
        found = [
            (top, left, flip)
            for top in range(9)
            for left in range(9)
            for flip in (False, True)
            if np.array_equal(crop(image, top, left, flip), made)
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 20  # each image has its own


def test_augmentation_draws_every_place_and_both_sides_alike():
    count = 20_000
    images = torch.zeros(count, 1, 9, 12, dtype=torch.uint8)
    images[:, 0, 4, 4] = 1  # stays within the crop
    result = augment(images, torch.Generator().manual_seed(0))
    _, _, rows, columns = torch.nonzero(result, as_tuple=True)
    assert len(rows) == count
    # row 4 + 4 − top; column 8 − left, or 11 minus that when flipped
    rate = count / 9
    assert (torch.bincount(rows, minlength=9) - rate).abs().max() < 4.5 * rate**0.5
    plain, flipped = torch.bincount(columns[columns < 3]), torch.bincount(columns[columns > 8])
    each = count / 18  # columns 0…2 come of an unflipped image alone, 9…11 of a flipped one
    assert (plain - each).abs().max() < 4.5 * each**0.5
    assert (flipped[9:] - each).abs().max() < 4.5 * each**0.5


def test_augmentation_depends_on_the_generator_alone():
    images = pixels(0, 20, 3, 8, 8)
    first, again, other = (
        augment(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_parts_are_disjoint_and_balanced():
    labels = torch.arange(10).repeat_interleave(12)  # sorted by class, as folders are
    for train_images, validation in itertools.product((None, 60, 33, 1000), (0, 20, 25)):
        r = TINY["mlp"].with_(train_images=train_images, validation_images=validation)
        rest, held = split_indices(labels, r)
        # more than there are means all
        expected = min(train_images or 120, 120 - validation)
        assert (len(rest), len(held)) == (expected, validation)
        assert len(set(rest.tolist()) | set(held.tolist())) == expected + validation
        for part in (rest, held):
            counts = torch.bincount(labels[part], minlength=10)
            assert counts.max() - counts.min() <= 1


def test_parts_depend_on_no_random_state_and_are_shuffled():
    labels = torch.arange(10).repeat_interleave(12)
    r = TINY["mlp"].with_(train_images=60, validation_images=20)
    parts = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts.append(split_indices(labels, r))
    for first, second in zip(*parts, strict=True):
        assert torch.equal(first, second)
        assert first.tolist() != sorted(first.tolist())


def test_too_small_a_data_set_is_refused():
    labels = torch.arange(40) % 10
    for changes, message in (
        ({"validation_images": 50}, "50 images with an equal share of each class need 5 of class"),
        ({"train_images": 37, "validation_images": 2}, "need 4 of class 0, and there are 3"),
        ({"validation_images": 30}, "After holding out 30 images 10 are left .* batch of 20"),
        ({"batch_size": 41}, "40 are left"),
    ):
        with pytest.raises(UserError, match=message):
            split_indices(labels, TINY["mlp"].with_(**changes))


@pytest.mark.parametrize(
    ("r", "images", "trained", "held", "batch", "steps"),
    [
        (ORIGINAL_CIFAR10, 50_000, 45_000, 5_000, 50, 900),
        (ORIGINAL_MNIST, 60_000, 50_000, 10_000, 100, 500),
    ],
    ids=["cifar10", "mnist"],
)
def test_split_and_batches(r, images, trained, held, batch, steps):
    labels = torch.arange(images) % 10
    rest, validation = split_indices(labels, r)
    assert (len(rest), len(validation)) == (trained, held)
    assert len(set(rest.tolist()) | set(validation.tolist())) == images
    assert r.batch_size == batch
    assert len(rest) // r.batch_size == steps


def test_every_batch_is_full_and_no_image_comes_twice_in_an_epoch():
    dataset = tiny_dataset(train=50)
    pixels_and_labels = (dataset.train.images, dataset.train.labels)
    r = TINY["mlp"]
    indices = torch.arange(50)
    epochs = []
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        made = list(batches.batches(*pixels_and_labels, indices, r, generator))
        assert [len(labels) for _, labels in made] == [20, 20]
        images = torch.cat([images for images, _ in made])
        assert len(images.flatten(1).unique(dim=0)) == 40
        for batch, labels in made:  # the label's own row is white: pairs stay together
            assert (batch[torch.arange(20), 0, labels] == 255).all()
        epochs.append(images)
    assert not torch.equal(*epochs)


def test_recipes_crop_and_flip_reach_the_images():
    data = tiny_dataset("convnet").train
    indices = torch.arange(40)
    for changes in ({"augment": False}, {"augment": True, "crop_padding": 2, "flip": False}):
        r = TINY["convnet"].with_(**changes)
        made = list(
            batches.batches(data.images, data.labels, indices, r, torch.Generator().manual_seed(0))
        )
        generator = torch.Generator().manual_seed(0)  # the same draws, one after the other
        order = indices[torch.randperm(40, generator=generator)].split(20)
        for (images, labels), chosen in zip(made, order, strict=True):
            expected = data.images[chosen]
            if r.augment:
                expected = augment(expected, generator, padding=2, flip=False)
            assert torch.equal(images, expected)
            assert torch.equal(labels, data.labels[chosen])
