//! `stead file-server`: serves the files of a directory, as a worker like any other. `stead serve` starts it.
//!
//! Types, ranges, conditions (`ETag`, `If-Modified-Since`) and compressed siblings (`app.js.br`) are the library's
//! (`tower-http`); here is only what is shown and what is not, and, for routes with `static`, which directory it is: the route's, of
//! which the path in front is left out, as with `express.static`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{HOST, LOCATION};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use clap::{Args, ValueHint};
use stead_balancer::{Pattern, Table};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::services::{ServeDir, ServeFile};

use crate::cli::{ExitCode, Report, output};

/// What is answered where nothing is, if the directory has it.
const NOT_FOUND: &str = "404.html";
const INDEX: &str = "index.html";
/// The one directory whose name begins with a dot that is meant for everybody (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// The arguments of `stead file-server`.
#[derive(Args, Clone, Debug)]
pub struct FileServerArguments {
    /// What is served
    #[arg(long, value_hint = ValueHint::DirPath, required_unless_present = "route")]
    pub directory: Option<PathBuf>,

    /// What is served to the requests of a route (repeatable)
    #[arg(long, num_args = 2, value_names = ["ROUTE", "DIRECTORY"], conflicts_with_all = ["directory", "spa"])]
    pub route: Vec<String>,

    /// The Unix socket to listen on
    #[arg(long)]
    pub socket: PathBuf,

    /// Answer with index.html where there is no file: its program knows the paths
    #[arg(long)]
    pub spa: bool,
}

/// Serves until it is asked to end.
pub fn run(arguments: &FileServerArguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(arguments))) {
        Ok(()) => ExitCode::Ok,
        Err(error) => output::error(&Report::of(ExitCode::Failure, &error)),
    }
}

async fn serve(arguments: &FileServerArguments) -> io::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    let listener = UnixListener::bind(&arguments.socket)?;
    let router = match &arguments.directory {
        Some(directory) => files(directory, arguments.spa),
        None => routes(&arguments.route)?,
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            end.recv().await;
        })
        .await
}

/// Pairs of a route and its directory.
fn routes(pairs: &[String]) -> io::Result<Router> {
    let mut table = Table::default();
    let mut each = Router::new();
    for (number, pair) in pairs.chunks_exact(2).enumerate() {
        let pattern: Pattern =
            pair[0].parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        // The first of two equal ones counts.
        let _again = table.insert(&pattern, (number, pattern.segments()));
        each = each.nest_service(&format!("/{number}"), files(Path::new(&pair[1]), false));
    }
    let table = Arc::new(table);
    let choose = move |request: Request, next: Next| choose(Arc::clone(&table), request, next);
    Ok(Router::new().fallback_service(each).layer(middleware::from_fn(choose)))
}

/// Puts the number of the directory in the place of the route's path.
async fn choose(table: Arc<Table<(usize, usize)>>, mut request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let path = request.uri().path().to_owned();
    let Ok(&(number, segments)) = table.find(host, path.as_bytes()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (front, rest) = path.split_at(end_of(&path, segments));
    // Two slashes in front of a location would make a host of what follows.
    let front = if segments > 0 { format!("/{}", front.trim_start_matches('/')) } else { String::new() };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    if rest.is_empty() {
        // The directory itself, whose pages name others from where it ends.
        return Redirect::temporary(&format!("{front}/{query}")).into_response();
    }
    match format!("/{number}{rest}{query}").parse::<PathAndQuery>() {
        Ok(within) => *request.uri_mut() = Uri::from(within),
        Err(_) => return StatusCode::NOT_FOUND.into_response(),
    }
    let mut response = next.run(request).await;
    // One below it without its last slash, told without the path in front.
    if let Some(location) = response.headers().get(LOCATION).and_then(|location| location.to_str().ok())
        && let Ok(whole) = HeaderValue::try_from(format!("{front}{location}"))
    {
        response.headers_mut().insert(LOCATION, whole);
    }
    response
}

/// Where so many segments of a path end.
fn end_of(path: &str, segments: usize) -> usize {
    let mut end = 0;
    for _ in 0..segments {
        let begin = end + path[end..].len() - path[end..].trim_start_matches('/').len();
        end = path[begin..].find('/').map_or(path.len(), |length| begin + length);
    }
    end
}

fn files(directory: &Path, spa: bool) -> Router {
    let files = ServeDir::new(directory).precompressed_br().precompressed_zstd().precompressed_gzip();
    let (index, not_found) = (directory.join(INDEX), directory.join(NOT_FOUND));
    let router = Router::new();
    let router = match spa {
        true => router.fallback_service(files.fallback(ServeFile::new(index))),
        false if not_found.is_file() => {
            router.fallback_service(files.not_found_service(ServeFile::new(not_found)))
        }
        false => router.fallback_service(files),
    };
    router.layer(middleware::from_fn(hide))
}

/// What begins with a dot is nobody's business: `.git`, `.env`.
async fn hide(request: Request, next: Next) -> Response {
    if is_hidden(request.uri().path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

/// The path as it was sent: an encoded dot is a dot.
fn is_hidden(path: &str) -> bool {
    let mut names = path.split('/').map(|name| name.replace("%2e", ".").replace("%2E", "."));
    names.any(|name| name.starts_with('.') && name != WELL_KNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_route_ends_behind_its_segments() {
        let check = |path: &str, segments: usize, rest: &str| {
            assert_eq!(&path[end_of(path, segments)..], rest, "{path}");
        };
        check("/a/b", 0, "/a/b");
        check("/a/b", 1, "/b");
        check("/a/b/", 2, "/");
        check("//a//b/c", 2, "/c");
        check("/a", 1, "");
        check("/a", 5, "");
        check("", 1, "");
    }

    #[test]
    fn names_that_begin_with_a_dot_are_hidden() {
        let check = |path: &str, expected: bool| assert_eq!(is_hidden(path), expected, "{path}");
        check("/", false);
        check("/index.html", false);
        check("/.env", true);
        check("/%2eenv", true);
        check("/%2Egit/config", true);
        check("/a/.git/config", true);
        check("/../etc/passwd", true);
        check("/.well-known/security.txt", false);
        check("/a.b/c", false);
    }
}
