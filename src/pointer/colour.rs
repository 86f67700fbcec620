//! The colour of a person's pointer: the same in every window and on every screen.

use signaling_protocol::PeerId;

/// Red, green, blue. White text can be read on each (WCAG 2.2: 4.5:1), and none is close to another.
const COLOURS: [[u8; 3]; 6] = [
    [0xd6, 0x33, 0x48],
    [0x25, 0x63, 0xeb],
    [0x0b, 0x7a, 0x4b],
    [0x9a, 0x4d, 0xd8],
    [0xa8, 0x54, 0x00],
    [0x0e, 0x74, 0x90],
];

/// Red, green, blue.
pub fn colour(peer: &PeerId) -> [u8; 3] {
    // FNV-1a, which every version and every computer does alike.
    let hash = peer
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    COLOURS[hash as usize % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: [u8; 3]) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    #[test]
    fn names_can_be_read_on_every_colour_and_all_are_used() {
        for colour in COLOURS {
            let contrast = 1.05 / (luminance(colour) + 0.05);
            assert!(contrast >= 4.5, "{colour:?}: {contrast:.2}");
        }
        let mut used: Vec<_> = (0..100).map(|n| colour(&PeerId::new(format!("peer-{n}")).unwrap())).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), COLOURS.len());
    }
}
