//! The table finds what the sentence says: of the routes that match, the one with the longest host, then the longest path.

use super::{Miss, Pattern, Table};

#[track_caller]
fn table(routes: &[&str]) -> Table<String> {
    let mut table = Table::default();
    for route in routes {
        let pattern: Pattern = route.parse().expect("it is a route");
        table.insert(&pattern, (*route).to_owned()).expect("none is there twice");
    }
    table
}

#[track_caller]
fn check(routes: &[&str], requests: &[(&str, &str, Result<&str, Miss>)]) {
    let backwards: Vec<_> = routes.iter().rev().copied().collect();
    for (table, order) in [(table(routes), "as written"), (table(&backwards), "backwards")] {
        for (host, path, expected) in requests {
            let found = table.find(host.as_bytes(), path.as_bytes()).map(String::as_str);
            assert_eq!(found, *expected, "{host} {path}, {order}");
        }
    }
}

#[test]
fn host_is_compared_without_case_port_and_last_dot() {
    let shop = Ok("shop.example.org");
    check(
        &["shop.example.org", "[::1]", "127.0.0.1"],
        &[
            ("shop.example.org", "/", shop),
            ("SHOP.Example.Org", "/a/b", shop),
            ("shop.example.org:8080", "/", shop),
            ("shop.example.org.", "/", shop),
            ("shop.example.org.:80", "/", shop),
            ("shop.example.org:", "/", shop),
            ("[::1]", "/", Ok("[::1]")),
            ("[::1]:8080", "/", Ok("[::1]")),
            ("127.0.0.1:1", "/", Ok("127.0.0.1")),
            ("example.org", "/", Err(Miss::Host)),
            ("a.shop.example.org", "/", Err(Miss::Host)),
            ("shop.example.org..", "/", Err(Miss::Host)),
            ("hop.example.org", "/", Err(Miss::Host)),
            ("", "/", Err(Miss::Host)),
            (".", "/", Err(Miss::Host)),
            (&"a".repeat(10_000), "/", Err(Miss::Host)),
        ],
    );
}

#[test]
fn longest_host_wins_and_then_the_longest_path() {
    check(
        &["example.org", "example.org/shop", "*.example.org", "*.shop.example.org/a", "/shop", "/shop/cart"],
        &[
            ("example.org", "/", Ok("example.org")),
            ("example.org", "/shop", Ok("example.org/shop")),
            ("example.org", "/shop/cart", Ok("example.org/shop")),
            ("example.org", "/shopping", Ok("example.org")),
            ("www.example.org", "/shop", Ok("*.example.org")),
            ("a.b.example.org", "/", Ok("*.example.org")),
            ("x.shop.example.org", "/a/b", Ok("*.shop.example.org/a")),
            // A longer host that does not want the path leaves it to a shorter one.
            ("x.shop.example.org", "/b", Ok("*.example.org")),
            ("other.net", "/shop/cart/1", Ok("/shop/cart")),
            ("other.net", "/shop/car", Ok("/shop")),
            ("", "/shop", Ok("/shop")),
            ("other.net", "/", Err(Miss::Path)),
        ],
    );
}

#[test]
fn who_has_the_host_and_not_the_path_is_told_so() {
    check(
        &["example.org/a", "*.example.org/b"],
        &[
            ("example.org", "/b", Err(Miss::Path)),
            ("www.example.org", "/a", Err(Miss::Path)),
            ("example.net", "/a", Err(Miss::Host)),
            ("org", "/a", Err(Miss::Host)),
        ],
    );
}

#[test]
fn no_spelling_gets_past_the_route_of_a_path() {
    let api = Ok("/api");
    let other = Ok("/");
    let dots = Err(Miss::Dots);
    check(
        &["/", "/api"],
        &[
            ("", "/api", api),
            ("", "//api", api),
            ("", "/%61pi/x", api),
            ("", "/api%2Fx", api),
            ("", "/api;x", api),
            ("", "/api\\x", api),
            ("", "/api?", other),
            ("", "/%2561pi", other),
            ("", "/API", other),
            ("", "/x/../api", dots),
            ("", "/api/../admin", dots),
            ("", "/%2e%2e/api", dots),
            ("", "/x%2f..%2fapi", dots),
            ("", "/x/..;/api", dots),
        ],
    );
}

#[test]
fn paths_are_not_looked_at_where_no_route_has_one() {
    check(&["example.org"], &[("example.org", "/a/../b", Ok("example.org"))]);
}

#[test]
fn equal_routes_are_found_however_they_are_written() {
    let mut table = table(&["example.org/shop"]);
    let same: Pattern = "EXAMPLE.org.//shop/".parse().expect("it is a route");
    assert_eq!(table.insert(&same, "again".to_owned()), Err("again".to_owned()));
    assert_eq!(table.find(b"example.org", b"/shop").map(String::as_str), Ok("example.org/shop"));
}

/// xorshift64*: enough to mix test data.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn joined(&mut self, words: &[&str], separator: &str, count: usize) -> String {
        let words: Vec<_> = (0..self.below(count + 1)).map(|_| words[self.below(words.len())]).collect();
        words.join(separator)
    }
}

/// The same by looking at every route.
fn naive<'r>(routes: &'r [String], host: &str, path: &str) -> Option<&'r String> {
    let labels = |host: &str| host.split('.').map(str::to_owned).collect::<Vec<_>>();
    let segments = |path: &str| {
        path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let matches = |route: &&String| {
        let (wanted, prefix) = route.split_at(route.find('/').unwrap_or(route.len()));
        let host_matches = match wanted.strip_prefix("*.") {
            _ if wanted.is_empty() => true,
            Some(below) => labels(host).len() > labels(below).len() && labels(host).ends_with(&labels(below)),
            None => wanted == host,
        };
        host_matches && segments(path).starts_with(&segments(prefix))
    };
    let length = |route: &&String| {
        let (host, prefix) = route.split_at(route.find('/').unwrap_or(route.len()));
        let wild = host.starts_with('*');
        let count = if host.is_empty() { 0 } else { labels(host).len() };
        (!wild && count > 0, count, segments(prefix).len())
    };
    routes.iter().filter(matches).max_by_key(length)
}

#[test]
fn table_finds_what_looking_at_every_route_finds() {
    let mut random = Random(0x005e_ed0f_0a9e);
    for round in 0..3000 {
        let mut routes: Vec<String> = Vec::new();
        let mut table: Table<String> = Table::default();
        for _ in 0..random.below(30) + 1 {
            let star = ["", "", "*."][random.below(3)];
            let host = random.joined(&["a", "b", "org"], ".", 4);
            let host = if host.is_empty() { host } else { format!("{star}{host}") };
            let route = format!("{host}/{}", random.joined(&["a", "b", "ab"], "/", 3));
            let pattern: Pattern = route.parse().expect("it is a route");
            if table.insert(&pattern, route.clone()).is_ok() {
                routes.push(route);
            }
        }
        for _ in 0..40 {
            let host = random.joined(&["a", "b", "c", "org"], ".", 5);
            let path = format!("/{}", random.joined(&["a", "b", "ab", ""], "/", 5));
            let found = table.find(host.as_bytes(), path.as_bytes()).ok();
            assert_eq!(found, naive(&routes, &host, &path), "round {round}: {host} {path} of {routes:?}");
        }
    }
}

#[test]
fn nothing_that_clients_send_takes_long() {
    let routes: Vec<String> = (0..200).map(|n| format!("h{n}.example.org/p{n}")).collect();
    let table = table(&routes.iter().map(String::as_str).collect::<Vec<_>>());
    let long = [
        ("a.".repeat(5000), "/a".repeat(16_000)),
        (".".repeat(250), "/%2f".repeat(8000)),
        (format!("{}example.org", "x.".repeat(100)), "%".repeat(32_000)),
        ("h7.example.org".to_owned(), format!("/p7{}", "/p7".repeat(10_000))),
    ];
    let began = std::time::Instant::now();
    for _ in 0..20 {
        for (host, path) in &long {
            // What is found does not matter here.
            let _found = table.find(host.as_bytes(), path.as_bytes());
        }
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}
