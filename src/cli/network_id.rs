//! Networks, as people name them.

use std::str::FromStr;

use axum::http::StatusCode;

use crate::api::client::{Client, ClientError};
use crate::api::model::Network;
use crate::wire::Vni;

/// A network of a running Ferry. A number is its VNI, whatever networks are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkId {
    /// By its VNI.
    Vni(u32),
    /// By its name.
    Name(String),
}

impl From<u32> for NetworkId {
    fn from(vni: u32) -> Self {
        Self::Vni(vni)
    }
}

impl FromStr for NetworkId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<u64>() {
            Ok(number) => Vni::try_from(number)
                .map(|vni| Self::Vni(vni.get()))
                .map_err(|error| error.to_string()),
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl NetworkId {
    /// Its VNI, for which the running process is asked where only the name is known.
    pub(super) fn vni(&self, client: &mut Client) -> Result<u32, ClientError> {
        let name = match self {
            Self::Vni(vni) => return Ok(*vni),
            Self::Name(name) => name,
        };
        let networks: Vec<Network> = client.get("/v1/networks")?;
        if let Some(network) = networks.iter().find(|network| network.name == *name) {
            return Ok(network.vni);
        }
        let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
        let instead = match crate::config::nearest(name, &names) {
            Some(near) => format!("did you mean '{near}'?"),
            None => {
                "'ferry show networks' lists those that there are; a new one is named by its VNI"
                    .to_owned()
            }
        };
        let error = format!("no network is called '{name}'; {instead}");
        Err(ClientError::Refused { status: StatusCode::NOT_FOUND, error })
    }
}
