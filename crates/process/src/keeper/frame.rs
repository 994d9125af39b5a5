//! Messages on a byte stream, with descriptors.
//!
//! A frame is the length of its body and the number of its descriptors, each a little-endian `u32`, and the body. The
//! descriptors travel with the first byte. A frame whose descriptors were lost (too many open files) is still a frame and
//! says so; only a header that makes no sense ends the stream, because nothing behind it can be found.
//!
//! Nothing here waits, and all that is kept has a limit.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use crate::descriptors::{self, DESCRIPTORS_MAX, DescriptorsLost};

/// The largest body.
pub(super) const BODY_BYTES_MAX: usize = 4 << 20;

/// Sets of descriptors waiting for their frame to be complete; a well-behaved peer never has more than one.
const UNCLAIMED_MAX: usize = 8;

const HEADER_BYTES: usize = 8;
const READ_BYTES: usize = 4096;

/// Memory kept for the next message after a large one.
const KEPT_BYTES: usize = 64 << 10;

/// A whole message.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) body: Vec<u8>,
    pub(super) descriptors: Result<Vec<OwnedFd>, DescriptorsLost>,
}

/// The stream cannot be read or written any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the header of a message makes no sense")]
    Header,
    #[error("the other side does not read")]
    Full,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Broken {
    /// The other side closed its end, which is how every process goes.
    pub(super) fn is_end(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        matches!(self, Self::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
    }
}

/// What [`Incoming::fill`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Data,
    Nothing,
    End,
}

/// Takes bytes and descriptors apart into frames.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// Place in the stream of the first of `bytes`.
    position: u64,
    arrived: VecDeque<Arrived>,
}

/// Descriptors that came with one read, and where in the stream that read ended.
#[derive(Debug)]
struct Arrived {
    end: u64,
    descriptors: Vec<OwnedFd>,
    lost: bool,
}

impl Incoming {
    /// Reads once.
    pub(super) fn fill(&mut self, socket: impl AsFd) -> Result<Fill, Broken> {
        let mut buffer = [0; READ_BYTES];
        let mut descriptors = Vec::new();
        let received = match descriptors::receive_noting_loss(socket, &mut buffer, &mut descriptors) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Fill::Nothing),
            other => other?,
        };
        self.bytes.extend(buffer.iter().take(received.bytes));
        if received.descriptors_lost || !descriptors.is_empty() {
            if self.arrived.len() == UNCLAIMED_MAX {
                return Err(Broken::Header);
            }
            let end = self.position + self.bytes.len() as u64;
            self.arrived.push_back(Arrived { end, descriptors, lost: received.descriptors_lost });
        }
        Ok(if received.bytes == 0 { Fill::End } else { Fill::Data })
    }

    /// Nothing of a message is here.
    pub(super) fn is_empty(&self) -> bool {
        // Descriptors that belong to no message may be lost.
        self.bytes.is_empty()
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Broken> {
        let Some((length, count)) = self.header()? else { return Ok(None) };
        let end = HEADER_BYTES + length;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let descriptors = self.claim(count);
        let body = self.bytes[HEADER_BYTES..end].to_vec();
        self.bytes.drain(..end);
        self.bytes.shrink_to(KEPT_BYTES.max(self.bytes.len()));
        self.position += end as u64;
        Ok(Some(Frame { body, descriptors }))
    }

    fn header(&self) -> Result<Option<(usize, usize)>, Broken> {
        let Some(header) = self.bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let count = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        if length > BODY_BYTES_MAX || count > DESCRIPTORS_MAX {
            return Err(Broken::Header);
        }
        Ok(Some((length, count)))
    }

    /// The descriptors that came with the first byte of the frame at the front.
    fn claim(&mut self, count: usize) -> Result<Vec<OwnedFd>, DescriptorsLost> {
        // What came with earlier bytes belongs to no frame; dropping it closes it.
        while self.arrived.front().is_some_and(|arrived| arrived.end <= self.position) {
            self.arrived.pop_front();
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let arrived = self.arrived.pop_front().ok_or(DescriptorsLost)?;
        if arrived.lost || arrived.descriptors.len() != count {
            return Err(DescriptorsLost);
        }
        Ok(arrived.descriptors)
    }
}

/// Messages on their way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: VecDeque<Queued>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Queued {
    bytes: Vec<u8>,
    sent: usize,
    /// Shared, so that what the keeper holds is not duplicated once more.
    descriptors: Vec<Arc<OwnedFd>>,
}

impl Outgoing {
    /// A queue that holds at most `bytes_max` of messages the other side did not take yet.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Queues a message. Too large a body is [`Broken::Header`], a full queue [`Broken::Full`].
    pub(super) fn push(&mut self, body: &[u8], descriptors: Vec<Arc<OwnedFd>>) -> Result<(), Broken> {
        if body.len() > BODY_BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
            return Err(Broken::Header);
        }
        let size = HEADER_BYTES + body.len();
        if self.bytes + size > self.bytes_max {
            return Err(Broken::Full);
        }
        let mut bytes = Vec::with_capacity(size);
        // Both were just compared with limits far below 2^32.
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend((descriptors.len() as u32).to_le_bytes());
        bytes.extend(body);
        self.bytes += size;
        self.queue.push_back(Queued { bytes, sent: 0, descriptors });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes what the socket takes. Returns whether the queue is empty now.
    pub(super) fn flush(&mut self, socket: impl AsFd) -> io::Result<bool> {
        while let Some(front) = self.queue.front_mut() {
            let borrowed: Vec<BorrowedFd<'_>> = front.descriptors.iter().map(|fd| fd.as_fd()).collect();
            match descriptors::send(&socket, &front.bytes[front.sent..], &borrowed) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // The user has too many descriptors on their way; the other side will have taken some.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::TOOMANYREFS) => return Ok(false),
                taken => front.sent += taken?,
            }
            front.descriptors.clear();
            if front.sent == front.bytes.len() {
                self.bytes -= front.bytes.len();
                self.queue.pop_front();
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;

    fn read_all(incoming: &mut Incoming, socket: &OwnedFd) -> Result<Vec<Frame>, Broken> {
        let mut frames = Vec::new();
        while incoming.fill(socket)? == Fill::Data {
            while let Some(frame) = incoming.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn descriptors_reach_the_frame_they_were_sent_with() {
        let (near, far) = socket::pair().unwrap();
        let mut outgoing = Outgoing::new(1 << 20);
        let load = |count| (0..count).map(|_| Arc::new(near.try_clone().unwrap())).collect::<Vec<_>>();
        for (body, count) in [("none", 0), ("two", 2), ("", 1), ("none", 0), ("full", DESCRIPTORS_MAX)] {
            outgoing.push(body.as_bytes(), load(count)).unwrap();
        }
        assert!(outgoing.flush(&near).unwrap());
        let frames = read_all(&mut Incoming::default(), &far).unwrap();
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| (str::from_utf8(&frame.body).unwrap(), frame.descriptors.as_ref().unwrap().len()))
            .collect();
        assert_eq!(seen, [("none", 0), ("two", 2), ("", 1), ("none", 0), ("full", DESCRIPTORS_MAX)]);
    }

    #[test]
    fn a_large_message_passes_through_a_small_socket() {
        let (near, far) = socket::pair().unwrap();
        let body = vec![b'x'; BODY_BYTES_MAX];
        let mut outgoing = Outgoing::new(BODY_BYTES_MAX + HEADER_BYTES);
        outgoing.push(&body, vec![Arc::new(near.try_clone().unwrap())]).unwrap();
        let mut incoming = Incoming::default();
        let frame = loop {
            outgoing.flush(&near).unwrap();
            assert_eq!(incoming.fill(&far).unwrap(), Fill::Data);
            if let Some(frame) = incoming.next().unwrap() {
                break frame;
            }
        };
        assert_eq!((frame.body.len(), frame.descriptors.unwrap().len()), (BODY_BYTES_MAX, 1));
        assert!(incoming.bytes.capacity() <= KEPT_BYTES, "memory is given back");
    }

    #[test]
    fn limits_are_kept_on_the_way_out() {
        let (near, _far) = socket::pair().unwrap();
        let mut outgoing = Outgoing::new(100);
        outgoing.push(&[0; 60], Vec::new()).unwrap();
        assert!(matches!(outgoing.push(&[0; 60], Vec::new()), Err(Broken::Full)));
        assert!(outgoing.flush(&near).unwrap());
        outgoing.push(&[0; 60], Vec::new()).unwrap();
        assert!(matches!(outgoing.push(&vec![0; BODY_BYTES_MAX + 1], Vec::new()), Err(Broken::Header)));
    }

    #[test]
    fn a_header_without_sense_ends_the_stream() {
        let check = |header: [u32; 2]| {
            let (near, far) = socket::pair().unwrap();
            let bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
            descriptors::send(&near, &bytes, &[]).unwrap();
            let broken = read_all(&mut Incoming::default(), &far);
            assert!(matches!(broken, Err(Broken::Header)), "{header:?}");
        };
        check([BODY_BYTES_MAX as u32 + 1, 0]);
        check([u32::MAX, 0]);
        check([0, DESCRIPTORS_MAX as u32 + 1]);
    }

    #[test]
    fn descriptors_that_belong_to_no_frame_are_closed() {
        let (near, far) = socket::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let whole = [&[1, 0, 0, 0, 0, 0, 0, 0], b"a".as_slice()].concat();
        // One too many with the middle of a frame, then a frame that announces one and sends none.
        descriptors::send(&near, &whole[..4], &[]).unwrap();
        descriptors::send(&near, &whole[4..], &[writer.as_fd()]).unwrap();
        descriptors::send(&near, &[1, 0, 0, 0, 1, 0, 0, 0, b'b'], &[]).unwrap();
        drop(writer);
        let frames = read_all(&mut Incoming::default(), &far).unwrap();
        assert_eq!(frames[0].descriptors.as_ref().unwrap().len(), 0);
        assert_eq!(frames[1].descriptors.as_ref().unwrap_err(), &DescriptorsLost);
        assert_eq!(rustix::io::read(&reader, &mut [0; 1]).unwrap(), 0, "nobody has the writer any more");
    }

    #[test]
    fn bytes_cut_anywhere_make_the_same_frames() {
        let whole: Vec<u8> = [
            [3u32.to_le_bytes(), 0u32.to_le_bytes()].concat(),
            b"one".to_vec(),
            [0u32.to_le_bytes(), 0u32.to_le_bytes()].concat(),
        ]
        .concat();
        for cut in 0..whole.len() {
            let (near, far) = socket::pair().unwrap();
            let mut incoming = Incoming::default();
            let mut bodies = Vec::new();
            for part in [&whole[..cut], &whole[cut..]] {
                descriptors::send(&near, part, &[]).unwrap();
                bodies.extend(read_all(&mut incoming, &far).unwrap().into_iter().map(|frame| frame.body));
            }
            assert_eq!(bodies, [b"one".to_vec(), Vec::new()], "cut at {cut}");
        }
    }
}
