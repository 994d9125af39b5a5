//! How apps are asked for, so that the asking can be repeated: at a restart, after a reboot, by another daemon.

use crate::Text;
use serde::{Deserialize, Serialize};

/// What was asked for, where, and in which environment. Evaluated anew at each restart and reload, so that files it
/// names are read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The words after `stead run` that mean the same.
    pub arguments: Vec<Text>,
    /// The directory they were said in; absolute.
    pub directory: Text,
    /// The environment they were said in. It may hold secrets.
    pub environment: Environment,
}

/// Variables, by name.
pub type Environment = Vec<(Text, Text)>;

/// What to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Where the apps come from.
    pub definition: Definition,
    /// Names of the apps to take from it; none means all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Apps that are there already get this definition. What runs of them goes on as it is, until it is restarted or
    /// reloaded.
    #[serde(default)]
    pub redefine: bool,
    /// Add the apps without starting them.
    #[serde(default)]
    pub stopped: bool,
}

/// What became of a [`StartRequest`]. Starting has begun, it is not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAnswer {
    /// Apps that were added, or had been stopped, and start now.
    pub started: Vec<String>,
    /// Apps that run already.
    pub already: Vec<String>,
    /// Those of `already` that run by another definition and keep it.
    #[serde(default)]
    pub differing: Vec<String>,
    /// What of a file in another program's form was not taken over, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// An app as it is kept over a reboot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedApp {
    /// Its number in lists.
    pub id: u32,
    /// Which of the apps of its definition it is.
    pub name: String,
    /// Where it comes from.
    pub definition: Definition,
    /// It was running, or meant to.
    pub wanted: bool,
    /// The number of workers, where `stead scale` changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
}

/// What to take along into a restart or a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// Replaces the environment of the definition, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
}
