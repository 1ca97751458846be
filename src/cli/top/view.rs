//! The screen.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::rates::{Counter, KEPT, Rates, Reading, TOTAL};
use super::rows::{VIEWS, spark};
use crate::api::client::ClientError;
use crate::cli::units::{duration, grouped};

const KEYS: &str =
    " q quit  1-5 Tab table  ← → sort by  r reverse  ↑ ↓ PgUp PgDn scroll  Space pause";

#[derive(Clone, Copy)]
struct Sort {
    column: usize,
    is_reversed: bool,
}

/// What is shown.
pub(super) struct Top {
    reading: Option<Reading>,
    rates: Rates,
    trouble: Option<String>,
    view: usize,
    sorts: [Sort; VIEWS.len()],
    scrolled: usize,
    is_paused: bool,
}

impl Default for Top {
    fn default() -> Self {
        let sorts = VIEWS.map(|view| Sort { column: view.first, is_reversed: false });
        let (reading, rates, trouble) = (None, Rates::default(), None);
        Self { reading, rates, trouble, view: 0, sorts, scrolled: 0, is_paused: false }
    }
}

impl Top {
    /// What was read, or why nothing was.
    pub fn take(&mut self, reading: Result<Reading, ClientError>) {
        match reading {
            Ok(_) if self.is_paused && self.reading.is_some() => {}
            Ok(reading) => {
                self.trouble = None;
                self.rates.read(&reading);
                self.reading = Some(reading);
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    /// Another table.
    pub fn choose(&mut self, view: usize) {
        (self.view, self.scrolled) = (view.min(VIEWS.len() - 1), 0);
    }

    /// The next table, or the one before.
    pub fn turn(&mut self, by: isize) {
        self.choose(wrapped(self.view, by, VIEWS.len()));
    }

    /// Sorts by the next column, or the one before.
    pub fn sort_by(&mut self, by: isize) {
        let columns = VIEWS[self.view].columns.len();
        let sort = &mut self.sorts[self.view];
        sort.column = wrapped(sort.column, by, columns);
    }

    pub fn reverse(&mut self) {
        let sort = &mut self.sorts[self.view];
        sort.is_reversed = !sort.is_reversed;
    }

    pub fn scroll(&mut self, by: isize) {
        self.scrolled = self.scrolled.saturating_add_signed(by);
    }

    pub fn pause(&mut self) {
        self.is_paused = !self.is_paused;
    }

    pub fn draw(&mut self, frame: &mut Frame) {
        let [head, totals, _, names, table, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(3),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.head(), head);
        frame.render_widget(Paragraph::new(self.totals(totals.width)), totals);
        frame.render_widget(self.names(), names);
        self.table(frame, table);
        frame.render_widget(Line::from(KEYS).dim(), keys);
    }

    fn head(&self) -> Line<'_> {
        let name = Span::from(" ferry top ").bold();
        let since = self
            .reading
            .as_ref()
            .map(|reading| format!(" up {} ", duration(reading.totals.uptime_seconds)));
        let state = match &self.trouble {
            Some(trouble) => Span::from(format!(" {trouble}; trying on")).red(),
            None if self.is_paused => Span::from(" paused").yellow(),
            None => Span::default(),
        };
        Line::from(vec![name, Span::from(since.unwrap_or_default()), state])
    }

    fn totals(&self, width: u16) -> Vec<Line<'_>> {
        let room = usize::from(width).saturating_sub(40).min(KEPT);
        let of = [
            ("received", Counter::Rx, Color::Cyan),
            ("sent", Counter::Tx, Color::Green),
            ("dropped", Counter::Drops, Color::Red),
        ];
        let line = |(name, counter, color)| {
            let rate = self.rates.latest(counter, TOTAL);
            let rate = rate.map_or_else(|| "-".to_owned(), |rate| grouped(rate.round() as u64));
            let line = spark(self.rates.line(counter, TOTAL), room);
            Line::from(vec![
                Span::from(format!(" {name:<9}{rate:>15} packets/s  ")),
                Span::from(line).fg(color),
            ])
        };
        of.into_iter().map(line).collect()
    }

    fn names(&self) -> Line<'_> {
        let name = |(at, view): (usize, &super::rows::View)| {
            let name = Span::from(format!(" {} {} ", at + 1, view.name));
            if at == self.view { name.reversed() } else { name }
        };
        Line::from(VIEWS.iter().enumerate().map(name).collect::<Vec<_>>())
    }

    fn table(&mut self, frame: &mut Frame, area: Rect) {
        let Some(reading) = &self.reading else { return };
        let view = &VIEWS[self.view];
        let sort = self.sorts[self.view];
        let mut rows = (view.rows)(reading, &self.rates);
        rows.sort_by(|one, other| {
            let order = one[sort.column].compare(&other[sort.column]);
            if sort.is_reversed { order.reverse() } else { order }
        });
        self.scrolled = self.scrolled.min(rows.len().saturating_sub(1));
        let place = |text: &str, at: usize| {
            let side = if view.columns[at].is_number { Alignment::Right } else { Alignment::Left };
            Cell::from(Line::from(text.to_owned()).alignment(side))
        };
        let heads = view.columns.iter().enumerate().map(|(at, column)| {
            let style = if at == sort.column { Modifier::UNDERLINED } else { Modifier::empty() };
            place(column.name, at).style(Style::new().add_modifier(Modifier::BOLD | style))
        });
        let shown = rows.iter().skip(self.scrolled).take(area.height.into());
        let lines = shown
            .map(|row| Row::new(row.iter().enumerate().map(|(at, cell)| place(cell.shown(), at))));
        let widths = view.columns.iter().map(|column| Constraint::Length(column.width));
        let table = Table::new(lines, widths).header(Row::new(heads)).column_spacing(1);
        frame.render_widget(table, area);
    }
}

fn wrapped(at: usize, by: isize, of: usize) -> usize {
    (at + of).saturating_add_signed(by) % of
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::api::model::{Peer, Volume};
    use crate::api::tests::fake::{totals, world};

    fn reading(at: Instant) -> Reading {
        let world = world();
        let (ports, networks, peers) = (world.ports, world.networks, world.peers);
        let (workers, drops, totals) = (world.workers, world.drops, totals());
        Reading { at, ports, networks, peers, workers, drops, totals }
    }

    fn screen(top: &mut Top) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(130, 14)).unwrap();
        terminal.draw(|frame| top.draw(frame)).unwrap();
        let cells = terminal.backend().buffer().content.chunks(130);
        cells.map(|line| line.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    fn words(line: &str) -> Vec<&str> {
        line.split(' ').filter(|word| !word.is_empty()).collect()
    }

    /// A first reading, and one two seconds later.
    fn moved(change: impl Fn(&mut Reading)) -> Top {
        let (mut top, start) = (Top::default(), Instant::now());
        top.take(Ok(reading(start)));
        let mut later = reading(start + Duration::from_secs(2));
        change(&mut later);
        top.take(Ok(later));
        top
    }

    #[test]
    fn rates_are_what_counters_rose_by_in_a_second() {
        let mut top = moved(|later| {
            later.ports[0].rx_packets += 2_468;
            later.ports[0].rx_bytes += 2_500;
            later.totals.rx += 2_000_000;
        });
        let lines = screen(&mut top);
        assert_eq!(words(&lines[1])[..3], ["received", "1\u{202f}000\u{202f}000", "packets/s"]);
        let name = &reading(Instant::now()).ports[0].name;
        let row = lines.iter().find(|line| words(line).first() == Some(&name.as_str())).unwrap();
        assert_eq!(words(row)[3..6], ["1\u{202f}234", "0", "10.0k"]);
        assert!(row.contains('█'));
    }

    #[test]
    fn workers_show_nanoseconds_a_packet_and_the_fill_of_bursts() {
        let mut top = moved(|later| {
            let worker = &mut later.workers[0];
            worker.rx_packets += 10_000_000;
            worker.bursts += 500_000;
            worker.busy_seconds += 0.5;
            worker.idle_seconds += 1.5;
        });
        top.choose(3);
        let lines = screen(&mut top);
        let row = words(&lines[7]);
        assert_eq!(row[1..6], ["25%", "75%", "5\u{202f}000\u{202f}000", "50", "20.0"]);
    }

    #[test]
    fn a_peer_that_is_spoken_to_in_two_ways_has_a_rate_for_each() {
        let (mut top, start) = (Top::default(), Instant::now());
        for (seconds, packets) in [(0, 10), (2, 94)] {
            let mut reading = reading(start + Duration::from_secs(seconds));
            let sent = Some(Volume { packets, bytes: 0 });
            reading.peers.push(Peer { index: 9, sent, ..reading.peers[0].clone() });
            top.take(Ok(reading));
        }
        top.choose(2);
        let lines = screen(&mut top);
        let rows = lines.iter().map(|line| words(line));
        let rows: Vec<_> = rows.filter(|row| row.first() == Some(&"192.0.2.2")).collect();
        let fast = rows.iter().filter(|row| row.contains(&"42")).count();
        assert_eq!((rows.len(), fast), (2, 1), "{rows:?}");
    }

    #[test]
    fn tables_are_chosen_sorted_and_turned_round() {
        let mut top = moved(|later| later.ports[1].rx_packets += 10);
        let names = |top: &mut Top| -> Vec<String> {
            screen(top)[7..9].iter().map(|line| words(line)[0].to_owned()).collect()
        };
        let all = reading(Instant::now()).ports;
        assert_eq!(names(&mut top)[0], all[1].name, "the busiest first");
        top.reverse();
        assert_ne!(names(&mut top)[0], all[1].name);
        top.reverse();
        for _ in 0..3 {
            top.sort_by(-1);
        }
        let sorted = names(&mut top);
        assert!(sorted.is_sorted(), "{sorted:?}");
        top.turn(-1);
        assert!(screen(&mut top)[6].contains("REASON"));
        top.turn(1);
        assert!(screen(&mut top)[6].contains("ROLE"));
    }

    #[test]
    fn trouble_is_shown_and_a_new_start_makes_no_rate() {
        let mut top = moved(|later| later.totals.rx += 100);
        top.take(Err(ClientError::NotRunning("/x/s".into())));
        assert!(screen(&mut top)[0].contains("no Ferry answers at /x/s"));
        let mut anew = reading(Instant::now() + Duration::from_secs(5));
        anew.totals.rx = 0;
        top.take(Ok(anew));
        let lines = screen(&mut top);
        assert!(!lines[0].contains("no Ferry"));
        assert_eq!(words(&lines[1])[1], "50", "the last that is known");
        assert!(lines[13].contains("q quit"));
    }
}
