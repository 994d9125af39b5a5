//! Finds the route of a request: of those that match, the one with the longest host, and among them the one with the
//! longest path.
//!
//! Two small tries, hosts by labels from the right and paths by segments from the left, so that the search takes as many steps as
//! the request has labels and segments that any route knows, however many routes there are. It allocates nothing, but for paths
//! with escapes.

use std::collections::HashMap;

use super::path;
use super::pattern::{Host, Pattern};

/// The longest name there is (RFC 1035 §2.3.4), with some room.
const HOST_BYTES_MAX: usize = 256;

/// Why no route was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No route is for this host, whatever the path.
    Host,
    /// Some are for this host and other paths.
    Path,
    /// The path has segments that programs resolve differently: the request is to be refused.
    Dots,
}

/// Routes, each with a value.
#[derive(Debug)]
pub struct Table<T> {
    hosts: HostNode<T>,
    any_host: PathNode<T>,
    has_paths: bool,
}

#[derive(Debug)]
struct HostNode<T> {
    /// By the label in front.
    children: HashMap<Box<[u8]>, HostNode<T>>,
    exact: PathNode<T>,
    below: PathNode<T>,
}

#[derive(Debug)]
struct PathNode<T> {
    children: HashMap<Box<[u8]>, PathNode<T>>,
    value: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { hosts: HostNode::default(), any_host: PathNode::default(), has_paths: false }
    }
}

impl<T> Default for HostNode<T> {
    fn default() -> Self {
        Self { children: HashMap::new(), exact: PathNode::default(), below: PathNode::default() }
    }
}

impl<T> Default for PathNode<T> {
    fn default() -> Self {
        Self { children: HashMap::new(), value: None }
    }
}

impl<T> Table<T> {
    /// Adds a route. One that is there already stays, and the value is given back.
    ///
    /// # Errors
    /// There is an equal one.
    pub fn insert(&mut self, pattern: &Pattern, value: T) -> Result<(), T> {
        let mut node = match &pattern.host {
            Host::Any => &mut self.any_host,
            Host::Exact(name) => &mut self.hosts.at(name).exact,
            Host::Below(name) => &mut self.hosts.at(name).below,
        };
        for segment in &pattern.path {
            node = node.children.entry(segment.as_bytes().into()).or_default();
        }
        if node.value.is_some() {
            return Err(value);
        }
        node.value = Some(value);
        self.has_paths |= pattern.has_path();
        Ok(())
    }

    /// The value of the route for a request: its host, with a port or without, and its path as it came, without the query.
    ///
    /// # Errors
    /// There is none; or whether there is depends on who reads the path.
    pub fn find(&self, host: &[u8], path: &[u8]) -> Result<&T, Miss> {
        let decoded = path::decode(if self.has_paths { path } else { b"" });
        if path::has_dots(&decoded) {
            return Err(Miss::Dots);
        }
        let mut folded = [0; HOST_BYTES_MAX];
        let mut knows_host = false;
        let named = fold(host, &mut folded).and_then(|host| self.hosts.find(host, &decoded, &mut knows_host));
        named.or_else(|| self.any_host.find(&decoded, &mut knows_host)).ok_or(if knows_host {
            Miss::Path
        } else {
            Miss::Host
        })
    }
}

/// In lower case, without port and last dot; nothing for one that is longer than any name.
fn fold<'f>(host: &[u8], folded: &'f mut [u8; HOST_BYTES_MAX]) -> Option<&'f [u8]> {
    // A port follows the last colon, unless that stands in the brackets of an IPv6 address.
    let port = host.iter().rposition(|byte| *byte == b':').filter(|at| !host[*at..].contains(&b']'));
    let name = &host[..port.unwrap_or(host.len())];
    let name = name.strip_suffix(b".").unwrap_or(name);
    let folded = folded.get_mut(..name.len())?;
    folded.copy_from_slice(name);
    folded.make_ascii_lowercase();
    Some(folded)
}

impl<T> HostNode<T> {
    fn at(&mut self, name: &str) -> &mut Self {
        let labels = name.as_bytes().rsplit(|byte| *byte == b'.');
        labels.fold(self, |node, label| node.children.entry(label.into()).or_default())
    }

    /// `host` is what stands in front of this node's own labels. Goes as deep as routes do.
    fn find(&self, host: &[u8], path: &[u8], knows_host: &mut bool) -> Option<&T> {
        let (front, label) = match host.iter().rposition(|byte| *byte == b'.') {
            Some(dot) => (Some(&host[..dot]), &host[dot + 1..]),
            None => (None, host),
        };
        let child = self.children.get(label)?;
        match front {
            None => child.exact.find(path, knows_host),
            Some(front) => {
                let longer = child.find(front, path, knows_host);
                longer.or_else(|| child.below.find(path, knows_host))
            }
        }
    }
}

impl<T> PathNode<T> {
    fn find(&self, decoded: &[u8], knows_host: &mut bool) -> Option<&T> {
        *knows_host |= self.value.is_some() || !self.children.is_empty();
        let mut node = self;
        let mut found = node.value.as_ref();
        if self.children.is_empty() {
            return found;
        }
        for segment in path::segments(decoded) {
            match node.children.get(segment) {
                Some(child) => node = child,
                None => break,
            }
            found = node.value.as_ref().or(found);
        }
        found
    }
}
