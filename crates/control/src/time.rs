//! How times travel in JSON: durations as seconds, moments as seconds since 1970, both with a fraction.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For `#[serde(with = "time::seconds")]` on a [`Duration`].
pub(crate) mod seconds {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_secs_f64().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        from_seconds(f64::deserialize(deserializer)?)
    }
}

/// For `#[serde(with = "time::seconds_option")]` on an `Option<Duration>`.
pub(crate) mod seconds_option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|duration| duration.as_secs_f64()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(deserializer)?.map(from_seconds).transpose()
    }
}

/// For `#[serde(with = "time::moment")]` on a [`SystemTime`].
pub(crate) mod moment {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        // A clock set before 1970 is not worth an error in a status.
        value.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let since: Duration = from_seconds(f64::deserialize(deserializer)?)?;
        UNIX_EPOCH.checked_add(since).ok_or_else(|| serde::de::Error::custom("moment out of range"))
    }
}

/// For `#[serde(with = "time::moment_option")]` on an `Option<SystemTime>`.
pub(crate) mod moment_option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let since = value.map(|moment| moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        since.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let Some(seconds) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
        let moment = UNIX_EPOCH.checked_add(from_seconds(seconds)?);
        moment.map(Some).ok_or_else(|| serde::de::Error::custom("moment out of range"))
    }
}

fn from_seconds<E: serde::de::Error>(seconds: f64) -> Result<Duration, E> {
    Duration::try_from_secs_f64(seconds).map_err(E::custom)
}
