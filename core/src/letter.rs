//! What the record says of a dead letter that was met in its queue.
//!
//! The letter is the truth, and the record its index: only where both say the same may anything be done with it.

use crate::{Attempt, Standing, Verdict, record::TaskRecord, redelivery::is_carried_on};

/// How a letter stands to the record of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The task is dead as this letter says, or nothing at all is known of it: somebody may decide about it.
    Current,
    /// The task went on to a later attempt, which has ended it or is safe in its queue: nothing is lost with this letter.
    Overtaken,
    /// A later attempt is on record, and whether its message is safe nobody knows: a broker hands a copy out before it is
    /// on disk, and one that is killed then takes it along.
    Underway,
    /// Somebody threw it away.
    Discarded,
    /// The record does not say that it is dead: it has not come as far, or knows of another outcome.
    Undecided,
}

/// Compares a letter of this attempt with the record of its task.
pub fn relate(record: Option<&TaskRecord>, attempt: Attempt) -> Relation {
    let Some(record) = record else { return Relation::Current };
    if record.attempts.last_key_value().is_some_and(|(last, _)| *last > attempt) {
        return if is_carried_on(record, attempt) { Relation::Overtaken } else { Relation::Underway };
    }
    match record.standing() {
        Standing::Ended { attempt: last, end } if last == attempt => match end.verdict {
            Verdict::DeadLetter { .. } => Relation::Current,
            Verdict::Complete | Verdict::Cancel | Verdict::Retry { .. } => Relation::Undecided,
        },
        Standing::Buried { attempt: last, .. } if last == attempt => Relation::Current,
        Standing::Discarded { attempt: last, .. } if last == attempt => Relation::Discarded,
        Standing::Ended { .. }
        | Standing::Buried { .. }
        | Standing::Discarded { .. }
        | Standing::Withdrawn { .. }
        | Standing::Queued { .. }
        | Standing::Delayed { .. }
        | Standing::Running { .. } => Relation::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Operator, Outcome, Reason, Timestamp, WorkerId,
        event::{Run, Wish},
        record::{Burial, Decision, End, RunRecord},
    };

    fn ended(record: &mut TaskRecord, attempt: Attempt, verdict: Verdict) {
        let at = Timestamp::from_millis(5);
        let run = Run { started: at, worker: WorkerId::parse("w").unwrap() };
        let end = Some(End { at, outcome: Outcome::permanent("no"), verdict });
        let run = RunRecord { end, ..RunRecord::of(run) };
        record.attempts.entry(attempt).or_default().runs.push(run);
    }

    #[test]
    fn relates_by_table() {
        let (first, second) = (Attempt::FIRST, Attempt::FIRST.next());
        let (at, wish) = (Timestamp::from_millis(9), Wish { by: Operator::parse("jo").unwrap(), reason: None });
        let decision = || Some(Decision { at, wish: wish.clone() });
        let dead = Verdict::DeadLetter { reason: Reason::Permanent };

        assert_eq!(relate(None, first), Relation::Current);
        assert_eq!(relate(Some(&TaskRecord::default()), first), Relation::Undecided);

        let mut record = TaskRecord::default();
        ended(&mut record, first, dead);
        assert_eq!(relate(Some(&record), first), Relation::Current);
        assert_eq!(relate(Some(&record), second), Relation::Undecided, "the letter is newer than the record");

        let mut discarded = record.clone();
        discarded.attempts.entry(first).or_default().discarded = decision();
        assert_eq!(relate(Some(&discarded), first), Relation::Discarded);

        record.attempts.entry(second).or_default();
        assert_eq!(relate(Some(&record), first), Relation::Underway);
        let mut ran = record.clone();
        ended(&mut ran, second, Verdict::Complete);
        assert_eq!(relate(Some(&ran), first), Relation::Overtaken);
        record.attempts.entry(second).or_default().replayed = decision();
        assert_eq!(relate(Some(&record), first), Relation::Overtaken);
        assert_eq!(relate(Some(&record), second), Relation::Undecided);

        let mut buried = TaskRecord::default();
        buried.attempts.entry(first).or_default().buried =
            Some(Burial { at, reason: Reason::Expired, error: "late".into() });
        assert_eq!(relate(Some(&buried), first), Relation::Current);

        let mut succeeded = TaskRecord::default();
        ended(&mut succeeded, first, Verdict::Complete);
        assert_eq!(relate(Some(&succeeded), first), Relation::Undecided);
    }
}
