# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Write the atlas of the everyday things of the toy world from the npm package @lobehub/fluent-emoji-3d.

    npm pack @lobehub/fluent-emoji-3d && tar -xzf lobehub-fluent-emoji-3d-*.tgz
    python tools/make_atlas.py package/assets

The drawings are Microsoft's Fluent Emoji, under the MIT license. Each one is cropped to its pixels and scaled to one size.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from lang2segtrack_ros.toyworld.things.atlas import COLUMNS, FILE, MARGIN, TILE
from lang2segtrack_ros.toyworld.things.names import THINGS

QUALITY = 88


def main() -> int:
    """Write the atlas, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder of the package's pictures")
    parser.add_argument("--out", type=Path, default=Path(FILE), help="the atlas (default: %(default)s)")
    options = parser.parse_args()
    rows = -(-len(THINGS) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * TILE, rows * TILE))
    for index, thing in enumerate(THINGS.values()):
        names = (f"{thing.code}.webp", f"{thing.code}-fe0f.webp")
        picture = Image.open(next(path for path in (options.assets / name for name in names) if path.is_file())).convert("RGBA")
        picture = picture.crop(picture.getchannel("A").point(lambda value: 255 * (value > 127)).getbbox())
        scale = (TILE - 2 * MARGIN) / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
        corner = index % COLUMNS * TILE + (TILE - picture.width) // 2, index // COLUMNS * TILE + (TILE - picture.height) // 2
        atlas.paste(picture, corner)
    atlas.save(options.out, "WEBP", quality=QUALITY, alpha_quality=90, method=6)
    print(f"written: {options.out}, {len(THINGS)} things, {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
