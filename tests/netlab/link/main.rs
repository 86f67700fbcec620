//! Emulated network links for the lab: each is two TUN devices, and between them delay, jitter, loss, a
//! limited rate and outages, which commands on standard input change while it runs.
//!
//! `link NAME…` makes the devices `NAME.near` and `NAME.far` for every name; who started it moves them
//! where they belong. Then, one a line, each answered by one line (`ok`, JSON, or `error: …`):
//!
//! ```text
//! NAME up|down|both KEY=VALUE…   delay=MS jitter=MS loss=PERCENT burst=PACKETS
//!                                rate=KBIT/S queue=BYTES outage=on|off
//! NAME stats                     what passed and what was dropped, per direction
//! ```
//!
//! Up is from near to far. The end of standard input ends it, and the devices with it.

mod path;

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use path::Path;
use serde_json::json;
use sightline::clock;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut links = HashMap::new();
    for (number, name) in std::env::args().skip(1).enumerate() {
        links.insert(name.clone(), Link::new(&name, 2 * number as u64)?);
    }
    println!("ready");
    for line in io::stdin().lock().lines() {
        println!("{}", obey(&links, &line?).unwrap_or_else(|error| format!("error: {error}")));
    }
    // The threads are waiting for packets; the devices go with the process.
    std::process::exit(0)
}

fn obey(links: &HashMap<String, Link>, line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let link = links.get(name).ok_or_else(|| format!("there is no link {name:?}"))?;
    let directions: &[&Direction] = match words.next() {
        Some("up") => &[&link.up],
        Some("down") => &[&link.down],
        Some("both") => &[&link.up, &link.down],
        Some("stats") => {
            let counters = |direction: &Direction| direction.path().counters.clone();
            return Ok(json!({ "up": counters(&link.up), "down": counters(&link.down) }).to_string());
        }
        other => return Err(format!("expected up, down, both or stats, not {other:?}")),
    };
    let changes: Vec<&str> = words.collect();
    for direction in directions {
        let mut settings = direction.path().settings.clone();
        changes.iter().try_for_each(|word| settings.set(word))?;
        direction.path().settings = settings;
        direction.changed.notify_all();
    }
    Ok("ok".to_owned())
}

/// One link.
struct Link {
    up: Arc<Direction>,
    down: Arc<Direction>,
}

impl Link {
    fn new(name: &str, seed: u64) -> Result<Self, Box<dyn std::error::Error>> {
        let (near_in, near_out) = device(&format!("{name}.near"))?.split();
        let (far_in, far_out) = device(&format!("{name}.far"))?.split();
        Ok(Self {
            up: Direction::start(&format!("{name} up"), seed, near_in, far_out)?,
            down: Direction::start(&format!("{name} down"), seed + 1, far_in, near_out)?,
        })
    }
}

fn device(name: &str) -> Result<tun::Device, tun::Error> {
    let mut config = tun::configure();
    config.tun_name(name);
    // Only the name is set here: addresses come from whoever moves the device to its place.
    #[cfg(target_os = "linux")]
    config.platform_config(|linux| {
        linux.ensure_root_privileges(false);
    });
    tun::create(&config)
}

/// One direction: two threads around a [`Path`].
struct Direction {
    path: Mutex<Path>,
    /// Something is under way that was not, or the settings are others.
    changed: Condvar,
}

impl Direction {
    fn start(
        name: &str,
        seed: u64,
        from: impl Read + Send + 'static,
        to: impl Write + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let direction = Arc::new(Self { path: Mutex::new(Path::new(seed)), changed: Condvar::new() });
        let (reading, writing) = (direction.clone(), direction.clone());
        thread::Builder::new().name(format!("{name}, in")).spawn(move || reading.read(from))?;
        thread::Builder::new().name(format!("{name}, out")).spawn(move || writing.write(to))?;
        Ok(direction)
    }

    fn path(&self) -> MutexGuard<'_, Path> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut from: impl Read) {
        let mut packet = self.path().spare();
        while let Ok(len) = from.read(&mut packet.bytes[..]) {
            packet.len = len;
            let mut path = self.path();
            let wakes = path.is_idle();
            path.push(packet, clock::now());
            packet = path.spare();
            drop(path);
            if wakes {
                self.changed.notify_one();
            }
        }
    }

    fn write(&self, mut to: impl Write) {
        let mut arrived = Vec::new();
        let mut path = self.path();
        loop {
            let now = clock::now();
            let next = path.take(now, &mut arrived);
            if !arrived.is_empty() {
                drop(path);
                for packet in &arrived {
                    // A device that is not up takes nothing, like a cable without a socket.
                    to.write_all(&packet.bytes[..packet.len]).ok();
                }
                path = self.path();
                path.recycle(arrived.drain(..));
                continue;
            }
            path = match next {
                Some(next) => {
                    let wait = next.saturating_duration_since(now);
                    self.changed.wait_timeout(path, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(path).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
