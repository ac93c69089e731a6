//! Readiness as ownership: a process is ready while nobody holds it back.

use std::sync::{Arc, Mutex};

/// Whether the process does what it is there for.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<Condition>>>);

#[derive(Debug)]
struct Condition {
    name: String,
    met: bool,
    // Why not, or what else there is to say, for the person who asks.
    reason: String,
}

/// One condition of readiness, in the hands of the component that knows whether it is met.
#[derive(Debug)]
pub struct Latch {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// Adds a condition; it is not met until the latch says so.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let mut conditions = self.0.lock().expect("no panic while the conditions are locked");
        conditions.push(Condition { name: name.into(), met: false, reason: "starting".to_owned() });
        Latch { readiness: self.clone(), index: conditions.len() - 1 }
    }

    /// What is met though something about it is unusual, with what that is.
    pub fn notes(&self) -> Vec<(String, String)> {
        let conditions = self.0.lock().expect("no panic while the conditions are locked");
        let noted = conditions.iter().filter(|c| c.met && !c.reason.is_empty());
        noted.map(|c| (c.name.clone(), c.reason.clone())).collect()
    }

    /// What is not met, with the reason; empty when the process is ready.
    pub fn missing(&self) -> Vec<(String, String)> {
        let conditions = self.0.lock().expect("no panic while the conditions are locked");
        conditions.iter().filter(|c| !c.met).map(|c| (c.name.clone(), c.reason.clone())).collect()
    }
}

impl Latch {
    /// The condition is met.
    pub fn met(&self) {
        self.set(true, String::new());
    }

    /// The condition is met, though whoever asks should know this.
    pub fn met_though(&self, note: impl Into<String>) {
        self.set(true, note.into());
    }

    /// The condition is not met, because of this.
    pub fn missing(&self, reason: impl Into<String>) {
        self.set(false, reason.into());
    }

    fn set(&self, met: bool, reason: String) {
        let mut conditions = self.readiness.0.lock().expect("no panic while the conditions are locked");
        conditions[self.index].met = met;
        conditions[self.index].reason = reason;
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.missing("its component has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_latch_says_so_and_lives() {
        let readiness = Readiness::default();
        assert!(readiness.missing().is_empty());
        let a = readiness.latch("a");
        let b = readiness.latch("b");
        a.met();
        assert_eq!(readiness.missing(), [("b".to_owned(), "starting".to_owned())]);
        b.met();
        assert!(readiness.missing().is_empty());
        b.missing("cut off");
        assert_eq!(readiness.missing()[0].1, "cut off");
        drop(a);
        assert_eq!(readiness.missing().len(), 2);
        assert!(readiness.notes().is_empty());
        b.met_though("paused");
        assert_eq!(readiness.notes(), [("b".to_owned(), "paused".to_owned())]);
        assert_eq!(readiness.missing().len(), 1);
    }
}
