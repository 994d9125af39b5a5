//! The way out to a child that reads slowly, loses sockets, or dies.

use super::*;

const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Sends `b"h"`-like frames: an upper-case letter is a frame with a descriptor.
fn frame(name: u8) -> Frame {
    let handle = name.is_ascii_uppercase().then(|| {
        let (descriptor, _) = crate::socket::pair().unwrap();
        Handle::new(descriptor, Some(u64::from(name)))
    });
    Frame::new(vec![name], handle)
}

fn push(outgoing: &mut Outgoing, frame: Frame, order: Order) -> Result<(), SendError> {
    let bytes = frame.bytes;
    outgoing.push(order, &mut frame.handle.into_iter().next(), |out| {
        out.extend(bytes);
        Ok(())
    })
}

fn empty() -> Outgoing {
    Outgoing::new(QUEUE_BYTES_MAX)
}

fn flush(outgoing: &mut Outgoing) -> String {
    let mut written = String::new();
    outgoing
        .flush(|bytes, descriptors| {
            assert_eq!(bytes[0].is_ascii_uppercase(), !descriptors.is_empty());
            written.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        })
        .unwrap();
    written
}

/// Each step: what is pushed (`.` free, `>` program, `|` last in front of the name) or answered (`+`,
/// `-`), and what is written.
fn check(steps: &[(&str, &str)]) {
    let mut outgoing = empty();
    for (step, written) in steps {
        match step.as_bytes() {
            b"+" => outgoing.confirm(true),
            b"-" => outgoing.confirm(false),
            [order, name] => {
                let order = match order {
                    b'.' => Order::Free,
                    b'>' => Order::Program,
                    _ => Order::Last,
                };
                push(&mut outgoing, frame(*name), order).unwrap();
            }
            _ => panic!("{step}"),
        }
        assert_eq!(flush(&mut outgoing), *written, "after {step} of {steps:?}");
    }
    assert_eq!(
        outgoing.waiting_bytes,
        outgoing.held.iter().map(|held| held.frame.bytes.len()).sum::<usize>()
    );
}

#[test]
fn the_last_message_waits_for_every_descriptor() {
    check(&[
        (".A", "A"),
        (".B", "B"),
        ("|x", ""),
        (".c", "c"),
        ("+", ""),
        (".D", "D"),
        ("+", "x"),
        ("+", ""),
    ]);
    check(&[("|x", "x")]);
}

#[test]
fn a_program_s_messages_keep_their_order() {
    check(&[
        (">a", "a"),
        (">B", "B"),
        (">c", ""),
        (">D", ""),
        (">e", ""),
        ("+", "cD"),
        (".F", "F"),
        ("+", "e"),
    ]);
}

#[test]
fn a_program_s_messages_do_not_wait_for_connections() {
    check(&[(".A", "A"), (">b", "b"), (">C", "C"), (">d", ""), ("+", ""), ("+", "d")]);
}

#[test]
fn a_descriptor_that_did_not_arrive_is_sent_again() {
    check(&[(".A", "A"), ("|x", ""), ("-", "A"), ("-", "A"), ("-", "A"), ("-", "x")]);
    check(&[(".A", "A"), (".B", "B"), ("|x", ""), ("-", "A"), ("+", ""), ("+", "x")]);
    check(&[("+", ""), ("-", ""), (".a", "a")]);
}

#[test]
fn a_descriptor_that_never_arrives_is_told() {
    let mut outgoing = empty();
    push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
    for _ in 0..4 {
        assert_eq!(flush(&mut outgoing), "A");
        assert!(outgoing.take_lost().is_empty());
        outgoing.confirm(false);
    }
    assert!(outgoing.has_lost());
    let lost = outgoing.take_lost();
    assert_eq!(lost[0].handle.as_ref().unwrap().connection, Some(u64::from(b'A')));
    assert_eq!(outgoing.handles, 0);
}

#[test]
fn a_frame_written_in_parts_carries_its_descriptor_once() {
    let mut outgoing = empty();
    let mut long = frame(b'A');
    long.bytes = vec![b'A'; 10];
    push(&mut outgoing, long, Order::Free).unwrap();
    let mut calls = Vec::new();
    let mut room = [3, 0, 7].into_iter();
    let mut send = |bytes: &[u8], descriptors: &[BorrowedFd<'_>]| {
        calls.push((bytes.len(), descriptors.len()));
        match room.next() {
            Some(0) | None => Err(io::ErrorKind::WouldBlock.into()),
            Some(count) => Ok(count),
        }
    };
    outgoing.flush(&mut send).unwrap_err();
    outgoing.flush(&mut send).unwrap();
    assert_eq!(calls, [(10, 1), (7, 0), (7, 0)]);
    assert_eq!((outgoing.waiting_bytes, outgoing.unconfirmed.len()), (0, 1));
}

#[test]
fn what_another_process_began_comes_first() {
    let mut outgoing = Outgoing::resume(QUEUE_BYTES_MAX, b"rest", 2);
    push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
    push(&mut outgoing, frame(b'x'), Order::Last).unwrap();
    let mut written = Vec::new();
    outgoing
        .flush(|bytes, _| {
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        })
        .unwrap();
    assert_eq!(written, b"restA");
    outgoing.confirm(true);
    outgoing.confirm(false);
    assert_eq!(flush(&mut outgoing), "", "those answers were for others");
    outgoing.confirm(true);
    assert_eq!(flush(&mut outgoing), "x");
}

#[test]
fn what_was_not_written_is_given_back() {
    let mut outgoing = empty();
    for name in [b'A', b'B', b'c'] {
        push(&mut outgoing, Frame { bytes: vec![name; 4], ..frame(name) }, Order::Free).unwrap();
    }
    push(&mut outgoing, frame(b'x'), Order::Last).unwrap();
    let mut room = [4, 1].into_iter();
    let flushed = outgoing.flush(|_, _| room.next().ok_or(io::ErrorKind::WouldBlock.into()));
    assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let remains = outgoing.take_remains();
    assert_eq!((remains.unwritten.as_slice(), remains.unconfirmed), (b"BBB".as_slice(), 2));
    let unsent: Vec<u8> = remains.unsent.iter().map(|frame| frame.bytes[0]).collect();
    assert_eq!(unsent, b"cx");
    assert!(matches!(push(&mut outgoing, frame(b'd'), Order::Free), Err(SendError::Closed)));
}

#[test]
fn what_waits_is_bounded() {
    let mut outgoing = empty();
    push(&mut outgoing, Frame::new(vec![b'a'; 3 * QUEUE_BYTES_MAX], None), Order::Free).unwrap();
    assert!(matches!(push(&mut outgoing, frame(b'b'), Order::Free), Err(SendError::Full)));
    while push(&mut outgoing, frame(b'c'), Order::Answer).is_ok() {}
    assert_eq!(outgoing.waiting_bytes, 3 * QUEUE_BYTES_MAX + ANSWERS_BYTES_MAX, "there is room for answers");
    let mut room = [QUEUE_BYTES_MAX].into_iter();
    outgoing.flush(|_, _| room.next().ok_or(io::ErrorKind::WouldBlock.into())).unwrap_err();
    assert!(matches!(push(&mut outgoing, frame(b'b'), Order::Free), Err(SendError::Full)));
    let mut outgoing = empty();
    for _ in 0..HANDLES_MAX {
        push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
    }
    assert!(matches!(push(&mut outgoing, frame(b'A'), Order::Free), Err(SendError::Full)));
    push(&mut outgoing, frame(b'a'), Order::Free).unwrap();
}

#[test]
fn a_broken_way_out_drops_everything() {
    let mut outgoing = empty();
    push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
    flush(&mut outgoing);
    push(&mut outgoing, frame(b'b'), Order::Free).unwrap();
    outgoing.flush(|_, _| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
    assert!(outgoing.is_done());
    assert!(matches!(push(&mut outgoing, frame(b'c'), Order::Free), Err(SendError::Closed)));
}

#[test]
fn messages_that_wait_are_written_together_and_refused_ones_leave_nothing() {
    let mut outgoing = empty();
    push(&mut outgoing, frame(b'a'), Order::Program).unwrap();
    let refused = outgoing.push(Order::Program, &mut None, |out| {
        out.extend(b"half");
        Err(SendError::Line)
    });
    assert!(matches!(refused, Err(SendError::Line)));
    push(&mut outgoing, frame(b'b'), Order::Program).unwrap();
    assert_eq!(outgoing.backlog(), (2, 2));
    let mut writes = Vec::new();
    let flushed = outgoing.flush(|bytes, _| {
        writes.push(bytes.to_vec());
        Ok(bytes.len())
    });
    flushed.unwrap();
    assert_eq!((writes, outgoing.backlog()), (vec![b"ab".to_vec()], (0, 0)));
}

#[test]
fn too_many_descriptors_in_flight_loses_only_that_one() {
    let mut outgoing = empty();
    push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
    push(&mut outgoing, frame(b'b'), Order::Free).unwrap();
    let mut full = true;
    let result =
        outgoing.flush(|_, _| if std::mem::take(&mut full) { Err(Errno::TOOMANYREFS.into()) } else { Ok(1) });
    result.unwrap();
    assert_eq!((outgoing.take_lost().len(), outgoing.handles, outgoing.waiting_bytes), (1, 0, 0));
}
