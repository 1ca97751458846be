//! `ferry check`: what a configuration says, or what is wrong with it.

use std::fmt::Display;
use std::io::{self, Write};

use super::exit::Exit;

/// Prints what came of loading a configuration: its summary to `output` after its warnings to `errors`, or its
/// errors, a line each, to `errors`.
pub fn check<Summary: Display, Warning: Display>(
    loaded: Result<(Summary, &[Warning]), impl Display>,
    output: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<Exit> {
    match loaded {
        Ok((summary, warnings)) => {
            for warning in warnings {
                writeln!(errors, "{warning}")?;
            }
            writeln!(output, "{}", summary.to_string().trim_end())?;
            Ok(Exit::Fine)
        }
        Err(problems) => {
            writeln!(errors, "{}", problems.to_string().trim_end())?;
            Ok(Exit::Refused)
        }
    }
}
