//! `ferry show`: asks the running process and prints what it says.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{Resource, Show};
use super::list::{self, List};
use crate::api::client::{Client, ClientError};
use crate::api::model::{DropCount, Group, Network, Peer, Port, Totals, Worker};

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

/// Asks the running process and writes what it says. Ends without an error when the reader of the output goes
/// away, as `head` does.
pub fn show(show: &Show, output: impl Write) -> Result<(), ShowError> {
    let mut output = BufWriter::new(output);
    match answer(show, &mut output).and_then(|()| Ok(output.flush()?)) {
        Err(ShowError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn answer(show: &Show, output: &mut impl Write) -> Result<(), ShowError> {
    let json = show.json;
    let mut client = Client::connect(&show.socket)?;
    match &show.resource {
        Resource::Ports => get::<Port>(&mut client, "/v1/ports", json, output),
        Resource::Networks => get::<Network>(&mut client, "/v1/networks", json, output),
        Resource::Macs(macs) => print(&client.macs(&macs.filter())?, json, output),
        Resource::Neighbours(of) => print(&client.neighbours(&of.filter())?, json, output),
        Resource::Groups => get::<Group>(&mut client, "/v1/groups", json, output),
        Resource::Peers => get::<Peer>(&mut client, "/v1/peers", json, output),
        Resource::Workers => get::<Worker>(&mut client, "/v1/workers", json, output),
        Resource::Drops { all: false } => get::<DropCount>(&mut client, "/v1/drops", json, output),
        Resource::Drops { all: true } => {
            get::<DropCount>(&mut client, "/v1/drops?all=true", json, output)
        }
        Resource::Config => {
            Ok(list::write_json(&client.get::<serde_json::Value>("/v1/config")?, output)?)
        }
        Resource::Totals => {
            let totals: Totals = client.get("/v1/totals")?;
            if json {
                list::write_json(&totals, output)?;
            } else {
                list::write_totals(&totals, output)?;
            }
            Ok(())
        }
    }
}

fn get<T: List + Serialize + DeserializeOwned>(
    client: &mut Client,
    path: &str,
    json: bool,
    output: &mut impl Write,
) -> Result<(), ShowError> {
    print::<T>(&client.get::<Vec<T>>(path)?, json, output)
}

fn print<T: List + Serialize>(
    list: &[T],
    json: bool,
    output: &mut impl Write,
) -> Result<(), ShowError> {
    if json {
        list::write_json(&list, output)?;
    } else {
        list::write(list, output)?;
    }
    Ok(())
}
