//! Charts for docs/performance.md, drawn from the figures of a run.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const LABEL: f64 = 250.0;
const ROW: f64 = 30.0;
const HEAD: f64 = 56.0;
const BAR: f64 = 18.0;
// Room for the figure behind the longest bar.
const FIGURE: f64 = 80.0;

/// What a bar stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The bare client, or the aim.
    Limit,
    /// Warren.
    Warren,
}

/// Horizontal bars, each with its label and its figure.
#[derive(Debug)]
pub struct Chart {
    /// What is shown.
    pub title: &'static str,
    /// In what unit, and which way is better.
    pub unit: &'static str,
    /// How many digits a figure has behind its point.
    pub digits: usize,
    /// The bars from top to bottom.
    pub bars: Vec<(String, Who, f64)>,
}

impl Chart {
    /// As an SVG that follows the reader's light or dark page.
    pub fn svg(&self) -> String {
        let rows = f64::from(u32::try_from(self.bars.len()).unwrap_or(u32::MAX));
        let height = HEAD + rows * ROW + 10.0;
        let longest = self.bars.iter().map(|(_, _, value)| *value).fold(0.0_f64, f64::max).max(f64::MIN_POSITIVE);
        let mut svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{title}">
<style>text{{fill:#24292f}}.limit{{fill:#8c959f}}.warren{{fill:#bf5b2c}}@media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.limit{{fill:#6e7681}}.warren{{fill:#e08a5b}}}}</style>
<text x="0" y="18" font-size="15" font-weight="600">{title}</text>
<text x="0" y="38" opacity="0.75">{unit}</text>
"#,
            title = self.title,
            unit = self.unit,
        );
        let mut top = HEAD;
        for (label, who, value) in &self.bars {
            let class = match who {
                Who::Limit => "limit",
                Who::Warren => "warren",
            };
            let width = (WIDTH - LABEL - FIGURE) * value / longest;
            let (base, end) = (top + 14.0, LABEL + width + 8.0);
            let digits = self.digits;
            writeln!(
                svg,
                r#"<text x="{x}" y="{base}" text-anchor="end">{label}</text><rect class="{class}" x="{LABEL}" y="{top}" width="{width:.1}" height="{BAR}" rx="2"/><text x="{end:.1}" y="{base}">{value:.digits$}</text>"#,
                x = LABEL - 10.0,
            )
            .expect("text takes any text");
            top += ROW;
        }
        svg.push_str("</svg>\n");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_the_others_are_in_proportion() {
        let bars = vec![("raw".to_owned(), Who::Limit, 200.0), ("warren".to_owned(), Who::Warren, 100.0)];
        let svg = Chart { title: "Rates", unit: "a second", digits: 0, bars }.svg();
        assert!(svg.contains(r#"width="390.0""#) && svg.contains(r#"width="195.0""#), "{svg}");
        assert!(svg.contains(">100</text>"), "{svg}");
    }
}
