//! Workflows: steps that wait for each other, and what follows when one ends.

mod chunk;
mod definition;
mod flow;
mod graph;
mod head;
mod kept;
mod layers;
mod part;
mod status;

pub use chunk::{Cut, join, slice};
pub use definition::{Definition, List, OnFailure, Step, Work};
pub use flow::{Effects, Flow, Word};
pub use graph::{Edge, Graph, Job, LARGEST, Node, Place, Wrong};
pub use head::Head;
pub use kept::{DEFINITION, HEAD, Kept, Unreadable};
pub use part::{PREFIX, PartId};
pub use status::{Conclusion, Counts, Part, PartState, Status};
