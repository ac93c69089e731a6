//! What is heard of a task, and what follows from it.

use super::{Effects, Flow};
use crate::workflow::{Conclusion, Graph, PartState, Place, Status};

// Of an error, so much is kept with the step.
const WHY: usize = 1_000;

/// What is heard of a task of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It was handed in.
    Seen,
    /// It has succeeded.
    Succeeded {
        /// How long the list is that it gave back, if it is one.
        items: Option<u32>,
    },
    /// It will not succeed by itself.
    Failed {
        /// What went wrong, for people.
        why: String,
    },
    /// It had failed, and somebody lets it run again.
    Revived,
}

impl Flow {
    /// Takes a word about a task in.
    pub fn hear(&mut self, graph: &Graph, place: Place, number: u32, round: u32, word: &Word) -> Effects {
        let mut effects = Effects::default();
        let known = self.statuses[place.0].parts().get(number as usize).copied();
        let Some(part) = known.filter(|part| part.round == round) else { return effects };
        let state = match (part.state, word) {
            (PartState::Due, Word::Seen) | (PartState::Failed, Word::Revived) => PartState::Seen,
            (PartState::Due | PartState::Seen | PartState::Failed, Word::Succeeded { items }) => {
                PartState::Done { items: *items }
            }
            (PartState::Due | PartState::Seen, Word::Failed { .. }) => PartState::Failed,
            (PartState::Done { .. }, _)
            | (PartState::Seen, Word::Seen)
            | (PartState::Failed, Word::Seen | Word::Failed { .. })
            | (PartState::Due | PartState::Seen, Word::Revived) => return effects,
        };
        effects.changed.insert(place);
        let was_over = self.statuses[place.0].conclusion().is_some();
        match &mut self.statuses[place.0] {
            Status::Running { parts, .. } | Status::Ended { parts, .. } => parts[number as usize].state = state,
            Status::Waiting => {}
        }
        if was_over && self.is_settled(graph, place) {
            // What came of the workflow that it is in stands, and only the step itself is shown as it is.
            let is_done = self.status(place).parts().iter().all(|part| matches!(part.state, PartState::Done { .. }));
            if let (true, Status::Ended { conclusion, .. }) = (is_done, &mut self.statuses[place.0]) {
                *conclusion = Conclusion::Succeeded;
            }
            return effects;
        }
        if was_over && part.state == PartState::Failed {
            self.run_again(graph, &[place], &mut effects);
        }
        let why = match word {
            Word::Failed { why } => Some(why.as_str()),
            Word::Seen | Word::Succeeded { .. } | Word::Revived => None,
        };
        if self.status(place).parts().iter().all(|part| part.is_over()) {
            let conclusion = self.settle(place, why);
            let mut look = Vec::new();
            self.conclude(graph, place, conclusion, &mut look, &mut effects);
            self.look_at(graph, look, &mut effects);
        }
        effects
    }

    // How a step ends all of whose tasks have ended.
    fn settle(&self, place: Place, why: Option<&str>) -> Conclusion {
        let parts = self.status(place).parts();
        let failed = parts.iter().filter(|part| part.state == PartState::Failed).count();
        if failed == 0 {
            Conclusion::Succeeded
        } else if self.cancelled {
            Conclusion::Cancelled
        } else {
            let why = why.unwrap_or("see its tasks");
            let why = &why[..why.floor_char_boundary(WHY)];
            let why =
                if parts.len() > 1 { format!("{failed} of {} chunks: {why}", parts.len()) } else { why.to_owned() };
            Conclusion::Failed { why }
        }
    }
}
