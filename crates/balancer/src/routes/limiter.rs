//! How often each client may ask: a bucket of tokens for every address, in memory that does not grow.
//!
//! A bucket is one number, the time at which it will be full again (the generic cell rate algorithm): a client whose time has
//! passed needs no memory at all. The table has places for so many clients; when those that a client may take are all taken, it takes
//! that of the one which is nearest to a full bucket, who then begins anew. Many clients can thus make the limit looser for some,
//! never stricter for anybody.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients that are remembered; 16 bytes each, which the system gives only as they are used.
const CLIENTS_MAX: usize = 64 * 1024;
/// Places that one client may take.
const WAYS: usize = 8;

/// Counts the requests of clients.
#[derive(Debug)]
pub struct Limiter {
    /// Between two requests of a client that asks steadily.
    interval: u64,
    /// Of a full bucket.
    period: u64,
    began: Instant,
    hashing: RandomState,
    /// Who, and when its bucket is full again; zeros are a free place.
    places: Mutex<Vec<[u64; 2]>>,
}

impl Limiter {
    /// `count` requests at once, and as many again in each `period`. Neither is zero.
    #[must_use]
    pub fn new(count: u32, period: Duration) -> Self {
        Self::with_room(count, period, CLIENTS_MAX)
    }

    fn with_room(count: u32, period: Duration, clients_max: usize) -> Self {
        let interval = (nanoseconds(period) / u64::from(count.max(1))).max(1);
        Self {
            interval,
            period: interval.saturating_mul(u64::from(count)),
            began: Instant::now(),
            hashing: RandomState::new(),
            places: Mutex::new(vec![[0; 2]; clients_max]),
        }
    }

    /// Takes a token from the client's bucket; all without an address are one client, and so is an IPv6 network of 64 bits.
    ///
    /// # Errors
    /// It is empty; there will be a token after this time.
    pub fn admit(&self, now: Instant, client: Option<IpAddr>) -> Result<(), Duration> {
        // Zero is for free places.
        let client = self.hashing.hash_one(client.map(network)) | 1;
        let now = nanoseconds(now.saturating_duration_since(self.began)) + 1;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let first = (client >> 8) as usize % (places.len() / WAYS) * WAYS;
        let ways = &mut places[first..first + WAYS];
        let known = ways.iter().position(|[who, _]| *who == client);
        let place = known.unwrap_or_else(|| nearest_to_full(ways));
        let full_at = if known.is_some() { ways[place][1].max(now) } else { now };
        let then = full_at + self.interval;
        match then.checked_sub(now + self.period) {
            None | Some(0) => {
                ways[place] = [client, then];
                Ok(())
            }
            Some(early) => Err(Duration::from_nanos(early)),
        }
    }
}

fn nearest_to_full(ways: &[[u64; 2]]) -> usize {
    let found = ways.iter().enumerate().min_by_key(|(_, [_, full_at])| *full_at);
    found.map_or(0, |(place, _)| place)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// Who can change the last 64 bits of an address at will is one client.
fn network(client: IpAddr) -> [u8; 8] {
    let mut network = [0; 8];
    match client.to_canonical() {
        IpAddr::V4(address) => network[4..].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => network.copy_from_slice(&address.octets()[..8]),
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("it is an address"))
    }

    /// Requests of one client at these milliseconds, and whether each was let in; if not, after how long it may come again.
    #[track_caller]
    fn check(count: u32, period: Duration, requests: &[(u64, Result<(), u64>)]) {
        let limiter = Limiter::new(count, period);
        for (at, expected) in requests {
            let got = limiter.admit(limiter.began + Duration::from_millis(*at), address("192.0.2.1"));
            assert_eq!(got, expected.map_err(Duration::from_millis), "at {at} of {requests:?}");
        }
    }

    #[test]
    fn bucket_empties_and_fills_at_its_rate() {
        let second = Duration::from_secs(1);
        check(1, second, &[(0, Ok(())), (0, Err(1000)), (999, Err(1)), (1000, Ok(())), (1000, Err(1000))]);
        check(
            4,
            second,
            &[
                (0, Ok(())),
                (0, Ok(())),
                (0, Ok(())),
                (0, Ok(())),
                (0, Err(250)),
                (250, Ok(())),
                (300, Err(200)),
            ],
        );
        // What was refused is not counted against anybody.
        check(
            2,
            second,
            &[(0, Ok(())), (0, Ok(())), (1, Err(499)), (2, Err(498)), (500, Ok(())), (900, Err(100))],
        );
        // A bucket does not get fuller than full.
        check(2, second, &[(60_000, Ok(())), (60_000, Ok(())), (60_000, Err(500))]);
        check(1, Duration::from_secs(3600), &[(0, Ok(())), (1_800_000, Err(1_800_000)), (3_600_000, Ok(()))]);
    }

    #[test]
    fn every_client_has_a_bucket_of_its_own_and_a_network_of_one_owner_is_one_client() {
        let limiter = Limiter::new(1, Duration::from_secs(1));
        let admit = |client: Option<IpAddr>| limiter.admit(limiter.began, client).is_ok();
        assert!(admit(address("192.0.2.1")) && !admit(address("192.0.2.1")));
        assert!(admit(address("192.0.2.2")));
        assert!(!admit(address("::ffff:192.0.2.2")), "the same client at an IPv6 socket");
        assert!(admit(address("2001:db8:0:1::1")) && !admit(address("2001:db8:0:1:ffff::")));
        assert!(admit(address("2001:db8:0:2::1")));
        assert!(admit(None) && !admit(None));
    }

    #[test]
    fn more_clients_than_places_make_nobody_wait() {
        let limiter = Limiter::with_room(10, Duration::from_secs(1), 64);
        for round in 0..5 {
            for host in 0..10_000_u32 {
                let client = IpAddr::from((host + 1).to_be_bytes());
                assert!(limiter.admit(limiter.began, Some(client)).is_ok(), "{client} in round {round}");
            }
        }
        assert_eq!(limiter.places.lock().expect("nobody else").len(), 64);
    }

    #[test]
    fn rates_of_any_size_keep_their_measure() {
        for (count, period) in [(u32::MAX, 1), (1, 86_400), (1_000_000, 1), (7, 3600)] {
            let limiter = Limiter::new(count, Duration::from_secs(period));
            assert!(limiter.admit(limiter.began, None).is_ok(), "{count} in {period} s");
        }
    }
}
