//! The board by itself: every job ends in exactly one way, whatever comes first.

use std::time::Duration;

use windlass_proto::Time;

use super::JobError;
use super::board::{Board, Left, Next};
use crate::id::ConnId;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn conn(index: u32) -> ConnId {
    ConnId { worker: 0, index, generation: 7 }
}

/// Submits a job that returns `value`, good for one second.
fn submit(board: &mut Board<u32>, of: Option<ConnId>, now: u64, value: u32) -> Option<u64> {
    board.reserve(0).then(|| board.submit(0, of, at(now), SECOND, Box::new(move || value)).0)
}

/// Starts the next job and runs it.
fn run(board: &mut Board<u32>, now: u64) -> (u64, bool) {
    let (id, job) = board.start(at(now)).expect("one waits");
    (id, board.finish(id, Ok(job()), at(now)).is_ok())
}

fn answer(board: &mut Board<u32>, now: u64) -> Option<(u64, Result<u32, JobError>)> {
    loop {
        match board.next(0, at(now)) {
            Next::Answer(id, _, result) => return Some((id, result)),
            Next::Discard(_) | Next::Room => {}
            Next::Nothing(_) => return None,
        }
    }
}

#[test]
fn first_come_first_started() {
    let mut board = Board::new(1, 10);
    let ids: Vec<_> = (0..3).map(|n| submit(&mut board, None, 0, n).unwrap()).collect();
    for (n, id) in (0..).zip(&ids) {
        assert_eq!(run(&mut board, 0), (*id, true));
        assert_eq!(answer(&mut board, 0), Some((*id, Ok(n))));
    }
    assert_eq!((answer(&mut board, 9), board.check_end()), (None, None));
}

#[test]
fn the_deadline_answers_whether_it_runs_or_waits() {
    let mut board = Board::new(1, 10);
    let (runs, waits) = (submit(&mut board, None, 0, 1).unwrap(), submit(&mut board, None, 0, 2).unwrap());
    let (id, job) = board.start(at(0)).unwrap();
    assert_eq!(id, runs);
    assert!(matches!(board.next(0, at(0)), Next::Nothing(Some(due)) if due == at(1)));
    assert_eq!(answer(&mut board, 1), Some((runs, Err(JobError::Timeout))));
    assert_eq!(answer(&mut board, 1), Some((waits, Err(JobError::Timeout))));
    assert!(board.start(at(1)).is_none(), "what was too late to start is not started");
    assert!(board.finish(runs, Ok(job()), at(2)).is_err(), "nobody waits for it");
    let stats = board.stats();
    assert_eq!((stats.timed_out, stats.late, stats.running), (2, 1, 0));
    assert_eq!((answer(&mut board, 9), board.check_end()), (None, None));
}

#[test]
fn too_late_is_too_late_though_the_worker_has_not_looked() {
    let mut board = Board::new(1, 10);
    let id = submit(&mut board, None, 0, 1).unwrap();
    assert_eq!(run(&mut board, 1), (id, false));
    assert_eq!(answer(&mut board, 1), Some((id, Err(JobError::Timeout))));
}

#[test]
fn a_connection_takes_its_jobs_along_wherever_they_are() {
    let mut board = Board::new(1, 10);
    let ids: Vec<_> = (0..3).map(|n| submit(&mut board, Some(conn(1)), 0, n).unwrap()).collect();
    let other = submit(&mut board, Some(conn(2)), 0, 9).unwrap();
    assert!(run(&mut board, 0).1, "the first is answered");
    let (second, job) = board.start(at(0)).unwrap();
    let mut dropped = Vec::new();
    assert!(!board.gone(0, conn(1), &mut dropped));
    assert_eq!(dropped.len(), 1, "only the third has not started");
    assert!(board.finish(second, Ok(job()), at(0)).is_err());
    assert_eq!(run(&mut board, 0), (other, true));
    assert_eq!(answer(&mut board, 0), Some((other, Ok(9))));
    assert_eq!(answer(&mut board, 9), None);
    let stats = board.stats();
    assert_eq!((stats.submitted, stats.answered, stats.cancelled, stats.open), (4, 1, 3, 0));
    assert!(ids.iter().all(|id| !board.cancel(*id).0) && board.check_end().is_none());
}

#[test]
fn a_place_is_taken_until_its_answer_is_delivered() {
    let mut board = Board::new(1, 2);
    for value in 0..2 {
        submit(&mut board, None, 0, value).unwrap();
        run(&mut board, 0);
    }
    assert_eq!(submit(&mut board, None, 0, 2), None);
    assert_eq!(submit(&mut board, None, 0, 3), None);
    assert!(matches!(board.next(0, at(0)), Next::Answer(..)));
    assert!(matches!(board.next(0, at(0)), Next::Answer(..)));
    assert!(matches!(board.next(0, at(0)), Next::Room), "once for both");
    assert!(matches!(board.next(0, at(0)), Next::Nothing(None)));
    assert_eq!(board.stats().rejected, 2);
}

#[test]
fn at_the_end_what_waits_is_cancelled_and_what_runs_is_waited_for() {
    let mut board = Board::new(1, 10);
    let (runs, waits) = (submit(&mut board, None, 0, 1).unwrap(), submit(&mut board, None, 0, 2).unwrap());
    let (_, job) = board.start(at(0)).unwrap();
    let mut dropped = Vec::new();
    assert_eq!(board.close_if_empty(0, &mut dropped), Left::Answers);
    assert_eq!(answer(&mut board, 0), Some((waits, Err(JobError::Cancelled))));
    assert_eq!(board.close_if_empty(0, &mut dropped), Left::Running);
    assert!(board.finish(runs, Ok(job()), at(0)).is_ok());
    assert_eq!(answer(&mut board, 0), Some((runs, Ok(1))));
    assert_eq!(board.close_if_empty(0, &mut dropped), Left::Nothing);
    assert!(board.is_closed(0) && board.check_end().is_none());
    assert_eq!((dropped.len(), board.stats().detached), (1, 0));
}
