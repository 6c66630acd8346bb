"""Shards: whole items, none too large, and the same bytes again."""

import tarfile

import pytest

from bnn_geometry.studies import shards


@pytest.fixture
def items(tmp_path):
    def item(name, *sizes):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for i, size in enumerate(sizes):
            (folder / f"file-{i}").write_bytes(bytes([i + 1]) * size)
        return name, sorted(folder.iterdir())

    return item


def members(folder):
    found = {}
    for file in sorted(folder.glob("*")):
        with tarfile.open(file) as tar:
            found[file.name] = tar.getnames()
    return found


def test_shards_are_as_the_help_says():
    assert (shards.SIZE, shards.MOST) == (16 * 2**20, 8)


def test_items_go_whole_into_the_first_shard_with_room(items, tmp_path):
    out = tmp_path / "out"
    large, small = items("large", 70_000, 10), items("small", 18_000)
    larger, next_ = items("larger", 60_000), items("next", 30_000)
    given = [large, larger, small, next_]
    assert shards.pack(given, out, size=100_000, most=2) == ["next"]
    expected = {
        "shard-1.tar": ["large/file-0", "large/file-1", "small/file-0"],
        "shard-2.tar": ["larger/file-0"],
    }
    assert members(out) == expected
    assert max(file.stat().st_size for file in out.iterdir()) <= 100_000
    with tarfile.open(out / "shard-1.tar") as tar:
        assert tar.extractfile("large/file-1").read() == b"\2" * 10
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in out.iterdir()}
    # a further item leaves the others' shards alone
    assert shards.pack([*given, items("tiny", 5)], out, size=100_000, most=2) == ["next"]
    first, second = (out / name for name in expected)
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before["shard-1.tar"]
    assert second.read_bytes() != before["shard-2.tar"][0]
    assert shards.pack([small], out, size=100_000) == []
    assert members(out) == {"shard-1.tar": ["small/file-0"]}


@pytest.mark.parametrize("size", [20_480, 24_000])
def test_no_shard_is_larger_than_it_may_be(items, tmp_path, size):
    # a header, content in blocks of 512, two blocks of zeros, whole records of 10,240
    room = 20_480 - 1024 - 512
    fits, over = items("fits", room), items("over", room + 1)
    assert shards.pack([fits, over], tmp_path / "out", size=size) == ["over"]
    assert (tmp_path / "out" / "shard-1.tar").stat().st_size == 20_480
