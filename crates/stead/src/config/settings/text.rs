//! Paths, words and variables written as data: a string where they are Unicode, else their bytes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use stead_control::Text;

/// What holds texts of the system's.
pub(in crate::config) trait Native: Sized {
    /// The same as data.
    type Written: Serialize + DeserializeOwned;

    fn written(&self) -> Self::Written;

    fn native(written: Self::Written) -> Self;
}

impl Native for OsString {
    type Written = Text;

    fn written(&self) -> Text {
        self.as_os_str().into()
    }

    fn native(written: Text) -> OsString {
        written.into_os_string()
    }
}

impl Native for PathBuf {
    type Written = Text;

    fn written(&self) -> Text {
        self.as_path().into()
    }

    fn native(written: Text) -> PathBuf {
        written.into_os_string().into()
    }
}

impl<T: Native> Native for Option<T> {
    type Written = Option<T::Written>;

    fn written(&self) -> Self::Written {
        self.as_ref().map(T::written)
    }

    fn native(written: Self::Written) -> Self {
        written.map(T::native)
    }
}

impl<T: Native> Native for Vec<T> {
    type Written = Vec<T::Written>;

    fn written(&self) -> Self::Written {
        self.iter().map(T::written).collect()
    }

    fn native(written: Self::Written) -> Self {
        written.into_iter().map(T::native).collect()
    }
}

/// As pairs: a JSON object's keys must be Unicode.
impl Native for BTreeMap<OsString, OsString> {
    type Written = Vec<(Text, Text)>;

    fn written(&self) -> Self::Written {
        self.iter().map(|(name, value)| (name.written(), value.written())).collect()
    }

    fn native(written: Self::Written) -> Self {
        let pairs = written.into_iter();
        pairs.map(|(name, value)| (name.into_os_string(), value.into_os_string())).collect()
    }
}

/// For `#[serde(with)]`.
pub(in crate::config) fn serialize<T: Native, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.written().serialize(serializer)
}

/// For `#[serde(with)]`.
pub(in crate::config) fn deserialize<'de, T: Native, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::Written::deserialize(deserializer).map(T::native)
}
