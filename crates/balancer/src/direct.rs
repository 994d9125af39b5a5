//! Gives whole connections to workers: for what is not HTTP, or where nothing shall stand between.
//!
//! Where the worker can take a connection over, it gets the client's own; elsewhere bytes are carried to one that is made to
//! it. Until then the connection is ours: if a worker refuses or dies before, the next one gets it and the client notices
//! nothing. After that it is the worker's alone.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::endpoint::{Hand, Road};
use crate::pool::{Lease, Pool};
use crate::schedule::Ask;
use crate::stream::Stream;
use crate::tunnel::{self, Tunnel};
use crate::upstream;

/// Gives the connection to a worker, and to another while none has accepted it.
pub(crate) async fn hand_over(pool: &Arc<Pool>, client: Stream, address: Option<SocketAddr>) {
    let mut client = Client::Here(client);
    let mut ask = Ask::default();
    for _ in 0..=pool.config.replays_max {
        let Ok(mut lease) = pool.lease(ask).await else { break };
        let endpoint = Arc::clone(&lease.endpoint);
        let given = match &endpoint.road {
            Road::Handed(hand) => give(&mut client, &**hand, address).await,
            Road::Unix(_) | Road::Tcp(_) => carry(&client, (pool, &mut lease), address).await,
        };
        lease.taken();
        if given {
            return;
        }
        lease.failed();
        ask = Ask { avoid: Some(endpoint.id), replay: true, ..Ask::default() };
    }
    // Nobody took it: closing it is all the answer a protocol we do not know allows.
    pool.count(|counters| counters.failed += 1);
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

async fn give(client: &mut Client, hand: &dyn Hand, address: Option<SocketAddr>) -> bool {
    let Some(copy) = client.leave() else { return false };
    match hand.give(copy, address) {
        Ok(answer) => answer.await.unwrap_or(false),
        Err(_) => false,
    }
}

/// Carries bytes to the worker and back, to the end of the connection.
async fn carry(client: &Client, (pool, lease): (&Pool, &mut Lease), address: Option<SocketAddr>) -> bool {
    let Client::Here(client) = client else { return false };
    let endpoint = Arc::clone(&lease.endpoint);
    let Ok(upstream) = upstream::connect(&endpoint, address).await else { return false };
    lease.taken();
    let tunnel = Tunnel {
        client,
        worker: &upstream.stream,
        upward: Buffer::default(),
        downward: Buffer::default(),
        endpoint: &endpoint,
        websocket: false,
        idle_timeout: pool.config.idle_timeout,
    };
    tunnel::carry(tunnel, &mut Alarm::default()).await;
    true
}
