//! `sightline-server`: the server as a program. Flags in, log out.

use std::{
    io::IsTerminal,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sightline_server::{
    CancellationToken, Config, External, TurnConfig, WhenInUse,
    ice::{self, TurnSecret, TurnUrl},
    run,
    secret::Secret,
    tls::Certificate,
    turn::{policy, relay_address_towards},
};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// The Sightline server: rooms in which people find each other for video calls, and a relay (STUN and
/// TURN) for those who can't connect directly. Without any flags it serves this computer's network.
#[derive(Debug, Parser)]
#[command(name = "sightline-server", version, after_help = AFTER_HELP)]
struct Flags {
    /// Where to listen for HTTP and WebSocket (TCP). TURN over TCP, and over TLS with a certificate,
    /// is on the same port
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:7880")]
    listen: String,

    /// Certificate chain, PEM; turns TLS on (needs --tls-key). Both files are read again when they
    /// change, and on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Where to listen for STUN and TURN: UDP and TCP, and TLS with a certificate. Can be repeated,
    /// for ports that strict networks let through, such as 443 and 80; otherwise the next UDP port
    /// answers STUN too [default: the host of --listen, port 3478, or any free port if that one is
    /// in use]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "no_turn")]
    turn_listen: Vec<String>,

    /// The address at which the internet reaches this computer, if it is not one of its own
    /// [default: each participant is told the address over which it came]
    #[arg(long, value_name = "IP")]
    public_ip: Option<IpAddr>,

    /// Ports of the relay (UDP), one for each participant and network interface
    #[arg(long, value_name = "A-B", default_value = "49160-49660", value_parser = port_range)]
    relay_ports: RangeInclusive<u16>,

    /// Secret of the TURN credentials, to share it with another TURN server (coturn:
    /// static-auth-secret); better in the variable SIGHTLINE_TURN_SECRET, which other users of this
    /// computer do not see [default: one is made and kept]
    #[arg(long, value_name = "SECRET")]
    turn_secret: Option<String>,

    /// How long TURN credentials open new relay addresses; new ones are sent after three quarters
    #[arg(long, value_name = "SECONDS", default_value_t = LIFETIME_S, value_parser = clap::value_parser!(u64).range(1..=31 * 86_400))]
    turn_lifetime: u64,

    /// A TURN server to tell participants of instead of this one, such as
    /// turn:turn.example.org:3478?transport=udp; can be repeated. Needs the secret that it has
    /// (--turn-secret)
    #[arg(long, value_name = "URL", conflicts_with_all = ["turn_listen", "no_turn"])]
    external_turn: Vec<TurnUrl>,

    /// No STUN and TURN
    #[arg(long)]
    no_turn: bool,

    /// Where the server's secret is kept, so that calls survive a restart of the server
    /// [default: $XDG_STATE_HOME/sightline-server, or ~/.local/state/sightline-server]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

const LIFETIME_S: u64 = ice::LIFETIME.as_secs();

/// How often the files of the certificate are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(60);

const AFTER_HELP: &str = "\
Without a certificate the server speaks plain HTTP: right for this computer and its own network, and
behind a proxy that adds TLS. On the internet use --tls-cert and --tls-key. With --listen 0.0.0.0:443
one port is enough for networks that let nothing else out: pages, rooms, and TURN over TLS share it.

The relay decides by the server's own address to whom it relays: on a private or loopback
address, to private and public addresses; on a public one (or with a public --public-ip), to public
addresses only, and always from one participant's relay address to another's. A server on the
internet whose own address is a private one (behind NAT, in a container) needs --public-ip.

The log goes to stderr; RUST_LOG chooses how much (info by default, e.g. RUST_LOG=debug).
End it with Ctrl+C or SIGTERM.

Exit codes: 0 ended when asked to; 1 could not start (the line on stderr says why); 2 wrong arguments.";

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(a, b)| Some(a.trim().parse().ok()?..=b.trim().parse().ok()?));
    range
        .filter(|ports: &RangeInclusive<u16>| !ports.is_empty() && *ports.start() > 0)
        .ok_or_else(|| "expected two ports with a dash between, the smaller one first".to_owned())
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    // The message library warns about what strangers send; that is none of the operator's business.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,stun_types=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sightline-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Result<()> {
    let listen = resolve("--listen", &flags.listen)?;
    let certificate = match (&flags.tls_cert, &flags.tls_key) {
        (Some(cert), Some(key)) => Some(Certificate::read(cert, key)?),
        _ => None,
    };
    let mut config = configure(&flags, listen)?;
    config.tls = certificate.as_ref().map(Certificate::config);
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not start")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| cannot_listen(listen))?;
        let address = listener.local_addr().context("the listening socket has no address")?;
        announce(address, &config);
        let shutdown = CancellationToken::new();
        let asked = shutdown.clone();
        tokio::spawn(async move {
            asked_to_end().await;
            tracing::info!("Going down; participants are told to come back.");
            asked.cancel();
        });
        if let Some(certificate) = certificate {
            tokio::spawn(keep_up(certificate));
        }
        run(listener, config, shutdown).await?;
        Ok(())
    })
}

fn cannot_listen(address: SocketAddr) -> String {
    format!(
        "can't listen on {address} (TCP); is another server running there? --listen takes another address"
    )
}

fn configure(flags: &Flags, listen: SocketAddr) -> Result<Config> {
    let folder = match &flags.state_dir {
        Some(folder) => folder.clone(),
        None => state_folder().context("there is no home folder to keep the secret in; use --state-dir")?,
    };
    let mut config = Config { secret: Secret::kept_in(&folder)?, ..Config::lan(listen) };
    if flags.no_turn {
        config.turn = None;
        return Ok(config);
    }
    let lifetime = Duration::from_secs(flags.turn_lifetime);
    let secret = flags.turn_secret.clone().or_else(|| std::env::var("SIGHTLINE_TURN_SECRET").ok());
    if secret.as_deref().is_some_and(|secret| secret.trim().len() < 8) {
        bail!("the secret of the TURN credentials is too short: at least 8 characters, please");
    }
    let secret = secret.map(TurnSecret::new);
    if !flags.external_turn.is_empty() {
        let secret = secret.context(
            "--external-turn needs the secret of that TURN server: --turn-secret, or the variable \
             SIGHTLINE_TURN_SECRET",
        )?;
        config.turn = None;
        config.external = Some(External { urls: flags.external_turn.clone(), secret, lifetime });
        return Ok(config);
    }
    let mut turn = TurnConfig { lifetime, secret, ..TurnConfig::beside(listen) };
    let mut addresses = flags.turn_listen.iter().map(|text| resolve("--turn-listen", text));
    if let Some(first) = addresses.next() {
        turn.listen = first?;
        turn.also = addresses.collect::<Result<_>>()?;
        turn.when_in_use = WhenInUse::Fail;
    }
    turn.public_ip = flags.public_ip;
    turn.relay_ports = flags.relay_ports.clone();
    config.turn = Some(turn);
    Ok(config)
}

fn resolve(flag: &str, text: &str) -> Result<SocketAddr> {
    let mut found = text
        .to_socket_addrs()
        .with_context(|| format!("{flag} {text}: expected HOST:PORT, such as 0.0.0.0:7880 or [::]:7880"))?;
    found.next().with_context(|| format!("{flag} {text}: that name has no address"))
}

/// The system's place for what a program keeps about itself.
fn state_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_STATE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    Some(base.join("sightline-server"))
}

/// Says in words where to connect.
fn announce(address: SocketAddr, config: &Config) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let port = address.port();
    let url = |ip: IpAddr| format!("{scheme}://{}/", SocketAddr::new(ip, port));
    let public_ip = config.turn.as_ref().and_then(|turn| turn.public_ip);
    tracing::info!("Sightline server {} is listening on {address}.", env!("CARGO_PKG_VERSION"));
    if address.ip().is_unspecified() {
        let here = [false, true].into_iter().filter_map(|ipv6| relay_address_towards(address.ip(), ipv6));
        for ip in here.filter(|ip| !ip.is_loopback() && (address.is_ipv6() || ip.is_ipv4())) {
            tracing::info!("  From other computers of this network: {}", url(ip));
        }
        tracing::info!("  From this computer: {scheme}://localhost:{port}/");
    } else {
        tracing::info!("  Connect to {}", url(address.ip()));
    }
    if let Some(ip) = public_ip {
        tracing::info!("  From the internet: {}", url(ip));
    }
    let is_public = |ip: IpAddr| !policy::is_special(ip);
    if config.tls.is_none() && (is_public(address.ip()) || public_ip.is_some_and(is_public)) {
        tracing::warn!(
            "This is a public address without TLS: who listens on the way can learn rooms and names. \
             Use --tls-cert and --tls-key, or a proxy."
        );
    }
}

/// Takes up a renewed certificate.
async fn keep_up(certificate: Certificate) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_EVERY) => {}
            () = asked_to_reload() => {}
        }
        match certificate.reload() {
            Ok(true) => tracing::info!("The certificate was read again."),
            Ok(false) => {}
            Err(error) => tracing::warn!("The certificate stays as it was: {error}."),
        }
    }
}

/// Waits for SIGHUP.
async fn asked_to_reload() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut hangup) = signal(SignalKind::hangup()) {
            hangup.recv().await;
            return;
        }
    }
    std::future::pending().await
}

/// Waits for Ctrl+C or SIGTERM.
async fn asked_to_end() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    interrupt.await.ok();
}
