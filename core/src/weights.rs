//! Which of several queues is next, in proportion to their weights.

/// Smooth weighted round robin: over any long run each line that has something is chosen in proportion to its weight,
/// and the choices of one line are spread instead of bunched (the method of nginx's upstream balancing).
#[derive(Debug)]
pub struct Turns {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    weight: i64,
    credit: i64,
}

impl Turns {
    /// One line for each weight; a weight of 0 counts as 1.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let line = |weight: u32| Line { weight: i64::from(weight.max(1)), credit: 0 };
        Self { lines: weights.into_iter().map(line).collect() }
    }

    /// Chooses among the lines for which `ready` is true; `None` if there is none.
    pub fn choose(&mut self, ready: impl Fn(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for index in 0..self.lines.len() {
            if !ready(index) {
                continue;
            }
            total += self.lines[index].weight;
            self.lines[index].credit += self.lines[index].weight;
            if best.is_none_or(|best| self.lines[index].credit > self.lines[best].credit) {
                best = Some(index);
            }
        }
        self.lines[best?].credit -= total;
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_in_proportion_and_spread() {
        let mut turns = Turns::new([5, 1, 1]);
        let order: Vec<_> = (0..7).filter_map(|_| turns.choose(|_| true)).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn an_empty_line_is_passed_over() {
        let mut turns = Turns::new([9, 1]);
        assert_eq!(turns.choose(|line| line == 1), Some(1));
        assert_eq!(turns.choose(|_| false), None);
    }

    proptest! {
        #[test]
        fn nobody_starves(weights in proptest::collection::vec(1_u32..20, 1..6)) {
            let total: u32 = weights.iter().sum();
            let mut turns = Turns::new(weights.clone());
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..total {
                counts[turns.choose(|_| true).unwrap()] += 1;
            }
            prop_assert_eq!(counts, weights);
        }
    }
}
