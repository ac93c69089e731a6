//! Which messages the broker has given back, noted before the client library hears of it.
//!
//! lapin gives a returned message to whichever confirm comes next on its channel, and that may be another's: the one would be
//! told of a failure that it did not have, and the other of a success. What is noted here lies ready before the confirm of the
//! same message is read, so whoever is confirmed can look whether its own message came back.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use lapin::{BasicProperties, protocol::basic::parse_properties, types::ShortString};

use super::faults::HEAD;

// Class, weight, size of the body: what is before the properties.
const BEFORE_PROPERTIES: usize = HEAD + 12;
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const RETURN: [u8; 4] = [0, 60, 0, 50];
// Many times what is on its way at once: what is older belongs to somebody who has given up.
const KEPT: usize = 10_000;

/// What came back on one connection; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Returns(Arc<Mutex<VecDeque<Returned>>>);

#[derive(Debug, PartialEq, Eq)]
struct Returned {
    key: String,
    id: Option<String>,
}

impl Returns {
    /// Whether a message of this routing key and id has come back. Each is told of once.
    pub fn take(&self, key: &ShortString, properties: &BasicProperties) -> bool {
        let mut returned = self.returned();
        let id = properties.message_id().as_ref().map(ShortString::as_str);
        let place = returned.iter().position(|one| one.key == key.as_str() && one.id.as_deref() == id);
        place.is_some_and(|place| returned.remove(place).is_some())
    }

    fn add(&self, one: Returned) {
        let mut returned = self.returned();
        if returned.len() == KEPT {
            returned.pop_front();
        }
        returned.push_back(one);
    }

    fn returned(&self) -> MutexGuard<'_, VecDeque<Returned>> {
        self.0.lock().expect("nobody panics while a message is noted")
    }
}

/// Reads along on one connection.
#[derive(Debug)]
pub(super) struct Notice {
    returns: Returns,
    // By channel: a message is on its way back, and its properties come next.
    begun: HashMap<[u8; 2], String>,
}

impl Notice {
    pub(super) fn new(returns: Returns) -> Self {
        Self { returns, begun: HashMap::new() }
    }

    /// Takes note of a whole frame that can be read.
    pub(super) fn of(&mut self, frame: &[u8]) {
        let &[frame_type, high, low, ..] = frame else { return };
        let channel = [high, low];
        match frame_type {
            METHOD if frame.get(HEAD..).is_some_and(|payload| payload.starts_with(&RETURN)) => {
                if let Some(key) = routing_key(&frame[HEAD + RETURN.len()..]) {
                    self.begun.insert(channel, key.to_owned());
                }
            }
            CONTENT_HEADER if !self.begun.is_empty() => {
                if let Some(key) = self.begun.remove(&channel) {
                    // Without the octet that ends a frame.
                    let properties = frame.get(BEFORE_PROPERTIES..frame.len() - 1).unwrap_or_default();
                    let properties = parse_properties(properties).map(|(_, properties)| properties).unwrap_or_default();
                    let id = properties.message_id().as_ref().map(|id| id.as_str().to_owned());
                    self.returns.add(Returned { key, id });
                }
            }
            _ => {}
        }
    }
}

// Of a code, a reason, an exchange and the key.
fn routing_key(arguments: &[u8]) -> Option<&str> {
    let (_, after_reason) = short(arguments.get(2..)?)?;
    let (_, after_exchange) = short(after_reason)?;
    let (key, _) = short(after_exchange)?;
    std::str::from_utf8(key).ok()
}

fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{self, header, method},
        *,
    };

    fn short(text: &str) -> Vec<u8> {
        samples::short(text.as_bytes())
    }

    fn returned(key: &str) -> Vec<u8> {
        method(60, 50, &[vec![1, 56], short("NO_ROUTE"), short(""), short(key)].concat())
    }

    // With a message id, and a type after it.
    fn named(id: &str) -> Vec<u8> {
        header(1 << 7 | 1 << 5, &[short(id), short("echo")].concat())
    }

    fn of(id: &str) -> BasicProperties {
        BasicProperties::default().with_message_id(id.into())
    }

    #[test]
    fn what_came_back_is_told_once_to_whom_it_belongs() {
        let returns = Returns::default();
        let mut notice = Notice::new(returns.clone());
        for frame in [returned("q"), named("a"), returned("q"), header(0, b""), returned("r"), named("b"), named("c")] {
            notice.of(&frame);
        }
        let take = |key: &str, properties: &BasicProperties| returns.take(&key.into(), properties);
        assert!(!take("r", &of("a")) && !take("q", &of("b")) && !take("q", &of("c")));
        assert!(take("q", &of("a")) && take("q", &BasicProperties::default()) && take("r", &of("b")));
        assert!(!take("q", &of("a")) && !take("q", &BasicProperties::default()));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_in_the_end() {
        let returns = Returns::default();
        let mut notice = Notice::new(returns.clone());
        for n in 0..=KEPT {
            notice.of(&returned("q"));
            notice.of(&named(&n.to_string()));
        }
        assert!(!returns.take(&"q".into(), &of("0")));
        assert!(returns.take(&"q".into(), &of("1")));
    }

    #[test]
    fn frames_that_are_cut_short_are_borne() {
        let mut notice = Notice::new(Returns::default());
        for frame in [returned("queue"), named("id")] {
            for end in 0..frame.len() {
                notice.of(&frame[..end]);
            }
        }
    }
}
