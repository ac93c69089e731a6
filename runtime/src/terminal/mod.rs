//! Text for people at a terminal: tables that fit its width, colours where they are wanted, and nothing that commands it.
//!
//! Whatever comes from outside (an error, an id, a payload) passes through [`clean`] before it is printed: a terminal obeys
//! the control characters in a text, whoever wrote it.

mod cell;
mod human;
mod table;

use std::io::{self, IsTerminal};

pub use cell::{Cell, Tone, clean};
pub use human::{bytes, duration, number, rate};
pub use table::{Align, Column, Give, Table};

/// Where text goes: how wide it is, and whether it may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    width: Option<usize>,
    colour: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Plain,
    Ansi,
}

impl Screen {
    /// Standard output. A file or a pipe is as wide as its text, and has no colours; neither has a terminal whose user set
    /// `NO_COLOR` (<https://no-color.org>).
    pub fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self::plain(None);
        }
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
        let unwanted = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let colour = if unwanted("NO_COLOR") || dumb { Colour::Plain } else { Colour::Ansi };
        Self { width, colour }
    }

    /// Without colours; `None` for any width.
    pub fn plain(width: Option<usize>) -> Self {
        Self { width, colour: Colour::Plain }
    }

    /// How many columns there are; `None` where it does not matter.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// A text in its tone.
    pub fn paint(&self, cell: &Cell) -> String {
        let text = cell.text();
        match (self.colour, cell.tone().ansi()) {
            (Colour::Ansi, Some(code)) if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            (Colour::Ansi | Colour::Plain, _) => text.to_owned(),
        }
    }
}
