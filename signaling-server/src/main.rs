//! `sightline-server`: the server as a program.

fn main() {}
