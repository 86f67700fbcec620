//! What desktops write beside a picture: which part of it is meant, what changed in it, and where the cursor
//! is and how it looks. Pure: bytes in; every length and place that the desktop says is checked.

use std::mem::offset_of;

use pipewire::spa::sys::{
    SPA_VIDEO_FORMAT_ABGR, SPA_VIDEO_FORMAT_ARGB, SPA_VIDEO_FORMAT_BGRA, SPA_VIDEO_FORMAT_RGBA,
    spa_meta_bitmap, spa_meta_cursor, spa_meta_region, spa_point, spa_rectangle, spa_region,
};

use crate::media::source::screen::Rect;
use crate::media::source::screen::cursor::CursorImage;

/// Where the cursor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorNews {
    /// Where it points in the desktop's pictures; `None` while it is hidden or elsewhere.
    pub at: Option<(i32, i32)>,
    /// How it looks, if that is new.
    pub image: Option<CursorImage>,
}

/// The desktop says of the cursor what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCursor {
    /// What is said to be there is not.
    #[error("its image lies outside of what the desktop sent")]
    Outside,
    /// Rows overlap.
    #[error("its image has rows of {stride} bytes for {width} pixels")]
    Stride {
        /// Bytes from row to row.
        stride: i32,
        /// Pixels in a row.
        width: u32,
    },
    /// Not one of the four orders of red, green, blue and alpha.
    #[error("its image is of the unknown kind {0}")]
    Format(u32),
}

/// Reads `SPA_META_VideoCrop`; `None` where no part is named.
pub fn crop(bytes: &[u8]) -> Option<Rect> {
    region(bytes)
}

/// Reads `SPA_META_VideoDamage`. `None` where nothing is named: a picture came, so something did change.
pub fn damage(bytes: &[u8]) -> Option<Vec<Rect>> {
    // The list ends with the first that is empty, if it is not full.
    let named: Vec<Rect> = bytes.chunks_exact(size_of::<spa_meta_region>()).map_while(region).collect();
    Some(named).filter(|named| !named.is_empty())
}

/// Reads `SPA_META_Cursor`.
pub fn cursor(bytes: &[u8]) -> Result<CursorNews, BadCursor> {
    let word = |field| word(bytes, field).ok_or(BadCursor::Outside);
    if word(offset_of!(spa_meta_cursor, id))? == 0 {
        return Ok(CursorNews { at: None, image: None });
    }
    let point = |field| -> Result<(i32, i32), BadCursor> {
        let x = word(field + offset_of!(spa_point, x))?;
        Ok((x.cast_signed(), word(field + offset_of!(spa_point, y))?.cast_signed()))
    };
    let at = Some(point(offset_of!(spa_meta_cursor, position))?);
    let image = match word(offset_of!(spa_meta_cursor, bitmap_offset))? as usize {
        0 => None,
        // It may not lie on what stands before it.
        offset if offset < size_of::<spa_meta_cursor>() => return Err(BadCursor::Outside),
        offset => {
            let hot = point(offset_of!(spa_meta_cursor, hotspot))?;
            Some(image(bytes.get(offset..).ok_or(BadCursor::Outside)?, hot)?)
        }
    };
    Ok(CursorNews { at, image })
}

/// Reads a bitmap (`spa_meta_bitmap`) with its pixels. Colours come multiplied by alpha.
fn image(bytes: &[u8], hot: (i32, i32)) -> Result<CursorImage, BadCursor> {
    let word = |field| word(bytes, field).ok_or(BadCursor::Outside);
    let offset = word(offset_of!(spa_meta_bitmap, offset))? as usize;
    let size = offset_of!(spa_meta_bitmap, size);
    let width = word(size + offset_of!(spa_rectangle, width))?;
    let height = word(size + offset_of!(spa_rectangle, height))?;
    if offset == 0 || width == 0 || height == 0 {
        // Nothing is seen of it.
        return Ok(CursorImage::default());
    }
    if offset < size_of::<spa_meta_bitmap>() {
        return Err(BadCursor::Outside);
    }
    // Where blue, green, red and alpha lie.
    let order = match word(offset_of!(spa_meta_bitmap, format))? {
        SPA_VIDEO_FORMAT_BGRA => [0, 1, 2, 3],
        SPA_VIDEO_FORMAT_RGBA => [2, 1, 0, 3],
        SPA_VIDEO_FORMAT_ARGB => [3, 2, 1, 0],
        SPA_VIDEO_FORMAT_ABGR => [1, 2, 3, 0],
        format => return Err(BadCursor::Format(format)),
    };
    let stride = word(offset_of!(spa_meta_bitmap, stride))?.cast_signed();
    let row = (width as usize).saturating_mul(4);
    let rows = usize::try_from(stride).ok().filter(|stride| *stride >= row);
    let step = rows.ok_or(BadCursor::Stride { stride, width })?;
    let needed = step.saturating_mul(height as usize - 1).saturating_add(row);
    let data = bytes.get(offset..).and_then(|data| data.get(..needed)).ok_or(BadCursor::Outside)?;
    let pixels = data.chunks(step).flat_map(|line| line[..row].as_chunks::<4>().0);
    let pixels = pixels.map(|pixel| order.map(|place| pixel[place])).collect();
    Ok(CursorImage { width, height, hot, pixels })
}

/// Reads a `spa_meta_region`; an empty one says nothing.
fn region(bytes: &[u8]) -> Option<Rect> {
    let (corner, size) = (offset_of!(spa_region, position), offset_of!(spa_region, size));
    let rect = Rect::new(
        word(bytes, corner + offset_of!(spa_point, x))?.cast_signed(),
        word(bytes, corner + offset_of!(spa_point, y))?.cast_signed(),
        word(bytes, size + offset_of!(spa_rectangle, width))?,
        word(bytes, size + offset_of!(spa_rectangle, height))?,
    );
    (rect.width > 0 && rect.height > 0).then_some(rect)
}

/// The number that stands there, as this computer writes it.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// A cursor at (10, -4) whose hot spot is (1, 2), with a bitmap of these words behind it.
    fn cursor_with(bitmap: &[u32]) -> Vec<u8> {
        let offset = if bitmap.is_empty() { 0 } else { size_of::<spa_meta_cursor>() as u32 };
        bytes(&[&[1, 0, 10, (-4_i32).cast_unsigned(), 1, 2, offset][..], bitmap].concat())
    }

    const HEAD: u32 = size_of::<spa_meta_bitmap>() as u32;

    #[test]
    fn every_order_of_colours_means_the_same() {
        let (b, g, r, a) = (10, 20, 30, 40);
        for (format, pixel) in [
            (SPA_VIDEO_FORMAT_BGRA, [b, g, r, a]),
            (SPA_VIDEO_FORMAT_RGBA, [r, g, b, a]),
            (SPA_VIDEO_FORMAT_ARGB, [a, r, g, b]),
            (SPA_VIDEO_FORMAT_ABGR, [a, b, g, r]),
        ] {
            let pixel = u32::from_ne_bytes(pixel);
            // Two rows of one pixel, with a gap after each; the last row's gap is not there.
            let news = cursor(&cursor_with(&[format, 1, 2, 8, HEAD, pixel, 77, pixel])).unwrap();
            let image = CursorImage { width: 1, height: 2, hot: (1, 2), pixels: vec![[b, g, r, a]; 2] };
            assert_eq!(news, CursorNews { at: Some((10, -4)), image: Some(image) });
        }
    }

    #[test]
    fn one_that_only_moved_keeps_its_looks_and_one_without_a_number_is_hidden() {
        assert_eq!(cursor(&cursor_with(&[])), Ok(CursorNews { at: Some((10, -4)), image: None }));
        assert_eq!(cursor(&[0; 28]), Ok(CursorNews { at: None, image: None }));
    }

    #[test]
    fn a_bitmap_without_pixels_is_a_cursor_that_is_not_seen() {
        let news = cursor(&cursor_with(&[0; 5])).unwrap();
        assert_eq!(news.image, Some(CursorImage::default()));
    }

    #[test]
    fn what_lies_about_its_place_or_kind_is_named() {
        let bitmap = |words: &[u32]| cursor(&cursor_with(words)).unwrap_err();
        let bgra = SPA_VIDEO_FORMAT_BGRA;
        assert_eq!(bitmap(&[bgra, 2, 1, 8, HEAD, 0]), BadCursor::Outside);
        assert_eq!(bitmap(&[bgra, 2, 1, 8, 8, 0, 0]), BadCursor::Outside);
        assert_eq!(
            bitmap(&[bgra, u32::MAX, u32::MAX, 8, HEAD]),
            BadCursor::Stride { stride: 8, width: u32::MAX }
        );
        assert_eq!(bitmap(&[bgra, 1, u32::MAX, i32::MAX as u32, HEAD, 0]), BadCursor::Outside);
        assert_eq!(
            bitmap(&[bgra, 1, 2, -4_i32 as u32, HEAD, 0, 0]),
            BadCursor::Stride { stride: -4, width: 1 }
        );
        assert_eq!(bitmap(&[1, 1, 1, 4, HEAD, 0]), BadCursor::Format(1));
        assert_eq!(bitmap(&[bgra]), BadCursor::Outside);
        assert_eq!(cursor(&bytes(&[1, 0, 0, 0, 0, 0, 4])), Err(BadCursor::Outside));
        assert_eq!(cursor(&[1]), Err(BadCursor::Outside));
    }

    #[test]
    fn damage_is_read_up_to_the_first_that_is_empty() {
        let list = bytes(&[0, 0, 4, 5, 7, (-8_i32).cast_unsigned(), 1, 1, 0, 0, 0, 0, 9, 9, 9, 9]);
        assert_eq!(damage(&list), Some(vec![Rect::new(0, 0, 4, 5), Rect::new(7, -8, 1, 1)]));
        assert_eq!(damage(&[0; 64]), None);
        assert_eq!(damage(&list[..10]), None);
        assert_eq!(crop(&list), Some(Rect::new(0, 0, 4, 5)));
        assert_eq!(crop(&[0; 16]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            cursor(&bytes).ok();
            damage(&bytes);
            crop(&bytes);
        }

        #[test]
        fn an_image_is_as_large_as_it_says(
            format in 10u32..16, width in 0u32..6, height in 0u32..6, stride in -8i32..40,
            offset in 0u32..60, more in prop::collection::vec(any::<u32>(), 0..40),
        ) {
            let head = [format, width, height, stride.cast_unsigned(), offset];
            if let Ok(CursorNews { image: Some(image), .. }) = cursor(&cursor_with(&[&head[..], &more].concat())) {
                prop_assert_eq!(image.pixels.len() as u32, image.width * image.height);
            }
        }
    }
}
