//! What is wrong in a configuration file, and where.

use std::fmt;

/// One finding: `FILE:LINE: KEY PATH: what is wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1; `None` if the finding is about the file as a whole.
    pub line: Option<u32>,
    /// Column, from 1; only known where the file is no YAML.
    pub column: Option<u32>,
    /// Key path such as `networks[1].vni`, list positions from 0; empty at the top of the file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        for part in [&self.path, &self.message] {
            if !part.is_empty() {
                write!(f, ": {}", OneLine(part))?;
            }
        }
        Ok(())
    }
}

/// Text of the file, which may hold line ends and terminal escapes, on one harmless line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character.is_control() {
            true => write!(f, "{}", character.escape_default()),
            false => write!(f, "{character}"),
        })
    }
}

/// Every error of a configuration file, ordered by line; displayed as one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Diagnostic>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
