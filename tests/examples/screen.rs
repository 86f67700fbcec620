//! What sharing a screen costs and how sharp it is, without a call around it: a real X server's
//! screen → capture → encoder → a link of so many bits a second → decoder. `benches/share` runs it.
//!
//! ```sh
//! screen cost                                    # CPU time of capturing
//! screen pages DIR [--codec vp9|vp8] [--kbps N]  # pages DIR/*.ppm, one after the other
//! screen portal [TOKEN]                          # what the desktop's portal gives, until it ends
//! ```
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Gcontext, ImageFormat,
    Pixmap, Rectangle, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use sightline::media::VideoSource;
use sightline::media::capture::Capture;
use sightline::media::codec::tuning::{Content, Tuning};
use sightline::media::codec::vpx::Decoder;
use sightline::media::convert::{PixelFormat, RawPicture, to_i420};
use sightline::media::encoded::{EncodedFrame, VideoCodec};
use sightline::media::frame::{FramePool, VideoFrame};
use sightline::media::latest::Latest;
use sightline::media::overlay::Veil;
use sightline::media::send_video::VideoSend;
use sightline::media::source::screen::{ScreenTarget, ShareMode, find, open};
use sightline::media::{EncoderTarget, FrameSink};
use sightline::units::{Bitrate, Resolution};

/// How long a page stands, so that nothing is left to refine when the next one comes.
const PAGE: Duration = Duration::from_secs(7);

const SIZE: Resolution = Resolution::new(1920, 1080);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    match arguments.first().map(String::as_str) {
        Some("cost") => cost(),
        Some("pages") => {
            let folder = PathBuf::from(arguments.get(1).context("the folder of the pages is missing")?);
            let codec = match option("--codec").as_deref() {
                None | Some("vp9") => VideoCodec::Vp9,
                Some("vp8") => VideoCodec::Vp8,
                Some(other) => bail!("no codec {other}"),
            };
            let kbps = option("--kbps").map_or(Ok(1_000), |text| text.parse())?;
            pages(&folder, codec, Bitrate::from_kbps(kbps))
        }
        Some("portal") => portal(arguments.get(1).map(String::as_str)),
        _ => bail!("screen cost | screen portal [TOKEN] | screen pages DIR [--codec vp9|vp8] [--kbps N]"),
    }
}

/// A window over the whole screen, and pictures on the server that can be put into it at once.
struct Stage {
    conn: RustConnection,
    window: Window,
    gc: Gcontext,
}

impl Stage {
    fn new() -> Result<Self> {
        let (conn, screen) = RustConnection::connect(None).context("no X server")?;
        let root = &conn.setup().roots[screen];
        let (window, gc) = (conn.generate_id()?, conn.generate_id()?);
        let look = CreateWindowAux::new().background_pixel(0xff_ffff).override_redirect(1);
        let (width, height, kind) = (SIZE.width as u16, SIZE.height as u16, WindowClass::INPUT_OUTPUT);
        conn.create_window(0, window, root.root, 0, 0, width, height, 0, kind, 0, &look)?.check()?;
        conn.create_gc(gc, window, &CreateGCAux::new().graphics_exposures(0))?.check()?;
        // A cursor that is not seen: the page is compared without one.
        let (dot, cursor) = (conn.generate_id()?, conn.generate_id()?);
        conn.create_pixmap(1, dot, window, 1, 1)?;
        let bit = conn.generate_id()?;
        conn.create_gc(bit, dot, &CreateGCAux::new().foreground(0))?;
        conn.poly_fill_rectangle(dot, bit, &[Rectangle { x: 0, y: 0, width: 1, height: 1 }])?;
        conn.create_cursor(cursor, dot, dot, 0, 0, 0, 0, 0, 0, 0, 0)?.check()?;
        conn.change_window_attributes(window, &ChangeWindowAttributesAux::new().cursor(cursor))?;
        conn.map_window(window)?;
        conn.sync()?;
        Ok(Self { conn, window, gc })
    }

    /// Stores a picture (blue, green, red, unused) on the server.
    fn store(&self, bgrx: &[u8]) -> Result<Pixmap> {
        let pixmap = self.conn.generate_id()?;
        let (width, rows) = (SIZE.width as u16, 32);
        self.conn.create_pixmap(24, pixmap, self.window, width, SIZE.height as u16)?;
        for (index, band) in bgrx.chunks(SIZE.width as usize * 4 * rows).enumerate() {
            let height = (band.len() / (SIZE.width as usize * 4)) as u16;
            let (format, y) = (ImageFormat::Z_PIXMAP, (index * rows) as i16);
            self.conn.put_image(format, pixmap, self.gc, width, height, 0, y, 0, 24, band)?;
        }
        self.conn.sync()?;
        Ok(pixmap)
    }

    fn show(&self, pixmap: Pixmap, (width, height): (u16, u16)) -> Result<()> {
        self.conn.copy_area(pixmap, self.window, self.gc, 0, 0, 0, 0, width, height)?;
        self.conn.sync()?;
        Ok(())
    }
}

fn share() -> Result<Box<dyn VideoSource>> {
    let (target, stop) = (find("monitor")?, CancellationToken::new());
    Ok(open(&target, ShareMode::Text, None, &stop, Veil::default(), Arc::new(|_| {}))?)
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// CPU time of this process, in hundredths of a second.
fn process_cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn cost() -> Result<()> {
    let stage = Stage::new()?;
    let picture = |salt: usize| -> Vec<u8> {
        (0..SIZE.pixels() as usize * 4).map(|n| ((n / 4 * 7 + n / 7_680 * salt) >> 3) as u8).collect()
    };
    let pixmaps = [stage.store(&picture(5))?, stage.store(&picture(9))?];
    for (what, area) in [
        ("1920x1080, all of it changes", (1920, 1080)),
        ("1920x1080, 640x400 of it change", (640, 400)),
        ("1920x1080, 16x24 of it change", (16, 24)),
    ] {
        let mut source = share()?;
        source.next_frame(Duration::from_secs(1))?;
        let (mut frames, mut walls) = (0, Duration::ZERO);
        let before = thread_cpu();
        let mut drawing = Duration::ZERO;
        while frames < 100 {
            let cpu = thread_cpu();
            stage.show(pixmaps[frames % 2], area)?;
            drawing += thread_cpu() - cpu;
            let began = Instant::now();
            while source.next_frame(Duration::from_secs(1))?.is_none() {}
            walls += began.elapsed();
            frames += 1;
        }
        let cpu = (thread_cpu() - before - drawing) / frames as u32;
        println!(
            "{what:<36} {:6.3} ms CPU a frame   (from change to picture {:5.1} ms, paced to 15 a second)",
            cpu.as_secs_f64() * 1e3,
            walls.as_secs_f64() * 1e3 / frames as f64
        );
    }
    let running = Running::start(VideoCodec::Vp9, Bitrate::from_kbps(1_000))?;
    std::thread::sleep(PAGE);
    let (before, began) = (process_cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let share = (process_cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("{:<36} {:6.2} % of a core, capture and encoder", "unchanged for ten seconds", share * 100.0);
    drop(running);
    Ok(())
}

/// Capture and encoder, as in a call.
struct Running {
    encoded: Receiver<(EncodedFrame, Instant)>,
    send: VideoSend,
    _capture: Capture,
}

impl Running {
    fn start(codec: VideoCodec, bitrate: Bitrate) -> Result<Self> {
        let slot = Arc::new(Latest::new());
        let (sink, encoded) = sync_channel(1_000);
        let out: FrameSink = Arc::new(move |frame| drop(sink.try_send((frame, Instant::now()))));
        let send = VideoSend::spawn_screen(slot.clone(), out, Tuning { codec, content: Content::Text })?;
        send.set_target(EncoderTarget { bitrate, max_resolution: SIZE, max_fps: 30.0 });
        send.resume();
        let capture =
            Capture::spawn("screen", share()?, move |frame| slot.put(frame), |error| eprintln!("{error}"))?;
        Ok(Self { encoded, send, _capture: capture })
    }
}

/// Says what comes through the desktop's portal, which need not ask again where `token` is one that it
/// gave: the size of every picture and Y, U and V of the pixels in its middle and in its last corner. A line
/// on standard input stops it.
fn portal(token: Option<&str>) -> Result<()> {
    let tell = Arc::new(|event| println!("event {event:?}"));
    let (target, stop) = (ScreenTarget::Portal { again: true }, CancellationToken::new());
    let on_line = stop.clone();
    std::thread::spawn(move || {
        if std::io::stdin().lines().next().is_some() {
            on_line.cancel();
        }
    });
    let mut source = match open(&target, ShareMode::Text, token, &stop, Veil::default(), tell) {
        Ok(source) => source,
        Err(error) => {
            println!("refused: {error}");
            // As the application does, which outlives its shares.
            while stop.is_cancelled() {
                std::thread::park();
            }
            return Ok(());
        }
    };
    loop {
        match source.next_frame(Duration::from_millis(200)) {
            Ok(Some(frame)) => {
                let Resolution { width, height } = frame.resolution();
                let colour = |x: u32, y: u32| {
                    let chroma = (y / 2 * width.div_ceil(2) + x / 2) as usize;
                    let luma = frame.y()[(y * width + x) as usize];
                    format!("{luma} {} {}", frame.u()[chroma], frame.v()[chroma])
                };
                let (middle, last) = (colour(width / 2, height / 2), colour(width - 1, height - 1));
                println!("picture {} middle {middle} last {last}", frame.resolution());
            }
            Ok(None) => {}
            Err(error) => {
                println!("ended: {error}");
                return Ok(());
            }
        }
    }
}

/// A binary PPM of the stage's size, as blue, green, red, unused.
fn read_page(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    let head = format!("P6\n{} {}\n255\n", SIZE.width, SIZE.height);
    let pixels =
        bytes.strip_prefix(head.as_bytes()).with_context(|| format!("{} is no page", path.display()))?;
    Ok(pixels.chunks_exact(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0], 0]).collect())
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / (sum as f64).max(1e-9)).log10()
}

fn write_luma(path: &Path, y: &[u8]) -> Result<()> {
    let head = format!("P5\n{} {}\n255\n", SIZE.width, SIZE.height);
    Ok(fs::write(path, [head.as_bytes(), y].concat())?)
}

fn pages(folder: &Path, codec: VideoCodec, bitrate: Bitrate) -> Result<()> {
    let stage = Stage::new()?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ppm"));
    paths.sort();
    let mut stored = Vec::new();
    for path in &paths {
        let bgrx = read_page(path)?;
        let raw = RawPicture { format: PixelFormat::Bgra, resolution: SIZE, stride: None, data: &bgrx };
        let planes = to_i420(&raw, &FramePool::new())?;
        stored.push((path, stage.store(&bgrx)?, VideoFrame::new(planes, Instant::now())));
    }
    println!(
        "{codec:?} at {bitrate}: PSNR of the luma of the page that the viewer sees, over a link as fast"
    );
    println!("page        first    at 1 s   at 3 s   45 dB at   pictures   kB in 1 s, in all   encoding");
    let cpu = process_cpu();
    let mut running = None;
    let (mut decoder, pool) = (Decoder::new(codec)?, FramePool::new());
    let mut free_at = Instant::now();
    for (path, pixmap, page) in &stored {
        stage.show(*pixmap, (1920, 1080))?;
        let began = Instant::now();
        if running.is_none() {
            running = Some(Running::start(codec, bitrate)?);
        }
        let Some(running) = &running else { bail!("nothing runs") };
        let before = running.send.stats();
        let (mut first, mut fine, mut shown_at_1s, mut shown_at_3s) = (None, None, None, None);
        let (mut bytes, mut bytes_1s, mut count) = (0, 0, 0);
        while let Some(wait) = PAGE.checked_sub(began.elapsed()) {
            let Ok((frame, at)) = running.encoded.recv_timeout(wait) else { break };
            free_at = at.max(free_at)
                + Duration::from_secs_f64(frame.payload.len() as f64 * 8.0 / bitrate.as_bps() as f64);
            let arrival = free_at.saturating_duration_since(began);
            let picture = decoder.decode(&frame.payload, &pool)?.context("a picture is not shown")?.planes;
            // What was still on its way when the page changed.
            if at < began {
                continue;
            }
            let quality = psnr(page.y(), picture.y());
            count += 1;
            bytes += frame.payload.len();
            first.get_or_insert((arrival, quality));
            if quality >= 45.0 {
                fine.get_or_insert(arrival);
            }
            if arrival <= Duration::from_secs(1) {
                bytes_1s = bytes;
                shown_at_1s = Some((quality, picture.y().to_vec()));
            }
            if arrival <= Duration::from_secs(3) {
                shown_at_3s = Some(quality);
            }
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let after = running.send.stats();
        let encoding = (after.total_encode_time - before.total_encode_time).as_secs_f64() * 1e3
            / (after.frames_encoded - before.frames_encoded).max(1) as f64;
        let (first_at, first_quality) = first.unwrap_or_default();
        println!(
            "{name:<8} {first_quality:4.1}@{:<5} {:>8} {:>8} {:>10} {count:>10} {:>9} {:>9} {encoding:>9.1} ms",
            format!("{}ms", first_at.as_millis()),
            shown_at_1s.as_ref().map_or("-".to_owned(), |(quality, _)| format!("{quality:.1}")),
            shown_at_3s.map_or("-".to_owned(), |quality: f64| format!("{quality:.1}")),
            fine.map_or("never".to_owned(), |at| format!("{} ms", at.as_millis())),
            bytes_1s / 1_000,
            bytes / 1_000,
        );
        write_luma(&folder.join(format!("{name}.source.pgm")), page.y())?;
        if let Some((_, y)) = shown_at_1s {
            write_luma(&folder.join(format!("{name}.{codec:?}.pgm")), &y)?;
        }
    }
    println!("CPU of capture, encoder and decoder: {:.2} s", (process_cpu() - cpu).as_secs_f64());
    Ok(())
}
