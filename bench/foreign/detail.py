"""Optical chips that were resampled, compressed, filtered, turned or stretched."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from bench.draft import Bands, Draft, Planted
from bench.foreign.optical import SIXTY, TEN, TWENTY, block, chips
from bench.foreign.rows import Array, generator, independent, moved, reflectance, repainted


def _bytes(band: Array) -> tuple[Array, float, float]:
    """Band stretched between its 2nd and 98th percentile to bytes, and the two percentiles."""
    low, high = np.percentile(band, [2, 98])
    return np.clip(np.rint((band - low) / max(high - low, 1) * 255), 0, 255).astype(np.uint8), float(low), float(high)


def _decoded_jpeg(stack: Array, quality: int) -> Array:
    buffer = io.BytesIO()
    Image.fromarray(stack).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def through_jpeg(bands: Bands, names: tuple[str, ...], quality: int) -> Bands:
    """Send bands through a JPEG: three in colour, others in grey."""
    stretched = {name: _bytes(bands[name]) for name in names}
    if len(names) == 3:
        decoded = list(np.moveaxis(_decoded_jpeg(np.dstack([stretched[name][0] for name in names]), quality), 2, 0))
    else:
        decoded = [_decoded_jpeg(stretched[name][0], quality) for name in names]
    return {
        name: reflectance(image / 255 * (stretched[name][2] - stretched[name][1]) + stretched[name][1])
        for name, image in zip(names, decoded, strict=True)
    }


@independent("pixels", "grey-values", "visible bands from a JPEG preview of quality 85, stretched back")
def jpeg_preview(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "jpeg"), lambda bands: through_jpeg(bands, ("B04", "B03", "B02"), 85))


@independent("pixels", "grey-values", "10 and 20 m bands from grey JPEGs of quality 95, stretched back")
def jpeg_of_every_band(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "jpeg-all"), lambda bands: through_jpeg(bands, (*TEN, *TWENTY), 95))


@independent("pixels", "grey-values", "lossy JPEG 2000 of the 10 m bands, ratio 1:20")
def lossy_jpeg_2000(draft: Draft) -> Planted:
    def compressed(bands: Bands) -> Bands:
        result = {}
        for name in TEN:
            buffer = io.BytesIO()
            Image.fromarray(bands[name]).save(buffer, "JPEG2000", quality_mode="rates", quality_layers=[20])
            result[name] = reflectance(np.asarray(Image.open(buffer)).astype(np.float64))
        return result

    return repainted(draft, chips(draft, "jp2"), compressed)


@independent("pixels", "grey-values", "bytes stretched per chip between percentiles, and back")
def bytes_stretched_per_chip(draft: Draft) -> Planted:
    def stretched(bands: Bands) -> Bands:
        result = {}
        for name, band in bands.items():
            image, low, high = _bytes(band)
            result[name] = reflectance(image / 255 * (high - low) + low)
        return result

    return repainted(draft, chips(draft, "bytes"), stretched)


@independent("pixels", "grey-values", "bytes of reflectance 0 to 0.4 for all chips, and back: steps of 16")
def bytes_of_a_fixed_range(draft: Draft) -> Planted:
    def quantised(bands: Bands) -> Bands:
        return {
            name: reflectance(np.rint(np.clip(band / 4000, 0, 1) * 255) / 255 * 4000) for name, band in bands.items()
        }

    return repainted(draft, chips(draft, "range"), quantised)


@independent("pixels", "grey-values", "reflectance rounded to two decimals")
def rounded_to_percent(draft: Draft) -> Planted:
    return repainted(
        draft,
        chips(draft, "percent"),
        lambda bands: {name: reflectance(np.rint(band / 100) * 100) for name, band in bands.items()},
    )


def _zoomed(band: Array, size: int, order: int) -> Array:
    zoomed: Array = ndimage.zoom(band.astype(np.float64), size / len(band), order=order, grid_mode=True, mode="nearest")
    return zoomed


@independent("pixels", "sharpness", "10 m bands at 20 m, magnified by bilinear interpolation")
def twenty_metres_sold_as_ten(draft: Draft) -> Planted:
    return repainted(
        draft,
        chips(draft, "sold"),
        lambda bands: {name: reflectance(_zoomed(block(bands[name], 2), len(bands[name]), 1)) for name in TEN},
    )


@independent("pixels", "stripes", "B08 alone at 20 m, each pixel repeated")
def b08_repeated(draft: Draft) -> Planted:
    return repainted(
        draft,
        chips(draft, "repeated"),
        lambda bands: {"B08": reflectance(block(bands["B08"], 2)).repeat(2, 0).repeat(2, 1)},
    )


@independent("pixels", "sharpness", "20 m bands made from 60 m: cubic interpolation of block means")
def sixty_metres_sold_as_twenty(draft: Draft) -> Planted:
    return repainted(
        draft,
        chips(draft, "sixty-sold"),
        lambda bands: {name: reflectance(_zoomed(block(bands[name], 3), len(bands[name]), 3)) for name in TWENTY},
    )


@independent("pixels", "sharpness", "chips resampled from a grid half a pixel off, bilinear")
def resampled_by_half_a_pixel(draft: Draft) -> Planted:
    def shifted(bands: Bands) -> Bands:
        return {
            name: reflectance(ndimage.shift(band.astype(np.float64), 0.5, order=1, mode="nearest"))
            for name, band in bands.items()
        }

    return repainted(draft, chips(draft, "resampled"), shifted)


@independent("pixels", "sharpness", "chips of 128 pixels scaled down to 120")
def scaled_to_the_size(draft: Draft) -> Planted:
    def scaled(bands: Bands) -> Bands:
        result = {}
        for name, band in bands.items():
            inner = band[: len(band) * 15 // 16, : len(band) * 15 // 16]
            result[name] = reflectance(_zoomed(inner, len(band), 1)[: len(band), : len(band)])
        return result

    return repainted(draft, chips(draft, "scaled"), scaled)


@independent("pixels", "sharpness", "chips smoothed with a Gaussian of one pixel")
def smoothed(draft: Draft) -> Planted:
    def gaussian(bands: Bands) -> Bands:
        return {name: reflectance(ndimage.gaussian_filter(bands[name].astype(np.float64), 1)) for name in TEN}

    return repainted(draft, chips(draft, "smoothed"), gaussian)


@independent("pixels", "sharpness", "chips sharpened with an unsharp mask")
def sharpened(draft: Draft) -> Planted:
    def unsharp(bands: Bands) -> Bands:
        result = {}
        for name in (*TEN, *TWENTY):
            band = bands[name].astype(np.float64)
            result[name] = reflectance(band + 1.5 * (band - ndimage.gaussian_filter(band, 1)))
        return result

    return repainted(draft, chips(draft, "sharpened"), unsharp)


@independent("pixels", "band-shift", "20 m bands a pixel (20 m) to the east of the 10 m bands")
def twenty_metre_bands_shifted(draft: Draft) -> Planted:
    return repainted(
        draft,
        chips(draft, "twenty-shift"),
        lambda bands: {name: moved(bands[name], right=1) for name in TWENTY},
    )


@independent("pixels", "band-shift", "B02 two pixels off the other bands, as of a moving platform")
def blue_shifted(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "blue"), lambda bands: {"B02": moved(bands["B02"], down=2)})


@independent("pixels", "band-shift", "60 m bands upside down")
def sixty_metres_upside_down(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "sixty-down"), lambda bands: {name: bands[name][::-1] for name in SIXTY})


@independent("pixels", "registration-single", "chips upside down: rows from south to north")
def upside_down(draft: Draft) -> Planted:
    return repainted(
        draft, chips(draft, "down"), lambda bands: {name: band[::-1].copy() for name, band in bands.items()}
    )


@independent("pixels", "registration-single", "chips transposed: x before y")
def transposed(draft: Draft) -> Planted:
    return repainted(
        draft, chips(draft, "transposed"), lambda bands: {name: band.T.copy() for name, band in bands.items()}
    )


@independent("pixels", "stripes", "detector stripes: every twelfth column three percent brighter")
def detector_stripes(draft: Draft) -> Planted:
    def striped(bands: Bands) -> Bands:
        result = {}
        for name in TEN:
            band = bands[name].astype(np.float64)
            band[:, ::12] *= 1.03
            result[name] = reflectance(band)
        return result

    return repainted(draft, chips(draft, "stripes"), striped)


@independent("pixels", "", "defective pixels: 0.3 % of the pixels zero or very bright, in one band")
def defective_pixels(draft: Draft) -> Planted:
    def defective(bands: Bands) -> Bands:
        rng = generator(bands["B03"])
        band = bands["B03"]
        band[rng.random(band.shape) < 0.0015] = 12000
        band[rng.random(band.shape) < 0.0015] = 1
        return {"B03": band}

    return repainted(draft, chips(draft, "defective"), defective)


@independent("pixels", "grey-values", "the lower byte of B11 lost: steps of 256")
def lower_byte_lost(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "byte"), lambda bands: {"B11": reflectance(bands["B11"] // 256 * 256.0)})
