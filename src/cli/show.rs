//! `ferry show`: asks the running process and prints what it says.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::Resource;
use super::list::{self, List};
use super::plan::Show;
use super::watch::watch;
use crate::api::client::{Client, ClientError};
use crate::api::model::{DropCount, Group, Mirror, Network, Peer, Port, Totals, Worker};

/// Why nothing, or not all, was shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The running process gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Asks the running process and writes what it says, once or until told to stop. Ends without an error when the reader of
/// the output goes away, as `head` does.
pub fn show(show: &Show, output: impl Write) -> Result<(), ShowError> {
    let shown = match show.watch {
        Some(pause) => watch(show, pause),
        None => {
            let mut output = BufWriter::new(output);
            answer(show, &mut output).and_then(|()| Ok(output.flush()?))
        }
    };
    match shown {
        Err(ShowError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Asks once.
pub(super) fn answer(show: &Show, output: &mut impl Write) -> Result<(), ShowError> {
    let form = match (show.json, show.watch) {
        (false, _) => Form::Table,
        (true, None) => Form::Json,
        (true, Some(_)) => Form::JsonLine,
    };
    let mut client = Client::connect(&show.socket)?;
    match &show.resource {
        Resource::Ports => get::<Port>(&mut client, "/v1/ports", form, output),
        Resource::Networks => get::<Network>(&mut client, "/v1/networks", form, output),
        Resource::Macs(macs) => {
            let filter = macs.filter(&mut client)?;
            print(&client.macs(&filter)?, form, output)
        }
        Resource::Neighbours(of) => {
            let filter = of.filter(&mut client)?;
            print(&client.neighbours(&filter)?, form, output)
        }
        Resource::Groups => get::<Group>(&mut client, "/v1/groups", form, output),
        Resource::Peers => get::<Peer>(&mut client, "/v1/peers", form, output),
        Resource::Mirrors => get::<Mirror>(&mut client, "/v1/mirrors", form, output),
        Resource::Workers => get::<Worker>(&mut client, "/v1/workers", form, output),
        Resource::Drops { all: false } => get::<DropCount>(&mut client, "/v1/drops", form, output),
        Resource::Drops { all: true } => {
            get::<DropCount>(&mut client, "/v1/drops?all=true", form, output)
        }
        Resource::Config => {
            let config = client.get::<serde_json::Value>("/v1/config")?;
            Ok(form.write(&config, |config, output| list::write_json(config, output), output)?)
        }
        Resource::Totals => {
            let totals = client.get::<Totals>("/v1/totals")?;
            Ok(form.write(&totals, |totals, output| list::write_totals(totals, output), output)?)
        }
    }
}

/// How an answer is written.
#[derive(Clone, Copy)]
enum Form {
    /// For people.
    Table,
    Json,
    /// JSON that is a line.
    JsonLine,
}

impl Form {
    fn write<T: Serialize, W: Write>(
        self,
        value: &T,
        table: impl FnOnce(&T, &mut W) -> io::Result<()>,
        output: &mut W,
    ) -> io::Result<()> {
        match self {
            Form::Table => table(value, output),
            Form::Json => list::write_json(value, output),
            Form::JsonLine => {
                serde_json::to_writer(&mut *output, value)?;
                writeln!(output)
            }
        }
    }
}

fn get<T: List + Serialize + DeserializeOwned>(
    client: &mut Client,
    path: &str,
    form: Form,
    output: &mut impl Write,
) -> Result<(), ShowError> {
    print::<T>(&client.get::<Vec<T>>(path)?, form, output)
}

fn print<T: List + Serialize>(
    list: &[T],
    form: Form,
    output: &mut impl Write,
) -> Result<(), ShowError> {
    Ok(form.write(&list, |list, output| list::write(list, output), output)?)
}
