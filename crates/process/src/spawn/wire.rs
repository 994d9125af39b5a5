//! A [`SpawnSpec`] as JSON.
//!
//! JSON strings are Unicode and Unix strings are not, so what is not UTF-8 travels as a list of bytes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Identity, SpawnSpec};

#[derive(Serialize, Deserialize)]
pub(super) struct Spec {
    program: Text,
    arguments: Vec<Text>,
    directory: Option<Text>,
    environment: Vec<(Text, Text)>,
    descriptors: Vec<i32>,
    listen_pid: bool,
    open_files_max: Option<u64>,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    identity: Identity,
    #[serde(default)]
    cgroup: Option<Text>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Unicode(String),
    Bytes(Vec<u8>),
}

impl From<OsString> for Text {
    fn from(text: OsString) -> Self {
        match text.into_string() {
            Ok(text) => Self::Unicode(text),
            Err(text) => Self::Bytes(text.into_vec()),
        }
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> Self {
        match text {
            Text::Unicode(text) => text.into(),
            Text::Bytes(bytes) => Self::from_vec(bytes),
        }
    }
}

impl From<SpawnSpec> for Spec {
    fn from(spec: SpawnSpec) -> Self {
        Self {
            program: spec.program.into(),
            arguments: spec.arguments.into_iter().map(Text::from).collect(),
            directory: spec.directory.map(|directory| directory.into_os_string().into()),
            environment: spec
                .environment
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            descriptors: spec.descriptors,
            listen_pid: spec.listen_pid,
            open_files_max: spec.open_files_max,
            tag: spec.tag,
            identity: spec.identity,
            cgroup: spec.cgroup.map(|cgroup| cgroup.into_os_string().into()),
        }
    }
}

impl From<Spec> for SpawnSpec {
    fn from(spec: Spec) -> Self {
        Self {
            program: spec.program.into(),
            arguments: spec.arguments.into_iter().map(OsString::from).collect(),
            directory: spec.directory.map(|directory| PathBuf::from(OsString::from(directory))),
            environment: spec
                .environment
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            descriptors: spec.descriptors,
            listen_pid: spec.listen_pid,
            open_files_max: spec.open_files_max,
            tag: spec.tag,
            identity: spec.identity,
            cgroup: spec.cgroup.map(|cgroup| PathBuf::from(OsString::from(cgroup))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawn::ResourceName;

    #[test]
    fn text_that_is_not_unicode_survives() {
        let odd = OsString::from_vec(vec![b'a', 0xff, b'b']);
        let spec = SpawnSpec {
            program: odd.clone(),
            arguments: vec!["plain".into(), odd.clone()],
            directory: Some(PathBuf::from(odd.clone())),
            environment: vec![("KEY".into(), odd)],
            descriptors: vec![0, 7],
            listen_pid: true,
            open_files_max: Some(4096),
            tag: "shop.0".into(),
            identity: Identity {
                uid: Some(1000),
                umask: Some(0o027),
                limits: vec![(ResourceName::Core, Some(0)), (ResourceName::Nofile, None)],
                ..Identity::default()
            },
            cgroup: Some("/sys/fs/cgroup/shop".into()),
        };
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<SpawnSpec>(&json).unwrap(), spec);
        assert!(json.contains("\"plain\""), "what is Unicode stays readable");
    }
}
