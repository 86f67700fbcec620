//! Real processes for tests: a server, and probes that call each other through it.

pub mod clip;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

/// Long enough for a busy machine; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

const STEP: Duration = Duration::from_millis(20);

/// Waits until `found` gives something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = sightline::clock::now() + PATIENCE;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(sightline::clock::now() < end, "no {what} within {PATIENCE:?}");
        sleep(STEP);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A `sightline-server` process on loopback.
pub struct Server {
    folder: PathBuf,
    listen: SocketAddr,
    turn: SocketAddr,
    flags: Vec<String>,
    process: Child,
}

impl Server {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// With further flags.
    pub fn start_with(folder: &Path, flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let turn = SocketAddr::from(([127, 0, 0, 1], free_udp_port()));
        let process = Self::spawn(folder, listen, turn, &flags);
        Self { folder: folder.to_owned(), listen, turn, flags, process }
    }

    fn spawn(folder: &Path, listen: SocketAddr, turn: SocketAddr, flags: &[String]) -> Child {
        let program = Path::new(env!("CARGO_BIN_EXE_sightline")).with_file_name("sightline-server");
        assert!(program.exists(), "{} is not built: cargo build --workspace --bins", program.display());
        let log = File::options().create(true).append(true).open(folder.join("server.log")).unwrap();
        let turn = (!flags.iter().any(|flag| flag == "--no-turn")).then(|| turn.to_string());
        let turn = turn.iter().flat_map(|turn| ["--turn-listen", turn]);
        let process = Command::new(program)
            .args(["--listen", &listen.to_string()])
            .args(turn)
            .args(flags)
            .args(["--state-dir".as_ref(), folder.join("state").as_os_str()])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        wait_for("server", || TcpStream::connect(listen).ok());
        process
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.listen)
    }

    /// Where its STUN and TURN listen.
    #[allow(dead_code, reason = "not every test speaks to the relay itself")]
    pub fn relay(&self) -> SocketAddr {
        self.turn
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.folder, self.listen, self.turn, &self.flags);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A `sightline probe` process.
pub struct Probe {
    pub out: PathBuf,
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Probe {
    /// Starts one and waits until it is ready.
    pub fn start(folder: &Path, server: &str, role: &str, more: &[&str]) -> Self {
        let probe = Self::spawn(folder, server, role, more);
        wait_for(&format!("ready {role}"), || probe.event("ready"));
        probe
    }

    /// Starts one.
    pub fn spawn(folder: &Path, server: &str, role: &str, more: &[&str]) -> Self {
        let out = folder.join(role);
        std::fs::create_dir_all(&out).unwrap();
        let log = File::create(out.join("stderr.log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sightline"))
            .args(["probe", "--server", server, "--room", "test-room", "--role", role, "--name", role])
            .args(["--out".as_ref(), out.as_os_str()])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        Self { out, process, stdin }
    }

    /// Nothing of it runs for `time`.
    pub fn freeze(&self, time: Duration) {
        self.stop();
        std::thread::sleep(time);
        self.signal("-CONT");
    }

    /// Nothing of it runs any more.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    #[allow(dead_code, reason = "not every test stops a process")]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Seconds for which its threads whose names begin so have run on a processor, and waited for one.
    #[allow(dead_code, reason = "few tests look into a process")]
    pub fn processor_time(&self, thread: &str) -> (f64, f64) {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let of = |task: PathBuf| {
            let named = std::fs::read_to_string(task.join("comm")).ok()?.starts_with(thread);
            let told = std::fs::read_to_string(task.join("schedstat")).ok()?;
            let mut times = told.split(' ').map_while(|nanos| nanos.parse::<f64>().ok());
            named.then_some((times.next()? / 1e9, times.next()? / 1e9))
        };
        let all = tasks.filter_map(|task| of(task.ok()?.path()));
        all.fold((0.0, 0.0), |(ran, waited), (more, longer)| (ran + more, waited + longer))
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn events(&self) -> Vec<Value> {
        let Ok(file) = File::open(self.out.join("events.jsonl")) else { return Vec::new() };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// The first event of a name.
    pub fn event(&self, name: &str) -> Option<Value> {
        self.events().into_iter().find(|event| event["ev"] == name)
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.out.join("stderr.log")).unwrap_or_default()
    }

    /// Lines of `ren.log` or `cap.log`: unix ms, marker, size.
    pub fn frames(&self, log: &str) -> Vec<(f64, i64, String)> {
        let text = std::fs::read_to_string(self.out.join(log)).unwrap_or_default();
        let parse = |line: &str| {
            let mut fields = line.split(' ');
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.to_owned()))
        };
        text.lines().filter_map(parse).collect()
    }

    /// The last line of `stats.jsonl`.
    pub fn last_stats(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out.join("stats.jsonl")).unwrap_or_default();
        let last = text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        last.and_then(|line| line["stats"].as_array().cloned()).unwrap_or_default()
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for("exit", || self.process.try_wait().unwrap())
    }

    pub fn hang_up(&mut self) -> ExitStatus {
        // Gone already when the other side hung up long ago.
        let said = writeln!(self.stdin.as_mut().unwrap(), "hangup");
        said.ok();
        self.wait()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Two probes in a call, ready to be listened to.
pub fn call(folder: &Path, server: &Server, more: &[&str]) -> (Probe, Probe) {
    let callee = Probe::start(folder, &server.url(), "callee", more);
    let mut caller = Probe::start(folder, &server.url(), "caller", more);
    caller.say("call");
    (caller, callee)
}
