//! VP8 (RFC 6386) and VP9 by libvpx, set up by [`super::tuning`].
//!
//! Knows neither time nor network: the caller says how far apart pictures are, when a key frame is
//! due, and measures how long things take.
#![allow(unsafe_code, reason = "libvpx is a C library; every block says why it is sound")]

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use bytes::Bytes;
use vpx_sys as vpx;

use super::frame_head::{FrameHead, MAX_PIXELS};
use super::tuning::{Content, Tuning};
use crate::media::encoded::VideoCodec;
use crate::media::frame::{FramePool, Planes, VideoFrame};
use crate::units::{Bitrate, Resolution};

/// Ticks of libvpx's time base in a second (the RTP clock of video).
const TICKS: f64 = 90_000.0;

/// Why libvpx did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VpxError {
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
    /// Not a picture of that codec at all.
    #[error("not a coded picture: {0}")]
    Malformed(&'static str),
    /// The picture is larger than anybody's camera or screen.
    #[error("a picture of {0} is too large")]
    TooLarge(Resolution),
}

/// What libvpx says about the last failure of `ctx`.
fn failure(ctx: &mut vpx::vpx_codec_ctx_t, what: &'static str, code: vpx::vpx_codec_err_t) -> VpxError {
    // SAFETY: `ctx` is an initialised or zeroed context; both functions only read it and return
    // NULL or a NUL-terminated string that lives at least as long as the context.
    let texts = unsafe { [vpx::vpx_codec_error_detail(ctx), vpx::vpx_codec_err_to_string(code)] };
    let detail = texts
        .into_iter()
        .find(|text| !text.is_null())
        // SAFETY: not NULL, hence a NUL-terminated string (see above).
        .map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        .unwrap_or_default();
    VpxError::Library { what, detail }
}

fn check(
    ctx: &mut vpx::vpx_codec_ctx_t,
    what: &'static str,
    code: vpx::vpx_codec_err_t,
) -> Result<(), VpxError> {
    match code {
        vpx::VPX_CODEC_OK => Ok(()),
        code => Err(failure(ctx, what, code)),
    }
}

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct EncodedPicture {
    /// The codec's bitstream.
    pub payload: Bytes,
    /// Can be decoded without anything before it.
    pub keyframe: bool,
    /// The codec's own quantizer index: 0 (best) to 127 for VP8 (RFC 6386), to 255 for VP9.
    pub qp: u8,
}

impl EncodedPicture {
    /// How coarse it is quantized: 0 (finest) to 1.
    pub fn coarseness(&self, codec: VideoCodec) -> f64 {
        match codec {
            VideoCodec::Vp8 => f64::from(self.qp) / 127.0,
            VideoCodec::Vp9 => f64::from(self.qp) / 255.0,
        }
    }
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

/// An encoder for one stream of pictures.
pub struct Encoder {
    tuning: Tuning,
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
    pub fn new(tuning: Tuning, resolution: Resolution, rate: Rate, cores: usize) -> Result<Self, VpxError> {
        if resolution.pixels() == 0 || resolution.pixels() > MAX_PIXELS {
            return Err(VpxError::TooLarge(resolution));
        }
        let cfg = config(tuning, resolution, rate, tuning.threads(resolution, cores))?;
        let ctx = open_encoder(tuning, &cfg, resolution, rate)?;
        Ok(Self { tuning, ctx, cfg, resolution, rate, cores, pts: 0 })
    }

    /// What it was made for.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// The size of picture it takes.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Changes bitrate and frame rate from the next picture on, without a key frame.
    pub fn set_rate(&mut self, rate: Rate) -> Result<(), VpxError> {
        if rate == self.rate {
            return Ok(());
        }
        let mut cfg = self.cfg;
        cfg.rc_target_bitrate = kbps(rate.bitrate);
        self.configure(cfg)?;
        self.rate = rate;
        // The limit for key frames depends on the frame rate.
        let share = self.tuning.max_intra(rate.fps);
        control(&mut self.ctx, vpx::vp8e_enc_control_id::VP8E_SET_MAX_INTRA_BITRATE_PCT, share)
    }

    /// Encodes with this quantizer from the next picture on, whatever that takes.
    pub fn set_quantizer(&mut self, quantizer: u32) -> Result<(), VpxError> {
        if (self.cfg.rc_min_quantizer, self.cfg.rc_max_quantizer) == (quantizer, quantizer) {
            return Ok(());
        }
        let mut cfg = self.cfg;
        (cfg.rc_min_quantizer, cfg.rc_max_quantizer) = (quantizer, quantizer);
        self.configure(cfg)
    }

    fn configure(&mut self, cfg: vpx::vpx_codec_enc_cfg_t) -> Result<(), VpxError> {
        // SAFETY: the context is initialised; libvpx copies the configuration.
        let code = unsafe { vpx::vpx_codec_enc_config_set(&mut *self.ctx, &cfg) };
        check(&mut self.ctx, "setting the rate", code)?;
        self.cfg = cfg;
        Ok(())
    }

    /// Changes the size; the next picture is a key frame.
    ///
    /// libvpx could change to a smaller size in place, but never to one larger than the first, and
    /// keeps the number of threads; beginning anew costs little beside the key frame it needs
    /// anyway.
    pub fn set_resolution(&mut self, resolution: Resolution) -> Result<(), VpxError> {
        if resolution != self.resolution {
            *self = Self::new(self.tuning, resolution, self.rate, self.cores)?;
        }
        Ok(())
    }

    /// Encodes one picture of the encoder's size. `None`: left out to keep to the bitrate.
    pub fn encode(&mut self, frame: &VideoFrame, force: Force) -> Result<Option<EncodedPicture>, VpxError> {
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
        Ok(Some(EncodedPicture { payload, keyframe, qp: qp.clamp(0, 255) as u8 }))
    }

    /// Whether nothing was encoded yet.
    pub fn is_cold(&self) -> bool {
        self.pts == 0
    }

    /// Encodes one grey picture and forgets it, so that memory is mapped and caches are warm before
    /// the first real picture. The next picture is a key frame.
    pub fn warm_up(&mut self, pool: &FramePool, now: std::time::Instant) -> Result<(), VpxError> {
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

fn encoder_of(codec: VideoCodec) -> *const vpx::vpx_codec_iface {
    // SAFETY: both return a pointer to a static description of the codec.
    unsafe {
        match codec {
            VideoCodec::Vp8 => vpx::vpx_codec_vp8_cx(),
            VideoCodec::Vp9 => vpx::vpx_codec_vp9_cx(),
        }
    }
}

/// libwebrtc's realtime settings, but for what the tuning says.
fn config(
    tuning: Tuning,
    resolution: Resolution,
    rate: Rate,
    threads: u32,
) -> Result<vpx::vpx_codec_enc_cfg_t, VpxError> {
    let mut cfg = MaybeUninit::<vpx::vpx_codec_enc_cfg_t>::uninit();
    // SAFETY: libvpx fills the whole structure when it answers OK, and only then is it read.
    let mut cfg = unsafe {
        match vpx::vpx_codec_enc_config_default(encoder_of(tuning.codec), cfg.as_mut_ptr(), 0) {
            vpx::VPX_CODEC_OK => cfg.assume_init(),
            code => {
                let detail = format!("{code:?}");
                return Err(VpxError::Library { what: "asking for the codec's defaults", detail });
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
    cfg.rc_dropframe_thresh = tuning.drop_threshold();
    cfg.rc_resize_allowed = 0;
    let quantizers = tuning.quantizers();
    (cfg.rc_min_quantizer, cfg.rc_max_quantizer) = (quantizers.finest, quantizers.coarsest);
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
    tuning: Tuning,
    cfg: &vpx::vpx_codec_enc_cfg_t,
    resolution: Resolution,
    rate: Rate,
) -> Result<Box<vpx::vpx_codec_ctx_t>, VpxError> {
    // SAFETY: the context is plain data for which all zeros is the state "not initialised".
    let mut ctx: Box<vpx::vpx_codec_ctx_t> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: context and configuration are valid for the call; libvpx copies the configuration.
    // The boxed context keeps its address for as long as libvpx knows it.
    let code = unsafe {
        let version = vpx::VPX_ENCODER_ABI_VERSION as c_int;
        vpx::vpx_codec_enc_init_ver(&mut *ctx, encoder_of(tuning.codec), cfg, 0, version)
    };
    check(&mut ctx, "opening the encoder", code)?;
    for (id, value) in controls(tuning, resolution, rate) {
        if let Err(error) = control(&mut ctx, id, value) {
            // SAFETY: the context was initialised above and is not used after this.
            unsafe { vpx::vpx_codec_destroy(&mut *ctx) };
            return Err(error);
        }
    }
    Ok(ctx)
}

/// What is set on a new encoder beside its configuration.
fn controls(tuning: Tuning, resolution: Resolution, rate: Rate) -> Vec<(vpx::vp8e_enc_control_id, c_int)> {
    use vpx::vp8e_enc_control_id as id;

    let screen = tuning.content != Content::Camera;
    let mut controls = vec![
        (id::VP8E_SET_CPUUSED, tuning.speed(resolution)),
        (id::VP8E_SET_MAX_INTRA_BITRATE_PCT, tuning.max_intra(rate.fps)),
    ];
    match tuning.codec {
        VideoCodec::Vp8 => controls.extend([
            // 100 is libwebrtc's for screens. Its screen mode 2 drops what comes out too large, as the first
            // picture of a page does; 1 sends it.
            (id::VP8E_SET_STATIC_THRESHOLD, if screen { 100 } else { 1 }),
            (id::VP8E_SET_TOKEN_PARTITIONS, 0),
            (id::VP8E_SET_NOISE_SENSITIVITY, 0),
            (id::VP8E_SET_SCREEN_CONTENT_MODE, if screen { 1 } else { 0 }),
        ]),
        VideoCodec::Vp9 => {
            let tune = if screen { vpx::vp9e_tune_content::VP9E_CONTENT_SCREEN as c_int } else { 0 };
            controls.extend([
                (id::VP8E_SET_STATIC_THRESHOLD, 1),
                (id::VP9E_SET_TUNE_CONTENT, tune),
                // Cyclic refresh: still areas become finer bit by bit. Text has better means.
                (id::VP9E_SET_AQ_MODE, if tuning.content == Content::Text { 0 } else { 3 }),
                (id::VP9E_SET_ROW_MT, 1),
                (id::VP9E_SET_TILE_COLUMNS, 2),
                (id::VP9E_SET_FRAME_PARALLEL_DECODING, 0),
                (id::VP9E_SET_NOISE_SENSITIVITY, 0),
            ]);
        }
    }
    controls
}

/// Sets one of the controls that take an int or unsigned int.
fn control(
    ctx: &mut vpx::vpx_codec_ctx_t,
    id: vpx::vp8e_enc_control_id,
    value: c_int,
) -> Result<(), VpxError> {
    // SAFETY: the context is initialised, and all controls that this file passes here take an
    // argument of the size of an int.
    let code = unsafe { vpx::vpx_codec_control_(ctx, id as c_int, value) };
    check(ctx, "setting up the encoder", code)
}

/// Describes a picture to libvpx without copying it.
fn wrap(frame: &VideoFrame) -> Result<vpx::vpx_image_t, VpxError> {
    let Resolution { width, height } = frame.resolution();
    let mut image = MaybeUninit::<vpx::vpx_image_t>::uninit();
    // SAFETY: with a data pointer given, libvpx fills the structure, allocates nothing and does not
    // touch the data. It answers NULL if it did not.
    let mut image = unsafe {
        let data = frame.y().as_ptr().cast_mut();
        let format = vpx::vpx_img_fmt::VPX_IMG_FMT_I420;
        if vpx::vpx_img_wrap(image.as_mut_ptr(), format, width, height, 1, data).is_null() {
            let detail = format!("a picture of {}", frame.resolution());
            return Err(VpxError::Library { what: "describing the picture", detail });
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

/// One decoded picture.
#[derive(Debug)]
pub struct DecodedPicture {
    /// The picture, in a buffer of the pool.
    pub planes: Planes,
    /// Whether it came from a key frame.
    pub keyframe: bool,
    /// The codec's own quantizer index: 0 (best) to 127 for VP8, to 255 for VP9.
    pub qp: u8,
}

/// A decoder for one stream. Outlives damaged frames and changes of size.
pub struct Decoder {
    codec: VideoCodec,
    ctx: Box<vpx::vpx_codec_ctx_t>,
    /// A key frame was decoded, and nothing after it failed.
    in_step: bool,
    /// libvpx has seen what it could not decode. For VP9 it does not forget that, not even with the
    /// next key frame.
    failed: bool,
}

// SAFETY: as for the encoder.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder of this codec that waits for a key frame.
    pub fn new(codec: VideoCodec) -> Result<Self, VpxError> {
        // One thread: libvpx spreads only VP8 frames of several token partitions over more, which
        // neither we nor libwebrtc send, and a VP9 screen decodes fast enough.
        let cfg = vpx::vpx_codec_dec_cfg_t { threads: 1, w: 0, h: 0 };
        // SAFETY: the context is plain data for which all zeros is the state "not initialised".
        let mut ctx: Box<vpx::vpx_codec_ctx_t> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: context and configuration are valid for the call; libvpx copies the configuration.
        let code = unsafe {
            let version = vpx::VPX_DECODER_ABI_VERSION as c_int;
            let interface = match codec {
                VideoCodec::Vp8 => vpx::vpx_codec_vp8_dx(),
                VideoCodec::Vp9 => vpx::vpx_codec_vp9_dx(),
            };
            vpx::vpx_codec_dec_init_ver(&mut *ctx, interface, &cfg, 0, version)
        };
        check(&mut ctx, "opening the decoder", code)?;
        Ok(Self { codec, ctx, in_step: false, failed: false })
    }

    /// What it decodes.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Decodes one frame. `Ok(None)`: decoded, but not to be shown. After an error only a key frame
    /// is taken.
    pub fn decode(&mut self, frame: &[u8], pool: &FramePool) -> Result<Option<DecodedPicture>, VpxError> {
        let head = FrameHead::parse(self.codec, frame).inspect_err(|_| self.in_step = false)?;
        if head == FrameHead::Inter && !self.in_step {
            return Err(VpxError::NeedsKeyframe);
        }
        if self.failed {
            *self = Self::new(self.codec)?;
        }
        self.in_step = false;
        self.failed = true;
        let size = u32::try_from(frame.len()).map_err(|_| VpxError::Malformed("too long"))?;
        // SAFETY: the context is initialised; `frame` has `size` readable bytes, is not empty (its
        // head was read above), and libvpx keeps no pointer to it past the next call.
        let code = unsafe { vpx::vpx_codec_decode(&mut *self.ctx, frame.as_ptr(), size, ptr::null_mut(), 0) };
        check(&mut self.ctx, "decoding", code)?;
        if self.query(vpx::vp8_dec_control_id::VP8D_GET_FRAME_CORRUPTED)? != 0 {
            return Err(VpxError::Malformed("the picture is damaged"));
        }
        let qp = self.query(vpx::vp8_dec_control_id::VPXD_GET_LAST_QUANTIZER)?.clamp(0, 255) as u8;
        let planes = self.take_picture(pool);
        self.in_step = true;
        self.failed = false;
        Ok(planes.map(|planes| DecodedPicture { planes, keyframe: head != FrameHead::Inter, qp }))
    }

    /// Asks one of the controls that answer with an int.
    fn query(&mut self, id: vpx::vp8_dec_control_id) -> Result<c_int, VpxError> {
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
        let planar = image.fmt == vpx::vpx_img_fmt::VPX_IMG_FMT_I420;
        if !planar || resolution.pixels() == 0 || resolution.pixels() > MAX_PIXELS {
            return None;
        }
        let mut planes = pool.take(resolution);
        let (y, u, v) = planes.planes_mut();
        let (width, half) = (image.d_w as usize, image.d_w.div_ceil(2) as usize);
        for (index, target, width) in [(0, y, width), (1, u, half), (2, v, half)] {
            let (source, stride) = (image.planes[index], image.stride[index] as isize);
            for (row, target) in target.chunks_exact_mut(width).enumerate() {
                // SAFETY: an I420 image of d_w x d_h has in each plane as many
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
#[path = "vpx_tests.rs"]
mod tests;
