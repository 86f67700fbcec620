//! What changed between two texts, line by line. Pure.

/// A line and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// In both.
    Same(&'a str),
    /// Only in the newer text.
    Added(&'a str),
    /// Only in the older text.
    Removed(&'a str),
}

/// Descriptions have some hundred lines; what is longer than this is compared by its head only, so
/// that a stranger's text cannot make us slow.
const LONGEST: usize = 600;

/// The lines of both texts in one order: a longest common subsequence stays, the rest came or went.
pub fn changes<'a>(older: &'a str, newer: &'a str) -> Vec<Change<'a>> {
    let old: Vec<&str> = older.lines().take(LONGEST).collect();
    let new: Vec<&str> = newer.lines().take(LONGEST).collect();
    // lengths[i][j]: of the longest common subsequence of old[i..] and new[j..].
    let mut lengths = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] = match old[i] == new[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::with_capacity(old.len().max(new.len()));
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            found.push(Change::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || lengths[i + 1][j] >= lengths[i][j + 1]) {
            found.push(Change::Removed(old[i]));
            i += 1;
        } else {
            found.push(Change::Added(new[j]));
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_changed_is_marked() {
        let found = changes("v=0\r\na=ice-ufrag:old\r\na=mid:0", "v=0\na=ice-ufrag:new\na=mid:0\na=x");
        let expected = [
            Change::Same("v=0"),
            Change::Removed("a=ice-ufrag:old"),
            Change::Added("a=ice-ufrag:new"),
            Change::Same("a=mid:0"),
            Change::Added("a=x"),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_out_of_the_changes(
            older in prop::collection::vec("[ab]{0,2}", 0..30),
            newer in prop::collection::vec("[ab]{0,2}", 0..30),
        ) {
            let (older, newer) = (older.join("\n"), newer.join("\n"));
            let found = changes(&older, &newer);
            let old: Vec<&str> = found.iter().filter_map(|change| match change {
                Change::Same(line) | Change::Removed(line) => Some(*line),
                Change::Added(_) => None,
            }).collect();
            let new: Vec<&str> = found.iter().filter_map(|change| match change {
                Change::Same(line) | Change::Added(line) => Some(*line),
                Change::Removed(_) => None,
            }).collect();
            prop_assert_eq!(old, older.lines().collect::<Vec<_>>());
            prop_assert_eq!(new, newer.lines().collect::<Vec<_>>());
        }
    }
}
