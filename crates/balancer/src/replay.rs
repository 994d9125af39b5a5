//! Decides what becomes of a request whose worker failed it.
//!
//! Pure: `exchange.rs` asks, this file answers. Nothing is sent again once a byte of the answer has reached the client,
//! because half an answer cannot be taken back. Before that, a request goes to another worker when it is safe to run it
//! twice (RFC 9110 §9.2.2), or when it provably was not run at all.

/// How an upstream connection ended before the answer was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No connection came about, or nothing could be written: the worker saw nothing.
    NeverSent,
    /// The end came as `ECONNRESET` on a Unix socket: the worker closed (or died) with our bytes unread.
    Unread,
    /// The end came in any other way: the worker may have read the request.
    MaybeRead,
}

/// What is known of the worker at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It died, and its own doing (or this request) may be the reason.
    OfItself,
    /// It was killed from outside: nobody in the worker is to blame.
    Outside,
    /// It lives; it closed this one connection.
    None,
}

/// What the request allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permission {
    /// Safe to run twice: an idempotent method or an `Idempotency-Key`.
    pub(crate) idempotent: bool,
    /// Head and body are still at hand, whole.
    pub(crate) kept: bool,
    /// A byte of a final answer has gone to the client.
    pub(crate) committed: bool,
}

/// What has happened to one request so far, and what may still happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    bounds: Bounds,
    /// Workers that died of themselves while they held it, having read it.
    deaths: u32,
    /// Tries that failed.
    failures: u32,
    /// The try under way is alone on its worker.
    was_alone: bool,
}

/// What to do with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it to another worker.
    Replay,
    /// Send it once more, alone on its worker: it has been near too many deaths.
    ReplayAlone,
    /// It kills workers: answer 502 and record it.
    Poison,
    /// It cannot be sent again: answer 502.
    Fail,
    /// The answer had begun: cut it off, so that the client sees it is not whole.
    Cut,
}

/// Limits of the decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) poison_deaths_max: u32,
    pub(crate) replays_max: u32,
}

impl History {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, deaths: 0, failures: 0, was_alone: false }
    }

    /// Workers that died of themselves while they held the request, having read it.
    pub(crate) fn deaths(&self) -> u32 {
        self.deaths
    }

    /// Counts a failed try and decides what follows.
    pub(crate) fn judge(&mut self, ending: Ending, death: Death, permission: Permission) -> Verdict {
        let may_have_run = ending == Ending::MaybeRead;
        let blamed = may_have_run && death == Death::OfItself;
        self.failures += 1;
        self.deaths += u32::from(blamed);
        if permission.committed {
            return Verdict::Cut;
        }
        if self.deaths >= self.bounds.poison_deaths_max || (self.was_alone && blamed) {
            return Verdict::Poison;
        }
        let allowed = permission.kept && (permission.idempotent || !may_have_run);
        if !allowed || self.failures > self.bounds.replays_max {
            return Verdict::Fail;
        }
        self.was_alone = self.deaths > 0 && self.deaths + 1 >= self.bounds.poison_deaths_max;
        if self.was_alone { Verdict::ReplayAlone } else { Verdict::Replay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Permission = Permission { idempotent: true, kept: true, committed: false };
    const POST: Permission = Permission { idempotent: false, kept: true, committed: false };
    const BOUNDS: Bounds = Bounds { poison_deaths_max: 3, replays_max: 8 };

    fn check(permission: Permission, endings: &[(Ending, Death)], expected: &[Verdict]) {
        let mut history = History::new(BOUNDS);
        let verdicts: Vec<_> =
            endings.iter().map(|(ending, death)| history.judge(*ending, *death, permission)).collect();
        assert_eq!(verdicts, expected, "{permission:?} {endings:?}");
    }

    #[test]
    fn idempotent_request_is_replayed_and_tried_alone_before_it_is_poison() {
        let death = (Ending::MaybeRead, Death::OfItself);
        check(GET, &[death, death, death], &[Verdict::Replay, Verdict::ReplayAlone, Verdict::Poison]);
    }

    #[test]
    fn deaths_from_outside_do_not_count_and_end_at_the_limit_of_replays() {
        let death = (Ending::MaybeRead, Death::Outside);
        let mut expected = vec![Verdict::Replay; 8];
        expected.push(Verdict::Fail);
        check(GET, &[death; 9], &expected);
    }

    #[test]
    fn post_is_replayed_only_if_provably_unread() {
        check(POST, &[(Ending::MaybeRead, Death::OfItself)], &[Verdict::Fail]);
        check(POST, &[(Ending::MaybeRead, Death::None)], &[Verdict::Fail]);
        check(POST, &[(Ending::Unread, Death::OfItself)], &[Verdict::Replay]);
        check(POST, &[(Ending::NeverSent, Death::None)], &[Verdict::Replay]);
    }

    #[test]
    fn unread_requests_are_never_blamed() {
        check(GET, &[(Ending::Unread, Death::OfItself); 5], &[Verdict::Replay; 5]);
    }

    #[test]
    fn begun_answer_is_cut() {
        let committed = Permission { committed: true, ..GET };
        check(committed, &[(Ending::MaybeRead, Death::OfItself)], &[Verdict::Cut]);
    }

    #[test]
    fn body_that_was_not_kept_cannot_be_sent_again() {
        let lost = Permission { kept: false, ..GET };
        check(lost, &[(Ending::Unread, Death::OfItself)], &[Verdict::Fail]);
    }
}
