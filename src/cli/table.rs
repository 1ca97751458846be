//! Plain tables: aligned columns, two spaces apart, no borders.

use std::io::{self, Write};

/// A column's heading and which side its cells are flush with.
pub(super) enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn heading(&self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }
}

/// Writes rows under their headings; without any heading just the rows.
pub(super) fn write<const N: usize>(
    output: &mut impl Write,
    columns: &[Column; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let headings = columns.each_ref().map(|column| column.heading().to_owned());
    let width = |text: &String| text.chars().count();
    let mut widths = headings.each_ref().map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let headings = headings.iter().any(|heading| !heading.is_empty()).then_some(&headings);
    for row in headings.into_iter().chain(rows) {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(columns).zip(widths) {
            line += &match column {
                Column::Left(_) => format!("{cell:<width$}  "),
                Column::Right(_) => format!("{cell:>width$}  "),
            };
        }
        writeln!(output, "{}", line.trim_end())?;
    }
    Ok(())
}
