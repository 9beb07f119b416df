"""Files as they come: CIFAR-10's, MNIST's, folders of images. What is read, how it is divided, what is refused."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from search.data import DataError, load


def cells(n, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


def write_cifar(folder, each=40):
    """Six files of so many images, as many of each class as there is room for."""
    folder.mkdir(exist_ok=True)
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]
    for k, name in enumerate(names):
        records = np.concatenate([np.arange(each)[:, None] % 10, cells(each, 3072, seed=k)], 1).astype(np.uint8)
        records.tofile(folder / name)
    return folder


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder, packed=False, train=60, test=12, size=9):
    folder.mkdir(exist_ok=True)
    for prefix, n in (("train", train), ("t10k", test)):
        for name, array in (
            (f"{prefix}-images-idx3-ubyte", cells(n, size, size, seed=n)),
            (f"{prefix}-labels-idx1-ubyte", (np.arange(n) % 3).astype(np.uint8)),
        ):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


def write_images(folder, n=12, size=(10, 8), mode="RGB", classes=("cat", "dog"), seed=0):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0], *([] if mode == "L" else [len(mode)]))
        for index, image in enumerate(cells(n, *shape, seed=seed + label)):
            Image.fromarray(image, mode).save(folder / name / f"{index}.png")
    return folder


def sizes(data):
    return [len(split) for split in data.parts.values()]


def pixels(split):
    return {image.mul(255).round().byte().numpy().tobytes() for image in split.images}


def test_cifar_keeps_its_test_part_and_a_tenth_of_each_class_validates(tmp_path):
    data = load(write_cifar(tmp_path / "cifar"))
    assert (sizes(data), data.image_shape, data.classes) == ([180, 20, 40], (3, 32, 32), 10)
    assert (torch.bincount(data.validation.labels) == 2).all()
    stored = np.fromfile(tmp_path / "cifar" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    assert pixels(data.test) == {record[1:].tobytes() for record in stored}


def test_labels_stay_with_their_images(tmp_path):
    data = load(write_cifar(tmp_path / "cifar"), seed=3)
    stored = np.fromfile(tmp_path / "cifar" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    label_of = {record[1:].tobytes(): record[0] for record in stored}
    bytes_ = (data.test.images * 255).round().byte().numpy()
    assert [label_of[image.tobytes()] for image in bytes_] == data.test.labels.tolist()


def test_the_seed_draws_the_validation_part(tmp_path):
    folder = write_cifar(tmp_path / "cifar")
    one, same, other = load(folder, 0), load(folder, 0), load(folder, 1)
    assert one.digest == same.digest
    assert pixels(one.validation) != pixels(other.validation)
    assert pixels(one.test) == pixels(other.test)


def test_what_is_in_the_test_part_is_left_out_of_training(tmp_path):
    folder = write_cifar(tmp_path / "cifar")
    first, test = (np.fromfile(folder / name, np.uint8) for name in ("data_batch_1.bin", "test_batch.bin"))
    first[: 3 * 3073] = test[: 3 * 3073]
    first.tofile(folder / "data_batch_1.bin")
    data = load(folder)
    assert sum(sizes(data)) == 237
    assert len(data.test) == 40
    assert not pixels(data.test) & (pixels(data.train) | pixels(data.validation))


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_packed_or_not(tmp_path, packed):
    data = load(write_idx(tmp_path / "digits", packed))
    assert (sizes(data), data.image_shape, data.classes) == ([54, 6, 12], (1, 9, 9), 3)
    assert pixels(data.test) == {image.tobytes() for image in cells(12, 9, 9, seed=12)}


def test_a_folder_for_each_class_is_divided(tmp_path):
    data = load(write_images(tmp_path / "pets", 20))
    assert (sizes(data), data.image_shape, data.classes) == ([24, 8, 8], (3, 8, 10), 2)


def test_folders_of_parts_are_kept(tmp_path):
    for seed, (part, n) in enumerate({"train": 20, "test": 5}.items()):
        write_images(tmp_path / "pets" / part, n, mode="L", seed=10 * seed)
    assert sizes(load(tmp_path / "pets")) == [36, 4, 10]
    write_images(tmp_path / "pets" / "val", 3, mode="L", seed=50)
    data = load(tmp_path / "pets")
    assert (sizes(data), data.image_shape) == ([40, 6, 10], (1, 8, 10))


def test_the_commonest_size_is_taken_and_others_are_scaled_to_cover_it(tmp_path):
    write_images(tmp_path / "pets", 20)
    wide = np.zeros((16, 40, 3), np.uint8)
    wide[:, 10:30] = 255  # exactly what remains when the sides are cut off
    Image.fromarray(wide).save(tmp_path / "pets" / "cat" / "wide.png")
    data = load(tmp_path / "pets")
    assert data.image_shape == (3, 8, 10)
    whitest = max(float(split.images.flatten(1).mean(1).max()) for split in data.parts.values())
    assert whitest > 0.95


def test_images_are_pooled_and_limited(tmp_path):
    folder = write_cifar(tmp_path / "cifar")
    whole, small = load(folder), load(folder, pool=2, limit=50)
    assert (sizes(small), small.image_shape) == ([50, 20, 40], (3, 16, 16))
    expected = whole.train.images[:50].reshape(50, 3, 16, 2, 16, 2).mean((3, 5))
    torch.testing.assert_close(small.train.images, expected)


def test_the_digits_are_pooled_and_limited_too():
    small = load("digits", pool=2, limit=100)
    assert (sizes(small), small.image_shape) == ([100, 100, 100], (1, 8, 8))


def shorten(folder, name, by):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-by])


def put(folder, name, at, byte):
    content = bytearray((folder / name).read_bytes())
    content[at] = byte
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shorten(f, "data_batch_2.bin", 1), r"data_batch_2.bin is 122,919 bytes long, .*unpack it again"),
        (
            lambda f: shorten(f, "test_batch.bin", 3073),
            "test_batch.bin holds 39 images where data_batch_1",
        ),
        (lambda f: (f / "data_batch_1.bin").write_bytes(b""), "data_batch_1.bin is 0 bytes long"),
        (lambda f: put(f, "data_batch_4.bin", 7 * 3073, 200), "record 7 has label 200; labels are 0 to 9"),
        (lambda f: (f / "data_batch_5.bin").unlink(), "data_batch_5.bin missing"),
        (lambda f: write_cifar(f, each=10) and shorten_all(f), "no image of class horse, ship, truck for training"),
        (lambda f: write_cifar(f, each=10), "too few images for training: 5 of class airplane; at least 10"),
    ],
)
def test_what_is_not_cifar_is_refused(tmp_path, spoil, message):
    folder = write_cifar(tmp_path / "cifar")
    spoil(folder)
    with pytest.raises(DataError, match=message):
        load(folder)


def shorten_all(folder):
    for file in folder.glob("*.bin"):
        shorten(folder, file.name, 3 * 3073)


def pack(folder, cut):
    name = "train-images-idx3-ubyte"
    content = gzip.compress((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / f"{name}.gz").write_bytes(content[:-cut])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shorten(f, "train-images-idx3-ubyte", 1), "promises 60 × 9 × 9 bytes and is cut off; fetch"),
        (lambda f: put(f, "train-images-idx3-ubyte", 7, 20), "promises 20 × 9 × 9 bytes and holds more; fetch"),
        (lambda f: put(f, "train-images-idx3-ubyte", 4, 255), "promises 4278190140 × 9 × 9 bytes and is cut off"),
        (lambda f: put(f, "train-images-idx3-ubyte", 2, 13), "does not begin like an IDX file of bytes in 3 dim"),
        (lambda f: shorten(f, "t10k-labels-idx1-ubyte", 15), "does not begin like an IDX file of bytes in 1 dim"),
        (lambda f: put(f, "t10k-labels-idx1-ubyte", 9, 7), "test labels go to 7, training labels to 2"),
        (lambda f: (f / "t10k-labels-idx1-ubyte").unlink(), "t10k-labels-idx1-ubyte.* is missing; four files"),
        (lambda f: (f / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(9, np.uint8))), "12 t10k images and 9"),
        (lambda f: (f / "t10k-images-idx3-ubyte").write_bytes(idx(cells(12, 8, 9))), "are 9 × 9, test images 8 × 9"),
        (lambda f: pack(f, 12), "is damaged or cut off"),
    ],
)
def test_what_is_not_idx_is_refused(tmp_path, spoil, message):
    folder = write_idx(tmp_path / "idx")
    spoil(folder)
    with pytest.raises(DataError, match=message):
        load(folder)


def save(folder, mode):
    Image.new(mode, (10, 8)).save(folder / "cat" / "other.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "cat" / "3.png").write_bytes(b"hello"), "pets/cat/3.png cannot be read as an image"),
        (lambda f: shorten(f / "dog", "3.png", 60), "pets/dog/3.png cannot be read as an image"),
        (lambda f: save(f, "L"), "cat/other.png is grey and pets/cat/0.png coloured"),
        (lambda f: save(f, "RGBA"), r"cat/other.png has transparency or 16 bits \(mode RGBA\)"),
        (lambda f: (f / "eel").mkdir(), "pets/eel holds no images"),
        (lambda f: write_images(f, 1, classes=("eel",)), "too few images: 1 of class eel; at least 10"),
        (lambda f: write_images(f / "train", 12), "train and test belong together"),
        (lambda f: (write_images(f / "train"), write_images(f / "test", classes=("cat",))), "class dog is not in all"),
    ],
)
def test_what_makes_no_image_folders_is_refused(tmp_path, spoil, message):
    folder = write_images(tmp_path / "pets")
    spoil(folder)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_images_too_large_to_hold_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("search.data.folders._MOST_BYTES", 1000)
    with pytest.raises(DataError, match="24 images of 10 × 8 are 0 GiB; scale them down"):
        load(write_images(tmp_path / "pets"))


def test_a_path_that_is_nothing_of_the_kind_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"none of these: .*data_batch_1.bin .*train-images.*images .*for each class"):
        load(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pool": 5}, "images of 32 × 32 cannot be pooled by 5"), ({"limit": 2}, "none of the first 2 training images")],
)
def test_a_size_or_a_limit_that_does_not_fit_is_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        load(write_cifar(tmp_path / "cifar"), **options)
