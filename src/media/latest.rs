//! A slot that holds the newest value: the writer never waits, the reader never sees anything old.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The newest value of a stream, for one reader that may be slower than the writer.
#[derive(Debug)]
pub struct Latest<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    woken: bool,
    closed: bool,
}

/// Why [`Latest::take`] came back without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Nothing new in the given time, or until somebody woke the reader.
    TimedOut,
    /// The writer is gone and will write no more.
    Closed,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        let state = State { value: None, woken: false, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Latest<T> {
    /// An empty slot.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a value in, replacing one that nobody took.
    pub fn put(&self, value: T) {
        self.lock().value = Some(value);
        self.changed.notify_one();
    }

    /// Puts a value in unless a newer one is already there.
    pub fn put_if_empty(&self, value: T) {
        self.lock().value.get_or_insert(value);
        self.changed.notify_one();
    }

    /// Takes the newest value, waiting for one at most `timeout`.
    pub fn take(&self, timeout: Duration) -> Result<T, Empty> {
        let state = self.lock();
        let waits = |state: &mut State<T>| state.value.is_none() && !state.woken && !state.closed;
        let (mut state, _) =
            self.changed.wait_timeout_while(state, timeout, waits).unwrap_or_else(PoisonError::into_inner);
        state.woken = false;
        match state.value.take() {
            Some(value) => Ok(value),
            None if state.closed => Err(Empty::Closed),
            None => Err(Empty::TimedOut),
        }
    }

    /// Ends the reader's wait, or its next one, without a value.
    pub fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_one();
    }

    /// Ends the stream: a value still inside can be taken, then readers see [`Empty::Closed`].
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_sees_only_the_newest_value() {
        let slot = Latest::new();
        slot.put(1);
        slot.put(2);
        assert_eq!(slot.take(Duration::ZERO), Ok(2));
        assert_eq!(slot.take(Duration::ZERO), Err(Empty::TimedOut));
    }

    #[test]
    fn whoever_waits_can_be_woken_without_a_value_once() {
        let slot = Latest::<u8>::new();
        let began = crate::clock::now();
        slot.wake();
        assert_eq!(slot.take(Duration::from_secs(60)), Err(Empty::TimedOut));
        assert!(crate::clock::now() - began < Duration::from_secs(30));
        slot.put(1);
        slot.wake();
        assert_eq!(slot.take(Duration::ZERO), Ok(1), "a value goes before");
        let began = crate::clock::now();
        assert_eq!(slot.take(Duration::from_millis(20)), Err(Empty::TimedOut));
        assert!(crate::clock::now() - began >= Duration::from_millis(20));
    }

    #[test]
    fn closing_gives_the_last_value_first() {
        let slot = Latest::new();
        slot.put(1);
        slot.close();
        assert_eq!(slot.take(Duration::from_secs(1)), Ok(1));
        assert_eq!(slot.take(Duration::from_secs(1)), Err(Empty::Closed));
    }
}
