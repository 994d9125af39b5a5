//! When a worker that says nothing of itself is ready: once its program has got through its start.
//!
//! A Node.js program reads its channel between two turns of its event loop, and so for the first time after its main module has run.
//! What it is sent to read is one of Node.js's own messages, of a kind that Node.js does nothing with. Of any other program
//! nothing can be seen; it has to live for a moment.

use std::time::Duration;

use serde_json::json;
use stead_process::node::Channel;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);
/// The modules of a program may be loaded over more than one turn.
const READS: usize = 2;
/// A program that crashes as it starts usually does it within this time.
const LIVES: Duration = Duration::from_millis(200);

/// Waits until a worker is ready; nothing comes of one that has gone.
pub(super) async fn until_ready(channel: &Channel, is_node: bool) -> Option<()> {
    if !is_node {
        tokio::time::sleep(LIVES).await;
        return Some(());
    }
    for _ in 0..READS {
        channel.send(&json!({ "cmd": "NODE_STEAD" })).ok()?;
        while !channel.has_read().ok()? {
            tokio::time::sleep(LOOK).await;
        }
    }
    Some(())
}
