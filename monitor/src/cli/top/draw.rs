//! Drawing the board.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Sparkline},
};
use warren_core::{TaskState, Timestamp};
use warren_runtime::terminal::{Cell, Tone, clean, duration, number, rate};

use super::{
    board::{Board, View},
    feed::Series,
};
use crate::cli::tones;

// One above another: what happened in each step of the last quarter of an hour.
const CHARTS: [(&str, &str, Tone); 4] = [
    ("submitted", "in", Tone::Busy),
    ("succeeded", "succeeded", Tone::Good),
    ("failed", "failed", Tone::Bad),
    ("queued", "queued", Tone::Warning),
];
const CHART_HEIGHT: u16 = 3;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, board: &mut Board, now: Timestamp) {
    // On a small terminal the tables matter more than the curves.
    let charts = if frame.area().height >= 20 && board.fed.known.series.is_some() { CHART_HEIGHT + 1 } else { 0 };
    let rows = [
        Constraint::Length(4),
        Constraint::Length(charts),
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(1),
    ];
    let [head, curves, tabs, table, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Paragraph::new(header(board, now)), head);
    if let Some(series) = board.fed.known.series.as_ref().filter(|_| charts > 0) {
        draw_curves(frame, curves, series);
    }
    frame.render_widget(Paragraph::new(titles(board)), tabs);
    draw_table(frame, table, board, now);
    let keys = "q quit   Tab 1-4 table   s order   ↑ ↓ PgUp PgDn scroll";
    frame.render_widget(Paragraph::new(Span::styled(keys, style(Tone::Faint))), foot);
}

fn header(board: &Board, now: Timestamp) -> Vec<Line<'static>> {
    let overview = &board.fed.known.overview;
    let lag = match &board.fed.silence {
        Some(silence) => {
            let since = duration(now.since(silence.since));
            Cell::new(format!("no answer for {since}: {}", silence.why), Tone::Bad)
        }
        None => overview.lag(),
    };
    let first = Line::from(vec![
        styled(&overview.namespace, Tone::Strong),
        styled(&format!("  {}  ", board.address), Tone::Faint),
        span(&lag),
    ]);
    let mut states = vec![styled("tasks    ", Tone::Faint)];
    for state in TaskState::ALL {
        let count = overview.states.get(state.name()).copied().unwrap_or_default();
        let tone = if count == 0 { Tone::Faint } else { tones::state_tone(state.name()) };
        states.push(styled(&format!("{} {state}  ", number(count)), tone));
    }
    let mut flow = vec![styled("rates    ", Tone::Faint)];
    for name in ["submitted", "started", "succeeded", "failed"] {
        if let Some(per_second) = overview.rates.get(name) {
            let tone = if name == "failed" && *per_second > 0.0 { Tone::Bad } else { Tone::Plain };
            flow.push(styled(&format!("{name} {}  ", rate(*per_second)), tone));
        }
    }
    for name in ["wait", "run"] {
        if let Some(latency) = overview.latency(name) {
            flow.push(styled(&format!("  {name} "), Tone::Faint));
            flow.push(styled(&latency, Tone::Plain));
        }
    }
    let workers = Line::from(vec![styled("workers  ", Tone::Faint), span(&overview.workers())]);
    vec![first, Line::from(states), Line::from(flow), workers]
}

fn draw_curves(frame: &mut Frame<'_>, area: Rect, series: &Series) {
    let areas = Layout::horizontal([Constraint::Ratio(1, 4); 4]).spacing(2).split(area);
    for (area, (name, title, tone)) in areas.iter().zip(CHARTS) {
        let [label, curve] = Layout::vertical([Constraint::Length(1), Constraint::Length(CHART_HEIGHT)]).areas(*area);
        let steps = series.series.get(name).map(Vec::as_slice).unwrap_or_default();
        // The newest step is not over yet: its number says too little.
        let steps = steps.split_last().map_or(steps, |(_, before)| before);
        let shown = &steps[steps.len().saturating_sub(usize::from(curve.width))..];
        let largest = steps.iter().flatten().copied().fold(0.0, f64::max);
        let label_text = format!("{title} ≤ {}", peak(name, largest, series.step_seconds));
        frame.render_widget(Paragraph::new(styled(&label_text, Tone::Faint)), label);
        let bars: Vec<Option<u64>> = shown.iter().map(|step| step.map(whole)).collect();
        frame.render_widget(Sparkline::default().data(bars).style(style(tone)), curve);
    }
}

// A gauge is a number of tasks; everything else is counted a step.
fn peak(name: &str, largest: f64, step_seconds: u64) -> String {
    if name == "queued" {
        return number(whole(largest));
    }
    #[expect(clippy::cast_precision_loss, reason = "steps are seconds to hours long")]
    let seconds = step_seconds.max(1) as f64;
    rate(largest / seconds)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a height in a chart; what is negative is none"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

fn titles(board: &Board) -> Vec<Line<'static>> {
    let mut titles = Vec::new();
    for (n, view) in View::ALL.into_iter().enumerate() {
        let count = board.count(view);
        let text = format!(" {} {} {count} ", n + 1, view.title());
        let tone = if view == View::Findings && count > 0 { Tone::Bad } else { Tone::Plain };
        let chosen = if view == board.view { Modifier::REVERSED } else { Modifier::empty() };
        titles.push(Span::styled(text, style(tone).add_modifier(chosen)));
        titles.push(Span::raw(" "));
    }
    titles.push(styled(&format!("by {}", board.order().name()), Tone::Faint));
    vec![Line::default(), Line::from(titles)]
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, board: &mut Board, now: Timestamp) {
    let table = board.table(now);
    if table.is_empty() {
        frame.render_widget(Paragraph::new(styled("nothing", Tone::Faint)), area);
        return;
    }
    let mut lines = table.laid_out(Some(usize::from(area.width))).into_iter();
    let titles: Vec<_> = lines.next().into_iter().collect();
    let rows: Vec<_> = lines.collect();
    let room = usize::from(area.height).saturating_sub(titles.len());
    board.scrolled = board.scrolled.min(rows.len().saturating_sub(room));
    let shown = titles.iter().chain(rows.iter().skip(board.scrolled).take(room));
    let lines: Vec<_> = shown.map(|cells| Line::from(cells.iter().map(span).collect::<Vec<_>>())).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn span(cell: &Cell) -> Span<'static> {
    Span::styled(cell.text().to_owned(), style(cell.tone()))
}

fn styled(text: &str, tone: Tone) -> Span<'static> {
    Span::styled(clean(text), style(tone))
}

// The terminal's own sixteen colours, so that the user's choice of light or dark holds. NO_COLOR is honoured by the
// library that writes them.
fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
        Tone::Faint => Style::new().add_modifier(Modifier::DIM),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Busy => Style::new().fg(Color::Cyan),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
