//! How much strangers may ask: by network, in bounded memory, before anything is looked at closely.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::bucket::{Bucket, Buckets, Rate};

/// Binding requests of one network. Their answer is hardly longer than the question.
const BINDINGS: Rate = Rate { per_second: 100.0, burst: 500.0 };

/// Requests of one network that did not come with good credentials. Their answers are longer than
/// the question, and sources can be forged.
const STRANGERS: Rate = Rate { per_second: 20.0, burst: 200.0 };

/// Both, from everywhere.
const ALL: Rate = Rate { per_second: 5000.0, burst: 10_000.0 };

/// Networks remembered at a time.
const NETWORKS: usize = 4096;

/// Counts what was answered to strangers.
#[derive(Debug)]
pub struct Limiter {
    bindings: Buckets<IpAddr>,
    strangers: Buckets<IpAddr>,
    all: Bucket,
}

impl Limiter {
    /// Nobody has asked yet.
    pub fn new(now: Duration) -> Self {
        Self {
            bindings: Buckets::new(BINDINGS, NETWORKS),
            strangers: Buckets::new(STRANGERS, NETWORKS),
            all: Bucket::new(ALL, now),
        }
    }

    /// Whether a binding request of `client` may be answered.
    pub fn allows_binding(&mut self, client: SocketAddr, now: Duration) -> bool {
        self.all.take(now).is_ok() && self.bindings.take(network(client.ip()), now).is_ok()
    }

    /// Whether a request of `client` without good credentials may be answered.
    pub fn allows_stranger(&mut self, client: SocketAddr, now: Duration) -> bool {
        self.all.take(now).is_ok() && self.strangers.take(network(client.ip()), now).is_ok()
    }
}

/// The /24, or the /56 with IPv6: what one customer of a provider usually has at most.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 72 << 72).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(3600);

    #[test]
    fn one_network_does_not_use_up_what_another_may_ask() {
        let mut limiter = Limiter::new(NOW);
        let client = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let answered = (0..1000u32)
            .filter(|i| limiter.allows_stranger(client(&format!("192.0.2.{}:{}", i % 250, 1000 + i)), NOW))
            .count();
        assert_eq!(answered, 200);
        assert!(limiter.allows_stranger(client("198.51.100.1:1"), NOW));
        assert!(limiter.allows_binding(client("192.0.2.1:1"), NOW));
    }
}
