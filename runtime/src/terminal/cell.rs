//! A piece of text, and how it is meant.

use unicode_width::UnicodeWidthChar;

/// How a text is meant. Never told by colour alone: the text says it too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Worth looking at first.
    Strong,
    /// Beside the point.
    Faint,
    /// Went well.
    Good,
    /// Goes on.
    Busy,
    /// May want somebody's attention.
    Warning,
    /// Went wrong.
    Bad,
}

impl Tone {
    /// The code of ECMA-48's "select graphic rendition".
    pub(super) fn ansi(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Busy => Some("36"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// A text that is safe to print, with its tone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// The text, cleaned.
    pub fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: clean(text.as_ref()), tone }
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is meant.
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// How many columns it takes.
    pub(super) fn width(&self) -> usize {
        width(&self.text)
    }

    /// What fits into so many columns, with `…` where something is missing.
    pub(super) fn cut(&self, columns: usize) -> String {
        if self.width() <= columns {
            return self.text.clone();
        }
        let mut left = columns.saturating_sub(1);
        let fits = |c: &char| {
            let wide = c.width().unwrap_or(0);
            let fits = wide <= left;
            left = left.saturating_sub(wide);
            fits
        };
        let mut cut: String = self.text.chars().take_while(fits).collect();
        cut.push('…');
        cut
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// The text on one line, with nothing in it that a terminal would obey.
pub fn clean(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        // Those that change the direction of what follows can make a line read as another.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(safe).collect()
}

pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(clean("red: \u{1b}[31m\u{7}\nnext\u{202e}gnp"), "red: \u{fffd}[31m\u{fffd} next\u{fffd}gnp");
    }

    #[test]
    fn a_text_is_cut_by_its_columns() {
        for (text, columns, cut) in
            [("short", 5, "short"), ("longer", 5, "long…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("x", 0, "…")]
        {
            assert_eq!(Cell::from(text).cut(columns), cut, "{text} {columns}");
        }
    }
}
