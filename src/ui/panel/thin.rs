//! A line of many samples as a line of as many points as can be seen. Pure.
//!
//! Of every column of pixels the first, the least, the greatest and the last sample stay, so that no
//! peak and no hole disappears however long the time is that is looked at ("M4", Jugel et al., VLDB
//! 2014). Where nothing was measured for a while the line is interrupted instead of drawn through.

/// Samples come once a second; a pause of more than these milliseconds is a hole.
pub const HOLE: f64 = 3_500.0;

/// One sample: unix time in milliseconds, value.
pub type Sample = (f64, f64);

/// The lines through `samples` (ordered by time), seen between `from` and `to` in `columns` columns.
/// The samples just outside are kept as well, so that a line runs to the edge.
pub fn thin(
    samples: impl Iterator<Item = Sample>,
    (from, to): (f64, f64),
    columns: usize,
) -> Vec<Vec<[f64; 2]>> {
    let columns = columns.max(1) as f64;
    let width = ((to - from) / columns).max(f64::MIN_POSITIVE);
    let mut lines = Vec::new();
    let mut line = Line::default();
    let mut before: Option<Sample> = None;
    let mut last: Option<f64> = None;
    for (time, value) in samples {
        let hole = last.is_some_and(|last| time - last > HOLE);
        if !value.is_finite() || hole {
            line.end(&mut lines);
            before = None;
        }
        if !time.is_finite() || !value.is_finite() {
            continue;
        }
        last = Some(time);
        if time < from {
            before = Some((time, value));
            continue;
        }
        if let Some(outside) = before.take() {
            line.add(i64::MIN, outside);
        }
        if time > to {
            line.add(i64::MAX, (time, value));
            break;
        }
        line.add(((time - from) / width) as i64, (time, value));
    }
    line.end(&mut lines);
    lines
}

/// The greatest value of lines as [`thin`] gives them.
pub fn greatest<'a>(lines: impl Iterator<Item = &'a Vec<[f64; 2]>>) -> f64 {
    lines.flatten().map(|[_, value]| *value).fold(0.0, f64::max)
}

#[derive(Default)]
struct Line {
    points: Vec<[f64; 2]>,
    column: Option<Column>,
}

struct Column {
    number: i64,
    first: Sample,
    least: Sample,
    greatest: Sample,
    last: Sample,
}

impl Line {
    fn add(&mut self, number: i64, sample: Sample) {
        match &mut self.column {
            Some(column) if column.number == number => {
                if sample.1 < column.least.1 {
                    column.least = sample;
                }
                if sample.1 > column.greatest.1 {
                    column.greatest = sample;
                }
                column.last = sample;
            }
            _ => {
                self.close();
                self.column =
                    Some(Column { number, first: sample, least: sample, greatest: sample, last: sample });
            }
        }
    }

    /// What is left of a column.
    fn close(&mut self) {
        let Some(Column { first, least, greatest, last, .. }) = self.column.take() else { return };
        let middle = if least.0 <= greatest.0 { [least, greatest] } else { [greatest, least] };
        for sample in [first, middle[0], middle[1], last] {
            let point = [sample.0, sample.1];
            if self.points.last() != Some(&point) {
                self.points.push(point);
            }
        }
    }

    fn end(&mut self, lines: &mut Vec<Vec<[f64; 2]>>) {
        self.close();
        if !self.points.is_empty() {
            lines.push(std::mem::take(&mut self.points));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(values: &[f64]) -> Vec<Sample> {
        values.iter().enumerate().map(|(index, value)| (index as f64 * 1e3, *value)).collect()
    }

    #[test]
    fn few_samples_are_kept_as_they_are() {
        let samples = seconds(&[1.0, 5.0, 2.0]);
        let lines = thin(samples.into_iter(), (0.0, 2_000.0), 300);
        assert_eq!(lines, vec![vec![[0.0, 1.0], [1e3, 5.0], [2e3, 2.0]]]);
    }

    #[test]
    fn a_pause_and_a_missing_value_interrupt_the_line() {
        let samples = [(0.0, 1.0), (1e3, 1.0), (9e3, 2.0), (1e4, f64::NAN), (1.1e4, 3.0)];
        let lines = thin(samples.into_iter(), (0.0, 2e4), 100);
        assert_eq!(lines, vec![vec![[0.0, 1.0], [1e3, 1.0]], vec![[9e3, 2.0]], vec![[1.1e4, 3.0]]]);
    }

    #[test]
    fn a_line_runs_to_both_edges() {
        let lines = thin(seconds(&[1.0; 10]).into_iter(), (3_500.0, 5_500.0), 10);
        let times: Vec<f64> = lines[0].iter().map(|point| point[0]).collect();
        assert_eq!(times, [3e3, 4e3, 5e3, 6e3]);
    }

    proptest! {
        #[test]
        fn the_least_and_the_greatest_survive_and_the_points_are_few_and_in_order(
            values in prop::collection::vec(-1e6..1e6_f64, 1..4_000),
            columns in 1_usize..500,
        ) {
            let end = (values.len() - 1) as f64 * 1e3;
            let lines = thin(seconds(&values).into_iter(), (0.0, end.max(1.0)), columns);
            let points: Vec<[f64; 2]> = lines.into_iter().flatten().collect();
            prop_assert!(points.len() <= 4 * (columns + 1));
            prop_assert!(points.windows(2).all(|pair| pair[0][0] < pair[1][0]));
            let extreme = |pick: fn(f64, f64) -> f64, of: &mut dyn Iterator<Item = f64>| of.reduce(pick);
            let seen = |pick| extreme(pick, &mut points.iter().map(|point| point[1]));
            prop_assert_eq!(seen(f64::min), extreme(f64::min, &mut values.iter().copied()));
            prop_assert_eq!(seen(f64::max), extreme(f64::max, &mut values.iter().copied()));
        }

        #[test]
        fn no_sample_however_strange_breaks_it(
            samples in prop::collection::vec((any::<f64>(), any::<f64>()), 0..200),
            from in any::<f64>(), to in any::<f64>(), columns in 0_usize..100,
        ) {
            for point in thin(samples.into_iter(), (from, to), columns).iter().flatten() {
                prop_assert!(point[0].is_finite() && point[1].is_finite());
            }
        }
    }
}
