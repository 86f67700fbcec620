//! Draws the newest picture of a track into a rectangle, by the card or, where there is none, by
//! textures of the size on the screen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::epaint::RectShape;
use eframe::egui::{
    self, Color32, ColorImage, CornerRadius, PaintCallback, Painter, Rect, TextureHandle, TextureOptions,
    Vec2, vec2,
};
use eframe::{egui_glow, glow};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgba};

use super::fit;
use super::texture::{Planes, Quad};
use crate::engine::frames::{FrameKey, FrameLookup};
use crate::media::frame::{FramePool, VideoFrame};
use crate::media::scale::scale;
use crate::units::Resolution;

/// How a picture fills its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All of it is seen; the place may be larger than the picture.
    Whole,
    /// The place is full; the picture loses its edges.
    Crop,
}

/// Whether a picture is seen as in a mirror, as people know themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// As the camera sees it.
    No,
    /// Left and right change places.
    Yes,
}

/// Draws pictures and remembers which ones are on the screen.
pub struct Pictures {
    how: How,
    shown: Vec<FrameKey>,
}

enum How {
    Card(Arc<Mutex<Planes>>),
    Software { textures: HashMap<FrameKey, Converted>, pool: FramePool },
}

struct Converted {
    frame: VideoFrame,
    wanted: Resolution,
    texture: TextureHandle,
}

impl Pictures {
    /// By the shader, from the planes.
    pub fn on_card() -> Self {
        Self { how: How::Card(Arc::default()), shown: Vec::new() }
    }

    /// By the window's own textures, converted at their size on the screen.
    pub fn in_software() -> Self {
        Self { how: How::Software { textures: HashMap::new(), pool: FramePool::new() }, shown: Vec::new() }
    }

    /// Begins a new pass over the window: what is drawn from here on is what is shown.
    pub fn begin(&mut self) {
        self.shown.clear();
    }

    /// Ends the pass: forgets what was not drawn, and tells what was.
    pub fn end(&mut self, painter: &Painter) -> Vec<FrameKey> {
        let shown = std::mem::take(&mut self.shown);
        match &mut self.how {
            How::Software { textures, .. } => textures.retain(|key, _| shown.contains(key)),
            How::Card(planes) => {
                let (planes, shown) = (Arc::clone(planes), shown.clone());
                let forget = move |_: egui::PaintCallbackInfo, painter: &egui_glow::Painter| {
                    lock(&planes).retain(painter.gl(), |key| shown.contains(key));
                };
                // Textures can only be given back where the card's context is current.
                let callback = Arc::new(egui_glow::CallbackFn::new(forget));
                painter.add(PaintCallback {
                    rect: Rect::from_min_size(egui::Pos2::ZERO, Vec2::splat(1.0)),
                    callback,
                });
            }
        }
        shown
    }

    /// Gives everything on the card back.
    pub fn destroy(&mut self, gl: &glow::Context) {
        match &self.how {
            How::Card(planes) => lock(planes).destroy(gl),
            How::Software { .. } => {}
        }
    }

    /// The picture's shape, if there is one, in pixels.
    pub fn shape(frames: &dyn FrameLookup, key: &FrameKey) -> Option<Vec2> {
        let resolution = frames.frame(key)?.resolution();
        Some(vec2(resolution.width as f32, resolution.height as f32))
    }

    /// Draws the newest picture into `place`; `None` if there is none. Gives what it covers.
    pub fn draw(
        &mut self,
        painter: &Painter,
        frames: &dyn FrameLookup,
        key: &FrameKey,
        place: Rect,
        (fill, mirror, radius): (Fill, Mirror, u8),
    ) -> Option<Rect> {
        let frame = frames.frame(key);
        let Some(frame) = frame else {
            self.shown.push(key.clone());
            return None;
        };
        let shape = vec2(frame.resolution().width as f32, frame.resolution().height as f32);
        let (rect, uv) = match fill {
            Fill::Whole => (fit::contain(shape, place), fit::WHOLE),
            Fill::Crop => (place, fit::cover(shape, place.size())),
        };
        let uv = match mirror {
            Mirror::No => uv,
            Mirror::Yes => fit::mirrored(uv),
        };
        self.paint(painter, key, frame, rect, (uv, radius));
        Some(rect)
    }

    /// Draws a part of the newest picture, in texture coordinates, into `rect`; nothing if there is no
    /// picture.
    pub fn draw_part(
        &mut self,
        painter: &Painter,
        frames: &dyn FrameLookup,
        key: &FrameKey,
        rect: Rect,
        uv: Rect,
    ) {
        match frames.frame(key) {
            Some(frame) => self.paint(painter, key, frame, rect, (uv, 0)),
            None => self.shown.push(key.clone()),
        }
    }

    fn paint(
        &mut self,
        painter: &Painter,
        key: &FrameKey,
        frame: VideoFrame,
        rect: Rect,
        (uv, radius): (Rect, u8),
    ) {
        self.shown.push(key.clone());
        match &mut self.how {
            How::Card(planes) => {
                let (planes, key) = (Arc::clone(planes), key.clone());
                let quad = Quad { uv, radius: f32::from(radius) };
                let paint = move |info: egui::PaintCallbackInfo, painter: &egui_glow::Painter| {
                    lock(&planes).paint(painter.gl(), &info, &key, &frame, quad);
                };
                painter.add(PaintCallback { rect, callback: Arc::new(egui_glow::CallbackFn::new(paint)) });
            }
            How::Software { textures, pool } => {
                let whole = rect.size() / vec2(uv.width().abs(), uv.height()) * painter.pixels_per_point();
                let wanted = wanted(frame.resolution(), whole);
                let texture = converted(textures, pool, painter.ctx(), key, &frame, wanted);
                let shape = RectShape::filled(rect, CornerRadius::same(radius), Color32::WHITE);
                painter.add(shape.with_texture(texture, uv));
            }
        }
    }
}

fn lock(planes: &Mutex<Planes>) -> std::sync::MutexGuard<'_, Planes> {
    planes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size to convert a picture at: as it is seen, never larger than it is, even both ways.
fn wanted(frame: Resolution, seen: Vec2) -> Resolution {
    let side = |have: u32, seen: f32| {
        if seen < have as f32 { (seen.round() as u32).next_multiple_of(2).max(2) } else { have }
    };
    Resolution::new(side(frame.width, seen.x).min(frame.width), side(frame.height, seen.y).min(frame.height))
}

fn converted(
    textures: &mut HashMap<FrameKey, Converted>,
    pool: &FramePool,
    ctx: &egui::Context,
    key: &FrameKey,
    frame: &VideoFrame,
    wanted: Resolution,
) -> egui::TextureId {
    if let Some(known) = textures.get_mut(key) {
        if !known.frame.is_same_picture(frame) || known.wanted != wanted {
            known.texture.set(to_image(frame, wanted, pool), TextureOptions::LINEAR);
            (known.frame, known.wanted) = (frame.clone(), wanted);
        }
        return known.texture.id();
    }
    let texture = ctx.load_texture(format!("{key:?}"), to_image(frame, wanted, pool), TextureOptions::LINEAR);
    let id = texture.id();
    textures.insert(key.clone(), Converted { frame: frame.clone(), wanted, texture });
    id
}

/// A picture in RGBA at another size (BT.601, limited range).
fn to_image(frame: &VideoFrame, wanted: Resolution, pool: &FramePool) -> ColorImage {
    let scaled = (frame.resolution() != wanted)
        .then(|| VideoFrame::new(scale(frame, wanted, pool), frame.captured_at));
    let frame = scaled.as_ref().unwrap_or(frame);
    let planes = YuvPlanarImage {
        y_plane: frame.y(),
        y_stride: frame.y_stride() as u32,
        u_plane: frame.u(),
        u_stride: frame.uv_stride() as u32,
        v_plane: frame.v(),
        v_stride: frame.uv_stride() as u32,
        width: wanted.width,
        height: wanted.height,
    };
    let mut rgba = vec![255; wanted.pixels() as usize * 4];
    if let Err(error) =
        yuv420_to_rgba(&planes, &mut rgba, wanted.width * 4, YuvRange::Limited, YuvStandardMatrix::Bt601)
    {
        tracing::error!("a picture of {wanted} cannot be shown: {error}");
    }
    ColorImage::from_rgba_premultiplied([wanted.width as usize, wanted.height as usize], &rgba)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_converted_no_larger_than_it_is_seen() {
        let hd = Resolution::HD;
        assert_eq!(wanted(hd, vec2(4000.0, 2000.0)), hd);
        assert_eq!(wanted(hd, vec2(240.2, 135.0)), Resolution::new(240, 136));
        assert_eq!(wanted(hd, vec2(0.0, 0.0)), Resolution::new(2, 2));
        assert_eq!(wanted(Resolution::new(641, 361), vec2(640.6, 360.5)), Resolution::new(641, 361));
    }

    #[test]
    fn colours_are_those_of_limited_range_bt_601() {
        // ITU-R BT.601 studio levels of 100 % white, red, green and blue.
        for (yuv, rgb) in [
            ((235, 128, 128), [255, 255, 255]),
            ((16, 128, 128), [0, 0, 0]),
            ((81, 90, 240), [255, 0, 0]),
            ((145, 54, 34), [0, 255, 0]),
            ((41, 240, 110), [0, 0, 255]),
        ] {
            let size = Resolution::new(8, 4);
            let pool = FramePool::new();
            let mut planes = pool.take(size);
            let (y, u, v) = planes.planes_mut();
            y.fill(yuv.0);
            u.fill(yuv.1);
            v.fill(yuv.2);
            let image = to_image(&VideoFrame::new(planes, crate::clock::now()), size, &pool);
            let [r, g, b, a] = image.pixels[9].to_array();
            for (is, should) in [r, g, b].into_iter().zip(rgb) {
                assert!(is.abs_diff(should) <= 2, "{yuv:?} became {:?}", [r, g, b]);
            }
            assert_eq!(a, 255);
        }
    }
}
