//! The text that is scraped.

use super::operator::{Bench, status};
use crate::metrics::text;

#[test]
fn a_status_becomes_open_metrics() {
    insta::assert_snapshot!("metrics", text(status()));
}

#[tokio::test]
async fn metrics_are_scraped_over_the_socket() {
    let bench = Bench::start();
    assert_eq!(bench.client.metrics().await.unwrap(), text(status()));
}
