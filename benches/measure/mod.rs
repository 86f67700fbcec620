//! What the benches share: how time is taken and how a line of figures looks.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

use std::time::{Duration, Instant};

/// Time that this thread has spent on a processor; `None` where the system does not tell.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Says how the figures were made.
pub fn heading(what: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) { "debug build: figures mean little" } else { "release build" };
    println!("{what}\n{cores} cores, load {load}, {build}");
    println!("CPU time of the one thread that does the work, and wall time, each per call\n");
}

/// Runs `work` a few times to warm up, then `count` times, and prints what one run takes.
pub fn measure(name: &str, count: u32, mut work: impl FnMut(u32)) {
    (0..5).for_each(&mut work);
    let mut walls = Vec::with_capacity(count as usize);
    let cpu = cpu_time();
    for round in 5..count + 5 {
        let start = Instant::now();
        work(round);
        walls.push(start.elapsed());
    }
    let cpu = cpu.zip(cpu_time()).map(|(before, after)| (after - before) / count);
    walls.sort();
    let ms = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    let at = |share: usize| ms(walls[(walls.len() - 1) * share / 100]);
    let cpu = cpu.map_or("?".to_owned(), ms);
    println!("{name:<44} cpu {cpu:>8} ms   wall p50 {:>8}  p95 {:>8}  max {:>8} ms", at(50), at(95), at(100));
}
