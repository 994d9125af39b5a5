//! `stead file-server`: serves the files of a directory, as a worker like any other. `stead serve` starts it.
//!
//! Types, ranges, conditions (`ETag`, `If-Modified-Since`) and compressed siblings (`app.js.br`) are the library's
//! (`tower-http`); here is only what is shown and what is not.

use std::io;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use clap::{Args, ValueHint};
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
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,

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
    let router = files(&arguments.directory, arguments.spa);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            end.recv().await;
        })
        .await
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
