//! What the API's words mean to the eye. Words of a newer monitor are shown without a tone.

use warren_core::TaskState;
use warren_runtime::terminal::{Cell, Tone};

/// The state of a task.
pub fn state(name: &str) -> Cell {
    Cell::new(name, state_tone(name))
}

/// The tone of a state.
pub fn state_tone(name: &str) -> Tone {
    match name.parse() {
        Ok(TaskState::Queued) | Err(_) => Tone::Plain,
        Ok(TaskState::Delayed) => Tone::Faint,
        Ok(TaskState::Running) => Tone::Busy,
        Ok(TaskState::Succeeded) => Tone::Good,
        Ok(TaskState::Dead) => Tone::Bad,
        Ok(TaskState::Cancelled | TaskState::Expired) => Tone::Warning,
    }
}

/// How a worker is.
pub fn health(name: &str) -> Cell {
    let tone = match name {
        "alive" => Tone::Good,
        "draining" | "not_consuming" => Tone::Warning,
        "lost" => Tone::Bad,
        "stopped" => Tone::Faint,
        _ => Tone::Plain,
    };
    Cell::new(name, tone)
}

/// How an attempt ended.
pub fn outcome(name: &str) -> Cell {
    let tone = match name {
        "success" => Tone::Good,
        "cancelled" => Tone::Warning,
        "retryable" | "permanent" | "timeout" | "crashed" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::new(name, tone)
}

/// A number that is bad unless it is nothing.
pub fn unwanted(number: u64) -> Cell {
    Cell::new(number.to_string(), if number == 0 { Tone::Faint } else { Tone::Bad })
}

/// A number, faint where it is nothing.
pub fn count(number: u64) -> Cell {
    Cell::new(number.to_string(), if number == 0 { Tone::Faint } else { Tone::Plain })
}
