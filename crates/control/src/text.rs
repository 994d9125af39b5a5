//! Words, paths and variables as the system has them: any bytes. JSON has only Unicode, so what is not is a list of bytes there.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A text of the system's. In JSON a string, or a list of bytes when it is not Unicode.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(OsString);

impl Text {
    /// As the system wants it.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// As the system wants it, to keep.
    pub fn into_os_string(self) -> OsString {
        self.0
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl From<OsString> for Text {
    fn from(text: OsString) -> Text {
        Text(text)
    }
}

impl From<PathBuf> for Text {
    fn from(path: PathBuf) -> Text {
        Text(path.into_os_string())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.into())
    }
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Text {
        Text(text.to_owned())
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Text {
        Text(path.into())
    }
}

/// For people: what is not Unicode is replaced.
impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_string_lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Unicode(String),
    Bytes(Vec<u8>),
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => text.serialize(serializer),
            None => self.0.as_bytes().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Unicode(text) => Text(text.into()),
            Written::Bytes(bytes) => Text(OsString::from_vec(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_json() {
        let check = |bytes: &[u8], written: &str| {
            let text = Text(OsString::from_vec(bytes.to_vec()));
            assert_eq!(serde_json::to_string(&text).unwrap(), written);
            assert_eq!(serde_json::from_str::<Text>(written).unwrap(), text);
        };
        check(b"server.js", "\"server.js\"");
        check("h\u{e4}".as_bytes(), "\"h\u{e4}\"");
        check(b"", "\"\"");
        check(b"a\xff", "[97,255]");
    }
}
