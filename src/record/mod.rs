//! The record of a call: what happened and once a second how it went, in one vocabulary.
//!
//! ```text
//!  engine ──Entry──┬─▶ History (bounded memory) ─▶ panel, diagnosis
//!                  └─▶ session file ─▶ the same History, a day later
//! ```
//!
//! An [`Entry`] is one JSON line, the same in the probe's logs and in session files. [`History`] is
//! a pure fold of entries: whoever reads it cannot tell a running call from a loaded one. Nothing
//! here knows the network, devices, the window or what a good call is.

pub mod anonymise;
pub mod calendar;
pub mod changes;
pub mod convert;
mod entry;
pub mod export;
mod history;
pub mod mask;
pub mod rates;
pub mod read;
pub mod series;
pub mod write;

pub use entry::{
    Configuration, Device, DeviceKind, DeviceWord, Diagnosis, Direction, Entry, Of, Phase, ServerUrls,
    Session, ShareWord, Side, SignalingState, What,
};
pub use history::{
    Description, Descriptions, Dropped, Gathering, History, Limits, Negotiation, Standing, Versions,
};
pub use series::{Metric, Scope, Series, SeriesSet, StreamId, Unit};
