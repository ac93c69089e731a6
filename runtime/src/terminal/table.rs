//! Columns that fit the width.

use super::{
    Screen,
    cell::{Cell, Tone, width},
};

const BETWEEN: usize = 2;

/// On which side a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What becomes of a column where there is too little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Give {
    /// It stays whole, whatever happens.
    Nothing,
    /// It is cut, down to so many columns.
    Width(usize),
    /// It goes altogether, the highest number first.
    Way(u8),
}

/// A column: its title, and how it is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    align: Align,
    give: Give,
}

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str, give: Give) -> Self {
        Self { title, align: Align::Left, give }
    }

    /// A column of numbers.
    pub const fn numbers(title: &'static str, give: Give) -> Self {
        Self { title, align: Align::Right, give }
    }
}

/// Rows under titles.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Without rows yet.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines. Columns that are empty throughout are left out.
    pub fn lines(&self, screen: &Screen) -> Vec<String> {
        let paint = |row: &Vec<Cell>| row.iter().map(|cell| screen.paint(cell)).collect::<String>();
        self.laid_out(screen.width()).iter().map(paint).collect()
    }

    /// Its lines as pieces of text, the titles first: whoever draws the screen itself gives them their colours.
    pub fn laid_out(&self, width: Option<usize>) -> Vec<Vec<Cell>> {
        let shown = self.fit(width);
        let title = |column: &Column| Cell::new(column.title, Tone::Faint);
        let titles: Vec<_> = self.columns.iter().map(title).collect();
        std::iter::once(&titles).chain(&self.rows).map(|row| line(row, &shown, &self.columns)).collect()
    }

    // Which columns are shown, and how wide each is.
    fn fit(&self, available: Option<usize>) -> Vec<(usize, usize)> {
        let natural = |place: usize| self.rows.iter().map(|row| row[place].width()).max().unwrap_or_default();
        let mut shown: Vec<_> = (0..self.columns.len())
            .map(|place| (place, natural(place)))
            .filter(|(_, wide)| *wide > 0 || self.rows.is_empty())
            .map(|(place, wide)| (place, wide.max(width(self.columns[place].title))))
            .collect();
        let Some(available) = available else { return shown };
        loop {
            let excess = total(&shown).saturating_sub(available);
            if excess == 0 {
                return shown;
            }
            let room = |(place, wide): &(usize, usize)| match self.columns[*place].give {
                Give::Width(least) => wide.saturating_sub(least),
                Give::Nothing | Give::Way(_) => 0,
            };
            let roomiest = (0..shown.len()).max_by_key(|n| room(&shown[*n])).filter(|n| room(&shown[*n]) > 0);
            if let Some(n) = roomiest {
                // The widest gives first, and no more than brings it to the next.
                let others = (0..shown.len()).filter(|other| *other != n).map(|other| room(&shown[other]));
                let lead = room(&shown[n]) - others.max().unwrap_or_default();
                shown[n].1 -= lead.max(1).min(excess);
                continue;
            }
            let order = |(place, _): &(usize, usize)| match self.columns[*place].give {
                Give::Way(order) => Some(order),
                Give::Nothing | Give::Width(_) => None,
            };
            let Some(last) =
                (0..shown.len()).rev().max_by_key(|n| order(&shown[*n])).filter(|n| order(&shown[*n]).is_some())
            else {
                return shown;
            };
            shown.remove(last);
            // What was cut for the sake of the column that went may grow again.
            for (place, wide) in &mut shown {
                *wide = natural(*place).max(width(self.columns[*place].title));
            }
        }
    }
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, wide)| wide).sum::<usize>() + BETWEEN * shown.len().saturating_sub(1)
}

fn line(row: &[Cell], shown: &[(usize, usize)], columns: &[Column]) -> Vec<Cell> {
    let mut line = Vec::new();
    let mut gap = 0;
    for (n, (place, wide)) in shown.iter().enumerate() {
        gap += if n > 0 { BETWEEN } else { 0 };
        let text = row[*place].cut(*wide);
        let padding = wide.saturating_sub(width(&text));
        let (before, after) = match columns[*place].align {
            Align::Left => (0, padding),
            Align::Right => (padding, 0),
        };
        gap += before;
        // A line ends with its last text.
        if !text.is_empty() {
            line.push(Cell::from(" ".repeat(gap)));
            line.push(Cell::new(text, row[*place].tone()));
            gap = 0;
        }
        gap += after;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::text("ID", Give::Nothing),
            Column::numbers("SIZE", Give::Way(1)),
            Column::text("EMPTY", Give::Nothing),
            Column::text("WORKER", Give::Way(2)),
            Column::text("ERROR", Give::Width(6)),
        ]);
        let cells = |cells: [&str; 5]| cells.map(Cell::from).to_vec();
        table.row(cells(["first", "7", "", "one", "it went up in flames"]));
        table.row(cells(["日本", "1200", "", "another", ""]));
        table
    }

    #[test]
    fn columns_stand_under_each_other_and_give_way() {
        for (width, expected) in [
            (
                None,
                ["ID     SIZE  WORKER   ERROR", "first     7  one      it went up in flames", "日本   1200  another"],
            ),
            (Some(32), ["ID     SIZE  WORKER   ERROR", "first     7  one      it went u…", "日本   1200  another"]),
            (Some(26), ["ID     SIZE  ERROR", "first     7  it went up i…", "日本   1200"]),
            (Some(15), ["ID     ERROR", "first  it went…", "日本"]),
            (Some(4), ["ID     ERROR", "first  it we…", "日本"]),
        ] {
            assert_eq!(table().lines(&Screen::plain(width)), expected, "{width:?}");
        }
    }

    #[test]
    fn without_rows_the_titles_stay() {
        let table = Table::new([Column::text("ID", Give::Nothing), Column::text("STATE", Give::Nothing)]);
        assert_eq!(table.lines(&Screen::plain(None)), ["ID  STATE"]);
    }
}
