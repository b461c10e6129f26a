//! From a schedule that fails to a smaller one that still does.

use super::schedule::Schedule;

/// Runs that a shrink may take.
const RUNS_MAX: usize = 200;

/// Leaves out events, records and instances as long as `fails` says that the rest still fails.
pub(super) fn shrink(schedule: &Schedule, fails: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut best = schedule.clone();
    let mut runs = 0;
    loop {
        let mut smaller = false;
        for candidate in candidates(&best) {
            if runs == RUNS_MAX {
                return best;
            }
            runs += 1;
            if fails(&candidate) {
                best = candidate;
                smaller = true;
                break;
            }
        }
        if !smaller {
            return best;
        }
    }
}

/// Schedules that are a little smaller, the greatest steps first.
fn candidates(of: &Schedule) -> Vec<Schedule> {
    let mut candidates = Vec::new();
    let mut with = |change: &dyn Fn(&mut Schedule)| {
        let mut candidate = of.clone();
        change(&mut candidate);
        if candidate != *of {
            candidates.push(candidate);
        }
    };
    let events = of.events.len();
    if events > 3 {
        with(&|it| it.events.truncate(events / 2));
        with(&|it| drop(it.events.drain(..events / 2)));
    }
    for at in 0..events {
        with(&|it| {
            it.events.remove(at);
        });
    }
    with(&|it| it.records /= 2);
    with(&|it| it.records = it.records.saturating_sub(1).max(1));
    with(&|it| it.instances = (it.instances - 1).max(1));
    with(&|it| it.threads = 1);
    with(&|it| it.latency_ms = 0);
    with(&|it| it.marker_ms = 0);
    with(&|it| it.bulk_restore = false);
    with(&|it| it.flush_one_in = 0);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a random schedule only what the failure needs is left.
    #[test]
    fn leaves_what_the_failure_needs() {
        let schedule =
            (0..).map(Schedule::of).find(|it| it.events.len() > 4 && it.instances > 1).expect("one");
        let needed = schedule.events[2].clone();
        let small = shrink(&schedule, |it| it.events.contains(&needed) && it.records >= 3);
        assert_eq!((small.events, small.records, small.instances), (vec![needed], 3, 1));
    }
}
