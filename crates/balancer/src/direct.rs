//! Gives whole connections to workers: for what is not HTTP, or where nothing shall stand between.
//!
//! Where the worker can take a connection over, it gets the client's own; elsewhere bytes are carried to one that is made to
//! it. Until a worker has accepted the client's own, or has said the first byte on one that is carried, the connection is ours:
//! if a worker refuses or dies before, the next one gets it, with all that the client has said, and the client notices nothing.
//! After that it is the worker's alone.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::getsockname;

use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::endpoint::{Hand, Road};
use crate::pool::{Lease, Pool};
use crate::proxy_protocol::announce;
use crate::replay::{Bounds, Death, Ending, History, Permission, Verdict};
use crate::schedule::Ask;
use crate::stream::Stream;
use crate::tunnel::{self, End, Tunnel};
use crate::upstream;

/// A connection that was not answered is at hand, whole, and may be served by another worker.
const KEPT: Permission = Permission { idempotent: true, kept: true, committed: false };

/// Gives the connection to a worker, and to another while none has accepted it or said a word on it.
pub(crate) async fn hand_over(pool: &Arc<Pool>, client: Stream, address: Option<SocketAddr>) {
    let mut client = Client::Here(client);
    let mut said = Vec::new();
    let bounds =
        Bounds { poison_deaths_max: pool.config.poison_deaths_max, replays_max: pool.config.replays_max };
    let mut history = History::new(bounds);
    let place = pool.config.affinity.place_of_client(address);
    let mut ask = Ask { place, ..Ask::default() };
    loop {
        let Ok(mut lease) = pool.lease(ask).await else { break };
        let endpoint = Arc::clone(&lease.endpoint);
        let given = match &endpoint.road {
            Road::Handed(hand) => give(&mut client, &**hand, address).await,
            Road::Unix(_) | Road::Tcp(_) => carry(&client, &mut said, (pool, &mut lease), address).await,
        };
        lease.taken();
        let Err(Refused { ending, death }) = given else { return lease.served() };
        lease.failed(true);
        match history.judge(ending, death, KEPT) {
            // Nobody knows how long it lasts: a worker for it alone would be lost to all others.
            Verdict::Replay | Verdict::ReplayAlone => {
                ask = Ask { avoid: Some(endpoint.id), replay: true, ..ask };
            }
            Verdict::Poison | Verdict::Fail | Verdict::Cut => break,
        }
    }
    // Nobody took it: closing it is all the answer a protocol we do not know allows.
    pool.count(|counters| counters.failed += 1);
}

/// What came of a connection that no worker has answered.
struct Refused {
    ending: Ending,
    death: Death,
}

impl Refused {
    /// No worker has seen it.
    const NEVER_SENT: Refused = Refused { ending: Ending::NeverSent, death: Death::None };
}

/// The client's connection, which leaves the event loop to be given away.
enum Client {
    Here(Stream),
    Leaving(OwnedFd),
    Gone,
}

impl Client {
    fn leave(&mut self) -> Option<OwnedFd> {
        if let Client::Here(stream) = std::mem::replace(self, Client::Gone) {
            *self = stream.into_descriptor().map_or(Client::Gone, Client::Leaving);
        }
        match self {
            Client::Leaving(descriptor) => descriptor.try_clone().ok(),
            Client::Here(_) | Client::Gone => None,
        }
    }
}

async fn give(client: &mut Client, hand: &dyn Hand, address: Option<SocketAddr>) -> Result<(), Refused> {
    let copy = client.leave().ok_or(Refused::NEVER_SENT)?;
    let answer = hand.give(copy, address).map_err(|_| Refused::NEVER_SENT)?;
    match answer.await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Refused::NEVER_SENT),
    }
}

/// Carries bytes to the worker and back, to the end of the connection; `said` is what the client has said before.
async fn carry(
    client: &Client,
    said: &mut Vec<u8>,
    (pool, lease): (&Pool, &mut Lease),
    address: Option<SocketAddr>,
) -> Result<(), Refused> {
    let Client::Here(client) = client else { return Err(Refused::NEVER_SENT) };
    let endpoint = Arc::clone(&lease.endpoint);
    let upstream = upstream::connect(&endpoint, address).await.map_err(|_| Refused::NEVER_SENT)?;
    if let Some(version) = pool.config.send_proxy {
        let server = getsockname(client).ok().and_then(|name| SocketAddr::try_from(name).ok());
        // Not a byte of the client's has been sent with it.
        let header = announce(version, address, server);
        upstream.stream.write_all(&header).await.map_err(|_| Refused::NEVER_SENT)?;
    }
    lease.taken();
    let tunnel = Tunnel {
        client,
        worker: &upstream.stream,
        upward: std::mem::take(said).into(),
        downward: Buffer::default(),
        endpoint: &endpoint,
        websocket: false,
        idle_timeout: pool.config.idle_timeout,
        kept_bytes_max: Some(pool.config.replay_body_bytes_max),
    };
    match tunnel::carry(tunnel, &mut Alarm::default()).await {
        End::Over => Ok(()),
        End::Unanswered { said: again, death } => {
            *said = again;
            let ending = if said.is_empty() { Ending::NeverSent } else { Ending::MaybeRead };
            Err(Refused { ending, death })
        }
    }
}
