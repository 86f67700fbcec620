//! The viewers' pointers and strokes over a shared screen, pure; time is given.
//!
//! ```text
//!  viewer's hand ──▶ Hand (60 a second, repeats strokes) ──▶ pointer channel
//!  pointer channel ──▶ Board (newest wins, floods dropped, fades) ──▶ whoever draws
//! ```
//!
//! Positions are shares of the shared picture, so that scale, crop and HiDPI of either side do not
//! matter. Knows neither channels, pictures, nor who draws. There is no remote control.

mod board;
mod colour;
mod hand;
mod message;

pub use board::{Board, Heard, Mark, Marks};
pub use colour::colour;
pub use hand::Hand;
pub use message::{Message, Point};
