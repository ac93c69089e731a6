//! The figures of one step, or of several together, as they are read.

use std::collections::BTreeMap;

use warren_core::{
    Kind, QueueName,
    figure::{Final, Measure},
    histogram::Histogram,
};

use super::{Gauge, Quantity, SAMPLES, Subject, WORKERS, read_field};

/// Figures by queue and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// By queue.
    pub queues: BTreeMap<QueueName, Figures>,
    /// By kind: attempts only.
    pub kinds: BTreeMap<Kind, Figures>,
    /// How often the gauges were looked at.
    pub samples: u64,
    // The sum of what was seen each time.
    workers: u64,
}

/// What was counted and measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Tasks that were handed in.
    pub submitted: u64,
    /// Tasks that came into their queue, at first or after a wait.
    pub arrived: u64,
    /// Attempts that began.
    pub started: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Tasks that came into a state in which they stay.
    pub came: BTreeMap<Final, u64>,
    /// From arrival to start.
    pub wait: Histogram,
    /// From start to end.
    pub run: Histogram,
    gauges: BTreeMap<Gauge, u64>,
}

impl Bucket {
    /// From what is stored; what this version does not know is passed over.
    pub fn read(fields: &[(String, i64)]) -> Self {
        let mut bucket = Self::default();
        for (field, number) in fields {
            // Below zero where a word that was counted in a step that is forgotten was corrected.
            let number = u64::try_from(*number).unwrap_or_default();
            match field.as_str() {
                SAMPLES => bucket.samples = number,
                WORKERS => bucket.workers = number,
                field => {
                    let Some((subject, quantity)) = read_field(field) else { continue };
                    let figures = match subject {
                        Subject::Queue(queue) => bucket.queues.entry(queue).or_default(),
                        Subject::Kind(kind) => bucket.kinds.entry(kind).or_default(),
                    };
                    figures.add(quantity, number);
                }
            }
        }
        bucket
    }

    /// All of them together.
    pub fn total(buckets: &[Self]) -> Self {
        let mut total = Self::default();
        for bucket in buckets {
            total.merge(bucket);
        }
        total
    }

    fn merge(&mut self, other: &Self) {
        for (queue, figures) in &other.queues {
            self.queues.entry(queue.clone()).or_default().merge(figures);
        }
        for (kind, figures) in &other.kinds {
            self.kinds.entry(kind.clone()).or_default().merge(figures);
        }
        self.samples += other.samples;
        self.workers += other.workers;
    }

    /// The figures of one queue, or of all of them.
    pub fn of(&self, queue: Option<&QueueName>) -> Figures {
        if let Some(queue) = queue {
            return self.queues.get(queue).cloned().unwrap_or_default();
        }
        let mut all = Figures::default();
        self.queues.values().for_each(|figures| all.merge(figures));
        all
    }

    /// How many workers there were on average; `None` if nobody looked.
    pub fn workers(&self) -> Option<f64> {
        mean(self.workers, self.samples)
    }

    /// What a gauge showed on average; `None` if nobody looked.
    pub fn gauge(&self, figures: &Figures, gauge: Gauge) -> Option<f64> {
        mean(figures.gauges.get(&gauge).copied().unwrap_or_default(), self.samples)
    }
}

impl Figures {
    /// How many came into a state in which tasks stay.
    pub fn came(&self, state: Final) -> u64 {
        self.came.get(&state).copied().unwrap_or_default()
    }

    fn add(&mut self, quantity: Quantity, number: u64) {
        match quantity {
            Quantity::Measure(Measure::Submitted) => self.submitted += number,
            Quantity::Measure(Measure::Arrived) => self.arrived += number,
            Quantity::Measure(Measure::Started) => self.started += number,
            Quantity::Measure(Measure::Failed) => self.failed += number,
            Quantity::Measure(Measure::Came(state)) => *self.came.entry(state).or_default() += number,
            Quantity::Measure(Measure::Wait(slot)) => self.wait.add(slot, number),
            Quantity::Measure(Measure::Run(slot)) => self.run.add(slot, number),
            Quantity::Gauge(gauge) => *self.gauges.entry(gauge).or_default() += number,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.arrived += other.arrived;
        self.started += other.started;
        self.failed += other.failed;
        for (state, number) in &other.came {
            *self.came.entry(*state).or_default() += number;
        }
        self.wait.merge(&other.wait);
        self.run.merge(&other.run);
        for (gauge, number) in &other.gauges {
            *self.gauges.entry(*gauge).or_default() += number;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts more than 2⁵² tasks")]
fn mean(sum: u64, samples: u64) -> Option<f64> {
    (samples > 0).then(|| sum as f64 / samples as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(fields: &[(&str, i64)]) -> Bucket {
        let fields: Vec<_> = fields.iter().map(|(field, number)| ((*field).to_owned(), *number)).collect();
        Bucket::read(&fields)
    }

    #[test]
    fn what_is_stored_is_read_and_the_unknown_passed_over() {
        let one = bucket(&[
            ("q/default/submitted", 3),
            ("q/mail/submitted", 4),
            ("q/mail/dead", 1),
            ("q/mail/wait.9", 2),
            ("q/mail/queued", 10),
            ("q/mail/started", -1),
            ("k/echo/started", 5),
            ("samples", 2),
            ("workers", 3),
            ("something/else", 1),
        ]);
        let mail = QueueName::parse("mail").unwrap();
        assert_eq!((one.of(None).submitted, one.of(Some(&mail)).submitted, one.of(None).started), (7, 4, 0));
        assert_eq!((one.of(None).came(Final::Dead), one.of(None).wait.total()), (1, 2));
        assert_eq!((one.gauge(&one.of(None), Gauge::Queued), one.workers()), (Some(5.0), Some(1.5)));
        let mut two = one.clone();
        two.merge(&one);
        assert_eq!((two.of(None).submitted, two.gauge(&two.of(None), Gauge::Queued)), (14, Some(5.0)));
        assert_eq!(Bucket::default().workers(), None);
    }
}
