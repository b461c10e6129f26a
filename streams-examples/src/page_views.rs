//! Page views: JSON views with an event time of their own, joined with a global table of profiles, counted by page and minute.
//! Each minute comes out once, when it is over.

use std::time::Duration;

use kstreams::prelude::*;
use kstreams::record::ConsumerRecord;
use kstreams::serdes::SizedTimeWindowedSerde;
use serde::{Deserialize, Serialize};

/// Input: views by page.
pub const VIEWS: Topic<String, View> = Topic::new("views");
/// Input: profiles by user; every instance has all of them.
pub const PROFILES: Topic<String, Profile> = Topic::new("profiles");
/// Output: one record for each page and minute. Key bytes are those of Kafka Streams' time windows.
pub const PAGE_MINUTES: Topic<Windowed<String>, PageMinute, SizedTimeWindowedSerde<MINUTE_MS, Auto>> =
    Topic::new("page-minutes");
/// State: the minutes that are not over.
pub const MINUTES: Store<String, PageMinute> = Store::new("minutes");

/// Length of a window, ms.
pub const MINUTE_MS: i64 = 60_000;
/// How late a view may be.
pub const GRACE: Duration = Duration::from_secs(10);

/// What a browser sends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct View {
    /// User id.
    pub user: String,
    /// When, in ms since the epoch.
    pub at: i64,
}

/// What is known of a user.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// Whether the user is a member.
    pub member: bool,
}

/// How often a page was seen in a minute.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PageMinute {
    /// Views by members.
    pub members: i64,
    /// Views by everybody else.
    pub guests: i64,
}

/// Views take their time from the record, look up their user, and are counted; a count is sent on when its minute and the
/// grace are over, never before.
pub fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let profiles = builder.global_table(&PROFILES);
    let at = Consumed::new().timestamp_extractor(|view: &ConsumerRecord<'_, String, View>, _| view.value.at);
    builder
        .stream_with(&[&VIEWS], at)
        .left_join_global(
            &profiles,
            |_, view| view.user.clone(),
            |_, profile| profile.is_some_and(|p| p.member),
        )
        .group_by_key()
        .windowed_by(TimeWindows::of_size_and_grace(Duration::from_millis(MINUTE_MS as u64), GRACE))
        .fold(&MINUTES, |_, member, minute| minute.add(member))
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .to_stream()
        .to(&PAGE_MINUTES);
    builder.build()
}

impl PageMinute {
    fn add(&mut self, member: bool) {
        match member {
            true => self.members += 1,
            false => self.guests += 1,
        }
    }

    /// All views.
    #[must_use]
    pub fn views(&self) -> i64 {
        self.members + self.guests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(user: &str, at: i64) -> View {
        View { user: user.to_owned(), at }
    }

    #[test]
    fn each_minute_comes_out_once_when_it_is_over() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        driver.input(&PROFILES).pipe("ada", Profile { member: true });
        let views = driver.input(&VIEWS);
        views.pipe("home", view("ada", 1_000));
        views.pipe("home", view("nobody", 65_000));
        views.pipe("home", view("nobody", 59_000));
        assert!(driver.output(&PAGE_MINUTES).is_empty());
        views.pipe("help", view("ada", 70_000));
        let minutes = driver.output(&PAGE_MINUTES).read_all();
        assert_eq!(minutes.len(), 1);
        assert_eq!((minutes[0].0.key.as_str(), minutes[0].0.window.start), ("home", 0));
        assert_eq!(minutes[0].1, PageMinute { members: 1, guests: 1 });
    }

    #[test]
    fn a_view_that_is_too_late_is_dropped_and_counted() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        let views = driver.input(&VIEWS);
        views.pipe("home", view("ada", 70_000));
        views.pipe("home", view("ada", 59_999));
        views.pipe("home", view("ada", 130_000));
        assert_eq!(driver.dropped(), 1);
        let minutes = driver.output(&PAGE_MINUTES).read_all();
        assert_eq!(minutes.iter().map(|(_, minute)| minute.views()).sum::<i64>(), 1);
    }
}
