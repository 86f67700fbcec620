//! Pictures on the graphics card: three planes of a frame as three textures, and the shader that
//! makes colours of them.
//!
//! Uploaded only when the picture is new, with real row lengths, so nothing is repacked. Knows
//! nothing of the window's layout: a [`Quad`] says which part of the picture goes where.

#![allow(
    unsafe_code,
    reason = "every call of OpenGL is unsafe; this is the only file of the window that makes any"
)]

use std::collections::HashMap;

use eframe::egui::{PaintCallbackInfo, Rect};
use eframe::glow::{self, HasContext as _};

use crate::engine::frames::FrameKey;
use crate::media::frame::VideoFrame;

/// What to draw into the rectangle of a paint callback.
#[derive(Clone, Copy, Debug)]
pub struct Quad {
    /// Part of the picture, in texture coordinates; reversed edges mirror it.
    pub uv: Rect,
    /// Radius of the corners, in points.
    pub radius: f32,
}

/// The textures of every picture on the screen.
#[derive(Default)]
pub struct Planes {
    shader: Option<Result<Shader, String>>,
    pictures: HashMap<FrameKey, Uploaded>,
}

struct Uploaded {
    frame: VideoFrame,
    textures: [glow::Texture; 3],
}

struct Shader {
    program: glow::Program,
    vertices: glow::VertexArray,
    uv: Option<glow::UniformLocation>,
    size: Option<glow::UniformLocation>,
    radius: Option<glow::UniformLocation>,
}

const VERTEX: &str = r"
out vec2 v_at;
void main() {
    v_at = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1));
    gl_Position = vec4(v_at.x * 2.0 - 1.0, 1.0 - v_at.y * 2.0, 0.0, 1.0);
}
";

// BT.601, limited range: Y is 16..235, U and V are 16..240 around 128 (RFC 6386 section 9.2 gives
// VP8 no other). The window's framebuffer takes gamma values and premultiplied alpha as they are.
const FRAGMENT: &str = r"
uniform sampler2D u_y;
uniform sampler2D u_u;
uniform sampler2D u_v;
uniform vec4 u_uv;
uniform vec2 u_size;
uniform float u_radius;
in vec2 v_at;
out vec4 color;
void main() {
    vec2 at = mix(u_uv.xy, u_uv.zw, v_at);
    float y = 1.16438356 * (texture(u_y, at).r - 16.0 / 255.0);
    float u = texture(u_u, at).r - 128.0 / 255.0;
    float v = texture(u_v, at).r - 128.0 / 255.0;
    vec3 rgb = vec3(y + 1.59602678 * v, y - 0.39176229 * u - 0.81296764 * v, y + 2.01723214 * u);
    vec2 corner = abs(v_at * u_size - 0.5 * u_size) - (0.5 * u_size - u_radius);
    float outside = length(max(corner, 0.0)) + min(max(corner.x, corner.y), 0.0) - u_radius;
    float alpha = u_radius > 0.0 ? clamp(0.5 - outside, 0.0, 1.0) : 1.0;
    color = vec4(clamp(rgb, 0.0, 1.0) * alpha, alpha);
}
";

/// Whether this context can do what is done here (OpenGL 3.1 or OpenGL ES 3.0), on a card.
///
/// A software renderer can too, but there a picture converted at its size on the screen is cheaper.
pub fn is_worth_it(gl: &glow::Context) -> bool {
    let version = gl.version();
    let able =
        if version.is_embedded { version.major >= 3 } else { (version.major, version.minor) >= (3, 1) };
    // SAFETY: the context is current on this thread while the window is being made.
    let renderer = unsafe { gl.get_parameter_string(glow::RENDERER) };
    let renderer = renderer.to_ascii_lowercase();
    let software = ["llvmpipe", "softpipe", "swrast", "swiftshader", "software"];
    tracing::info!(%renderer, "the window is drawn by this");
    able && !software.iter().any(|name| renderer.contains(name))
}

impl Planes {
    /// Draws a picture into the callback's rectangle, uploading it first if it is new.
    pub fn paint(
        &mut self,
        gl: &glow::Context,
        info: &PaintCallbackInfo,
        key: &FrameKey,
        frame: &VideoFrame,
        quad: Quad,
    ) {
        let shader = self.shader.get_or_insert_with(|| {
            let shader = Shader::new(gl);
            if let Err(reason) = &shader {
                tracing::error!("no pictures can be drawn: the graphics driver refuses the shader: {reason}");
            }
            shader
        });
        let Ok(shader) = shader else { return };
        let textures = match self.pictures.get_mut(key) {
            Some(uploaded) => {
                if !uploaded.frame.is_same_picture(frame) {
                    let same_size = uploaded.frame.resolution() == frame.resolution();
                    upload(gl, &uploaded.textures, frame, same_size);
                    uploaded.frame = frame.clone();
                }
                uploaded.textures
            }
            None => {
                let Some(textures) = new_textures(gl) else { return };
                upload(gl, &textures, frame, false);
                self.pictures.insert(key.clone(), Uploaded { frame: frame.clone(), textures });
                textures
            }
        };
        shader.draw(gl, info, &textures, quad);
    }

    /// Forgets the pictures that are not shown any more.
    pub fn retain(&mut self, gl: &glow::Context, shown: impl Fn(&FrameKey) -> bool) {
        self.pictures.retain(|key, uploaded| {
            let keep = shown(key);
            if !keep {
                delete(gl, uploaded.textures);
            }
            keep
        });
    }

    /// Gives everything back.
    pub fn destroy(&mut self, gl: &glow::Context) {
        self.retain(gl, |_| false);
        if let Some(Ok(shader)) = self.shader.take() {
            // SAFETY: both were made in this context and are not used after this.
            unsafe {
                gl.delete_program(shader.program);
                gl.delete_vertex_array(shader.vertices);
            }
        }
    }
}

fn new_textures(gl: &glow::Context) -> Option<[glow::Texture; 3]> {
    // SAFETY: the context is current: this runs inside a paint callback.
    let make = || unsafe {
        let texture = gl.create_texture().ok()?;
        gl.bind_texture(glow::TEXTURE_2D, Some(texture));
        for (name, value) in [
            (glow::TEXTURE_MIN_FILTER, glow::LINEAR),
            (glow::TEXTURE_MAG_FILTER, glow::LINEAR),
            (glow::TEXTURE_WRAP_S, glow::CLAMP_TO_EDGE),
            (glow::TEXTURE_WRAP_T, glow::CLAMP_TO_EDGE),
        ] {
            gl.tex_parameter_i32(glow::TEXTURE_2D, name, value as i32);
        }
        Some(texture)
    };
    Some([make()?, make()?, make()?])
}

fn delete(gl: &glow::Context, textures: [glow::Texture; 3]) {
    for texture in textures {
        // SAFETY: made in this context, and forgotten by the caller.
        unsafe { gl.delete_texture(texture) };
    }
}

fn upload(gl: &glow::Context, textures: &[glow::Texture; 3], frame: &VideoFrame, same_size: bool) {
    let full = frame.resolution();
    let (half_width, half_height) = (full.width.div_ceil(2), full.height.div_ceil(2));
    let planes = [
        (frame.y(), frame.y_stride(), full.width, full.height),
        (frame.u(), frame.uv_stride(), half_width, half_height),
        (frame.v(), frame.uv_stride(), half_width, half_height),
    ];
    // SAFETY: the context is current, the textures are ours, and each plane holds `height` rows of
    // `stride` bytes (VideoFrame's own invariant), which is all that is read from it. Alignment and
    // row length go back to OpenGL's defaults, which the window's painter counts on.
    unsafe {
        gl.pixel_store_i32(glow::UNPACK_ALIGNMENT, 1);
        for (texture, (bytes, stride, width, height)) in textures.iter().zip(planes) {
            let (width, height) = (width as i32, height as i32);
            gl.bind_texture(glow::TEXTURE_2D, Some(*texture));
            gl.pixel_store_i32(glow::UNPACK_ROW_LENGTH, stride as i32);
            let pixels = glow::PixelUnpackData::Slice(Some(bytes));
            if same_size {
                gl.tex_sub_image_2d(
                    glow::TEXTURE_2D,
                    0,
                    0,
                    0,
                    width,
                    height,
                    glow::RED,
                    glow::UNSIGNED_BYTE,
                    pixels,
                );
            } else {
                let (inside, format) = (glow::R8 as i32, glow::RED);
                gl.tex_image_2d(
                    glow::TEXTURE_2D,
                    0,
                    inside,
                    width,
                    height,
                    0,
                    format,
                    glow::UNSIGNED_BYTE,
                    pixels,
                );
            }
        }
        gl.pixel_store_i32(glow::UNPACK_ROW_LENGTH, 0);
        gl.pixel_store_i32(glow::UNPACK_ALIGNMENT, 4);
    }
}

impl Shader {
    fn new(gl: &glow::Context) -> Result<Self, String> {
        let header = if gl.version().is_embedded {
            "#version 300 es\nprecision highp float;\n"
        } else if (gl.version().major, gl.version().minor) >= (3, 3) {
            "#version 330\n"
        } else {
            "#version 140\n"
        };
        // SAFETY: the context is current: this runs inside a paint callback. What is made is kept
        // in `Shader` and given back by `Planes::destroy`, or given back here on failure.
        unsafe {
            let program = gl.create_program()?;
            for (kind, source) in [(glow::VERTEX_SHADER, VERTEX), (glow::FRAGMENT_SHADER, FRAGMENT)] {
                let shader = gl.create_shader(kind)?;
                gl.shader_source(shader, &format!("{header}{source}"));
                gl.compile_shader(shader);
                if !gl.get_shader_compile_status(shader) {
                    return Err(gl.get_shader_info_log(shader));
                }
                gl.attach_shader(program, shader);
                // It lives as long as the program does.
                gl.delete_shader(shader);
            }
            gl.link_program(program);
            if !gl.get_program_link_status(program) {
                return Err(gl.get_program_info_log(program));
            }
            gl.use_program(Some(program));
            for (unit, name) in ["u_y", "u_u", "u_v"].into_iter().enumerate() {
                gl.uniform_1_i32(gl.get_uniform_location(program, name).as_ref(), unit as i32);
            }
            let place = |name| gl.get_uniform_location(program, name);
            Ok(Self {
                uv: place("u_uv"),
                size: place("u_size"),
                radius: place("u_radius"),
                vertices: gl.create_vertex_array()?,
                program,
            })
        }
    }

    fn draw(&self, gl: &glow::Context, info: &PaintCallbackInfo, textures: &[glow::Texture; 3], quad: Quad) {
        let place = info.viewport_in_pixels();
        let Quad { uv, radius } = quad;
        // SAFETY: the context is current and everything named here was made in it. The window's
        // painter sets its own state again after a callback.
        unsafe {
            gl.use_program(Some(self.program));
            gl.bind_vertex_array(Some(self.vertices));
            for (unit, texture) in textures.iter().enumerate() {
                gl.active_texture(glow::TEXTURE0 + unit as u32);
                gl.bind_texture(glow::TEXTURE_2D, Some(*texture));
            }
            gl.uniform_4_f32(self.uv.as_ref(), uv.min.x, uv.min.y, uv.max.x, uv.max.y);
            gl.uniform_2_f32(self.size.as_ref(), place.width_px as f32, place.height_px as f32);
            gl.uniform_1_f32(self.radius.as_ref(), radius * info.pixels_per_point);
            gl.draw_arrays(glow::TRIANGLE_STRIP, 0, 4);
            for unit in (0..textures.len() as u32).rev() {
                gl.active_texture(glow::TEXTURE0 + unit);
                gl.bind_texture(glow::TEXTURE_2D, None);
            }
        }
    }
}
