//! Hands whole connections to workers: for what is not HTTP, or where nothing shall stand between.
//!
//! A connection stays ours until the worker has accepted it: if it refuses or dies before, the next worker gets it and
//! the client notices nothing. After that it is the worker's alone.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::endpoint::Road;
use crate::pool::Pool;
use crate::schedule::Ask;
use crate::stream::Stream;

/// Gives the connection to a worker, and to another while none has accepted it.
pub(crate) async fn hand_over(pool: &Arc<Pool>, stream: Stream, client: Option<SocketAddr>) {
    let Ok(connection) = stream.into_descriptor() else { return };
    let mut ask = Ask::default();
    for _ in 0..=pool.config.replays_max {
        let Ok(mut lease) = pool.lease(ask).await else { break };
        let Road::Handed(hand) = &lease.endpoint.road else { break };
        let Ok(copy) = connection.try_clone() else { break };
        let accepted = match hand.give(copy, client) {
            Ok(answer) => answer.await.unwrap_or(false),
            Err(_) => false,
        };
        lease.taken();
        if accepted {
            return;
        }
        lease.failed();
        ask = Ask { avoid: Some(lease.endpoint.id), replay: true, ..Ask::default() };
    }
    // Nobody took it: closing it is all the answer a protocol we do not know allows.
    pool.count(|counters| counters.failed += 1);
}
