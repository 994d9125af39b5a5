//! Requests and answers as raw bytes, for what a well-behaved client would never send and for reading exactly what came.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for the next bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(20);

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection.
pub(crate) struct Client {
    stream: Stream,
    unread: Vec<u8>,
}

/// One answer, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    /// The value of the header, if it is there once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        value
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

/// One GET on a connection of its own.
pub(crate) fn try_get(port: u16, target: &str) -> io::Result<Answer> {
    let mut client = Client::try_connect(port)?;
    client
        .try_send(format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())?;
    client.try_answer(false)
}

/// One GET on a connection of its own, which has to work.
#[track_caller]
pub(crate) fn get(port: u16, target: &str) -> Answer {
    match try_get(port, target) {
        Ok(answer) => answer,
        Err(error) => panic!("GET {target}: {error}"),
    }
}

impl Client {
    /// Connects to a port of the loopback address.
    #[track_caller]
    pub(crate) fn connect(port: u16) -> Client {
        Client::try_connect(port).unwrap_or_else(|error| panic!("connect to {port}: {error}"))
    }

    /// As `connect`, for tests that expect a refusal.
    pub(crate) fn try_connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: Stream::Tcp(stream), unread: Vec::new() })
    }

    /// Connects to a Unix socket.
    #[track_caller]
    pub(crate) fn connect_unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path)
            .unwrap_or_else(|error| panic!("connect to {}: {error}", path.display()));
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Client { stream: Stream::Unix(stream), unread: Vec::new() }
    }

    /// Sends these bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        if let Err(error) = self.try_send(bytes.as_ref()) {
            panic!("send: {error}");
        }
        self
    }

    /// Sends these bytes; the server may have closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Another hand on the same connection, which only sends.
    pub(crate) fn clone_sender(&self) -> Client {
        let stream = match &self.stream {
            Stream::Tcp(stream) => stream.try_clone().map(Stream::Tcp),
            Stream::Unix(stream) => stream.try_clone().map(Stream::Unix),
        };
        Client { stream: stream.expect("a socket can be duplicated"), unread: Vec::new() }
    }

    /// This end's port.
    pub(crate) fn local_port(&self) -> u16 {
        let Stream::Tcp(stream) = &self.stream else { panic!("only for TCP") };
        stream.local_addr().expect("a connected socket has an address").port()
    }

    /// Sends nothing more, but reads on.
    pub(crate) fn finish_sending(&self) {
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Sends what the sockets between here and the reader hold, and tells how much that was: back-pressure makes it end.
    pub(crate) fn send_until_stuck(&mut self, most: usize, stuck_after: Duration) -> usize {
        let Stream::Tcp(stream) = &mut self.stream else { panic!("only for TCP") };
        stream.set_write_timeout(Some(stuck_after)).expect("a timeout can be set");
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < most {
            match stream.write(&piece[..piece.len().min(most - sent)]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        sent
    }

    /// The next answer to a GET, POST and so on.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        match self.try_answer(false) {
            Ok(answer) => answer,
            Err(error) => panic!("no answer: {error}; unread: {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    /// The next answer to a HEAD, or one of which only the head is of interest.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Answer {
        self.try_answer(true).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next answer, if it arrives whole.
    pub(crate) fn try_answer(&mut self, head_only: bool) -> io::Result<Answer> {
        let head = self.read_until(b"\r\n\r\n")?;
        let mut answer = parse_head(&head)?;
        if head_only || answer.status < 200 || matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        if answer.is_chunked() {
            self.read_chunks(&mut answer)?;
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| broken("a content-length that is not a number"))?;
            answer.body = self.read_exactly(length)?;
        } else {
            answer.body = self.read_to_end()?;
        }
        Ok(answer)
    }

    /// Everything until the server closes.
    pub(crate) fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// The bytes up to and including this mark.
    pub(crate) fn read_until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let found = self.unread[searched..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                let end = searched + at + mark.len();
                return Ok(self.unread.drain(..end).collect());
            }
            searched = self.unread.len().saturating_sub(mark.len() - 1);
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Exactly so many bytes.
    pub(crate) fn read_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// The server says nothing more and closes.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) {
        match self.read_to_end() {
            Ok(rest) => assert!(rest.is_empty(), "unexpected: {:?}", String::from_utf8_lossy(&rest)),
            // Closing with our bytes unread makes it a reset, which is as closed as can be.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "not closed: {error}"),
        }
    }

    /// Nothing arrives, not even the end, for this long.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self, duration: Duration) {
        self.set_patience(duration);
        match self.fill() {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => (),
            Ok(_) => panic!("unexpected: {:?}", String::from_utf8_lossy(&self.unread)),
            Err(error) => panic!("unexpected: {error}"),
        }
        self.set_patience(PATIENCE);
    }

    /// How long a read waits.
    pub(crate) fn set_patience(&self, patience: Duration) {
        let result = match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(patience)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(patience)),
        };
        result.expect("a timeout can be set");
    }

    /// How long a write waits.
    pub(crate) fn set_write_patience(&self, patience: Duration) {
        let result = match &self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(patience)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(patience)),
        };
        result.expect("a timeout can be set");
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 64 * 1024];
        let count = loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut piece),
                Stream::Unix(stream) => stream.read(&mut piece),
            };
            match read {
                // A system call with a time limit is not taken up again by itself.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                other => break other?,
            }
        };
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn read_chunks(&mut self, answer: &mut Answer) -> io::Result<()> {
        loop {
            let line = self.read_until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let digits = line.trim_end().split(';').next().unwrap_or_default().to_owned();
            let size =
                usize::from_str_radix(&digits, 16).map_err(|_| broken("a chunk size that is not one"))?;
            if size == 0 {
                break;
            }
            answer.body.extend(self.read_exactly(size)?);
            if self.read_exactly(2)? != b"\r\n" {
                return Err(broken("a chunk longer than it says"));
            }
        }
        loop {
            let line = self.read_until(b"\r\n")?;
            if line == b"\r\n" {
                return Ok(());
            }
            answer.trailers.push(field(&String::from_utf8_lossy(&line))?);
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<Answer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end().split("\r\n");
    let first = lines.next().unwrap_or_default();
    let (version, rest) = first.split_once(' ').ok_or_else(|| broken("no status line"))?;
    let status = rest.get(..3).and_then(|digits| digits.parse().ok()).ok_or_else(|| broken("no status"))?;
    let headers = lines.map(field).collect::<io::Result<_>>()?;
    Ok(Answer { version: version.to_owned(), status, headers, body: Vec::new(), trailers: Vec::new() })
}

fn field(line: &str) -> io::Result<(String, String)> {
    let (name, value) = line.trim_end().split_once(':').ok_or_else(|| broken("a header without a colon"))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
