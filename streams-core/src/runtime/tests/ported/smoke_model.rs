//! `SmokeTestDriver.verify`: what the outputs of the smoke test must be. Fed with the input; compared with the committed records.

use std::collections::BTreeMap;

use super::scene::{Scene, by_key};
use super::smoke::{
    AVG, CNT, DAY_MS, DIF, ECHO, MAX, MIN, MIN_RAW, MIN_SUPPRESSED, SUM, SWS_RAW, SWS_SUPPRESSED, TAGG,
};

/// The input: values and times of each key, in their order.
#[derive(Default)]
pub(super) struct Model {
    input: BTreeMap<String, Vec<(i32, i64)>>,
}

/// Each value with those before it.
fn running<A: Copy, T>(
    values: &[(i32, i64)],
    init: A,
    step: impl Fn(A, i32) -> A,
    show: impl Fn(A) -> T,
) -> Vec<T> {
    let mut state = init;
    let mut next = |(value, _): &(i32, i64)| {
        state = step(state, *value);
        show(state)
    };
    values.iter().map(&mut next).collect()
}

impl Model {
    pub(super) fn add(&mut self, key: &str, value: i32, timestamp: i64) {
        self.input.entry(key.to_owned()).or_default().push((value, timestamp));
    }

    /// What `of` makes of the values of each key.
    fn each<T>(&self, of: impl Fn(&[(i32, i64)]) -> T) -> BTreeMap<String, T> {
        self.input.iter().map(|(key, values)| (key.clone(), of(values))).collect()
    }

    fn min(&self) -> BTreeMap<String, Vec<i32>> {
        self.each(|values| running(values, i32::MAX, i32::min, |min| min))
    }

    fn max(&self) -> BTreeMap<String, Vec<i32>> {
        self.each(|values| running(values, i32::MIN, i32::max, |max| max))
    }

    fn sum(&self) -> BTreeMap<String, Vec<i64>> {
        self.each(|values| running(values, 0, |sum, value| sum + i64::from(value), |sum| sum))
    }

    fn cnt(&self) -> BTreeMap<String, Vec<i64>> {
        self.each(|values| (1..=values.len() as i64).collect())
    }

    fn dif(&self) -> BTreeMap<String, i32> {
        let (min, max) = (last(self.min()), last(self.max()));
        max.into_iter().map(|(key, max)| (key.clone(), max - min[&key])).collect()
    }

    /// One window of a day holds everything.
    fn min_by_window(&self) -> BTreeMap<String, Vec<i32>> {
        let name = |(key, mins): (String, Vec<i32>)| (format!("[{key}@0/{DAY_MS}]"), mins);
        self.min().into_iter().map(name).collect()
    }

    /// Sums of the windows of two seconds that begin each second.
    fn sums_by_window(&self) -> BTreeMap<String, Vec<i32>> {
        let mut windows: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (key, values) in &self.input {
            for (value, timestamp) in values {
                let second = timestamp / 1000 * 1000;
                for start in [second - 1000, second] {
                    let sums = windows.entry(format!("[{key}@{start}/{}]", start + 2000)).or_default();
                    sums.push(sums.last().unwrap_or(&0) + value);
                }
            }
        }
        windows
    }
}

fn last<V: Clone>(values: BTreeMap<String, Vec<V>>) -> BTreeMap<String, V> {
    values.into_iter().map(|(key, values)| (key, values.last().unwrap().clone())).collect()
}

fn once<V: Clone>(values: BTreeMap<String, Vec<V>>) -> BTreeMap<String, Vec<V>> {
    last(values).into_iter().map(|(key, value)| (key, vec![value])).collect()
}

/// What is the same with a record cache: each input once in order, each window once, and the last of everything.
pub(super) fn check_last_values(scene: &Scene, model: &Model) {
    assert_eq!(scene.per_key(&ECHO), model.each(|values| values.iter().map(|(value, _)| *value).collect()));
    assert_eq!(scene.per_key(&MIN_SUPPRESSED), once(model.min_by_window()));
    assert_eq!(scene.per_key(&SWS_SUPPRESSED), once(model.sums_by_window()));
    assert_eq!(last(scene.per_key(&SUM)), last(model.sum()));
    assert_eq!(last(scene.per_key(&CNT)), last(model.cnt()));
    let (sum, cnt) = (last(model.sum()), last(model.cnt()));
    let avg = sum.into_iter().map(|(key, sum)| (key.clone(), sum as f64 / cnt[&key] as f64)).collect();
    assert_eq!(last(scene.per_key(&AVG)), avg);
    check_extremes(scene, model);
    let mut keys_by_count = BTreeMap::new();
    cnt.values().for_each(|cnt| *keys_by_count.entry(cnt.to_string()).or_default() += 1_i64);
    let mut tagg = last(scene.per_key(&TAGG));
    tagg.retain(|_, keys| *keys != 0);
    assert_eq!(tagg, keys_by_count);
}

/// Last values that repeating an input does not change.
fn check_extremes(scene: &Scene, model: &Model) {
    assert_eq!(last(scene.per_key(&MIN)), last(model.min()));
    assert_eq!(last(scene.per_key(&MAX)), last(model.max()));
    assert_eq!(last(scene.per_key(&DIF)), model.dif());
}

/// And without a record cache: each update, once.
pub(super) fn check_exactly(scene: &Scene, model: &Model) {
    check_last_values(scene, model);
    assert_eq!(scene.per_key(&MIN), model.min());
    assert_eq!(scene.per_key(&MAX), model.max());
    assert_eq!(scene.per_key(&SUM), model.sum());
    assert_eq!(scene.per_key(&CNT), model.cnt());
    assert_eq!(scene.per_key(&MIN_RAW), model.min_by_window());
    assert_eq!(scene.per_key(&SWS_RAW), model.sums_by_window());
    // In which order the sides of a join come is open; but the difference never falls, and there is one for each update of a side
    // that finds the other.
    for (key, difs) in scene.per_key(&DIF) {
        let updates = 2 * model.input[&key].len();
        assert!(difs.is_sorted() && difs.len() < updates, "{key}: {} of {updates} {difs:?}", difs.len());
    }
    // A key leaves one count and comes to the next: each update but the first is two.
    let updates: usize = model.input.values().map(|values| 2 * values.len() - 1).sum();
    let tagg = scene.rows(&TAGG);
    assert_eq!(tagg.len(), updates);
    let keys = model.input.len() as i64;
    assert!(tagg.iter().all(|row| (0..=keys).contains(&row.value)), "keys are in one count each");
}

/// At least once, after crashes: every input came at least once, and extremes are right; sums may be higher.
pub(super) fn check_nothing_lost(scene: &Scene, model: &Model) {
    let echoed = scene.per_key(&ECHO);
    let mut repeated = 0;
    for (key, values) in &model.input {
        let mut found = by_key(echoed[key].iter().map(|value| (*value, ())));
        for (value, _) in values {
            let times = found.remove(value).unwrap_or_default().len();
            assert!(times > 0, "{key}: {value} is lost");
            repeated += times - 1;
        }
        assert!(found.is_empty(), "{key}: {found:?} were never written");
    }
    assert!(repeated > 0, "the crash came at a time when it costs nothing");
    check_extremes(scene, model);
    let at_least = |found: BTreeMap<String, i64>, expected: BTreeMap<String, i64>| {
        assert!(expected.iter().all(|(key, value)| found[key] >= *value), "{found:?} < {expected:?}");
    };
    at_least(last(scene.per_key(&SUM)), last(model.sum()));
    at_least(last(scene.per_key(&CNT)), last(model.cnt()));
    assert_eq!(scene.per_key(&MIN_SUPPRESSED), once(model.min_by_window()));
}
