//! What to do with a delivery that may have killed its worker, where no record can be asked.
//!
//! Then only the message itself can count: each time that it comes back from the lane of suspects, where it ran alone, its
//! copy says so before it runs again. That costs a stay on the delay ladder first, in which most records come back, and a
//! turn in that lane; it is for handlers that can take their worker with them, and for nobody else.

/// What such a delivery tells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It came by its queue, and somebody had it before.
    Returned,
    /// It has rested on the ladder since, and a monitor is writing the record.
    RestedAndAwaited,
    /// It has rested on the ladder since, and nobody writes a record.
    Rested,
    /// It came by the lane of suspects for the first time since its copy was written.
    Apart,
    /// The same, but somebody had it, and it came back when this worker's own connection had broken: so may have his.
    BrokenOff,
    /// The same, but somebody had it, alone, and did not end it.
    Crashed,
}

/// What to do with it. `crashes` are those known by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// Run it.
    Run,
    /// Write this down on it, and ask for it again later.
    Rest {
        /// How many.
        crashes: usize,
    },
    /// Write this down on it, and run it apart from the others.
    Apart {
        /// How many.
        crashes: usize,
    },
    /// It has killed as many workers as it may.
    Poison {
        /// How many.
        crashes: usize,
    },
}

/// Decides by the sign, the crashes that are known of so far, and how many there may be.
pub fn guess(sign: Sign, crashes: usize, limit: usize) -> Guess {
    match sign {
        Sign::Returned | Sign::RestedAndAwaited | Sign::BrokenOff => Guess::Rest { crashes },
        // Whoever had it in its queue may have died of it.
        Sign::Rested if crashes.max(1) >= limit => Guess::Poison { crashes: crashes.max(1) },
        Sign::Rested => Guess::Apart { crashes: crashes.max(1) },
        // Somebody else may have ended it: it is put aside only when it has rested, and there is still no record.
        Sign::Apart if crashes >= limit => Guess::Rest { crashes },
        Sign::Apart => Guess::Run,
        Sign::Crashed if crashes + 1 >= limit => Guess::Rest { crashes: crashes + 1 },
        Sign::Crashed => Guess::Apart { crashes: crashes + 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_by_table() {
        let (apart, poison) = (|crashes| Guess::Apart { crashes }, |crashes| Guess::Poison { crashes });
        let rest = |crashes| Guess::Rest { crashes };
        for (sign, crashes, guessed) in [
            (Sign::Returned, 0, rest(0)),
            (Sign::RestedAndAwaited, 3, rest(3)),
            (Sign::Rested, 0, apart(1)),
            (Sign::Rested, 2, apart(2)),
            (Sign::Apart, 1, Guess::Run),
            (Sign::BrokenOff, 1, rest(1)),
            (Sign::Crashed, 1, apart(2)),
            (Sign::Crashed, 2, rest(3)),
            (Sign::Apart, 3, rest(3)),
            (Sign::Rested, 3, poison(3)),
        ] {
            assert_eq!(guess(sign, crashes, 3), guessed, "{sign:?} with {crashes}");
        }
    }

    // A task that kills each of its workers and never has a record.
    #[test]
    fn a_task_without_a_record_kills_as_many_workers_as_it_may_and_no_more() {
        for limit in 1..6 {
            let (mut killed, mut sign, mut crashes) = (1, Sign::Returned, 0);
            let dead = loop {
                (sign, crashes) = match guess(sign, crashes, limit) {
                    Guess::Run => {
                        killed += 1;
                        (Sign::Crashed, crashes)
                    }
                    Guess::Rest { crashes } => (Sign::Rested, crashes),
                    Guess::Apart { crashes } => (Sign::Apart, crashes),
                    Guess::Poison { crashes } => break crashes,
                };
            };
            assert_eq!((killed, dead), (limit, limit));
        }
    }
}
