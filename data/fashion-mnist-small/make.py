#!/usr/bin/env python3
"""Recreates, byte for byte, the four IDX files in this folder from the whole of Fashion-MNIST.

    python3 make.py [SOURCE [TARGET]]

SOURCE holds Fashion-MNIST's four IDX files, plain or gzipped; it is where Debian's package
`dataset-fashion-mnist` puts them unless named. TARGET is this folder unless named. Needs only Python's own
library.
"""

import gzip
import struct
import sys
from pathlib import Path

IMAGES = {"train": 4000, "t10k": 1000}  # the first so many of each split
UNSIGNED_BYTE = 0x08  # element type in an IDX header


def read(folder, name):
    """The bytes of an IDX file, whether it is compressed or not."""
    plain = folder / name
    if plain.exists():
        return plain.read_bytes()
    with gzip.open(folder / f"{name}.gz") as file:
        return file.read()


def first(idx, count):
    """The first `count` items of an IDX array, under a header that says so."""
    dimensions = idx[3]
    if idx[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise SystemExit("not an IDX array of bytes")
    extents = struct.unpack_from(f">{dimensions}I", idx, 4)
    item = 1
    for extent in extents[1:]:
        item *= extent
    start = 4 + 4 * dimensions
    header = idx[:4] + struct.pack(f">{dimensions}I", count, *extents[1:])
    return header + idx[start : start + count * item]


def main(source="/usr/share/datasets/fashion-mnist", target=Path(__file__).parent):
    for split, count in IMAGES.items():
        for name in (f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"):
            (Path(target) / name).write_bytes(first(read(Path(source), name), count))


if __name__ == "__main__":
    main(*sys.argv[1:])
