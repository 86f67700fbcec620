//! Lists the cameras and reads pictures from one, exactly as a call does.
//!
//! `cargo run --example camera -- [ID [PICTURES]]`: the first camera and 60 pictures by default.

use std::process::ExitCode;
use std::time::Duration;

use sightline::clock;
use sightline::media::DeviceError;
use sightline::media::VideoSource;
use sightline::media::source::camera::{Camera, cameras};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let id = args.next().filter(|id| !id.is_empty());
    let wanted = args.next().and_then(|n| n.parse().ok()).unwrap_or(60);
    for camera in cameras() {
        println!("camera {} \"{}\"", camera.id, camera.name);
    }
    match look(id.as_deref(), wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn look(id: Option<&str>, wanted: u32) -> Result<(), DeviceError> {
    let began = clock::now();
    let mut camera = Camera::open(id)?;
    let opened = clock::now();
    let mode = camera.mode();
    let took = opened.saturating_duration_since(began).as_millis();
    println!(
        "opened {} in {took} ms: {} at {} fps, {:?}",
        camera.name(),
        mode.resolution,
        mode.fps,
        mode.pixels
    );

    let mut seen = 0;
    let mut last = None;
    while seen < wanted {
        if let Some(picture) = camera.next_frame(Duration::from_millis(100))? {
            seen += 1;
            last = Some(picture);
        }
    }
    let seconds = clock::now().saturating_duration_since(opened).as_secs_f64();
    if let Some(picture) = last {
        let (darkest, brightest) =
            picture.y().iter().fold((255, 0), |(low, high), &luma| (luma.min(low), luma.max(high)));
        println!(
            "{seen} pictures of {} in {seconds:.2} s, luma {darkest} to {brightest}",
            picture.resolution()
        );
    }
    let closing = clock::now();
    drop(camera);
    println!("closed in {} ms", clock::now().saturating_duration_since(closing).as_millis());
    Ok(())
}
