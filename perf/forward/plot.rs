//! The figures as an SVG: a group of bars for each case, a bar for each contender.

use std::fmt::Write;

use super::contender::CONTENDERS;
use super::report::{Row, mega};

/// Colours of the contenders, in their order.
const COLOURS: [&str; 6] = ["#9aa0a6", "#c7cbd1", "#e0a030", "#b06a10", "#5a8f4e", "#1a66b8"];
const BAR: usize = 12;
const LABELS: usize = 190;
const BARS: f64 = 520.0;
const WIDTH: usize = 820;
const TOP: usize = 48;

/// Rates of all contenders in all cases, as a chart of horizontal bars with the figures beside them.
pub fn rates(rows: &[Row], title: &str) -> String {
    let medians = rows.iter().flat_map(|row| CONTENDERS.map(|(name, _)| row.median(name)));
    let greatest = medians.flatten().fold(1.0, f64::max);
    let group = CONTENDERS.len() * BAR + 14;
    let height = TOP + rows.len() * group + 10;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"16\" font-size=\"13\">{}</text>\n",
        escape(title)
    );
    for (number, ((name, _), colour)) in CONTENDERS.iter().zip(COLOURS).enumerate() {
        let x = 10 + number * 135;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"26\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"35\">{name}</text>",
            x + 14
        );
    }
    for (number, row) in rows.iter().enumerate() {
        let top = TOP + number * group;
        let _ =
            writeln!(svg, "<text x=\"10\" y=\"{}\">{}</text>", top + group / 2, row.case.name());
        for (place, ((name, _), colour)) in CONTENDERS.iter().zip(COLOURS).enumerate() {
            let Some(rate) = row.median(name) else { continue };
            let (y, width) = (top + place * BAR, rate / greatest * BARS);
            let _ = writeln!(
                svg,
                "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{:.2}</text>",
                BAR - 2,
                LABELS as f64 + width + 4.0,
                y + BAR - 3,
                mega(rate)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
