//! VP8 (RFC 6386) by libvpx, set up as libwebrtc sets it up for calls.
//!
//! Knows neither time nor network: the caller says how far apart pictures are, when a key frame is
//! due, and measures how long things take. The only file of the project with `unsafe` in it.
#![allow(unsafe_code, reason = "libvpx is a C library; every block says why it is sound")]

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use bytes::Bytes;
use vpx_sys as vpx;

use crate::media::frame::{FramePool, Planes, VideoFrame};
use crate::units::{Bitrate, Resolution};

/// Largest picture that is decoded, in pixels (4096x2304). A key frame's header may claim up to
/// 16383x16383, for which libvpx would allocate more than a gigabyte.
pub const MAX_PIXELS: u64 = 4096 * 2304;

/// Ticks of libvpx's time base in a second (the RTP clock of video).
const TICKS: f64 = 90_000.0;

/// Why libvpx did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Vp8Error {
    /// The encoder or decoder refused a setting or a picture.
    #[error("libvpx: {what} failed: {detail}")]
    Library {
        /// What was asked for.
        what: &'static str,
        /// What the library said.
        detail: String,
    },
    /// Decoding needs a key frame first.
    #[error("the picture cannot be decoded without a key frame before it")]
    NeedsKeyframe,
    /// Not a VP8 frame at all.
    #[error("not a VP8 frame: {0}")]
    Malformed(&'static str),
    /// The picture is larger than anybody's camera.
    #[error("a picture of {0} is too large")]
    TooLarge(Resolution),
}

/// What libvpx says about the last failure of `ctx`.
fn failure(ctx: &mut vpx::vpx_codec_ctx_t, what: &'static str, code: vpx::vpx_codec_err_t) -> Vp8Error {
    // SAFETY: `ctx` is an initialised or zeroed context; both functions only read it and return
    // NULL or a NUL-terminated string that lives at least as long as the context.
    let texts = unsafe { [vpx::vpx_codec_error_detail(ctx), vpx::vpx_codec_err_to_string(code)] };
    let detail = texts
        .into_iter()
        .find(|text| !text.is_null())
        // SAFETY: not NULL, hence a NUL-terminated string (see above).
        .map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        .unwrap_or_default();
    Vp8Error::Library { what, detail }
}

fn check(
    ctx: &mut vpx::vpx_codec_ctx_t,
    what: &'static str,
    code: vpx::vpx_codec_err_t,
) -> Result<(), Vp8Error> {
    match code {
        vpx::VPX_CODEC_OK => Ok(()),
        code => Err(failure(ctx, what, code)),
    }
}

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct EncodedPicture {
    /// The VP8 frame.
    pub payload: Bytes,
    /// Can be decoded without anything before it.
    pub keyframe: bool,
    /// Quantizer index of RFC 6386: 0 (best) to 127.
    pub qp: u8,
}

/// Whether the next picture must be a key frame. The encoder makes none on its own account but the
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Let the encoder predict from earlier pictures.
    Nothing,
    /// Depend on nothing before.
    Keyframe,
}

/// A VP8 encoder for one stream of pictures.
pub struct Encoder {
    ctx: Box<vpx::vpx_codec_ctx_t>,
    cfg: vpx::vpx_codec_enc_cfg_t,
    resolution: Resolution,
    rate: Rate,
    cores: usize,
    /// Time of the next picture on libvpx's time line.
    pts: i64,
}

/// What the encoder may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Of the encoded stream.
    pub bitrate: Bitrate,
    /// Pictures a second that really come.
    pub fps: f64,
}

// SAFETY: a libvpx context is not tied to the thread that made it; it only must not be used from
// two threads at once, which `&mut self` on every method ensures.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder for pictures of this size. `cores` is how many processor cores there are.
    pub fn new(resolution: Resolution, rate: Rate, cores: usize) -> Result<Self, Vp8Error> {
        if resolution.pixels() == 0 || resolution.pixels() > MAX_PIXELS {
            return Err(Vp8Error::TooLarge(resolution));
        }
        let cfg = config(resolution, rate, threads(resolution, cores))?;
        let ctx = open_encoder(&cfg, resolution)?;
        Ok(Self { ctx, cfg, resolution, rate, cores, pts: 0 })
    }

    /// The size of picture it takes.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Changes bitrate and frame rate from the next picture on, without a key frame.
    pub fn set_rate(&mut self, rate: Rate) -> Result<(), Vp8Error> {
        if rate == self.rate {
            return Ok(());
        }
        let mut cfg = self.cfg;
        cfg.rc_target_bitrate = kbps(rate.bitrate);
        // SAFETY: the context is initialised; libvpx copies the configuration.
        let code = unsafe { vpx::vpx_codec_enc_config_set(&mut *self.ctx, &cfg) };
        check(&mut self.ctx, "setting the bitrate", code)?;
        self.rate = rate;
        self.cfg = cfg;
        // The limit for key frames depends on the frame rate.
        control(&mut self.ctx, vpx::vp8e_enc_control_id::VP8E_SET_MAX_INTRA_BITRATE_PCT, max_intra(rate.fps))
    }

    /// Changes the size; the next picture is a key frame.
    ///
    /// libvpx could change to a smaller size in place, but never to one larger than the first, and
    /// keeps the number of threads; beginning anew costs little beside the key frame it needs
    /// anyway.
    pub fn set_resolution(&mut self, resolution: Resolution) -> Result<(), Vp8Error> {
        if resolution != self.resolution {
            *self = Self::new(resolution, self.rate, self.cores)?;
        }
        Ok(())
    }

    /// Encodes one picture of the encoder's size. `None`: left out to keep to the bitrate.
    pub fn encode(&mut self, frame: &VideoFrame, force: Force) -> Result<Option<EncodedPicture>, Vp8Error> {
        self.set_resolution(frame.resolution())?;
        let image = wrap(frame)?;
        let duration = (TICKS / self.rate.fps.clamp(1.0, 240.0)) as i64;
        let flags = match force {
            Force::Nothing => 0,
            Force::Keyframe => vpx::VPX_EFLAG_FORCE_KF,
        };
        // SAFETY: the context is initialised. The image points into `frame`, which outlives the
        // call, with the sizes and strides of its planes; libvpx reads it and keeps no pointer
        // (lag 0: it copies the picture before it returns).
        let code = unsafe {
            vpx::vpx_codec_encode(
                &mut *self.ctx,
                &image,
                self.pts,
                duration as _,
                flags as _,
                vpx::VPX_DL_REALTIME as _,
            )
        };
        self.pts += duration;
        check(&mut self.ctx, "encoding", code)?;
        let Some((payload, keyframe)) = self.take_packet() else { return Ok(None) };
        let mut qp: c_int = 0;
        // SAFETY: this control takes a pointer to int, which lives through the call.
        let code = unsafe {
            let id = vpx::vp8e_enc_control_id::VP8E_GET_LAST_QUANTIZER as c_int;
            vpx::vpx_codec_control_(&mut *self.ctx, id, &mut qp as *mut c_int)
        };
        check(&mut self.ctx, "asking for the quantizer", code)?;
        Ok(Some(EncodedPicture { payload, keyframe, qp: qp.clamp(0, 127) as u8 }))
    }

    /// Encodes one grey picture and forgets it, so that memory is mapped and caches are warm before
    /// the first real picture. The next picture is a key frame.
    pub fn warm_up(&mut self, pool: &FramePool, now: std::time::Instant) -> Result<(), Vp8Error> {
        let mut planes = pool.take(self.resolution);
        let (y, u, v) = planes.planes_mut();
        y.fill(128);
        u.fill(128);
        v.fill(128);
        self.encode(&VideoFrame::new(planes, now), Force::Keyframe)?;
        Ok(())
    }

    /// The encoded picture that libvpx has ready, and whether it is a key frame.
    fn take_packet(&mut self) -> Option<(Bytes, bool)> {
        let mut iter: vpx::vpx_codec_iter_t = ptr::null();
        loop {
            // SAFETY: the context is initialised; `iter` starts as NULL and is only handed back. The
            // packet belongs to the context and stays valid until the next call of encode.
            let packet = unsafe { vpx::vpx_codec_get_cx_data(&mut *self.ctx, &mut iter).as_ref() }?;
            if packet.kind != vpx::vpx_codec_cx_pkt_kind::VPX_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: for this kind the union holds `frame`, with `sz` readable bytes at `buf`.
            let (frame, data) = unsafe {
                let frame = packet.data.frame;
                (frame, std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz))
            };
            return Some((Bytes::copy_from_slice(data), frame.flags & vpx::VPX_FRAME_IS_KEY != 0));
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the context is initialised and is not used after this.
        unsafe { vpx::vpx_codec_destroy(&mut *self.ctx) };
    }
}

fn kbps(bitrate: Bitrate) -> u32 {
    bitrate.as_kbps().clamp(1, 100_000) as u32
}

/// libwebrtc's choice: row threads spin while they wait, so that fewer than three cores are worse
/// off with two threads than with one.
fn threads(resolution: Resolution, cores: usize) -> u32 {
    match resolution.pixels() {
        pixels if pixels >= 1920 * 1080 && cores > 8 => 8,
        pixels if pixels > 1280 * 960 && cores >= 6 => 3,
        pixels if pixels > 640 * 480 && cores >= 6 => 3,
        pixels if pixels > 640 * 480 && cores >= 3 => 2,
        _ => 1,
    }
}

/// Most bits a key frame may take, in percent of one picture's share of the bitrate: half of the
/// optimal buffer (600 ms), as in libwebrtc. 900 at 30 pictures a second.
fn max_intra(fps: f64) -> c_int {
    ((600.0 * 0.5 * fps / 10.0) as c_int).max(300)
}

/// libwebrtc's realtime settings.
fn config(resolution: Resolution, rate: Rate, threads: u32) -> Result<vpx::vpx_codec_enc_cfg_t, Vp8Error> {
    let mut cfg = MaybeUninit::<vpx::vpx_codec_enc_cfg_t>::uninit();
    // SAFETY: libvpx fills the whole structure when it answers OK, and only then is it read.
    let mut cfg = unsafe {
        match vpx::vpx_codec_enc_config_default(vpx::vpx_codec_vp8_cx(), cfg.as_mut_ptr(), 0) {
            vpx::VPX_CODEC_OK => cfg.assume_init(),
            code => {
                let detail = format!("{code:?}");
                return Err(Vp8Error::Library { what: "asking for VP8's defaults", detail });
            }
        }
    };
    cfg.g_w = resolution.width;
    cfg.g_h = resolution.height;
    cfg.g_threads = threads;
    cfg.g_timebase = vpx::vpx_rational { num: 1, den: TICKS as c_int };
    cfg.g_error_resilient = 0;
    cfg.g_pass = vpx::vpx_enc_pass::VPX_RC_ONE_PASS;
    cfg.g_lag_in_frames = 0;
    cfg.rc_end_usage = vpx::vpx_rc_mode::VPX_CBR;
    cfg.rc_target_bitrate = kbps(rate.bitrate);
    cfg.rc_dropframe_thresh = 30;
    cfg.rc_resize_allowed = 0;
    cfg.rc_min_quantizer = 2;
    cfg.rc_max_quantizer = 56;
    cfg.rc_undershoot_pct = 100;
    cfg.rc_overshoot_pct = 15;
    cfg.rc_buf_initial_sz = 500;
    cfg.rc_buf_optimal_sz = 600;
    cfg.rc_buf_sz = 1000;
    // Key frames on request only.
    cfg.kf_mode = vpx::vpx_kf_mode::VPX_KF_DISABLED;
    Ok(cfg)
}

fn open_encoder(
    cfg: &vpx::vpx_codec_enc_cfg_t,
    resolution: Resolution,
) -> Result<Box<vpx::vpx_codec_ctx_t>, Vp8Error> {
    use vpx::vp8e_enc_control_id as id;

    // SAFETY: the context is plain data for which all zeros is the state "not initialised".
    let mut ctx: Box<vpx::vpx_codec_ctx_t> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: context and configuration are valid for the call; libvpx copies the configuration.
    // The boxed context keeps its address for as long as libvpx knows it.
    let code = unsafe {
        let version = vpx::VPX_ENCODER_ABI_VERSION as c_int;
        vpx::vpx_codec_enc_init_ver(&mut *ctx, vpx::vpx_codec_vp8_cx(), cfg, 0, version)
    };
    check(&mut ctx, "opening the encoder", code)?;
    // Below CIF there is time for better motion search (libwebrtc: at least -4).
    let cpu_used = if resolution.pixels() < 352 * 288 { -4 } else { -6 };
    let controls = [
        (id::VP8E_SET_CPUUSED, cpu_used),
        (id::VP8E_SET_STATIC_THRESHOLD, 1),
        (id::VP8E_SET_TOKEN_PARTITIONS, 0),
        (id::VP8E_SET_NOISE_SENSITIVITY, 0),
        (id::VP8E_SET_MAX_INTRA_BITRATE_PCT, max_intra(30.0)),
    ];
    for (id, value) in controls {
        if let Err(error) = control(&mut ctx, id, value) {
            // SAFETY: the context was initialised above and is not used after this.
            unsafe { vpx::vpx_codec_destroy(&mut *ctx) };
            return Err(error);
        }
    }
    Ok(ctx)
}

/// Sets one of the controls that take an int or unsigned int.
fn control(
    ctx: &mut vpx::vpx_codec_ctx_t,
    id: vpx::vp8e_enc_control_id,
    value: c_int,
) -> Result<(), Vp8Error> {
    // SAFETY: the context is initialised, and all controls that this file passes here take an
    // argument of the size of an int.
    let code = unsafe { vpx::vpx_codec_control_(ctx, id as c_int, value) };
    check(ctx, "setting up the encoder", code)
}

/// Describes a picture to libvpx without copying it.
fn wrap(frame: &VideoFrame) -> Result<vpx::vpx_image_t, Vp8Error> {
    let Resolution { width, height } = frame.resolution();
    let mut image = MaybeUninit::<vpx::vpx_image_t>::uninit();
    // SAFETY: with a data pointer given, libvpx fills the structure, allocates nothing and does not
    // touch the data. It answers NULL if it did not.
    let mut image = unsafe {
        let data = frame.y().as_ptr().cast_mut();
        let format = vpx::vpx_img_fmt::VPX_IMG_FMT_I420;
        if vpx::vpx_img_wrap(image.as_mut_ptr(), format, width, height, 1, data).is_null() {
            let detail = format!("a picture of {}", frame.resolution());
            return Err(Vp8Error::Library { what: "describing the picture", detail });
        }
        image.assume_init()
    };
    // For odd sizes libvpx assumes other strides than ours.
    for (index, plane, stride) in [
        (0, frame.y(), frame.y_stride()),
        (1, frame.u(), frame.uv_stride()),
        (2, frame.v(), frame.uv_stride()),
    ] {
        image.planes[index] = plane.as_ptr().cast_mut();
        image.stride[index] = stride as c_int;
    }
    Ok(image)
}

/// What the uncompressed head of a VP8 frame says (RFC 6386 section 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameHead {
    /// Depends on nothing before; has this size.
    Key(Resolution),
    /// Depends on pictures before.
    Inter,
}

impl FrameHead {
    /// Reads the first bytes of a frame.
    pub fn parse(frame: &[u8]) -> Result<Self, Vp8Error> {
        match *frame {
            [tag, _, _, ..] if tag & 1 == 1 => Ok(FrameHead::Inter),
            [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] => {
                // The two highest bits ask for upscaling, which nobody does.
                let size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
                let resolution = Resolution::new(size(w0, w1), size(h0, h1));
                match resolution.pixels() {
                    0 => Err(Vp8Error::Malformed("a key frame without a size")),
                    pixels if pixels > MAX_PIXELS => Err(Vp8Error::TooLarge(resolution)),
                    _ => Ok(FrameHead::Key(resolution)),
                }
            }
            [_, _, _, _, _, _, _, _, _, _, ..] => Err(Vp8Error::Malformed("no start code in a key frame")),
            _ => Err(Vp8Error::Malformed("too short")),
        }
    }
}

/// One decoded picture.
#[derive(Debug)]
pub struct DecodedPicture {
    /// The picture, in a buffer of the pool.
    pub planes: Planes,
    /// Whether it came from a key frame.
    pub keyframe: bool,
    /// Quantizer index: 0 (best) to 127.
    pub qp: u8,
}

/// A VP8 decoder for one stream. Outlives damaged frames and changes of size.
pub struct Decoder {
    ctx: Box<vpx::vpx_codec_ctx_t>,
    /// A key frame was decoded, and nothing after it failed.
    in_step: bool,
}

// SAFETY: as for the encoder.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder that waits for a key frame.
    pub fn new() -> Result<Self, Vp8Error> {
        // One thread: libvpx spreads only frames of several token partitions over more, and
        // neither we nor libwebrtc send those.
        let cfg = vpx::vpx_codec_dec_cfg_t { threads: 1, w: 0, h: 0 };
        // SAFETY: the context is plain data for which all zeros is the state "not initialised".
        let mut ctx: Box<vpx::vpx_codec_ctx_t> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: context and configuration are valid for the call; libvpx copies the configuration.
        let code = unsafe {
            let version = vpx::VPX_DECODER_ABI_VERSION as c_int;
            vpx::vpx_codec_dec_init_ver(&mut *ctx, vpx::vpx_codec_vp8_dx(), &cfg, 0, version)
        };
        check(&mut ctx, "opening the decoder", code)?;
        Ok(Self { ctx, in_step: false })
    }

    /// Decodes one frame. `Ok(None)`: decoded, but not to be shown. After an error only a key frame
    /// is taken.
    pub fn decode(&mut self, frame: &[u8], pool: &FramePool) -> Result<Option<DecodedPicture>, Vp8Error> {
        let head = FrameHead::parse(frame).inspect_err(|_| self.in_step = false)?;
        if head == FrameHead::Inter && !self.in_step {
            return Err(Vp8Error::NeedsKeyframe);
        }
        self.in_step = false;
        let size = u32::try_from(frame.len()).map_err(|_| Vp8Error::Malformed("too long"))?;
        // SAFETY: the context is initialised; `frame` has `size` readable bytes, is not empty (its
        // head was read above), and libvpx keeps no pointer to it past the next call.
        let code = unsafe { vpx::vpx_codec_decode(&mut *self.ctx, frame.as_ptr(), size, ptr::null_mut(), 0) };
        check(&mut self.ctx, "decoding", code)?;
        if self.query(vpx::vp8_dec_control_id::VP8D_GET_FRAME_CORRUPTED)? != 0 {
            return Err(Vp8Error::Malformed("the picture is damaged"));
        }
        let qp = self.query(vpx::vp8_dec_control_id::VPXD_GET_LAST_QUANTIZER)?.clamp(0, 127) as u8;
        let planes = self.take_picture(pool);
        self.in_step = true;
        Ok(planes.map(|planes| DecodedPicture { planes, keyframe: head != FrameHead::Inter, qp }))
    }

    /// Asks one of the controls that answer with an int.
    fn query(&mut self, id: vpx::vp8_dec_control_id) -> Result<c_int, Vp8Error> {
        let mut value: c_int = 0;
        // SAFETY: the context is initialised; both controls passed here write one int.
        let code = unsafe { vpx::vpx_codec_control_(&mut *self.ctx, id as c_int, &mut value as *mut c_int) };
        check(&mut self.ctx, "asking the decoder", code)?;
        Ok(value)
    }

    /// Copies the picture that libvpx has ready.
    fn take_picture(&mut self, pool: &FramePool) -> Option<Planes> {
        let mut iter: vpx::vpx_codec_iter_t = ptr::null();
        // SAFETY: the context is initialised; `iter` starts as NULL. The image belongs to the
        // context and stays valid until the next call of decode.
        let image = unsafe { vpx::vpx_codec_get_frame(&mut *self.ctx, &mut iter).as_ref() }?;
        let resolution = Resolution::new(image.d_w, image.d_h);
        if resolution.pixels() == 0 || resolution.pixels() > MAX_PIXELS {
            return None;
        }
        let mut planes = pool.take(resolution);
        let (y, u, v) = planes.planes_mut();
        let (width, half) = (image.d_w as usize, image.d_w.div_ceil(2) as usize);
        for (index, target, width) in [(0, y, width), (1, u, half), (2, v, half)] {
            let (source, stride) = (image.planes[index], image.stride[index] as isize);
            for (row, target) in target.chunks_exact_mut(width).enumerate() {
                // SAFETY: an I420 image (VP8 knows no other) of d_w x d_h has in each plane as many
                // rows as our target, `stride` apart, each with at least `width` readable bytes.
                let line = unsafe {
                    std::slice::from_raw_parts(source.offset(row as isize * stride).cast_const(), width)
                };
                target.copy_from_slice(line);
            }
        }
        Some(planes)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the context is initialised and is not used after this.
        unsafe { vpx::vpx_codec_destroy(&mut *self.ctx) };
    }
}

#[cfg(test)]
#[path = "vp8_tests.rs"]
mod tests;
