"""Records odd pictures with Pillow, and what littleCMS makes of their colours: tests/fixtures/pictures.

    python tools/record_pictures.py tests/fixtures/pictures

The colour profiles are written here from the ICC's specification (ICC.1:2022, version 2 tags), so that they are a few
hundred bytes and nobody's property. Every picture is 16x16 with four patches of 8x8. expected.json holds the sRGB
patches, row by row, that littleCMS (perceptual intent) makes of them.
"""

import io
import json
import struct
import sys
from pathlib import Path

from PIL import Image, ImageCms

RGB = [(200, 40, 40), (30, 160, 90), (70, 90, 200), (128, 128, 128)]
GREY = [20, 90, 160, 230]
INKS = [(0, 200, 180, 10), (180, 20, 200, 0), (200, 150, 0, 30), (0, 0, 0, 120)]
D50 = (0.9642, 1.0, 0.8249)


def s15(value):
    return struct.pack(">i", round(value * 65536))


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(map(s15, values))


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def description(text):
    ascii_text = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii_text)) + ascii_text + b"\0" * 78


def profile(space, pcs, kind, tags):
    """An ICC profile of the given tags."""
    tags = {"cprt": b"text\0\0\0\0No copyright\0", "wtpt": xyz(D50), **tags}
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name.encode() + struct.pack(">II", start + len(data), len(content))
        data += content
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"\0" * 4, 0x02400000, kind, space, pcs)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + b"".join(map(s15, D50))
    return header + b"\0" * (128 - len(header)) + struct.pack(">I", len(tags)) + table + data


def matrix_profile(name, red, green, blue, curve):
    return profile(b"RGB ", b"XYZ ", b"mntr", {
        "desc": description(name), "rXYZ": xyz(red), "gXYZ": xyz(green), "bXYZ": xyz(blue),
        "rTRC": curve, "gTRC": curve, "bTRC": curve,
    })  # fmt: skip


def lab(red, green, blue):
    """CIE Lab of linear light in sRGB's primaries, adapted to D50."""
    rows = [(0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7141)]
    values = [sum(a * b for a, b in zip(row, (red, green, blue))) / white for row, white in zip(rows, D50)]
    f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t * 841 / 108 + 4 / 29 for t in values]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def inks_profile():
    """CMYK as an lut16: inks that darken as old paper's do, on a grid of 5 per ink."""
    grid = 5
    identity = [struct.pack(">2H", 0, 65535)] * 4
    table = b""
    for index in range(grid**4):
        cyan, magenta, yellow, black = [index // grid**place % grid / (grid - 1) for place in (3, 2, 1, 0)]
        light = [(1 - 0.9 * ink) ** 2 * (1 - 0.95 * black) ** 2 for ink in (cyan, magenta, yellow)]
        lightness, a, b = lab(*light)
        table += struct.pack(">3H", round(lightness * 652.8), round((a + 128) * 256), round((b + 128) * 256))
    lut = b"mft2\0\0\0\0" + bytes([4, 3, grid, 0]) + b"".join(map(s15, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut += struct.pack(">2H", 2, 2) + b"".join(identity) + table + struct.pack(">2H", 0, 65535) * 3
    return profile(b"CMYK", b"Lab ", b"prtr", {"desc": description("Test inks"), "A2B0": lut})


def patches(mode, colours):
    picture = Image.new(mode, (16, 16))
    for index, colour in enumerate(colours):
        picture.paste(colour, (index % 2 * 8, index // 2 * 8, index % 2 * 8 + 8, index // 2 * 8 + 8))
    return picture


def middles(picture):
    """The colour in the middle of each patch."""
    width, height = picture.size
    return [picture.getpixel((width * x // 4, height * y // 4)) for x, y in ((1, 1), (3, 1), (1, 3), (3, 3))]


def to_srgb(picture, icc):
    srgb = ImageCms.createProfile("sRGB")
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    converted = ImageCms.profileToProfile(picture, source, srgb, outputMode="RGB")
    return middles(converted)


def decoded(path, icc=None):
    with Image.open(path) as picture:
        picture.load()
        if icc:
            return to_srgb(picture, icc)
        return middles(picture.convert("RGB"))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    primaries = (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)
    adobe = matrix_profile("Adobe RGB in all but name", *primaries, gamma(2.19921875))
    primaries = (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)
    wide = matrix_profile("Display P3 in all but name", *primaries, gamma(2.2))
    grey = profile(b"GRAY", b"XYZ ", b"mntr", {"desc": description("Grey, gamma 1.8"), "kTRC": gamma(1.8)})
    inks = inks_profile()
    for name, content in {"adobe_rgb": adobe, "inks": inks}.items():
        (folder / f"{name}.icc").write_bytes(content)

    expected = {}

    def save(name, picture, icc, **options):
        picture.save(folder / name, icc_profile=icc, **options)
        expected[name] = decoded(folder / name, icc)

    best = {"quality": 100, "subsampling": 0}
    save("adobe_rgb.png", patches("RGB", RGB), adobe)
    save("adobe_rgb.jpg", patches("RGB", RGB), adobe, **best)
    save("adobe_rgb.webp", patches("RGB", RGB), adobe, lossless=True)
    save("adobe_rgb.tif", patches("RGB", RGB), adobe, compression="tiff_lzw")
    save("wide_alpha.png", patches("RGBA", [(*colour, 255) for colour in RGB]), wide)
    save("grey.png", patches("L", GREY), grey)
    save("grey.jpg", patches("L", GREY), grey, quality=100)
    save("inks.jpg", patches("CMYK", INKS), inks, **best)
    save("inks.tif", patches("CMYK", INKS), inks)
    save("plain_inks.jpg", patches("CMYK", INKS), None, **best)
    save("plain_inks.tif", patches("CMYK", INKS), None)
    save("palette.png", patches("RGB", RGB).quantize(4), None)
    save("bilevel.tif", patches("L", [0, 255, 255, 0]).convert("1"), None, compression="group4")
    save("jpeg.tif", patches("RGB", RGB), None, compression="jpeg")
    save("luma.tif", patches("RGB", RGB).convert("YCbCr"), None, compression="jpeg")
    save("palette.tif", patches("RGB", RGB).quantize(4), None)
    save("pages.tif", patches("RGB", RGB), None, save_all=True, append_images=[patches("RGB", RGB[::-1])])
    other = patches("RGB", RGB[::-1])
    frames = {"save_all": True, "append_images": [other]}
    save("moving.webp", patches("RGB", RGB), None, lossless=True, **frames)
    save("moving.png", patches("RGB", RGB), None, **frames)
    save("moving.gif", patches("RGB", RGB).quantize(4), None, save_all=True, append_images=[other.quantize(4)])
    save("progressive.jpg", patches("RGB", RGB), None, progressive=True, **best)

    # Adobe's mark says YCCK instead of CMYK: the same samples with another meaning.
    marked = bytearray((folder / "plain_inks.jpg").read_bytes())
    marked[marked.index(b"Adobe") + 11] = 2
    (folder / "ycck.jpg").write_bytes(marked)
    expected["ycck.jpg"] = decoded(folder / "ycck.jpg")

    (folder / "expected.json").write_text(json.dumps(expected, indent=1).replace("\n   ", " ").replace("\n  ]", " ]"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
