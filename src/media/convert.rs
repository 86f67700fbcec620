//! What cameras and screens speak → I420, BT.601 limited range.
//!
//! Pure: bytes in, planes out. A device or driver that lies about its bytes gets an error, never a
//! panic.

use std::borrow::Cow;

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::codec::frame_head::MAX_PIXELS;
use super::frame::{FramePool, Planes};
use crate::units::Resolution;

/// How a raw picture is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Y0 U Y1 V, 16 bits a pixel, limited range (V4L2 `YUYV`).
    Yuyv,
    /// Y plane, then a plane of interleaved U and V of half size, limited range.
    Nv12,
    /// A JPEG picture of its own for each frame (full range by JFIF).
    Mjpeg,
    /// Red, green, blue; 24 bits a pixel.
    Rgb,
    /// Blue, green, red, unused; 32 bits a pixel.
    Bgra,
    /// Red, green, blue, unused; 32 bits a pixel.
    Rgba,
}

/// One picture as a device gave it.
#[derive(Clone, Copy, Debug)]
pub struct RawPicture<'a> {
    /// How `data` is laid out.
    pub format: PixelFormat,
    /// The size that the device promised.
    pub resolution: Resolution,
    /// Bytes from one row to the next; `None` for rows without gaps. Of no meaning for MJPEG.
    pub stride: Option<usize>,
    /// The bytes.
    pub data: &'a [u8],
}

/// Why a picture cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// No picture has this size.
    #[error("a picture of {0} is not possible")]
    Size(Resolution),
    /// Rows overlap.
    #[error("rows of {stride} bytes are too short for {resolution}")]
    Stride {
        /// Bytes from row to row.
        stride: usize,
        /// The size promised.
        resolution: Resolution,
    },
    /// The device promised more than it gave.
    #[error("{got} bytes are too few for a picture of {resolution}, which takes {needed}")]
    TooShort {
        /// Bytes there are.
        got: usize,
        /// Bytes there should be.
        needed: usize,
        /// The size promised.
        resolution: Resolution,
    },
    /// Not a picture at all, or a damaged one.
    #[error("the JPEG picture is damaged: {0}")]
    Jpeg(String),
    /// The picture is of another size than promised.
    #[error("the picture has {got} instead of {promised}")]
    OtherSize {
        /// The size inside.
        got: Resolution,
        /// The size promised.
        promised: Resolution,
    },
    /// The conversion itself refused.
    #[error("the picture cannot be converted: {0}")]
    Refused(String),
}

/// Converts one picture into a buffer of `pool`.
pub fn to_i420(raw: &RawPicture, pool: &FramePool) -> Result<Planes, ConvertError> {
    let resolution = raw.resolution;
    if resolution.pixels() == 0 || resolution.pixels() > MAX_PIXELS {
        return Err(ConvertError::Size(resolution));
    }
    let mut planes = pool.take(resolution);
    match raw.format {
        PixelFormat::Yuyv => yuyv(raw, &mut planes)?,
        PixelFormat::Nv12 => nv12(raw, &mut planes)?,
        PixelFormat::Rgb => {
            rgb(raw.data, rows(raw, resolution.width as usize * 3)?, resolution, &mut planes)?
        }
        PixelFormat::Bgra | PixelFormat::Rgba => rgb32(raw, &mut planes)?,
        PixelFormat::Mjpeg => mjpeg(raw.data, resolution, &mut planes)?,
    }
    Ok(planes)
}

/// The stride of a picture whose rows take `row` bytes, once it is certain that all rows are there.
fn rows(raw: &RawPicture, row: usize) -> Result<usize, ConvertError> {
    let stride = raw.stride.unwrap_or(row);
    let resolution = raw.resolution;
    if stride < row || u32::try_from(stride).is_err() {
        return Err(ConvertError::Stride { stride, resolution });
    }
    long_enough(raw, stride.saturating_mul(resolution.height as usize))?;
    Ok(stride)
}

fn long_enough(raw: &RawPicture, needed: usize) -> Result<(), ConvertError> {
    let (got, resolution) = (raw.data.len(), raw.resolution);
    if got < needed { Err(ConvertError::TooShort { got, needed, resolution }) } else { Ok(()) }
}

/// Lends our planes to the `yuv` crate.
fn lend(planes: &mut Planes) -> YuvPlanarImageMut<'_, u8> {
    let Resolution { width, height } = planes.resolution();
    let (y, u, v) = planes.planes_mut();
    YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(u),
        u_stride: width.div_ceil(2),
        v_plane: BufferStoreMut::Borrowed(v),
        v_stride: width.div_ceil(2),
        width,
        height,
    }
}

fn refused(error: yuv::YuvError) -> ConvertError {
    ConvertError::Refused(error.to_string())
}

/// The `yuv` crate is three times as fast, but gets odd sizes wrong.
fn yuyv(raw: &RawPicture, planes: &mut Planes) -> Result<(), ConvertError> {
    let (width, height) = (raw.resolution.width as usize, raw.resolution.height as usize);
    let half = width.div_ceil(2);
    let stride = rows(raw, half * 4)?;
    if width.is_multiple_of(2) && height.is_multiple_of(2) {
        let Resolution { width, height } = raw.resolution;
        let yuy = &raw.data[..stride * height as usize];
        let packed = YuvPackedImage { yuy, yuy_stride: stride as u32, width, height };
        return yuv::yuyv422_to_yuv420(&mut lend(planes), &packed).map_err(refused);
    }
    let (y, u, v) = planes.planes_mut();
    let source = raw.data[..stride * height].chunks_exact(stride);
    for (target, row) in y.chunks_exact_mut(width).zip(source) {
        for (target, pair) in target.chunks_mut(2).zip(row.chunks_exact(2 * 2)) {
            target.iter_mut().zip([pair[0], pair[2]]).for_each(|(target, luma)| *target = luma);
        }
    }
    let source = raw.data[..stride * height].chunks(2 * stride);
    for ((u, v), rows) in u.chunks_exact_mut(half).zip(v.chunks_exact_mut(half)).zip(source) {
        let above = &rows[..stride];
        let below = rows.get(stride..).filter(|row| !row.is_empty()).unwrap_or(above);
        let pairs = above.chunks_exact(4).zip(below.chunks_exact(4));
        for ((u, v), (above, below)) in u.iter_mut().zip(v).zip(pairs) {
            *u = above[1].midpoint(below[1]);
            *v = above[3].midpoint(below[3]);
        }
    }
    Ok(())
}

fn nv12(raw: &RawPicture, planes: &mut Planes) -> Result<(), ConvertError> {
    let (width, height) = (raw.resolution.width as usize, raw.resolution.height as usize);
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let stride = rows(raw, half_width * 2)?;
    long_enough(raw, stride.saturating_mul(height + half_height))?;
    let (luma, chroma) = raw.data.split_at(stride * height);
    let (y, u, v) = planes.planes_mut();
    for (target, row) in y.chunks_exact_mut(width).zip(luma.chunks_exact(stride)) {
        target.copy_from_slice(&row[..width]);
    }
    let targets = u.chunks_exact_mut(half_width).zip(v.chunks_exact_mut(half_width));
    for ((u, v), row) in targets.zip(chroma.chunks_exact(stride)) {
        for ((u, v), pair) in u.iter_mut().zip(v).zip(row.chunks_exact(2)) {
            (*u, *v) = (pair[0], pair[1]);
        }
    }
    Ok(())
}

fn rgb(data: &[u8], stride: usize, resolution: Resolution, planes: &mut Planes) -> Result<(), ConvertError> {
    let data = &data[..stride * resolution.height as usize];
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
    yuv::rgb_to_yuv420(&mut lend(planes), data, stride as u32, range, matrix, YuvConversionMode::Balanced)
        .map_err(refused)
}

/// Four bytes a pixel, in either order.
fn rgb32(raw: &RawPicture, planes: &mut Planes) -> Result<(), ConvertError> {
    if let Some(packed) = without_gaps(raw, raw.resolution.width as usize * 4) {
        return rgb32(&RawPicture { stride: None, data: &packed, ..*raw }, planes);
    }
    let stride = rows(raw, raw.resolution.width as usize * 4)?;
    let data = &raw.data[..stride * raw.resolution.height as usize];
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
    let convert = if raw.format == PixelFormat::Rgba { yuv::rgba_to_yuv420 } else { yuv::bgra_to_yuv420 };
    convert(&mut lend(planes), data, stride as u32, range, matrix, YuvConversionMode::Balanced)
        .map_err(refused)
}

/// A copy of a picture that ends with its last pixel though there are gaps between its rows, as a part
/// of a larger picture may: the `yuv` crate would leave its last rows out.
fn without_gaps(raw: &RawPicture, row: usize) -> Option<Vec<u8>> {
    let (stride, height) = (raw.stride?, raw.resolution.height as usize);
    let missing = stride.checked_mul(height)?.checked_sub(raw.data.len())?;
    if missing == 0 || missing > stride.checked_sub(row)? {
        return None;
    }
    let mut packed = Vec::with_capacity(row * height);
    raw.data.chunks(stride).for_each(|line| packed.extend_from_slice(&line[..row]));
    Some(packed)
}

/// By way of RGB, which also brings JPEG's full range to limited range.
fn mjpeg(data: &[u8], promised: Resolution, planes: &mut Planes) -> Result<(), ConvertError> {
    let damaged = |error: zune_jpeg::errors::DecodeErrors| ConvertError::Jpeg(error.to_string());
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(promised.width as usize)
        .set_max_height(promised.height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let data = with_huffman_tables(data);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*data), options);
    decoder.decode_headers().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| ConvertError::Jpeg("it has no header".to_owned()))?;
    let got = Resolution::new(info.width.into(), info.height.into());
    if got != promised {
        return Err(ConvertError::OtherSize { got, promised });
    }
    let mut pixels = vec![0; promised.pixels() as usize * 3];
    decoder.decode_into(&mut pixels).map_err(damaged)?;
    rgb(&pixels, promised.width as usize * 3, promised, planes)
}

/// Many cameras leave out the Huffman tables, which are always the same ones in motion JPEG; the
/// decoder puts them in when an `AVI1` segment tells it what kind of JPEG it has.
fn with_huffman_tables(data: &[u8]) -> Cow<'_, [u8]> {
    const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
    const AVI1: [u8; 9] = [0xff, 0xe0, 0, 7, b'A', b'V', b'I', b'1', 0];
    match data.strip_prefix(&START_OF_IMAGE) {
        Some(rest) if !has_huffman_tables(rest) => {
            Cow::Owned([&START_OF_IMAGE[..], &AVI1[..], rest].concat())
        }
        _ => Cow::Borrowed(data),
    }
}

/// Goes through the segments up to the picture's data (ITU-T T.81 annex B).
fn has_huffman_tables(mut segments: &[u8]) -> bool {
    const TABLES: u8 = 0xc4;
    const START_OF_SCAN: u8 = 0xda;
    while let [0xff, marker, high, low, ..] = *segments {
        match marker {
            TABLES => return true,
            START_OF_SCAN => return false,
            _ => {}
        }
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        segments = segments.get(length..).unwrap_or_default();
    }
    // Not a JPEG picture as we know it: leave it to the decoder to say so.
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 64x48, 4:2:2: red, green, blue and white quarters, in reading order.
    const JPEG: &[u8] = include_bytes!("../../assets/test/quarters-64x48.jpg");

    fn convert(
        format: PixelFormat,
        (width, height): (u32, u32),
        stride: Option<usize>,
        data: &[u8],
    ) -> Result<Planes, ConvertError> {
        let raw = RawPicture { format, resolution: Resolution::new(width, height), stride, data };
        to_i420(&raw, &FramePool::new())
    }

    /// Y, U and V in the middle of each quarter.
    fn quarters(planes: &Planes) -> [(u8, u8, u8); 4] {
        let (width, height) = (planes.resolution().width as usize, planes.resolution().height as usize);
        [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
            let (x, y, half) = (x * width / 4, y * height / 4, width.div_ceil(2));
            let chroma = y / 2 * half + x / 2;
            (planes.y()[y * width + x], planes.u()[chroma], planes.v()[chroma])
        })
    }

    /// Red, green, blue and white of BT.601 in limited range, within what rounding does.
    fn check_colours(planes: &Planes) {
        let expected = [(81, 90, 240), (145, 54, 34), (41, 240, 110), (235, 128, 128)];
        for ((y, u, v), (ey, eu, ev)) in quarters(planes).into_iter().zip(expected) {
            let near = |a: u8, b: i32| (i32::from(a) - b).abs() <= 3;
            assert!(near(y, ey) && near(u, eu) && near(v, ev), "{:?} is not {:?}", (y, u, v), (ey, eu, ev));
        }
    }

    fn rgb_quarters(width: usize, height: usize, pixel: impl Fn([u8; 3]) -> Vec<u8>) -> Vec<u8> {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
        let at = |x, y| colours[usize::from(x >= width / 2) + 2 * usize::from(y >= height / 2)];
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(at(x, y))).collect()
    }

    #[test]
    fn colours_are_those_of_bt601_limited_range() {
        let rgb = rgb_quarters(64, 48, |rgb| rgb.to_vec());
        check_colours(&convert(PixelFormat::Rgb, (64, 48), None, &rgb).unwrap());
        let bgra = rgb_quarters(64, 48, |[r, g, b]| vec![b, g, r, 255]);
        check_colours(&convert(PixelFormat::Bgra, (64, 48), None, &bgra).unwrap());
        let rgba = rgb_quarters(64, 48, |[r, g, b]| vec![r, g, b, 255]);
        check_colours(&convert(PixelFormat::Rgba, (64, 48), None, &rgba).unwrap());
        check_colours(&convert(PixelFormat::Mjpeg, (64, 48), None, JPEG).unwrap());
    }

    #[test]
    fn a_part_of_a_larger_picture_may_end_with_its_last_pixel() {
        let whole = rgb_quarters(64, 48, |[r, g, b]| vec![b, g, r, 255]);
        let part =
            convert(PixelFormat::Bgra, (32, 24), Some(256), &whole[12 * 256 + 16 * 4..36 * 256 - 16 * 4]);
        check_colours(&part.unwrap());
    }

    #[test]
    fn a_camera_that_leaves_out_the_huffman_tables_is_understood() {
        let mut bare = JPEG[..2].to_vec();
        let mut rest = &JPEG[2..];
        while rest[1] != 0xda {
            let (segment, after) = rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
            if segment[1] != 0xc4 {
                bare.extend_from_slice(segment);
            }
            rest = after;
        }
        bare.extend_from_slice(rest);
        assert!(bare.len() < JPEG.len() - 400, "the tables are gone");
        check_colours(&convert(PixelFormat::Mjpeg, (64, 48), None, &bare).unwrap());
    }

    #[test]
    fn yuyv_is_taken_apart_with_odd_sizes_and_gaps_between_rows() {
        for (width, height) in [(2, 2), (4, 2), (5, 3), (5, 4), (646, 6), (640, 7)] {
            let stride = (width as usize).div_ceil(2) * 4 + 12;
            let mut data = vec![0xee; stride * height as usize];
            for row in data.chunks_exact_mut(stride) {
                row[..stride - 12].chunks_exact_mut(4).for_each(|p| p.copy_from_slice(&[50, 90, 60, 200]));
            }
            let planes = convert(PixelFormat::Yuyv, (width, height), Some(stride), &data).unwrap();
            for row in planes.y().chunks_exact(width as usize) {
                assert!(row.iter().enumerate().all(|(x, y)| *y == if x % 2 == 0 { 50 } else { 60 }));
            }
            assert!(planes.u().iter().all(|u| *u == 90), "{width}x{height}");
            assert!(planes.v().iter().all(|v| *v == 200), "{width}x{height}");
        }
    }

    #[test]
    fn nv12_is_taken_apart_with_odd_sizes_and_gaps_between_rows() {
        let (width, height, stride) = (5, 3, 16);
        let mut data = vec![0xee; stride * 5];
        for (index, row) in data.chunks_exact_mut(stride).enumerate() {
            match index {
                0..3 => row[..5].fill(index as u8),
                _ => row[..6].chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&[90, 200])),
            }
        }
        let planes = convert(PixelFormat::Nv12, (width, height), Some(stride), &data).unwrap();
        assert_eq!(planes.y(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        assert_eq!((planes.u(), planes.v()), ([90; 6].as_slice(), [200; 6].as_slice()));
    }

    #[test]
    fn devices_that_lie_get_an_error() {
        use ConvertError::{Jpeg, OtherSize, Size, Stride, TooShort};
        let formats =
            [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Rgb, PixelFormat::Bgra, PixelFormat::Rgba];
        for format in formats {
            let short = convert(format, (64, 48), None, &[0; 64 * 48]);
            assert!(matches!(short, Err(TooShort { .. })), "{format:?}");
            let narrow = convert(format, (64, 48), Some(10), &[0; 64 * 48 * 4]);
            assert!(matches!(narrow, Err(Stride { .. })), "{format:?}");
            let wide = convert(format, (64, 48), Some(usize::MAX), &[0; 64 * 48 * 4]);
            assert!(matches!(wide, Err(Stride { .. })), "{format:?}");
            assert!(matches!(convert(format, (0, 48), None, &[0; 64]), Err(Size(_))));
            assert!(matches!(convert(format, (u32::MAX, u32::MAX), None, &[0; 64]), Err(Size(_))));
        }
        let jpeg = |size, data| convert(PixelFormat::Mjpeg, size, None, data);
        assert!(matches!(jpeg((640, 480), JPEG), Err(OtherSize { .. })));
        assert!(matches!(jpeg((32, 24), JPEG), Err(Jpeg(_))));
        assert!(matches!(jpeg((64, 48), b""), Err(Jpeg(_))));
        assert!(matches!(jpeg((64, 48), &JPEG[..JPEG.len() / 2]), Err(Jpeg(_))));
    }

    proptest! {
        #[test]
        fn no_damage_to_a_jpeg_makes_it_panic(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut data = JPEG.to_vec();
            for (at, value) in damage {
                data[at.index(JPEG.len())] = value;
            }
            convert(PixelFormat::Mjpeg, (64, 48), None, &data).ok();
            convert(PixelFormat::Mjpeg, (64, 48), None, &data[..cut.index(data.len())]).ok();
        }
    }
}
