//! Who and what: the names of tasks, kinds, queues, schedules, workflows and workers.

use crate::{Timestamp, name::name_type};

name_type!(
    /// A task's id: chosen by whoever submits the task, or by the worker that takes a message without one.
    TaskId,
    "task id",
    "1 to 200 characters without spaces or control characters",
    |text| (1..=200).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
);

name_type!(
    /// The name by which a worker finds the handler, such as `resize` or `mail.send`.
    Kind,
    "kind",
    "1 to 100 characters of A-Z a-z 0-9 . _ : / -",
    |text| (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b))
);

name_type!(
    /// A named line of tasks. No dots: a topic binding `#.b` would also receive `a.b`.
    QueueName,
    "queue",
    "1 to 64 characters of a-z 0-9 _ -",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
);

name_type!(
    /// A schedule's name. No colon: it is part of the ids of its tasks, `schedule:<name>:<time>`.
    ScheduleName,
    "schedule",
    "1 to 64 characters of A-Z a-z 0-9 _ -",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

name_type!(
    /// A workflow's id. No colon: it is part of the ids of its tasks, `flow:<workflow>:<step>`.
    WorkflowId,
    "workflow id",
    "1 to 64 characters of A-Z a-z 0-9 _ -",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

name_type!(
    /// The name of a step in its workflow.
    StepName,
    "step",
    "1 to 64 characters of A-Z a-z 0-9 _ -",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

name_type!(
    /// What tasks have in common that run one after the other, such as a customer's number.
    OrderKey,
    "order key",
    "1 to 200 characters without control characters",
    |text| (1..=200).contains(&text.len()) && !text.chars().any(char::is_control)
);

name_type!(
    /// One run of one process: a worker that restarts is another worker.
    WorkerId,
    "worker id",
    "1 to 120 characters of A-Z a-z 0-9 . _ -",
    |text| (1..=120).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

name_type!(
    /// One order of an operator.
    OrderId,
    "order id",
    "1 to 64 characters of A-Z a-z 0-9 . _ -",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

name_type!(
    /// Who acted: the name under which somebody came, for the audit trail.
    Operator,
    "name",
    "1 to 100 characters without control characters",
    |text| (1..=100).contains(&text.len()) && !text.chars().any(char::is_control)
);

impl TaskId {
    /// When it was made, where it is a UUID of version 7: that begins with milliseconds since 1970 (RFC 9562, 5.7).
    pub fn made(&self) -> Option<Timestamp> {
        let bytes = self.as_str().as_bytes();
        let is_uuid =
            bytes.len() == 36 && [8, 13, 18, 23].iter().all(|place| bytes[*place] == b'-') && bytes[14] == b'7';
        let hexadecimal = |millis: u64, byte: &u8| Some(millis << 4 | u64::from(char::from(*byte).to_digit(16)?));
        let millis = || bytes[..8].iter().chain(&bytes[9..13]).try_fold(0, hexadecimal);
        is_uuid.then(millis)?.map(Timestamp::from_millis)
    }
}

impl Default for QueueName {
    /// The queue that is meant when none is named.
    fn default() -> Self {
        Self::parse("default").expect("the literal is a valid queue name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_table() {
        for good in ["default", "a", "mail_2-x", &"q".repeat(64)] {
            assert!(QueueName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a.b", "a b", "ü", &"q".repeat(65)] {
            assert!(QueueName::parse(bad).is_err(), "{bad}");
        }
        for good in ["resize", "Mail.send", "a/b:c-d_e"] {
            assert!(Kind::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "x\n", &"k".repeat(101)] {
            assert!(Kind::parse(bad).is_err(), "{bad}");
        }
        for good in ["1", "0193-ab", "order#7/ü"] {
            assert!(TaskId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\u{7}", &"i".repeat(201)] {
            assert!(TaskId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made_only_where_it_is_such_a_uuid() {
        let made = |id: &str| TaskId::parse(id).unwrap().made();
        let time = Some(Timestamp::from_millis(0x0193_A5B6_C7D8));
        assert_eq!(made("0193a5b6-c7d8-7abc-8def-0123456789ab"), time);
        assert_eq!(made("0193A5B6-C7D8-7ABC-8DEF-0123456789AB"), time);
        for other in [
            "0193a5b6-c7d8-4abc-8def-0123456789ab",
            "0193a5b6c7d87abc8def0123456789ab",
            "0193a5b6-c7d8-7abc-8def-0123456789a",
            "0193a5bx-c7d8-7abc-8def-0123456789ab",
            "+193a5b6-c7d8-7abc-8def-0123456789ab",
            "0193a5\u{fc}-c7d8-7abc-8def-0123456789ab",
            "7",
        ] {
            assert_eq!(made(other), None, "{other}");
        }
    }

    #[test]
    fn an_error_says_what_was_expected() {
        let error = QueueName::parse("Big Queue").unwrap_err();
        assert_eq!(error.to_string(), r#"queue must be 1 to 64 characters of a-z 0-9 _ -, got "Big Queue""#);
    }
}
