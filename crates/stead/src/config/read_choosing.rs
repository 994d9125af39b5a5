//! Reads the keys of an app's table that say to which worker a request goes, beyond the policy. The order is that of
//! `defaults.toml`.

use super::document::Problem;
use super::form::{Form, amount, boolean, count, integer, list, string};
use super::reader::Reader;
use super::settings::ChoosingSettings;
use stead_balancer::{NoShardKey, ShardKey};

/// Beyond this a weight is a way to say never, for which there are classes.
const WEIGHT_MAX: u32 = 1000;

pub(super) fn choosing(reader: &mut Reader) -> Result<ChoosingSettings, Problem> {
    Ok(ChoosingSettings {
        weights: reader.get("weights", list(weight()))?,
        priorities: reader.get("priorities", list(count(0)))?,
        shard: reader.get("shard", shard().or_off())?,
        sticky: reader.get("sticky", boolean())?,
        eject_failures: reader.get("eject_failures", count(1).or_off())?,
        eject_slower: reader.get("eject_slower", times().or_off())?,
    })
}

fn weight() -> Form<u32> {
    integer(1, WEIGHT_MAX.into()).map(|weight| u32::try_from(weight).unwrap_or(WEIGHT_MAX))
}

fn shard() -> Form<ShardKey> {
    let key = string().check(|text| text.parse().map_err(|error: NoShardKey| error.to_string()));
    key.written("^((cookie|header|query):.+|path:[1-9][0-9]*|client)$")
}

fn times() -> Form<f64> {
    amount().check(|times| match times > 1.0 {
        true => Ok(times),
        false => Err("must be more than 1: so many times as long as the others take".to_owned()),
    })
}
